//! The state of the chain after a block: everything its rules read and change.
//!
//! Promises: a clone costs a few pointers and shares what did not change, so that every past block
//! keeps its own context and a reorganisation is a change of head. Refuses to know how blocks form.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::errors::RuleError;
use super::ledger::Ledger;
use super::parameters::{DalSizes, Parameters};
use super::rollup::Rollup;
use crate::protocol::{Inbox, Level, Protocol, RollupAddress};

/// A commitment period that was in force before a protocol switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastPeriod {
    /// Its length.
    pub commitment_period: u32,
    /// Last level of the protocol that had it.
    pub next_protocol_activation: Level,
}

/// The chain's state after a block, or while one is applied.
#[derive(Debug, Clone)]
pub struct Context {
    /// Level of that block.
    pub level: Level,
    /// Protocol that answers for this state and applies the next block.
    pub protocol: Protocol,
    /// Its constants.
    pub parameters: Arc<Parameters>,
    /// Periods of earlier protocols, oldest first.
    pub past_periods: Arc<Vec<PastPeriod>>,
    /// Sizes of the data availability layer until the end of each earlier protocol, oldest first.
    /// Kept from Ushuaia on.
    pub past_sizes: Arc<Vec<(Level, DalSizes)>>,
    /// Accounts.
    pub ledger: Arc<Ledger>,
    /// Rollups.
    pub rollups: Arc<BTreeMap<RollupAddress, Arc<Rollup>>>,
    /// The shared inbox.
    pub inbox: Inbox,
}

impl Context {
    /// A rollup.
    ///
    /// # Errors
    /// [`RuleError::DoesNotExist`].
    pub fn rollup(&self, address: &RollupAddress) -> Result<&Rollup, RuleError> {
        self.rollups
            .get(address)
            .map(Arc::as_ref)
            .ok_or(RuleError::DoesNotExist { rollup: *address })
    }

    /// A rollup, to change it.
    ///
    /// # Errors
    /// [`RuleError::DoesNotExist`].
    pub fn rollup_mut(&mut self, address: &RollupAddress) -> Result<&mut Rollup, RuleError> {
        Arc::make_mut(&mut self.rollups)
            .get_mut(address)
            .map(Arc::make_mut)
            .ok_or(RuleError::DoesNotExist { rollup: *address })
    }

    /// Puts a new rollup in place.
    pub fn insert_rollup(&mut self, address: RollupAddress, rollup: Rollup) {
        Arc::make_mut(&mut self.rollups).insert(address, Arc::new(rollup));
    }

    /// The accounts, to change them.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        Arc::make_mut(&mut self.ledger)
    }

    /// Inbox level of the commitments that extend one of `level`. A step of an earlier period is
    /// taken as long as a whole one fits before the switch (`sc_rollup_storage.ml`); before Quebec
    /// only the current period counted.
    #[must_use]
    pub fn next_commitment_level(&self, level: Level) -> Option<Level> {
        if self.protocol >= Protocol::Quebec {
            for past in self.past_periods.iter() {
                let next = level.plus(past.commitment_period)?;
                if next <= past.next_protocol_activation {
                    return Some(next);
                }
            }
        }
        level.plus(self.parameters.rollup.commitment_period)
    }

    /// Hands the chain over to `protocol` at the end of the current block: the old period is
    /// remembered (from Quebec on) and games whose two players are gone are dropped.
    pub fn migrate(&mut self, protocol: Protocol, parameters: Arc<Parameters>) {
        if protocol >= Protocol::Quebec {
            Arc::make_mut(&mut self.past_periods).push(PastPeriod {
                commitment_period: self.parameters.rollup.commitment_period,
                next_protocol_activation: self.level,
            });
        }
        if protocol >= Protocol::Ushuaia {
            Arc::make_mut(&mut self.past_sizes).push((self.level, self.parameters.dal));
        }
        self.protocol = protocol;
        self.parameters = parameters;
        if protocol < Protocol::Oxford {
            return;
        }
        for rollup in Arc::make_mut(&mut self.rollups).values_mut() {
            let abandoned = |rollup: &Rollup| {
                rollup.games.keys().any(|players| {
                    !rollup.staker_index.contains_key(&players.alice())
                        && !rollup.staker_index.contains_key(&players.bob())
                })
            };
            if abandoned(rollup) {
                let rollup = Arc::make_mut(rollup);
                let stakers = rollup.staker_index.clone();
                rollup.games.retain(|players, _| {
                    stakers.contains_key(&players.alice()) || stakers.contains_key(&players.bob())
                });
            }
        }
    }
}
