//! What a contract may send to a rollup (`parse_contract_data` of `script_ir_translator.ml`,
//! `make_transaction_to_sc_rollup` of `script_interpreter_defs.ml`).
//!
//! Promises: the value is of the type that the rollup was originated with, goes by the one door that
//! is open, and enters the inbox in the form in which the protocol writes it. Tickets are made by code
//! alone, which is not run here: a value with one was forged.

use crate::codec::{Micheline, Reader};
use crate::protocol::RollupAddress;
use crate::protocol::operation::Entrypoint;
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::michelson::{self, Expr, Type, optimized};

/// The payload that a transfer of `value` brings into the inbox.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn payload(
    context: &Context,
    rollup: &RollupAddress,
    entrypoint: &Entrypoint,
    value: &Micheline,
) -> Result<Micheline, Trace> {
    let of_type = type_of(context, rollup)?;
    if entrypoint.name() != "default" {
        return Err(RuleError::NoSuchEntrypoint {
            entrypoint: entrypoint.name().to_owned(),
        }
        .into());
    }
    let tickets = michelson::check(&of_type, &Expr::of(value)?)?;
    if let Some(ticket) = tickets.first() {
        let location = ticket.location;
        return Err(RuleError::UnexpectedForgedValue { location }.into());
    }
    let written = optimized(&of_type.json(), &value.to_json());
    let written = written.and_then(|json| Micheline::from_json(&json).ok());
    written.ok_or_else(|| {
        let what = format!("a value of type {} on its way to a rollup", of_type.json());
        RuleError::NotSupported { what }.into()
    })
}

fn type_of(context: &Context, rollup: &RollupAddress) -> Result<Type, Trace> {
    let bytes = &context.rollup(rollup)?.parameters_type;
    // It was read before it was kept.
    let kept = |problem: &dyn std::fmt::Display| RuleError::Failure {
        msg: format!("type of {rollup}: {problem}"),
    };
    let whole = Micheline::read(&mut Reader::new(bytes)).map_err(|problem| kept(&problem))?;
    Ok(Type::read_parameter(&Expr::of(&whole)?)?.0)
}
