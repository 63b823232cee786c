//! Accounts and contracts of a block's context.

use serde_json::{Map, Value, json};

use super::{Reply, Request};
use crate::protocol::{Mutez, Protocol};
use crate::sim::context::Context;
use crate::sim::contracts::Script;
use crate::sim::ledger::{Account, Owner};

pub(super) fn all(context: &Context) -> Value {
    context
        .ledger
        .owners()
        .map(|(owner, _)| owner.to_string())
        .collect()
}

pub(super) fn answer(
    context: &Context,
    request: &Request<'_>,
    contract: &str,
    rest: &[&str],
) -> Reply {
    let Ok(owner) = contract.parse::<Owner>() else {
        return Reply::bad_argument(contract, "contract_id", "Cannot parse contract id");
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
    let since = |protocol| context.protocol >= protocol;
    match rest {
        [] => Reply::Ok(whole(context, account, is_implicit)),
        ["balance"] => Reply::Ok(json!(account.balance)),
        ["spendable"] if since(Protocol::Quebec) => Reply::Ok(json!(account.balance)),
        ["frozen_bonds"] => Reply::Ok(json!(bonds)),
        ["balance_and_frozen_bonds"] => Reply::Ok(json!(both)),
        ["spendable_and_frozen_bonds"] if since(Protocol::Quebec) => Reply::Ok(json!(both)),
        ["full_balance"] if since(Protocol::Oxford) => Reply::Ok(json!(both)),
        // Nobody stakes on this chain.
        ["staked_balance"] if since(Protocol::Oxford) => {
            let could = is_implicit && account.delegate.is_some();
            Reply::Ok(could.then_some("0").into())
        }
        ["unstaked_frozen_balance" | "unstaked_finalizable_balance"] if since(Protocol::Oxford) => {
            Reply::Ok(is_implicit.then_some("0").into())
        }
        ["unstake_requests"] if since(Protocol::Oxford) => Reply::Ok(Value::Null),
        ["staking_numerator"] if since(Protocol::Oxford) => Reply::Ok("0".into()),
        ["estimated_own_pending_slashed_amount"] if since(Protocol::ParisB) => {
            Reply::Ok("0".into())
        }
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
        ["big_map_get"] if !is_implicit => big_map_get(request),
        ["ticket_balance"] => Reply::Ok("0".into()),
        ["all_ticket_balances"] if !is_implicit => Reply::Ok(json!([])),
        _ => Reply::not_found(),
    }
}

/// No contract here keeps a big map.
fn big_map_get(request: &Request<'_>) -> Reply {
    let body: Value = serde_json::from_slice(request.body).unwrap_or_default();
    match ["key", "type"]
        .into_iter()
        .find(|key| body.get(key).is_none())
    {
        Some(key) => Reply::bad_request(format!("Failed to parse the request body: no {key}")),
        None => Reply::Ok(Value::Null),
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
