//! Delegates of a block's context (`lib_plugin/delegate_services.ml`).
//!
//! Promises: money follows from the ledger. Nothing is staked here, so stakes, deposits, the rights
//! that come from them and what is expected of their owners are zero; nobody votes, nobody is
//! punished, and nobody is ever inactive. Refuses to know leaves of protocols whose node it cannot
//! be compared with: before Quebec only the names that older clients use are answered.

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, blocks, flag};
use crate::crypto::Dialect;
use crate::protocol::{Level, Mutez, Protocol, PublicKeyHash};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::ledger::{Account, Owner};
use crate::sim::parameters::{blocks_per_cycle, shipped_number};

/// One delegate that is asked about.
struct Asked<'a> {
    view: View<'a>,
    context: &'a Context,
    delegate: PublicKeyHash,
}

/// Delegates: all, or what is known of one.
pub(super) fn answer(
    view: View<'_>,
    request: &Request<'_>,
    context: &Context,
    rest: &[&str],
) -> Reply {
    let (text, rest) = match rest {
        [] => return Reply::Ok(json!(all(request, context))),
        [text, rest @ ..] => (*text, rest),
    };
    let Ok(delegate) = text.parse() else {
        return Reply::bad_account(text);
    };
    let asked = Asked {
        view,
        context,
        delegate,
    };
    if rest == ["is_forbidden"] {
        return Reply::Ok(false.into());
    }
    if !context.ledger.is_delegate(delegate) {
        let mut errors: Trace = RuleError::NotRegisteredDelegate { pkh: delegate }.into();
        if matches!(rest, ["full_balance" | "own_full_balance"]) {
            errors = errors.under(RuleError::BalanceOfNoDelegate { pkh: delegate });
        }
        return Reply::refused(&errors, context.protocol);
    }
    let told = match rest {
        [] if context.protocol >= Protocol::Quebec => Some(asked.whole()),
        [leaf] => asked.leaf(leaf),
        _ => None,
    };
    told.map_or_else(Reply::not_found, Reply::Ok)
}

/// All delegates, or those of the sorts asked for.
fn all(request: &Request<'_>, context: &Context) -> Vec<PublicKeyHash> {
    let only = |one: &str, other: &str| flag(request, one) && !flag(request, other);
    if only("inactive", "active") {
        return Vec::new();
    }
    let minimal = shipped_number(context.protocol, "minimal_stake").unwrap_or(0);
    let owners = context
        .ledger
        .owners()
        .filter_map(|(owner, _)| match owner {
            Owner::Implicit(account) => Some(*account),
            Owner::Originated(_) => None,
        });
    let delegates = owners.filter(|account| context.ledger.is_delegate(*account));
    let wanted = |delegate: &PublicKeyHash| {
        let has_enough = delegated_to(context, *delegate).0 >= minimal;
        let rich = only("with_minimal_stake", "without_minimal_stake");
        let poor = only("without_minimal_stake", "with_minimal_stake");
        (!rich || has_enough) && !(poor && has_enough)
    };
    delegates.filter(wanted).collect()
}

fn money(account: &Account) -> u64 {
    account.balance.0.saturating_add(account.frozen_bonds().0)
}

/// All money of those who chose the delegate, its own included.
fn delegated_to(context: &Context, delegate: PublicKeyHash) -> Mutez {
    let owners = context.ledger.owners();
    let theirs = owners.filter(|(_, account)| account.delegate == Some(delegate));
    Mutez(theirs.map(|(_, account)| money(account)).sum())
}

impl Asked<'_> {
    fn own(&self) -> Mutez {
        let account = self.context.ledger.account(Owner::Implicit(self.delegate));
        Mutez(account.map_or(0, money))
    }

    fn total(&self) -> Mutez {
        delegated_to(self.context, self.delegate)
    }

    fn external(&self) -> Mutez {
        Mutez(self.total().0.saturating_sub(self.own().0))
    }

    /// A leaf under the names of older clients, or else as newer ones name it.
    fn leaf(&self, name: &str) -> Option<Value> {
        match name {
            "full_balance" => Some(json!(self.own())),
            "staking_balance" => Some(json!(self.total())),
            "delegated_balance" => Some(json!(self.external())),
            "current_frozen_deposits" | "frozen_deposits" => Some("0".into()),
            "frozen_deposits_limit" => Some(Value::Null),
            "delegated_contracts" => Some(self.delegators()),
            "deactivated"
            | "grace_period"
            | "participation"
            | "current_voting_power"
            | "voting_power"
            | "voting_info" => self.newer(name),
            _ if self.context.protocol < Protocol::Quebec => None,
            "current_baking_power" | "total_delegated_stake" => Some("0".into()),
            "unstaked_frozen_deposits" => self.newer("total_unstaked_per_cycle"),
            name => self.newer(name),
        }
    }

    fn newer(&self, name: &str) -> Option<Value> {
        let since = |protocol| self.context.protocol >= protocol;
        Some(match name {
            "deactivated" | "is_forbidden" => false.into(),
            "participation" => json!({
                "expected_cycle_activity": 0, "minimal_cycle_activity": 0,
                "missed_slots": 0, "missed_levels": 0,
                "remaining_allowed_missed_slots": 0, "expected_attesting_rewards": "0",
            }),
            "dal_participation" if self.rewards_dal() => json!({
                "expected_assigned_shards_per_slot": 0, "delegate_attested_dal_slots": 0,
                "delegate_attestable_dal_slots": 0, "expected_dal_rewards": "0",
                "sufficient_dal_participation": false, "denounced": false,
            }),
            "grace_period" => self.grace_period().into(),
            "active_staking_parameters" => json!({
                "limit_of_staking_over_baking_millionth": 0,
                "edge_of_baking_over_staking_billionth": 1_000_000_000,
            }),
            "own_full_balance" | "own_delegated" => json!(self.own()),
            "total_delegated" => json!(self.total()),
            "external_delegated" => json!(self.external()),
            "min_delegated_in_current_cycle" => self.least_of_cycle(),
            "baking_power"
            | "total_staked"
            | "own_staked"
            | "external_staked"
            | "estimated_shared_pending_slashed_amount"
            | "staking_denominator"
            | "voting_power" => "0".into(),
            "total_unstaked_per_cycle" => self.unstaked(),
            "pending_staking_parameters" | "denunciations" | "stakers" => json!([]),
            "current_voting_power" => self.total().0.to_string().into(),
            // It is not on the list of those who may vote.
            "voting_info" => json!({}),
            "consensus_key" => json!({"active": self.key()}),
            "companion_key" if since(Protocol::Seoul) => json!({"active": null}),
            "delegators" => self.delegators(),
            _ => return None,
        })
    }

    /// All leaves in one, in the node's order.
    fn whole(&self) -> Value {
        let leaves = [
            "deactivated",
            "is_forbidden",
            "participation",
            "dal_participation",
            "grace_period",
            "active_staking_parameters",
            "pending_staking_parameters",
            "baking_power",
            "total_staked",
            "total_delegated",
            "min_delegated_in_current_cycle",
            "own_full_balance",
            "own_staked",
            "own_delegated",
            "external_staked",
            "external_delegated",
            "total_unstaked_per_cycle",
            "denunciations",
            "estimated_shared_pending_slashed_amount",
            "staking_denominator",
            "current_voting_power",
            "voting_power",
            "voting_info",
            "consensus_key",
            "companion_key",
            "stakers",
            "delegators",
        ];
        let told = leaves.into_iter().filter_map(|leaf| {
            let value = self.newer(leaf)?;
            Some((leaf.to_owned(), value))
        });
        Value::Object(told.collect::<Map<_, _>>())
    }

    fn delegators(&self) -> Value {
        let owners = self.context.ledger.owners();
        let theirs = owners.filter(|(_, account)| account.delegate == Some(self.delegate));
        theirs.map(|(owner, _)| owner.to_string()).collect()
    }

    fn key(&self) -> Value {
        let account = self.context.ledger.account(Owner::Implicit(self.delegate));
        let key = account.and_then(|account| account.key);
        json!({"pkh": self.delegate, "pk": key.map(|key| key.to_string())})
    }

    fn rewards_dal(&self) -> bool {
        let constants = self
            .context
            .parameters
            .json(self.context.protocol, Dialect::Modern);
        let enabled = constants.pointer("/dal_parametric/incentives_enable");
        enabled.and_then(Value::as_bool).unwrap_or(false)
    }

    fn cycle(&self) -> i32 {
        let position = self.context.level.get().saturating_sub(1).max(0);
        position / blocks_per_cycle(self.context.protocol)
    }

    /// The cycle at whose end the delegate would be inactive, had it acted now for the last time
    /// (`set_active`).
    fn grace_period(&self) -> i32 {
        let protocol = self.context.protocol;
        let number = |key| {
            let number = shipped_number(protocol, key);
            number.and_then(|number| i32::try_from(number).ok())
        };
        let delay = number("consensus_rights_delay").or_else(|| number("preserved_cycles"));
        let delay = delay.unwrap_or(0);
        // Before Rio it was no constant of its own, but a cycle more than the delay.
        let tolerance = number("tolerated_inactivity_period");
        let tolerance = tolerance.unwrap_or_else(|| delay.saturating_add(1));
        let at_first = tolerance.saturating_add(delay);
        self.cycle().saturating_add(tolerance).max(at_first)
    }

    /// The least that was delegated at the end of a block of the cycle, and the first such block.
    fn least_of_cycle(&self) -> Value {
        let protocol = self.context.protocol;
        let first = self.cycle().saturating_mul(blocks_per_cycle(protocol));
        let levels = first.saturating_add(1)..=self.context.level.get();
        let of_level = |level: i32| {
            let block = self
                .view
                .chain
                .at(Level::try_from(i64::from(level)).ok()?)?;
            let context = block.context.as_ref()?;
            Some((delegated_to(context, self.delegate), level))
        };
        match levels.filter_map(of_level).min() {
            Some((amount, level)) => {
                json!({"amount": amount, "level": blocks::level_json(level, protocol)})
            }
            None => json!({"amount": self.total()}),
        }
    }

    /// What was unstaked in each cycle that still counts: nothing.
    fn unstaked(&self) -> Value {
        let delay = shipped_number(self.context.protocol, "unstake_finalization_delay");
        let delay = delay
            .and_then(|delay| i32::try_from(delay).ok())
            .unwrap_or(3);
        let first = self.cycle().saturating_sub(delay.saturating_add(1)).max(0);
        let cycles = first..=self.cycle();
        cycles
            .map(|cycle| json!({"cycle": cycle, "deposit": "0"}))
            .collect()
    }
}
