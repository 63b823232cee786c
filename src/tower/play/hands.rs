//! The hands: what is wanted is carried, or only written down, depending on the mode.
//!
//! Promises: a signer exists only where the mode may send; entries about operations are in the
//! journal before what they tell of happens. Refuses to know: what is wanted and why.

use crate::config::Mode;
use crate::journal::{Entry as Row, Journal, OperationStepRow, PlayEntry, Reader};
use crate::l1::{BlockRef, Client, Receipt};
use crate::operation::{
    At, Driver, DriverError, Entry, Intention, Notice, Scribe, ScribeError, Settings, Shadow,
    Wanted,
};
use crate::protocol::operation::Action;
use crate::protocol::{Game, Level, Mutez, PublicKeyHash, RollupAddress};
use crate::signer::{Authority, Brake, Gate, Key, Memory, Policy, Turn};

/// Writes entries about operations into the journal.
#[derive(Debug)]
pub(super) struct JournalScribe(pub(super) Journal);

impl Scribe for JournalScribe {
    async fn write(&mut self, entries: Vec<Entry>) -> Result<(), ScribeError> {
        let rows = entries.iter().map(|entry| {
            Row::from(PlayEntry::Operation(OperationStepRow {
                step: entry.word().to_owned(),
                hash: entry.operation(),
                detail: entry.to_json(),
            }))
        });
        crate::tower::run::write(&self.0, rows.collect())
            .await
            .map_err(|error| ScribeError(error.to_string()))
    }
}

/// Caps of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most money in bonds, over all rollups, lost ones counted.
    pub stake: Mutez,
    /// Most that one operation offers in fees.
    pub fee: Mutez,
    /// Most offered in fees within a day.
    pub daily_fees: Mutez,
    /// Most signatures in an hour.
    pub hourly: u32,
}

/// What acts.
pub(super) enum Hands {
    /// Forges and simulates, has no key.
    Shadow(Box<Shadow<JournalScribe>>),
    /// Signs and sends.
    Real(Box<Driver<JournalScribe>>, Brake),
}

/// Why there are no hands.
#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// What was done before cannot be taken up, or the node or the key does not answer.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Entries of the past cannot be read.
    #[error(transparent)]
    Entry(#[from] crate::operation::EntryError),
    /// The mode sends and nobody can sign.
    #[error(
        "mode {0} sends operations and needs a signer: name one with --signer or --key, or use shadow"
    )]
    NoSigner(Mode),
    /// The system gives no threads.
    #[error("threads for games cannot be started: {0}")]
    Threads(#[source] std::io::Error),
    /// Shadow does not know for whom it decides.
    #[error("mode shadow needs an account to decide for: name one with --account")]
    NoAccount,
}

const fn authority(mode: Mode) -> Option<Authority> {
    match mode {
        Mode::Observe | Mode::Shadow => None,
        Mode::Defend => Some(Authority::Defend),
        Mode::Operate => Some(Authority::Operate),
        Mode::Bailout => Some(Authority::Bailout),
    }
}

impl Hands {
    /// The hands of a mode, going on from what the journal holds.
    pub(super) async fn new(
        mode: Mode,
        account: Option<PublicKeyHash>,
        key: Option<Key>,
        rollups: impl IntoIterator<Item = RollupAddress>,
        caps: Caps,
        client: &Client,
        journal: &Journal,
    ) -> Result<Self, HandsError> {
        let scribe = JournalScribe(journal.clone());
        let settings = Settings {
            fee_cap: caps.fee,
            ..Settings::default()
        };
        let Some(authority) = authority(mode) else {
            let account = account.ok_or(HandsError::NoAccount)?;
            let shadow = Shadow::new(client.clone(), account, settings, scribe);
            return Ok(Self::Shadow(Box::new(shadow)));
        };
        let key = key.ok_or(HandsError::NoSigner(mode))?;
        let entries = entries(&journal.reader()?)?;
        let mut memory = Memory::default();
        for entry in &entries {
            entry.remember(&mut memory)?;
        }
        let policy = Policy {
            authority,
            rollups: rollups.into_iter().collect(),
            stake_cap: caps.stake,
            fee_cap: caps.fee,
            daily_fee_cap: caps.daily_fees,
            hourly_cap: caps.hourly,
        };
        let brake = Brake::default();
        let gate = Gate::new(key, policy, memory, brake.clone());
        let driver = Driver::resume(client.clone(), gate, settings, &entries, scribe).await?;
        Ok(Self::Real(Box::new(driver), brake))
    }

    /// For whom they act.
    pub(super) const fn account(&self) -> PublicKeyHash {
        match self {
            Self::Shadow(shadow) => shadow.account(),
            Self::Real(driver, _) => driver.carrier().account(),
        }
    }

    /// Whether somebody else sends from our account.
    pub(super) fn is_standing_by(&self) -> bool {
        match self {
            Self::Shadow(_) => false,
            Self::Real(driver, _) => driver.carrier().is_standing_by(),
        }
    }

    /// Stops or frees the gate itself: nothing that is under way gets a signature.
    pub(super) fn brake(&self, reason: Option<&str>) {
        if let Self::Real(_, brake) = self {
            match reason {
                Some(reason) => brake.pull(reason),
                None => brake.release(),
            }
        }
    }

    /// Stops or frees one rollup.
    pub(super) fn freeze(&self, rollup: RollupAddress, reason: Option<&str>) {
        if let Self::Real(_, brake) = self {
            match reason {
                Some(reason) => brake.freeze(rollup, reason),
                None => brake.thaw(&rollup),
            }
        }
    }

    /// Blocks left the chain.
    pub(super) async fn rolled_back(&mut self, keep: Level) -> Result<Vec<Notice>, DriverError> {
        match self {
            Self::Shadow(_) => Ok(Vec::new()),
            Self::Real(driver, _) => Ok(driver.rolled_back(keep).await?.notices),
        }
    }

    /// A block joined the chain.
    pub(super) async fn applied(
        &mut self,
        block: BlockRef,
        receipts: Vec<Receipt>,
    ) -> Result<Vec<Notice>, DriverError> {
        match self {
            Self::Shadow(_) => Ok(Vec::new()),
            Self::Real(driver, _) => Ok(driver.received(block, receipts).await?.notices),
        }
    }

    /// This is wanted at the head, all of it.
    pub(super) async fn head(
        &mut self,
        at: At,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Notice>, DriverError> {
        let report = match self {
            Self::Shadow(shadow) => shadow.head(at, wanted).await?,
            Self::Real(driver, _) => driver.head(at, wanted).await?,
        };
        Ok(report.notices)
    }
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shadow(_) => "Shadow",
            Self::Real(..) => "Real",
        })
    }
}

/// Everything written down about operations, in order.
pub(crate) fn entries(reader: &Reader) -> Result<Vec<Entry>, HandsError> {
    let rows = reader.operation_steps()?;
    let entries = rows.iter().map(|(_, row)| Entry::from_json(&row.detail));
    Ok(entries.collect::<Result<_, _>>()?)
}

/// The intention behind an action; a move answers the turn of its game.
pub(super) fn intention(action: &Action, game: Option<&Game>) -> Option<Intention> {
    Intention::of(action, game.map(Turn::of))
}
