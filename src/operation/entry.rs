//! What is written down about operations, before it is acted on.
//!
//! Promises: entries are enough to go on after a crash ([`super::Carrier::restore`]; for the gate,
//! [`Entry::remember`]); each has a JSON form that reads back the same. Refuses to know: where they
//! are kept.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::intention::{Intention, Wanted};
use super::outcome::Outcome;
use crate::crypto::Hash;
use crate::protocol::operation::{Action, Form, Operation, SignedOperation};
use crate::protocol::{BlockHash, CommitmentHash, Level, OperationHash, Protocol, Timestamp};
use crate::signer::{Memory, Turn};

/// One thing written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A shadowing tower would have sent this.
    WouldSend {
        /// The unsigned bytes.
        #[serde(with = "hexadecimal")]
        unsigned: Vec<u8>,
        /// Their form.
        #[serde(with = "form_text")]
        form: Form,
        /// The head it was made at.
        level: Level,
        /// What it carries.
        items: Vec<Item>,
    },
    /// The gate admitted an operation, which is signed next.
    Admitted {
        /// The unsigned bytes.
        #[serde(with = "hexadecimal")]
        unsigned: Vec<u8>,
        /// Their form.
        #[serde(with = "form_text")]
        form: Form,
        /// The turn that each content answers.
        #[serde(with = "turn_texts")]
        turns: Vec<Option<Turn>>,
        /// When, in seconds since 1970.
        at: i64,
    },
    /// The gate refused an operation.
    Refused {
        /// The unsigned bytes.
        #[serde(with = "hexadecimal")]
        unsigned: Vec<u8>,
        /// The head it was made at.
        level: Level,
        /// Why.
        reason: String,
    },
    /// An operation was signed, and is injected next.
    Signed {
        /// Its hash.
        hash: OperationHash,
        /// Its bytes, signature included.
        #[serde(with = "hexadecimal")]
        bytes: Vec<u8>,
        /// Their form.
        #[serde(with = "form_text")]
        form: Form,
        /// Level of its branch.
        branch_level: Level,
        /// The head it was made at.
        level: Level,
        /// What it carries, in the order of its contents, a reveal left out.
        items: Vec<Item>,
    },
    /// What the endpoints made of an injection.
    Injected {
        /// The operation.
        hash: OperationHash,
        /// The head at that time.
        level: Level,
        /// Endpoints that took it.
        accepted: Vec<String>,
        /// Endpoints that refused it or could not be reached, each with what it said.
        refused: Vec<(String, String)>,
    },
    /// An operation of ours is in a block.
    Included {
        /// The operation.
        hash: OperationHash,
        /// The block.
        block: BlockHash,
        /// Its level.
        level: Level,
        /// What became of each item.
        #[serde(with = "outcome_words")]
        outcomes: Vec<Outcome>,
        /// Ids of the errors of its receipts.
        errors: Vec<String>,
    },
    /// The block of an operation left the chain.
    Undone {
        /// The operation.
        hash: OperationHash,
        /// The level it was included at.
        level: Level,
    },
    /// The block of an operation is final.
    Final {
        /// The operation.
        hash: OperationHash,
        /// The level it was included at.
        level: Level,
    },
    /// An operation can no longer be included, or is given up.
    Dropped {
        /// The operation.
        hash: OperationHash,
        /// The head at that time.
        level: Level,
        /// Why.
        reason: String,
    },
    /// An intention is set aside for some blocks.
    Held {
        /// What.
        what: String,
        /// Why.
        #[serde(with = "outcome_word")]
        outcome: Outcome,
        /// Ids of the errors.
        errors: Vec<String>,
        /// The first level at which it is tried again.
        until: Level,
    },
    /// Moves are sent although no simulation vouches for them.
    Unadvised {
        /// Which.
        what: Vec<String>,
        /// The head at that time.
        level: Level,
        /// Why, of each.
        reasons: Vec<String>,
    },
    /// Somebody else used our key.
    Foreign {
        /// The operation.
        hash: OperationHash,
        /// The block it is in; none when it waits in a mempool.
        block: Option<BlockHash>,
        /// Level of that block, or of the head.
        level: Level,
    },
    /// After having stood by, sending goes on.
    Resumed {
        /// The head.
        level: Level,
        /// Why.
        reason: String,
    },
}

/// What an operation carries besides what its contents say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The turn it answers.
    #[serde(with = "turn_text", default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// The commitment that a cementation is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cements: Option<CommitmentHash>,
    /// The last level at which it helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Level>,
}

/// An entry cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The text is no entry.
    #[error("not an entry about operations: {0}")]
    Text(String),
    /// The operation in it cannot be read.
    #[error("entry of operation {hash}: {problem}")]
    Operation {
        /// The operation.
        hash: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Item {
    /// What is noted of a wanted intention.
    #[must_use]
    pub fn of(wanted: &Wanted) -> Self {
        Self {
            turn: wanted.what.turn(),
            cements: match wanted.what {
                Intention::Cement { commitment, .. } => Some(commitment),
                _ => None,
            },
            deadline: wanted.deadline,
        }
    }

    /// The wanted intention behind a content.
    #[must_use]
    pub fn wanted(&self, action: &Action) -> Option<Wanted> {
        let what = match (action, self.cements) {
            (Action::Cement { rollup, .. }, Some(commitment)) => Intention::Cement {
                rollup: *rollup,
                commitment,
            },
            (action, _) => Intention::of(action, self.turn)?,
        };
        Some(Wanted {
            what,
            deadline: self.deadline,
        })
    }
}

impl Entry {
    /// Its kind, in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::WouldSend { .. } => "would_send",
            Self::Admitted { .. } => "admitted",
            Self::Refused { .. } => "refused",
            Self::Signed { .. } => "signed",
            Self::Injected { .. } => "injected",
            Self::Included { .. } => "included",
            Self::Undone { .. } => "undone",
            Self::Final { .. } => "final",
            Self::Dropped { .. } => "dropped",
            Self::Held { .. } => "held",
            Self::Unadvised { .. } => "unadvised",
            Self::Foreign { .. } => "foreign",
            Self::Resumed { .. } => "resumed",
        }
    }

    /// The operation it is about, when it is about one that has a hash.
    #[must_use]
    pub const fn operation(&self) -> Option<OperationHash> {
        match self {
            Self::Signed { hash, .. }
            | Self::Injected { hash, .. }
            | Self::Included { hash, .. }
            | Self::Undone { hash, .. }
            | Self::Final { hash, .. }
            | Self::Dropped { hash, .. }
            | Self::Foreign { hash, .. } => Some(*hash),
            Self::WouldSend { .. }
            | Self::Admitted { .. }
            | Self::Refused { .. }
            | Self::Held { .. }
            | Self::Unadvised { .. }
            | Self::Resumed { .. } => None,
        }
    }

    /// Its JSON text, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Fails only for maps with keys that are no texts, of which there are none.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON text.
    ///
    /// # Errors
    /// [`EntryError::Text`].
    pub fn from_json(text: &str) -> Result<Self, EntryError> {
        serde_json::from_str(text).map_err(|error| EntryError::Text(error.to_string()))
    }

    /// Puts an admission back into a gate's memory; other entries do not concern it. Entries have
    /// to be given in order.
    ///
    /// # Errors
    /// [`EntryError::Operation`] when the bytes cannot be read.
    pub fn remember(&self, memory: &mut Memory) -> Result<(), EntryError> {
        let Self::Admitted {
            unsigned,
            form,
            turns,
            at,
        } = self
        else {
            return Ok(());
        };
        let operation =
            Operation::from_bytes(*form, unsigned).map_err(|error| EntryError::Operation {
                hash: "not signed yet".into(),
                problem: error.to_string(),
            })?;
        memory.remember(&operation, turns, Timestamp(*at));
        Ok(())
    }
}

/// The operation of a `Signed` entry and what it carries.
pub(super) fn carried(
    hash: OperationHash,
    bytes: &[u8],
    form: Form,
    items: &[Item],
) -> Result<(Operation, Vec<Wanted>), EntryError> {
    let damaged = |problem: String| EntryError::Operation {
        hash: hash.to_string(),
        problem,
    };
    let signed = SignedOperation::from_bytes(form, bytes).map_err(|e| damaged(e.to_string()))?;
    let contents = signed.operation.contents.iter();
    let contents = contents.filter(|content| !matches!(content.action, Action::Reveal { .. }));
    let wanted: Option<Vec<_>> = contents
        .zip(items)
        .map(|(content, item)| item.wanted(&content.action))
        .collect();
    let wanted = wanted.ok_or_else(|| damaged("it does not carry what the entry says".into()))?;
    Ok((signed.operation, wanted))
}

mod hexadecimal {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

mod form_text {
    use super::{Deserialize, Deserializer, Form, Protocol, Serializer};

    const SCR1: &str = "scr1";

    pub(super) fn serialize<S: Serializer>(form: &Form, s: S) -> Result<S::Ok, S::Error> {
        match form {
            Form::Modern(protocol) => s.serialize_str(protocol.version_text()),
            Form::Scr1 => s.serialize_str(SCR1),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Form, D::Error> {
        let text = String::deserialize(d)?;
        if text == SCR1 {
            return Ok(Form::Scr1);
        }
        Protocol::from_version_text(&text)
            .map(Form::Modern)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no form of operations")))
    }
}

fn turn_of<E: serde::de::Error>(text: &str) -> Result<Turn, E> {
    let bytes = hex::decode(text).map_err(E::custom)?;
    Hash::try_from(bytes.as_slice())
        .map(Turn)
        .map_err(E::custom)
}

mod turn_text {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Turn, turn_of};

    pub(super) fn serialize<S: Serializer>(turn: &Option<Turn>, s: S) -> Result<S::Ok, S::Error> {
        turn.map(|turn| turn.to_string()).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Turn>, D::Error> {
        let text: Option<String> = Option::deserialize(d)?;
        text.map(|text| turn_of(&text)).transpose()
    }
}

mod turn_texts {
    use super::{Deserialize, Deserializer, Serializer, Turn, turn_of};

    pub(super) fn serialize<S: Serializer>(
        turns: &[Option<Turn>],
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(turns.iter().map(|turn| turn.map(|turn| turn.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Vec<Option<Turn>>, D::Error> {
        let texts: Vec<Option<String>> = Vec::deserialize(d)?;
        let texts = texts.into_iter();
        texts
            .map(|text| text.map(|text| turn_of(&text)).transpose())
            .collect()
    }
}

fn outcome_of<E: serde::de::Error>(word: &str) -> Result<Outcome, E> {
    Outcome::from_word(word).ok_or_else(|| E::custom(format!("{word:?} is no outcome")))
}

mod outcome_word {
    use super::{Deserialize, Deserializer, Outcome, Serializer, outcome_of};

    pub(super) fn serialize<S: Serializer>(outcome: &Outcome, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(outcome.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Outcome, D::Error> {
        outcome_of(&String::deserialize(d)?)
    }
}

mod outcome_words {
    use super::{Deserialize, Deserializer, Outcome, Serializer, outcome_of};

    pub(super) fn serialize<S: Serializer>(outcomes: &[Outcome], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(outcomes.iter().map(|outcome| outcome.word()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Outcome>, D::Error> {
        let words: Vec<String> = Vec::deserialize(d)?;
        words.iter().map(|word| outcome_of(word)).collect()
    }
}
