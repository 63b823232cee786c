//! Accounts and contracts of a block's context.

use serde_json::{Map, Value, json};

use super::{Reply, Request, flag};
use crate::protocol::{Mutez, Protocol};
use crate::sim::context::Context;
use crate::sim::contracts::Script;
use crate::sim::errors::RuleError;
use crate::sim::ledger::{Account, Owner};

pub(super) fn all(context: &Context) -> Value {
    context
        .ledger
        .owners()
        .map(|(owner, _)| owner.to_string())
        .collect()
}

pub(super) fn answer(context: &Context, contract: &str, rest: &[&str]) -> Reply {
    let Ok(owner) = contract.parse::<Owner>() else {
        return Reply::bad_request(format!(
            "Failed to parsed argument 'contract_id' ({contract:?}): Cannot parse contract id"
        ));
    };
    // An implicit account answers even before it exists.
    let unborn = Account::new(Mutez(0), context.ledger.newest_counter);
    let account = match (context.ledger.account(owner), owner) {
        (Some(account), _) => account,
        (None, Owner::Implicit(_)) => &unborn,
        (None, Owner::Originated(_)) => return Reply::not_found(),
    };
    let bonds = account.frozen_bonds();
    let both = Mutez(account.balance.0.saturating_add(bonds.0));
    let is_implicit = matches!(owner, Owner::Implicit(_));
    match rest {
        [] => Reply::Ok(whole(context, account, is_implicit)),
        ["balance" | "spendable"] => Reply::Ok(json!(account.balance)),
        ["frozen_bonds"] => Reply::Ok(json!(bonds)),
        ["balance_and_frozen_bonds" | "spendable_and_frozen_bonds" | "full_balance"] => {
            Reply::Ok(json!(both))
        }
        // Nobody stakes on this chain.
        ["staked_balance" | "unstaked_frozen_balance" | "unstaked_finalizable_balance"] => {
            Reply::Ok(Value::Null)
        }
        ["unstake_requests"] => Reply::Ok(Value::Null),
        ["staking_numerator" | "estimated_own_pending_slashed_amount"] => Reply::Ok("0".into()),
        ["delegate"] => match account.delegate {
            Some(delegate) => Reply::Ok(json!(delegate)),
            None => Reply::not_found(),
        },
        ["counter"] if is_implicit => Reply::Ok(json!(account.counter)),
        ["manager_key"] if is_implicit => Reply::Ok(key(account)),
        ["script"] | ["script", "normalized"] => of_script(account, Script::script_json),
        ["storage"] | ["storage", "normalized"] => of_script(account, Script::storage_json),
        ["storage", "used_space" | "paid_space"] => of_script(account, Script::size_json),
        ["entrypoints"] => of_script(account, |_| json!({"unreachable": [], "entrypoints": {}})),
        ["entrypoints", "default"] => of_script(account, Script::parameter_json),
        ["ticket_balance"] => Reply::Ok("0".into()),
        ["all_ticket_balances"] if !is_implicit => Reply::Ok(json!([])),
        _ => Reply::not_found(),
    }
}

/// Delegates: all, or what is known of one.
pub(super) fn delegates(context: &Context, request: &Request<'_>, rest: &[&str]) -> Reply {
    let ledger = &context.ledger;
    let accounts = ledger.owners().filter_map(|(owner, account)| match owner {
        Owner::Implicit(pkh) => Some((*pkh, account)),
        Owner::Originated(_) => None,
    });
    let (asked, rest) = match rest {
        [] => {
            // None is ever inactive: asking for those alone finds nobody.
            let only_inactive = flag(request, "inactive") && !flag(request, "active");
            let all = accounts.map(|(pkh, _)| pkh);
            let found = all.filter(|pkh| !only_inactive && ledger.is_delegate(*pkh));
            return Reply::Ok(json!(found.collect::<Vec<_>>()));
        }
        [asked, rest @ ..] => (asked, rest),
    };
    let Ok(pkh) = asked.parse() else {
        return Reply::bad_request(format!("Failed to parsed argument 'pkh' ({asked:?})"));
    };
    if !ledger.is_delegate(pkh) {
        let error = RuleError::NotRegisteredDelegate { pkh };
        return Reply::refused(&error.into(), context.protocol);
    }
    let own = ledger.account(Owner::Implicit(pkh));
    let own_money = own.map_or(0, |own| own.balance.0.saturating_add(own.frozen_bonds().0));
    let whose = |account: &Account| account.delegate == Some(pkh);
    match rest {
        ["deactivated" | "is_forbidden"] => Reply::Ok(false.into()),
        ["delegators" | "delegated_contracts"] => {
            let owners = ledger.owners().filter(|(_, account)| whose(account));
            Reply::Ok(owners.map(|(owner, _)| owner.to_string()).collect())
        }
        ["full_balance" | "own_full_balance" | "own_delegated"] => {
            Reply::Ok(json!(Mutez(own_money)))
        }
        ["own_staked" | "total_staked" | "external_staked"] => Reply::Ok("0".into()),
        _ => Reply::not_found(),
    }
}

fn of_script(account: &Account, shown: fn(Script) -> Value) -> Reply {
    account
        .script
        .map_or_else(Reply::not_found, |script| Reply::Ok(shown(script)))
}

fn key(account: &Account) -> Value {
    account
        .key
        .map_or(Value::Null, |key| key.to_string().into())
}

fn whole(context: &Context, account: &Account, is_implicit: bool) -> Value {
    let mut object = Map::new();
    object.insert("balance".into(), json!(account.balance));
    if let Some(delegate) = account.delegate {
        object.insert("delegate".into(), json!(delegate));
    }
    if let Some(script) = account.script {
        object.insert("script".into(), script.script_json());
    }
    if is_implicit {
        object.insert("counter".into(), json!(account.counter));
        if context.protocol >= Protocol::Seoul {
            object.insert("revealed".into(), account.key.is_some().into());
        }
    }
    object.into()
}
