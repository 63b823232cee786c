//! Executing outbox messages (`sc_rollup_operations.ml`, `sc_rollup_outbox_storage.ml`,
//! `verify_output_proof` of `sc_rollup_wasm.ml`).
//!
//! Promises: a message counts only if the state of a cemented commitment shows it, once, while its
//! level is active; checks in the protocol's order. Types and arguments are judged as the protocol
//! judges them before it makes the calls (`sc_rollup_management_protocol.ml`); a rollup owns no
//! tickets here, so that a call with one is refused. Refuses to know what called contracts do: the
//! calls are answered to the caller. Signals of the canonical rollup change nothing, as this chain
//! has none.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::originate::check_keys;
use crate::codec::{DecodeError, Micheline, Reader};
use crate::crypto::{Prefix, blake2b};
use crate::merkle;
use crate::protocol::operation::{Contract, Entrypoint};
use crate::protocol::{
    CommitmentHash, ContractHash, Level, OutboxMessage, OutboxTransaction, Protocol, PublicKeyHash,
    RollupAddress, StateHash,
};
use crate::pvm::Buffers;
use crate::sim::context::Context;
use crate::sim::errors::{Decimal, RuleError, Trace};
use crate::sim::michelson::{self, Expr, Ticket, Type, packable};
use crate::sim::rollup::{Rollup, WhitelistUpdate};

/// A call that a rollup makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The contract.
    pub destination: ContractHash,
    /// Which of its doors.
    pub entrypoint: Entrypoint,
    /// With what.
    pub value: Micheline,
    /// Of which type, in typed batches.
    pub of_type: Option<Type>,
}

/// What an execution did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Executed {
    /// Calls to make, in order.
    pub calls: Vec<Call>,
    /// Fields of the receipt.
    pub fields: Map<String, Value>,
    /// Bytes to burn for.
    pub storage: u64,
}

/// A message of the outbox with its place, as an output proof states it.
#[derive(Debug)]
struct Output {
    level: Level,
    index: u128,
    message: OutboxMessage,
    bytes: Vec<u8>,
}

/// Executes the message that `proof` shows in the state of `cemented`.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn execute(
    context: &mut Context,
    address: &RollupAddress,
    cemented: &CommitmentHash,
    proof: &[u8],
) -> Result<Executed, Trace> {
    let rollup = context.rollup(address)?;
    check_cemented(rollup, cemented)?;
    let output = proved(context.protocol, rollup, cemented, proof)?;
    check_level(context, rollup, output.level)?;
    let mut done = Executed::default();
    done.fields.insert("ticket_updates".into(), json!([]));
    // Until Nairobi a message was marked before its tickets were looked for.
    let marks_first = context.protocol < Protocol::Oxford;
    match &output.message {
        OutboxMessage::Transactions { transactions, .. } => {
            let (calls, tickets) = calls(context, transactions)?;
            if marks_first {
                done.storage = record(context, address, &output)?;
            }
            if let Some(ticket) = tickets.first() {
                return Err(not_owned(address, ticket).into());
            }
            done.calls = calls;
        }
        OutboxMessage::Whitelist(list) => {
            let shown = update_whitelist(context, address, list.as_deref(), &output)?;
            done.fields.insert("whitelist_update".into(), shown);
        }
        OutboxMessage::Signal(_) => {}
    }
    if !marks_first {
        done.storage = record(context, address, &output)?;
    }
    if done.storage > 0 {
        let size = done.storage.to_string();
        done.fields
            .insert("paid_storage_size_diff".into(), size.into());
    }
    Ok(done)
}

/// The calls of a batch, all read before their types are judged, and the tickets in them.
fn calls(
    context: &Context,
    transactions: &[OutboxTransaction],
) -> Result<(Vec<Call>, Vec<Ticket>), Trace> {
    let mut tickets = Vec::new();
    let mut calls = Vec::new();
    for transaction in transactions {
        let of_type = match &transaction.parameters_type {
            None => {
                check_untyped(context, transaction)?;
                None
            }
            Some(of_type) => {
                let of_type = Type::read(&Expr::of(of_type)?)?;
                let value = Expr::of(&transaction.parameters)?;
                tickets.extend(michelson::check(&of_type, &value)?);
                Some(of_type)
            }
        };
        calls.push(Call {
            destination: transaction.destination,
            entrypoint: transaction.entrypoint.clone(),
            value: transaction.parameters.clone(),
            of_type,
        });
    }
    let mut types = calls.iter().filter_map(|call| call.of_type.as_ref());
    if !types.all(|of_type| of_type.is_exchanged(context.protocol)) {
        return Err(RuleError::InvalidParametersType {}.into());
    }
    Ok((calls, tickets))
}

/// Without a type, it is the contract's that counts; so the contract must be there.
fn check_untyped(context: &Context, transaction: &OutboxTransaction) -> Result<(), Trace> {
    let destination = Contract::Originated(transaction.destination);
    let account = context.ledger.account(destination);
    let script = account
        .and_then(|account| account.script)
        .ok_or(RuleError::InvalidDestination {})?;
    script.check_entrypoint(&transaction.entrypoint)?;
    script.check_argument(&transaction.parameters)
}

/// No rollup owns tickets here: its first ticket is one too many (`ticket_balance_key.ml`).
fn not_owned(address: &RollupAddress, ticket: &Ticket) -> RuleError {
    let owner = [&[3], &address.0[..], &[0]].concat();
    let contents = packable(&ticket.of_type.json(), &ticket.contents.json());
    let contents = contents.and_then(|json| Micheline::from_json(&json).ok());
    let of_type = Micheline::from_json(&ticket.of_type.json());
    let key = Micheline::seq([
        Micheline::bytes(&ticket.ticketer),
        of_type.unwrap_or_else(|_| Micheline::unit()),
        contents.unwrap_or_else(Micheline::unit),
        Micheline::bytes(&owner),
    ]);
    RuleError::NegativeTicketBalance {
        key: Prefix::EXPRESSION.encode(blake2b(&key.to_bytes()).as_bytes()),
        balance: format!("-{}", ticket.amount),
    }
}

/// Whether `commitment` is the last cemented one or a stored ancestor of it.
fn check_cemented(rollup: &Rollup, commitment: &CommitmentHash) -> Result<(), RuleError> {
    let mut hash = rollup.last_cemented;
    while hash != *commitment {
        match rollup.commitments.get(&hash) {
            Some(stored) => hash = stored.predecessor,
            None => return Err(RuleError::InvalidLastCementedCommitment {}),
        }
    }
    Ok(())
}

fn proved(
    protocol: Protocol,
    rollup: &Rollup,
    cemented: &CommitmentHash,
    proof: &[u8],
) -> Result<Output, RuleError> {
    let names_state = protocol < Protocol::Oxford;
    let (tree, named, output) =
        read(proof, names_state).map_err(|_| RuleError::InvalidOutputProof {})?;
    if !is_known(protocol, &output.message) {
        return Err(RuleError::InvalidOutputProof {});
    }
    let state = rollup.commitment(cemented)?.compressed_state;
    if named.unwrap_or_else(|| tree.before().hash().into()) != state {
        return Err(RuleError::InvalidOutputProof {});
    }
    let shown = tree.verify(|tree| -> Option<Option<Vec<u8>>> {
        let buffers = Buffers::decode(tree).ok()?;
        buffers
            .output
            .message(output.level.get(), output.index)
            .ok()
    });
    match shown {
        // Until Nairobi a proof had to be readable: neither what it showed was looked at, nor of which
        // state.
        Ok(Some(_)) if protocol < Protocol::Oxford => Ok(output),
        Ok(Some(Some(bytes))) if bytes == output.bytes => Ok(output),
        _ if protocol < Protocol::Oxford => Err(RuleError::InvalidOutputProof {}),
        _ => Err(RuleError::WasmOutputProofVerificationFailed {}),
    }
}

/// A tree proof, until Nairobi the state it names, then the place of the message, then the message to
/// the end.
fn read(
    proof: &[u8],
    names_state: bool,
) -> Result<(merkle::Proof, Option<StateHash>, Output), DecodeError> {
    let mut reader = Reader::new(proof);
    let tree = merkle::Proof::read(&mut reader)?;
    let named = match names_state {
        true => Some(StateHash::read(&mut reader)?),
        false => None,
    };
    let at = reader.clone();
    let level = Level::try_from(reader.i32("outbox level")?)
        .map_err(|error| at.invalid("outbox level", error.to_string()))?;
    let index = reader.n("message index")?;
    let bytes = reader.rest().to_vec();
    let message = OutboxMessage::parse(&bytes)?;
    Ok((
        tree,
        named,
        Output {
            level,
            index,
            message,
            bytes,
        },
    ))
}

/// Whether the protocol has this kind of message.
fn is_known(protocol: Protocol, message: &OutboxMessage) -> bool {
    let since = match message {
        OutboxMessage::Transactions { is_typed, .. } => match is_typed {
            false => Protocol::Mumbai,
            true => Protocol::Nairobi,
        },
        OutboxMessage::Whitelist(_) => Protocol::Oxford,
        OutboxMessage::Signal(_) => Protocol::Ushuaia,
    };
    protocol >= since
}

fn check_level(context: &Context, rollup: &Rollup, level: Level) -> Result<(), RuleError> {
    let cemented = rollup.last_cemented()?.inbox_level;
    let active = context.parameters.rollup.max_active_outbox_levels;
    match cemented.since(level) {
        Some(age) if age < active => Ok(()),
        _ => Err(RuleError::InvalidOutboxLevel {}),
    }
}

fn update_whitelist(
    context: &mut Context,
    address: &RollupAddress,
    list: Option<&[PublicKeyHash]>,
    output: &Output,
) -> Result<Value, Trace> {
    if !context.parameters.private_rollups {
        return Err(RuleError::WhitelistDisabled {}.into());
    }
    let rollup = context.rollup_mut(address)?;
    if rollup.whitelist.is_none() {
        return Err(RuleError::RollupIsPublic {}.into());
    }
    let Some(list) = list else {
        rollup.whitelist = None;
        return Ok(json!({"kind": "public"}));
    };
    if list.is_empty() {
        return Err(RuleError::EmptyWhitelist {}.into());
    }
    let last = rollup.last_whitelist_update;
    if last.outbox_level == output.level && last.message_index >= Decimal(output.index) {
        return Err(RuleError::OutdatedWhitelistIndex {
            message_index: Decimal(output.index),
            last_whitelist_update: last,
        }
        .into());
    }
    if output.level < last.outbox_level {
        return Err(RuleError::OutdatedWhitelistLevel {
            outbox_level: output.level,
            last_whitelist_update: last,
        }
        .into());
    }
    check_keys(address, list)?;
    rollup.whitelist = Some(list.to_vec());
    rollup.last_whitelist_update = WhitelistUpdate {
        message_index: Decimal(output.index),
        outbox_level: output.level,
    };
    Ok(json!({"kind": "update", "whitelist": list}))
}

/// Marks the message as executed; answers the bytes of storage that takes.
fn record(
    context: &mut Context,
    address: &RollupAddress,
    output: &Output,
) -> Result<u64, RuleError> {
    let rules = &context.parameters.rollup;
    let (slots, most) = (rules.max_active_outbox_levels, rules.max_outbox_messages);
    let index = u32::try_from(output.index)
        .ok()
        .filter(|index| *index < most)
        .ok_or(RuleError::InvalidOutboxMessageIndex {})?;
    let slot = output.level.get().unsigned_abs() % slots.max(1);
    let executed = &mut context.rollup_mut(address)?.executed_outputs;
    let before = executed.get(&slot).map_or(0, storage_of);
    let entry = executed
        .entry(slot)
        .or_insert_with(|| (output.level, BTreeSet::new()));
    if output.level < entry.0 {
        return Err(RuleError::OutboxLevelExpired {});
    }
    if entry.0 < output.level {
        *entry = (output.level, BTreeSet::new());
    }
    if !entry.1.insert(index) {
        return Err(RuleError::OutboxMessageAlreadyApplied {});
    }
    Ok(storage_of(entry).saturating_sub(before))
}

/// Bytes of a level and a set of bits, written as a signed number.
fn storage_of((_, indices): &(Level, BTreeSet<u32>)) -> u64 {
    let bits = indices.last().map_or(0, |last| u64::from(*last) + 1);
    // Six bits in the first byte, seven in each other.
    5 + bits.saturating_sub(6).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executed_message_is_remembered_while_its_level_has_its_slot() {
        let (mut context, rollup) = crate::sim::tests::rollup_at(Protocol::Ushuaia, 13);
        let mut parameters = (*context.parameters).clone();
        parameters.rollup.max_active_outbox_levels = 10;
        context.parameters = parameters.into();
        let mut executed = |level, index| {
            let output = Output {
                level: Level::new(level),
                index,
                message: OutboxMessage::Signal(Vec::new()),
                bytes: Vec::new(),
            };
            record(&mut context, &rollup, &output)
        };
        assert!(executed(13, 99).is_ok());
        assert_eq!(
            executed(13, 99),
            Err(RuleError::OutboxMessageAlreadyApplied {})
        );
        assert_eq!(
            executed(13, 100),
            Err(RuleError::InvalidOutboxMessageIndex {})
        );
        assert!(executed(23, 99).is_ok(), "a newer level takes the slot");
        assert_eq!(executed(13, 98), Err(RuleError::OutboxLevelExpired {}));
    }

    #[test]
    fn each_protocol_knows_its_kinds() {
        let signal = OutboxMessage::Signal(Vec::new());
        assert!(is_known(Protocol::Ushuaia, &signal));
        assert!(!is_known(Protocol::Tallinn, &signal));
        let list = OutboxMessage::Whitelist(None);
        assert!(is_known(Protocol::Oxford, &list) && !is_known(Protocol::Nairobi, &list));
    }
}
