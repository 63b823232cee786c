//! Going on after a crash: the entries, in order, give back what is alive.

use super::{Carrier, Landing, Pending, Settings, StandBy, variant};
use crate::crypto::{PublicKey, Signature};
use crate::l1::BlockRef;
use crate::operation::entry::{Entry, EntryError, carried};
use crate::operation::outcome::Outcome;
use crate::protocol::OperationHash;

impl Carrier {
    /// The carrier that wrote `entries`, the oldest first. What it held, wanted and was making is
    /// derived again at the next head.
    ///
    /// # Errors
    /// [`EntryError`] when an entry cannot be read.
    pub fn restore<'a>(
        key: PublicKey,
        possession: Option<Signature>,
        settings: Settings,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Self, EntryError> {
        let mut carrier = Self::new(key, possession, settings);
        for entry in entries {
            carrier.replay(entry)?;
        }
        Ok(carrier)
    }

    fn replay(&mut self, entry: &Entry) -> Result<(), EntryError> {
        match entry {
            Entry::Signed {
                hash,
                bytes,
                form,
                branch_level,
                level,
                items,
            } => {
                let (operation, wanted) = carried(*hash, bytes, *form, items)?;
                if let Some(made) = variant(
                    *hash,
                    bytes.clone(),
                    &operation,
                    *branch_level,
                    *level,
                    wanted,
                ) {
                    self.add_variant(made);
                }
            }
            Entry::Included {
                hash,
                block,
                level,
                outcomes,
                ..
            } => {
                let block = BlockRef {
                    level: *level,
                    hash: *block,
                };
                self.replay_landing(*hash, block, outcomes);
            }
            Entry::Undone { hash, .. } => {
                if let Some(at) = self.landed.iter().position(|l| l.variant.hash == *hash) {
                    let landing = self.landed.remove(at);
                    self.pending = Some(Pending {
                        variants: vec![landing.variant],
                        needed: None,
                    });
                }
            }
            Entry::Final { hash, .. } => self.landed.retain(|l| l.variant.hash != *hash),
            Entry::Dropped { hash, .. } => {
                if let Some(pending) = &mut self.pending {
                    pending.variants.retain(|variant| variant.hash != *hash);
                    if pending.variants.is_empty() {
                        self.pending = None;
                    }
                }
            }
            Entry::Foreign { hash, block, level } => match block {
                Some(_) => self.stand_by = Some(StandBy { level: *level }),
                None => {
                    self.strangers.insert(*hash);
                }
            },
            Entry::Resumed { .. } => self.stand_by = None,
            Entry::WouldSend { .. }
            | Entry::Admitted { .. }
            | Entry::Refused { .. }
            | Entry::Injected { .. }
            | Entry::Held { .. }
            | Entry::Unadvised { .. } => {}
        }
        Ok(())
    }

    fn replay_landing(&mut self, hash: OperationHash, block: BlockRef, outcomes: &[Outcome]) {
        let Some(variant) = self.known.get(&hash).cloned() else {
            return;
        };
        if let Some(pending) = &mut self.pending {
            pending
                .variants
                .retain(|pending| pending.first > variant.last);
            if pending.variants.is_empty() {
                self.pending = None;
            }
        }
        let done = variant.items.iter().zip(outcomes);
        let done = done.filter(|(_, outcome)| **outcome == Outcome::Included);
        let landing = Landing {
            done: done.map(|(item, _)| item.what.key()).collect(),
            variant,
            block,
        };
        self.landed.push(landing);
    }
}
