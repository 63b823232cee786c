//! Who owns what: accounts, counters, revealed keys, frozen bonds, and the record of each movement.
//!
//! Promises: money only moves through [`Ledger::transfer`], never below zero, and every movement
//! yields the balance updates the node shows (`token.ml`, `receipt_repr.ml`). Refuses to know why.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::contracts::Script;
use super::errors::{RuleError, Trace};
use crate::crypto::PublicKey;
use crate::protocol::operation::Contract;
use crate::protocol::{Counter, Mutez, PublicKeyHash, RollupAddress};

/// An owner of money: an account with a key, or a contract.
pub(crate) type Owner = Contract;

/// What the chain stores of an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Spendable money.
    pub balance: Mutez,
    /// Counter of its last operation.
    pub counter: Counter,
    /// Its key, once revealed.
    pub key: Option<PublicKey>,
    /// Bonds frozen per rollup.
    pub bonds: BTreeMap<RollupAddress, Mutez>,
    /// What it does when called, for a contract.
    pub script: Option<Script>,
    /// Who bakes for it; itself, once it is registered as a delegate.
    pub delegate: Option<PublicKeyHash>,
}

impl Account {
    /// An account that holds `balance` and never acted; `counter` is the chain's newest.
    #[must_use]
    pub const fn new(balance: Mutez, counter: Counter) -> Self {
        Self {
            balance,
            counter,
            key: None,
            bonds: BTreeMap::new(),
            script: None,
            delegate: None,
        }
    }

    /// Whether it stays when its last spendable money leaves: for its bonds, or as a delegate.
    #[must_use]
    pub fn stays_empty(&self) -> bool {
        !self.bonds.is_empty() || self.delegate.is_some()
    }

    /// Whether the last money of `owner`, whose account this is, may leave: not while it delegates
    /// to another.
    ///
    /// # Errors
    /// [`RuleError::EmptyDelegatedContract`].
    pub fn check_emptiable(&self, owner: PublicKeyHash) -> Result<(), RuleError> {
        match self.delegate {
            Some(delegate) if delegate != owner => {
                Err(RuleError::EmptyDelegatedContract { implicit: owner })
            }
            _ => Ok(()),
        }
    }

    /// Sum of its frozen bonds.
    #[must_use]
    pub fn frozen_bonds(&self) -> Mutez {
        Mutez(self.bonds.values().map(|bond| bond.0).sum())
    }
}

/// Where money can be: with an owner, frozen, or entering and leaving the economy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Spendable by an owner.
    Spendable(Owner),
    /// Frozen on a rollup.
    Bond(PublicKeyHash, RollupAddress),
    /// Fees of the block, for its baker.
    BlockFees,
    /// Burned for storage.
    StorageFees,
    /// Burned by losing a game.
    Punishments,
    /// Minted for the winner of a game.
    Rewards,
}

impl Holder {
    fn json(self, change: String) -> Value {
        match self {
            Self::Spendable(owner) => {
                json!({"kind": "contract", "contract": owner.to_string(), "change": change, "origin": "block"})
            }
            Self::Bond(staker, rollup) => json!({
                "kind": "freezer", "category": "bonds", "contract": staker,
                "bond_id": {"smart_rollup": rollup}, "change": change, "origin": "block"
            }),
            Self::BlockFees => {
                json!({"kind": "accumulator", "category": "block fees", "change": change, "origin": "block"})
            }
            Self::StorageFees => {
                json!({"kind": "burned", "category": "storage fees", "change": change, "origin": "block"})
            }
            Self::Punishments => json!({
                "kind": "burned", "category": "smart_rollup_refutation_punishments", "change": change, "origin": "block"
            }),
            Self::Rewards => json!({
                "kind": "minted", "category": "smart_rollup_refutation_rewards", "change": change, "origin": "block"
            }),
        }
    }
}

/// One movement of money as receipts show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Where it came from.
    pub from: Holder,
    /// Where it went.
    pub to: Holder,
    /// How much.
    pub amount: Mutez,
}

impl Movement {
    /// The two balance updates of the node.
    #[must_use]
    pub fn json(self) -> [Value; 2] {
        [
            self.from.json(format!("-{}", self.amount)),
            self.to.json(self.amount.to_string()),
        ]
    }

    /// The balance updates of several movements.
    #[must_use]
    pub fn all_json(movements: &[Self]) -> Value {
        movements
            .iter()
            .flat_map(|movement| movement.json())
            .collect()
    }
}

/// All accounts of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<Owner, Account>,
    /// Counter that a new account starts from: contents so far, of all sources.
    pub newest_counter: Counter,
}

impl Ledger {
    /// The account of `owner`, if it exists.
    #[must_use]
    pub fn account(&self, owner: Owner) -> Option<&Account> {
        self.accounts.get(&owner)
    }

    /// Likewise, to change it.
    pub fn account_mut(&mut self, owner: Owner) -> Option<&mut Account> {
        self.accounts.get_mut(&owner)
    }

    /// Puts an account in place; for genesis and originations.
    pub fn insert(&mut self, owner: Owner, account: Account) {
        self.accounts.insert(owner, account);
    }

    /// Whether `account` is registered as a delegate. Once it is, it stays so.
    #[must_use]
    pub fn is_delegate(&self, account: PublicKeyHash) -> bool {
        self.account(Owner::Implicit(account))
            .is_some_and(|owner| owner.delegate == Some(account))
    }

    /// Every owner, in order.
    pub fn owners(&self) -> impl Iterator<Item = (&Owner, &Account)> {
        self.accounts.iter()
    }

    /// All money there is.
    #[must_use]
    pub fn supply(&self) -> Mutez {
        let all = self.accounts.values();
        Mutez(
            all.map(|account| account.balance.0.saturating_add(account.frozen_bonds().0))
                .sum(),
        )
    }

    /// Spendable money of `owner`; nothing for one that does not exist.
    #[must_use]
    pub fn balance(&self, owner: Owner) -> Mutez {
        self.account(owner)
            .map_or(Mutez(0), |account| account.balance)
    }

    /// Moves `amount`, creating the receiving account when it is new. An account that nothing holds
    /// any more is gone, with its key and its counter.
    ///
    /// # Errors
    /// A trace when `from` does not hold that much, or may not be emptied.
    pub fn transfer(
        &mut self,
        from: Holder,
        to: Holder,
        amount: Mutez,
    ) -> Result<Vec<Movement>, Trace> {
        if amount == Mutez(0) {
            return Ok(Vec::new());
        }
        self.take(from, amount)?;
        self.give(to, amount)?;
        if let Holder::Spendable(Owner::Implicit(giver)) | Holder::Bond(giver, _) = from {
            self.forget_if_empty(giver);
        }
        Ok(vec![Movement { from, to, amount }])
    }

    /// `ensure_deallocated_if_empty` of `contract_storage.ml`.
    fn forget_if_empty(&mut self, pkh: PublicKeyHash) {
        let owner = Owner::Implicit(pkh);
        let is_empty = |account: &Account| account.balance == Mutez(0) && !account.stays_empty();
        if self.account(owner).is_some_and(is_empty) {
            self.accounts.remove(&owner);
        }
    }

    fn take(&mut self, from: Holder, amount: Mutez) -> Result<(), Trace> {
        match from {
            Holder::Spendable(owner) => {
                let balance = self.balance(owner);
                let left = balance
                    .minus(amount)
                    .ok_or_else(|| too_low(owner, balance, amount))?;
                if let (Mutez(0), Owner::Implicit(pkh)) = (left, owner)
                    && let Some(account) = self.account(owner)
                {
                    account.check_emptiable(pkh)?;
                }
                if let Some(account) = self.accounts.get_mut(&owner) {
                    account.balance = left;
                }
                Ok(())
            }
            Holder::Bond(staker, rollup) => {
                let owner = Owner::Implicit(staker);
                let bond = self
                    .account(owner)
                    .and_then(|account| account.bonds.get(&rollup).copied())
                    .unwrap_or(Mutez(0));
                let left = bond
                    .minus(amount)
                    .ok_or_else(|| too_low(owner, bond, amount))?;
                if let Some(account) = self.accounts.get_mut(&owner) {
                    if left == Mutez(0) {
                        account.bonds.remove(&rollup);
                    } else {
                        account.bonds.insert(rollup, left);
                    }
                }
                Ok(())
            }
            Holder::BlockFees | Holder::StorageFees | Holder::Punishments | Holder::Rewards => {
                Ok(())
            }
        }
    }

    fn give(&mut self, to: Holder, amount: Mutez) -> Result<(), Trace> {
        let counter = self.newest_counter;
        let (owner, bond) = match to {
            Holder::Spendable(owner) => (owner, None),
            Holder::Bond(staker, rollup) => (Owner::Implicit(staker), Some(rollup)),
            Holder::BlockFees | Holder::StorageFees | Holder::Punishments | Holder::Rewards => {
                return Ok(());
            }
        };
        let account = self
            .accounts
            .entry(owner)
            .or_insert_with(|| Account::new(Mutez(0), counter));
        let place = match bond {
            None => &mut account.balance,
            Some(rollup) => account.bonds.entry(rollup).or_default(),
        };
        *place = place.plus(amount).ok_or_else(|| RuleError::Failure {
            msg: format!("balance of {owner} over 2^64 mutez"),
        })?;
        Ok(())
    }
}

fn too_low(owner: Owner, balance: Mutez, amount: Mutez) -> Trace {
    Trace(vec![
        RuleError::BalanceTooLow {
            contract: owner.to_string(),
            balance,
            amount,
        },
        RuleError::SubtractionUnderflow {
            amounts: [balance, amount],
        },
    ])
}
