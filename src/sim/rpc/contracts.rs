//! Accounts and contracts of a block's context.

use serde_json::{Value, json};

use super::Reply;
use crate::protocol::Mutez;
use crate::sim::context::Context;
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
        [] => Reply::Ok(whole(account, is_implicit)),
        ["balance" | "spendable"] => Reply::Ok(json!(account.balance)),
        ["frozen_bonds"] => Reply::Ok(json!(bonds)),
        ["balance_and_frozen_bonds" | "spendable_and_frozen_bonds" | "full_balance"] => {
            Reply::Ok(json!(both))
        }
        ["counter"] if is_implicit => Reply::Ok(json!(account.counter)),
        ["manager_key"] if is_implicit => Reply::Ok(key(account)),
        ["script"] => of_script(account, crate::sim::contracts::Script::script_json),
        ["storage"] => of_script(account, crate::sim::contracts::Script::storage_json),
        ["entrypoints"] if account.script.is_some() => {
            Reply::Ok(json!({"unreachable": [], "entrypoints": {}}))
        }
        _ => Reply::not_found(),
    }
}

fn of_script(account: &Account, shown: fn(crate::sim::contracts::Script) -> Value) -> Reply {
    account
        .script
        .map_or_else(Reply::not_found, |script| Reply::Ok(shown(script)))
}

fn key(account: &Account) -> Value {
    account
        .key
        .map_or(Value::Null, |key| key.to_string().into())
}

fn whole(account: &Account, is_implicit: bool) -> Value {
    match account.script {
        Some(script) => json!({"balance": account.balance, "script": script.script_json()}),
        None if is_implicit => json!({"balance": account.balance, "counter": account.counter}),
        None => json!({"balance": account.balance}),
    }
}
