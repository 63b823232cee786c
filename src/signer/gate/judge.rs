//! The judgement: one decoded operation against policy, memory and brake.

use std::collections::BTreeSet;

use super::memory::{asserts_nothing, digest};
use super::{Brake, Memory, Moment, Policy, Refusal, Turn};
use crate::crypto::PublicKey;
use crate::protocol::operation::{Action, Content, Form, Operation, Refutation};
use crate::protocol::{Mutez, PublicKeyHash, RollupAddress};

/// What a judgement rests on.
pub(super) struct Case<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) policy: &'a Policy,
    pub(super) memory: &'a Memory,
    pub(super) brake: &'a Brake,
    pub(super) moment: &'a Moment,
}

/// The operation that the bytes are, when they are its canonical form.
pub(super) fn decoded(unsigned: &[u8], form: Form) -> Result<Operation, Refusal> {
    let operation = Operation::from_bytes(form, unsigned).map_err(|error| Refusal::Unreadable {
        problem: error.to_string(),
    })?;
    match operation.to_bytes(form) {
        Ok(bytes) if bytes == unsigned => Ok(operation),
        Ok(_) | Err(_) => Err(Refusal::NotCanonical),
    }
}

/// Whether the operation may be signed.
pub(super) fn judge(
    case: &Case<'_>,
    operation: &Operation,
    turns: &[Option<Turn>],
) -> Result<(), Refusal> {
    case.brake.refuses_all()?;
    if operation.contents.is_empty() {
        return Err(Refusal::Empty);
    }
    if turns.len() != operation.contents.len() {
        return Err(Refusal::Turn { index: turns.len() });
    }
    for (index, (content, turn)) in operation.contents.iter().zip(turns).enumerate() {
        case.content(index, content)?;
        case.action(index, &content.action, *turn)?;
    }
    case.own_contradictions(operation, turns)?;
    case.stake(operation)?;
    case.fees(operation)?;
    case.rate()
}

impl Case<'_> {
    fn account(&self) -> PublicKeyHash {
        PublicKeyHash::of_key(self.key)
    }

    fn content(&self, index: usize, content: &Content) -> Result<(), Refusal> {
        let account = self.account();
        if content.source != account {
            return Err(Refusal::NotOurs {
                index,
                source_account: content.source,
                account,
            });
        }
        let (kind, authority) = (content.action.kind(), self.policy.authority);
        if !authority.allows(kind) {
            return Err(Refusal::Kind {
                index,
                kind,
                authority,
            });
        }
        if content.storage_limit.0 > 0 {
            return Err(Refusal::Storage {
                index,
                bytes: content.storage_limit.0,
            });
        }
        let Some(rollup) = content.action.rollup() else {
            return Ok(());
        };
        if !self.policy.rollups.contains(&rollup) {
            return Err(Refusal::Rollup { index, rollup });
        }
        self.brake.refuses(index, rollup)
    }

    fn action(&self, index: usize, action: &Action, turn: Option<Turn>) -> Result<(), Refusal> {
        let is_move = matches!(
            action,
            Action::Refute {
                refutation: Refutation::Move { .. },
                ..
            }
        );
        if is_move != turn.is_some() {
            return Err(Refusal::Turn { index });
        }
        match action {
            Action::Reveal { public_key, proof } => {
                let proven = proof
                    .as_ref()
                    .is_none_or(|proof| public_key.verifies_possession(proof));
                if public_key == self.key && proven {
                    Ok(())
                } else {
                    Err(Refusal::Reveal)
                }
            }
            Action::Publish { rollup, commitment } => {
                let (level, asked) = (commitment.inbox_level, commitment.hash());
                match self.memory.commitment(*rollup, level) {
                    Some(signed) if signed != asked => Err(Refusal::OtherCommitment {
                        index,
                        rollup: *rollup,
                        level,
                        signed,
                        asked,
                    }),
                    _ => Ok(()),
                }
            }
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } => {
                let signed = turn.and_then(|turn| {
                    self.memory
                        .move_at(*rollup, *opponent, turn)
                        .zip(Some(turn))
                });
                match signed {
                    Some((signed, turn))
                        if signed != digest(refutation) && !asserts_nothing(refutation) =>
                    {
                        Err(Refusal::OtherMove {
                            index,
                            rollup: *rollup,
                            opponent: *opponent,
                            turn,
                        })
                    }
                    _ => Ok(()),
                }
            }
            Action::RecoverBond { staker, .. } if *staker != self.account() => Err(Refusal::Bond {
                index,
                staker: *staker,
            }),
            _ => Ok(()),
        }
    }

    /// A batch must not contradict itself either: it is judged as if signed content by content.
    fn own_contradictions(
        &self,
        operation: &Operation,
        turns: &[Option<Turn>],
    ) -> Result<(), Refusal> {
        let mut memory = self.memory.clone();
        memory.remember(operation, turns, self.moment.now);
        let after = Case {
            memory: &memory,
            ..*self
        };
        for (index, (content, turn)) in operation.contents.iter().zip(turns).enumerate() {
            after.action(index, &content.action, *turn)?;
        }
        Ok(())
    }

    fn stake(&self, operation: &Operation) -> Result<(), Refusal> {
        let published = operation
            .contents
            .iter()
            .filter_map(|content| match content.action {
                Action::Publish { rollup, .. } => Some(rollup),
                _ => None,
            });
        let mut staked: BTreeSet<RollupAddress> = published.collect();
        if staked.is_empty() {
            return Ok(());
        }
        staked.extend(&self.moment.bonded);
        staked.extend(self.memory.staked());
        let bonds = u64::try_from(staked.len())
            .ok()
            .and_then(|rollups| rollups.checked_mul(self.moment.stake.0));
        let at_stake = bonds
            .and_then(|bonds| Mutez(bonds).plus(self.moment.lost))
            .ok_or(Refusal::Overflow)?;
        let cap = self.policy.stake_cap;
        if at_stake > cap {
            return Err(Refusal::Stake { at_stake, cap });
        }
        Ok(())
    }

    fn fees(&self, operation: &Operation) -> Result<(), Refusal> {
        let contents = &operation.contents;
        let fee = contents
            .iter()
            .try_fold(Mutez(0), |sum, content| sum.plus(content.fee))
            .ok_or(Refusal::Overflow)?;
        let cap = self.policy.fee_cap;
        if fee > cap {
            return Err(Refusal::Fee { fee, cap });
        }
        let spent = self
            .memory
            .offered_within_a_day(self.moment.now, contents)
            .ok_or(Refusal::Overflow)?;
        let cap = self.policy.daily_fee_cap;
        if spent > cap {
            return Err(Refusal::DailyFees { spent, cap });
        }
        Ok(())
    }

    fn rate(&self) -> Result<(), Refusal> {
        let signed = self.memory.signed_within_an_hour(self.moment.now);
        let cap = self.policy.hourly_cap;
        if signed >= cap {
            return Err(Refusal::Rate { signed, cap });
        }
        Ok(())
    }
}
