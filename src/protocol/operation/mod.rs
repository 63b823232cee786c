//! Manager operations: their contents, bytes, JSON, envelope and hash.
//!
//! Promises: exactly the bytes and JSON of the node, both ways, in the form of each protocol from
//! Mumbai to Ushuaia and in the older dialect; decoders survive any bytes and re-encode to what
//! they read. Refuses to know: fees, counters, and whether an operation is wise.
//! Source: `operation_repr.ml`, `src/lib_base/operation.ml`.

mod binary;
mod contract;
mod envelope;
mod json;
mod refutation;

#[cfg(test)]
mod tests;

use std::fmt;

pub use contract::{Contract, ContractTextError, Entrypoint, EntrypointError, Parameters};
pub use envelope::{Operation, SignedOperation};
pub use refutation::{
    DalPageId, DissectionChunk, InputProof, Proof, Refutation, RevealProof, Step,
};
pub(in crate::protocol) use refutation::{read_dissection, write_dissection};

use super::{
    Commitment, CommitmentHash, Counter, Gas, Mutez, Protocol, PublicKeyHash, RollupAddress,
    StorageBytes,
};
use crate::codec::Micheline;
use crate::crypto::{BlsSuite, Dialect, PublicKey, Signature};

/// Which shape operations have: it depends on the protocol and on the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Smart rollups as activated on mainnet.
    Modern(Protocol),
    /// The development chains of late 2022.
    Scr1,
}

impl Form {
    /// The labels in use.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Modern(_) => Dialect::Modern,
            Self::Scr1 => Dialect::Scr1,
        }
    }

    /// Originations carried a proof, and cements named their commitment, until Nairobi.
    fn is_before_oxford(self) -> bool {
        match self {
            Self::Modern(protocol) => protocol < Protocol::Oxford,
            Self::Scr1 => true,
        }
    }

    /// How BLS keys sign operations: the suite changed with Seoul.
    #[must_use]
    pub fn bls_suite(self) -> BlsSuite {
        if self.has_reveal_proof() {
            BlsSuite::ProofOfPossession
        } else {
            BlsSuite::Augmented
        }
    }

    /// Reveals carry an optional proof of possession since Seoul.
    fn has_reveal_proof(self) -> bool {
        matches!(self, Self::Modern(protocol) if protocol >= Protocol::Seoul)
    }

    /// The staking entrypoints have short tags since Oxford.
    fn has_staking_entrypoints(self) -> bool {
        matches!(self, Self::Modern(protocol) if protocol >= Protocol::Oxford)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modern(protocol) => protocol.fmt(f),
            Self::Scr1 => f.write_str("the scr1 dialect"),
        }
    }
}

/// A content cannot be written in the form asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The form requires a field that the content leaves open.
    #[error("{form} requires the {field} of a {kind}")]
    Missing {
        /// The form asked for.
        form: Form,
        /// Kind of the content.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// The form has no place for a field that the content gives.
    #[error("{form} has no place for the {field} of a {kind}")]
    NoPlace {
        /// The form asked for.
        form: Form,
        /// Kind of the content.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
}

/// Kind of a manager operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Publishes the key behind an account.
    Reveal,
    /// Moves money or calls a contract.
    Transaction,
    /// Chooses a delegate.
    Delegation,
    /// Begins a rollup.
    Originate,
    /// Sends external messages to all rollups.
    AddMessages,
    /// Makes a commitment final.
    Cement,
    /// Stakes on a commitment.
    Publish,
    /// Opens or plays a refutation game.
    Refute,
    /// Ends a game whose player ran out of blocks.
    Timeout,
    /// Executes an outbox message of a cemented commitment.
    ExecuteOutboxMessage,
    /// Gives a bond back to its staker.
    RecoverBond,
}

impl Kind {
    /// All kinds known here.
    pub const ALL: [Self; 11] = [
        Self::Reveal,
        Self::Transaction,
        Self::Delegation,
        Self::Originate,
        Self::AddMessages,
        Self::Cement,
        Self::Publish,
        Self::Refute,
        Self::Timeout,
        Self::ExecuteOutboxMessage,
        Self::RecoverBond,
    ];

    /// Tag byte of its contents.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self.facts().0
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Modern => self.facts().1,
            Dialect::Scr1 => self.facts().2,
        }
    }

    /// The kind of this name, if it is one that is known here.
    #[must_use]
    pub fn from_name(name: &str, dialect: Dialect) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name(dialect) == name)
    }

    const fn facts(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Reveal => (107, "reveal", "reveal"),
            Self::Transaction => (108, "transaction", "transaction"),
            Self::Delegation => (110, "delegation", "delegation"),
            Self::Originate => (200, "smart_rollup_originate", "sc_rollup_originate"),
            Self::AddMessages => (201, "smart_rollup_add_messages", "sc_rollup_add_messages"),
            Self::Cement => (202, "smart_rollup_cement", "sc_rollup_cement"),
            Self::Publish => (203, "smart_rollup_publish", "sc_rollup_publish"),
            Self::Refute => (204, "smart_rollup_refute", "sc_rollup_refute"),
            Self::Timeout => (205, "smart_rollup_timeout", "sc_rollup_timeout"),
            Self::ExecuteOutboxMessage => (
                206,
                "smart_rollup_execute_outbox_message",
                "sc_rollup_execute_outbox_message",
            ),
            Self::RecoverBond => (207, "smart_rollup_recover_bond", "sc_rollup_recover_bond"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name(Dialect::Modern))
    }
}

/// One manager operation inside a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Who signs and pays.
    pub source: PublicKeyHash,
    /// Offered to the baker.
    pub fee: Mutez,
    /// Replay number.
    pub counter: Counter,
    /// Most gas it may use.
    pub gas_limit: Gas,
    /// Most storage it may be charged for.
    pub storage_limit: StorageBytes,
    /// What it does.
    pub action: Action,
}

/// What a manager operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Publishes the key behind the source.
    Reveal {
        /// The key.
        public_key: PublicKey,
        /// Proof of possession; for BLS keys since Seoul.
        proof: Option<Signature>,
    },
    /// Moves money or calls a contract.
    Transaction {
        /// Money moved.
        amount: Mutez,
        /// Receiver.
        destination: Contract,
        /// What a contract is called with; none is `Unit` on the default entrypoint.
        parameters: Option<Parameters>,
    },
    /// Chooses a delegate.
    Delegation {
        /// The delegate; none withdraws it.
        delegate: Option<PublicKeyHash>,
    },
    /// Begins a rollup.
    Originate(Box<Origination>),
    /// Sends external messages.
    AddMessages {
        /// The messages, without their external tag.
        messages: Vec<Vec<u8>>,
    },
    /// Makes the next commitment final.
    Cement {
        /// The rollup.
        rollup: RollupAddress,
        /// The commitment; named until Nairobi only.
        commitment: Option<CommitmentHash>,
    },
    /// Stakes on a commitment.
    Publish {
        /// The rollup.
        rollup: RollupAddress,
        /// The claim.
        commitment: Commitment,
    },
    /// Opens or plays a game.
    Refute {
        /// The rollup.
        rollup: RollupAddress,
        /// The other player.
        opponent: PublicKeyHash,
        /// The move.
        refutation: Refutation,
    },
    /// Ends a game by the clock.
    Timeout {
        /// The rollup.
        rollup: RollupAddress,
        /// The players.
        stakers: Stakers,
    },
    /// Executes an outbox message.
    ExecuteOutboxMessage {
        /// The rollup.
        rollup: RollupAddress,
        /// Commitment whose state holds the outbox.
        cemented_commitment: CommitmentHash,
        /// PVM output proof.
        output_proof: Vec<u8>,
    },
    /// Gives a bond back.
    RecoverBond {
        /// The rollup.
        rollup: RollupAddress,
        /// Whose bond; in the older dialect always the source's.
        staker: PublicKeyHash,
    },
}

impl Action {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Reveal { .. } => Kind::Reveal,
            Self::Transaction { .. } => Kind::Transaction,
            Self::Delegation { .. } => Kind::Delegation,
            Self::Originate(_) => Kind::Originate,
            Self::AddMessages { .. } => Kind::AddMessages,
            Self::Cement { .. } => Kind::Cement,
            Self::Publish { .. } => Kind::Publish,
            Self::Refute { .. } => Kind::Refute,
            Self::Timeout { .. } => Kind::Timeout,
            Self::ExecuteOutboxMessage { .. } => Kind::ExecuteOutboxMessage,
            Self::RecoverBond { .. } => Kind::RecoverBond,
        }
    }
}

/// Beginning of a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origination {
    /// Which machine it runs.
    pub pvm: PvmKind,
    /// Its kernel.
    pub kernel: Vec<u8>,
    /// Proof of the initial state; until Nairobi only.
    pub origination_proof: Option<Vec<u8>>,
    /// Michelson type of the messages contracts send it.
    pub parameters_type: Micheline,
    /// Who may stake; none = anybody. Since Oxford.
    pub whitelist: Option<Vec<PublicKeyHash>>,
}

/// Kind of a proof-generating machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PvmKind {
    /// The arithmetic toy of test networks.
    Arith,
    /// WebAssembly, the only one this tower judges.
    Wasm,
    /// RISC-V, since Oxford.
    Riscv,
}

impl PvmKind {
    const ALL: [Self; 3] = [Self::Arith, Self::Wasm, Self::Riscv];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arith => "arith",
            Self::Wasm => "wasm_2_0_0",
            Self::Riscv => "riscv",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The two players of a game, alice before bob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stakers {
    alice: PublicKeyHash,
    bob: PublicKeyHash,
}

impl Stakers {
    /// The pair, put in order.
    #[must_use]
    pub fn new(one: PublicKeyHash, other: PublicKeyHash) -> Self {
        Self {
            alice: one.min(other),
            bob: one.max(other),
        }
    }

    /// The smaller of the two.
    #[must_use]
    pub const fn alice(&self) -> PublicKeyHash {
        self.alice
    }

    /// The larger of the two.
    #[must_use]
    pub const fn bob(&self) -> PublicKeyHash {
        self.bob
    }

    /// Whom an account plays against; none when it is neither of the two.
    #[must_use]
    pub fn opponent_of(&self, account: &PublicKeyHash) -> Option<PublicKeyHash> {
        if self.alice == *account {
            Some(self.bob)
        } else {
            (self.bob == *account).then_some(self.alice)
        }
    }
}
