//! What became of our operations, added up from what is journalled about them.
//!
//! Promises: each row is read once; sums are those of the whole journal, so a restart changes none
//! of them. Refuses to know: what the operations were for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::journal::{JournalError, Reader};
use crate::operation::{Entry, Outcome};
use crate::protocol::operation::SignedOperation;
use crate::protocol::{Level, OperationHash};

/// What stands against something wanted, by what it means; [`Outcome`] has the words.
pub(super) const REASONS: &[&str] = &[
    "obsolete",
    "wait",
    "retry",
    "stop",
    "disagreement",
    "mempool",
];

/// Our operations, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OperationsView {
    /// Signed, and in no block yet.
    pub pending: u64,
    /// Blocks since the oldest of them was signed, those counted that it replaced.
    pub oldest_pending_blocks: Option<u32>,
    /// In a block that is not final.
    pub included: u64,
    /// In a final block.
    pub last: u64,
    /// Given up, or overtaken.
    pub dropped: u64,
    /// Signed in place of one that waited.
    pub replaced: u64,
    /// Answers that set something wanted aside, by what they mean.
    pub rejected: BTreeMap<String, u64>,
    /// Fees of those in final blocks, in mutez, as decimal text.
    pub fees: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Included,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    counter: u64,
    signed_at: Level,
    fee: u64,
    state: State,
}

/// The sums so far, and the operations whose fate is open.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    read_to: i64,
    open: BTreeMap<OperationHash, Known>,
    last: u64,
    dropped: u64,
    replaced: u64,
    fees: u64,
    rejected: BTreeMap<&'static str, u64>,
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl Ledger {
    /// Reads what is new in the journal.
    pub(super) fn read(&mut self, reader: &Reader) -> Result<(), JournalError> {
        for (seq, row) in reader.operation_steps_after(self.read_to)? {
            self.read_to = seq;
            match Entry::from_json(&row.detail) {
                Ok(entry) => self.take(&entry),
                Err(error) => tracing::warn!(seq, %error, "an entry cannot be counted"),
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Signed {
                hash,
                bytes,
                form,
                level,
                ..
            } => {
                let Ok(signed) = SignedOperation::from_bytes(*form, bytes) else {
                    return;
                };
                let contents = &signed.operation.contents;
                let counter = contents.first().map_or(0, |content| content.counter.0);
                let fees = contents.iter().map(|content| content.fee.0);
                let known = Known {
                    counter,
                    signed_at: *level,
                    fee: fees.fold(0, u64::saturating_add),
                    state: State::Pending,
                };
                if self.pending().any(|other| other.counter == counter) {
                    add(&mut self.replaced, 1);
                }
                self.open.insert(*hash, known);
            }
            Entry::Included { hash, .. } => self.turn(hash, State::Included),
            Entry::Undone { hash, .. } => self.turn(hash, State::Pending),
            Entry::Final { hash, .. } => {
                if let Some(known) = self.open.remove(hash) {
                    add(&mut self.last, 1);
                    add(&mut self.fees, known.fee);
                }
            }
            Entry::Dropped { hash, .. } => {
                let gone = self.open.remove(hash);
                add(&mut self.dropped, u64::from(gone.is_some()));
            }
            Entry::Held { outcome, .. } if *outcome != Outcome::Included => {
                add(self.rejected.entry(outcome.word()).or_default(), 1);
            }
            Entry::Injected {
                accepted, refused, ..
            } if accepted.is_empty() && !refused.is_empty() => {
                add(self.rejected.entry("mempool").or_default(), 1);
            }
            _ => {}
        }
    }

    fn turn(&mut self, hash: &OperationHash, state: State) {
        if let Some(known) = self.open.get_mut(hash) {
            known.state = state;
        }
    }

    fn pending(&self) -> impl Iterator<Item = &Known> {
        let open = self.open.values();
        open.filter(|known| known.state == State::Pending)
    }

    /// How it stands at a tip.
    pub(super) fn view(&self, tip: Option<Level>) -> OperationsView {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let pending = self.pending().count();
        let oldest = self.pending().map(|known| known.signed_at).min();
        let rejected = REASONS.iter().map(|reason| {
            let count = self.rejected.get(reason).copied().unwrap_or(0);
            ((*reason).to_owned(), count)
        });
        OperationsView {
            pending: count(pending),
            oldest_pending_blocks: tip
                .zip(oldest)
                .map(|(tip, oldest)| tip.since(oldest).unwrap_or(0)),
            included: count(self.open.len().saturating_sub(pending)),
            last: self.last,
            dropped: self.dropped,
            replaced: self.replaced,
            rejected: rejected.collect(),
            fees: self.fees.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Signature;
    use crate::operation::Item;
    use crate::protocol::operation::{Action, Content, Form, Operation};
    use crate::protocol::{
        BlockHash, Counter, Gas, Mutez, Protocol, PublicKeyHash, RollupAddress, StorageBytes,
    };

    const FORM: Form = Form::Modern(Protocol::Tallinn);

    fn signed(counter: u64, fee: u64, level: u16) -> (OperationHash, Entry) {
        let account: PublicKeyHash = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb".parse().unwrap();
        let content = Content {
            source: account,
            fee: Mutez(fee),
            counter: Counter(counter),
            gas_limit: Gas(1000),
            storage_limit: StorageBytes(0),
            action: Action::RecoverBond {
                rollup: RollupAddress([3; 20]),
                staker: account,
            },
        };
        let operation = SignedOperation {
            operation: Operation {
                branch: BlockHash([1; 32]),
                contents: vec![content],
            },
            signature: Signature::Ed25519([0; 64]),
        };
        let bytes = operation.to_bytes(FORM).unwrap();
        let hash = OperationHash(crate::crypto::blake2b(&bytes).0);
        let level = Level::new(level);
        let entry = Entry::Signed {
            hash,
            bytes,
            form: FORM,
            branch_level: level,
            level,
            items: vec![Item {
                turn: None,
                cements: None,
                deadline: None,
            }],
        };
        (hash, entry)
    }

    #[test]
    fn an_operation_is_counted_once_whatever_becomes_of_it() {
        let mut ledger = Ledger::default();
        let ((first, one), (second, two)) = (signed(7, 500, 100), signed(7, 900, 110));
        let tip = Some(Level::new(120));
        ledger.take(&one);
        ledger.take(&two);
        let view = ledger.view(tip);
        assert_eq!((view.pending, view.replaced), (2, 1));
        assert_eq!(view.oldest_pending_blocks, Some(20));

        let included = |hash| Entry::Included {
            hash,
            block: BlockHash([2; 32]),
            level: Level::new(121),
            outcomes: vec![Outcome::Included],
            errors: Vec::new(),
        };
        let level = Level::new(122);
        ledger.take(&included(second));
        ledger.take(&Entry::Dropped {
            hash: first,
            level,
            reason: "another one took its counter".into(),
        });
        let view = ledger.view(tip);
        assert_eq!((view.pending, view.included, view.dropped), (0, 1, 1));
        assert_eq!(view.oldest_pending_blocks, None);
        ledger.take(&Entry::Undone {
            hash: second,
            level,
        });
        assert_eq!(ledger.view(tip).pending, 1);
        ledger.take(&included(second));
        ledger.take(&Entry::Final {
            hash: second,
            level,
        });
        let view = ledger.view(tip);
        assert_eq!((view.pending, view.included, view.last), (0, 0, 1));
        assert_eq!(view.fees, "900", "only what was included is paid for");
    }

    #[test]
    fn what_is_refused_is_counted_by_what_it_means() {
        let mut ledger = Ledger::default();
        for outcome in [Outcome::Stop, Outcome::Stop, Outcome::Disagreement] {
            ledger.take(&Entry::Held {
                what: "publish".into(),
                outcome,
                errors: Vec::new(),
                until: Level::new(9),
            });
        }
        let (hash, _) = signed(1, 1, 1);
        ledger.take(&Entry::Injected {
            hash,
            level: Level::new(1),
            accepted: Vec::new(),
            refused: vec![("http://a".into(), "no".into())],
        });
        let rejected = ledger.view(None).rejected;
        assert_eq!(rejected.len(), REASONS.len(), "all of them, from the start");
        assert_eq!(rejected["stop"], 2);
        assert_eq!(rejected["disagreement"], 1);
        assert_eq!(rejected["mempool"], 1);
        assert_eq!(rejected["wait"], 0);
    }
}
