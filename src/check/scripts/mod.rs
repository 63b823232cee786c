//! WebAssembly core scripts (`.wast`), run on the exact machine and in run mode.
//!
//! Promises: every assertion that the judging machine can be held to is held; what it deliberately
//! does otherwise is counted under its reason, never passed over in silence. Refuses to know: the
//! text form, which no machine reads. Upstream rule: `lib_webassembly/bin/script/run.ml`, which
//! differs from the machine itself in allowing floats, in validating, and in asking for no export
//! of memory 0.

mod values;
mod world;

use std::collections::BTreeMap;

use wast::core::NanPattern;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

use super::{CheckError, Difference, Lines};
use crate::wasm::instance::Value;
use values::{argument, matches};
use world::{Outcome, World};

/// Name of the format.
pub(super) const NAME: &str = "WebAssembly core script";

/// Why a directive is not held against the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The machine refuses every float when it decodes a module.
    Floats,
    /// The machine validates nothing: an ill-typed module is decoded, and fails when it runs, or
    /// does not.
    NotValidated,
    /// The text form of a module is not the machine's matter.
    TextForm,
    /// Tables, memories and globals are held by value: the machine links host functions only, so
    /// nothing is shared between modules.
    Shared,
    /// Some instructions on vectors of floats are decoded, but a state that holds one has no
    /// encoding: the machine stops there.
    NotEncodable,
    /// A directive of proposals that the machine does not have.
    Proposal,
}

impl LeftOut {
    /// The reason in words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Floats => "floats are refused at decoding",
            Self::NotValidated => "modules are not validated",
            Self::TextForm => "the text form is not read by the machine",
            Self::Shared => "nothing but functions is shared between modules",
            Self::NotEncodable => "states with these instructions have no encoding",
            Self::Proposal => "not a directive of the core scripts",
        }
    }
}

/// What a script came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Directives held.
    pub(super) compared: usize,
    /// Directives left out, by reason.
    pub(super) left_out: BTreeMap<LeftOut, usize>,
}

/// Whether a file is a script: an S-expression, after comments.
pub(super) fn recognises(text: &str) -> bool {
    let expression = uncommented(text).strip_prefix('(');
    expression
        .is_some_and(|inside| uncommented(inside).starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The text after white space and comments; block comments nest.
fn uncommented(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix(";;") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("(;") {
            rest = after_block(rest);
        } else {
            return rest;
        }
        rest = rest.trim_start();
    }
}

/// The text after a block comment.
fn after_block(text: &str) -> &str {
    let (mut depth, mut rest) = (0_usize, text);
    while let Some(at) = rest.find(['(', ';']) {
        let from = rest.get(at..).unwrap_or_default();
        let step = if from.starts_with("(;") {
            depth = depth.saturating_add(1);
            2
        } else if from.starts_with(";)") {
            depth = depth.saturating_sub(1);
            2
        } else {
            1
        };
        rest = from.get(step..).unwrap_or_default();
        if depth == 0 {
            return rest;
        }
    }
    ""
}

/// A directive that does not hold: what was asked, what was found.
struct Failure {
    what: String,
    expected: String,
    found: String,
}

/// How a directive went.
type Held = Result<Option<LeftOut>, Failure>;

fn failure(
    what: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Failure {
    Failure {
        what: what.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

/// Runs a script.
pub(super) fn replay(lines: &Lines) -> Result<Script, CheckError> {
    let text = lines.text();
    let malformed = |error: wast::Error| CheckError::Malformed {
        line: error.span().linecol_in(text).0.saturating_add(1),
        problem: error.message(),
    };
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).map_err(malformed)?;
    let script: Wast<'_> = parser::parse(&buffer).map_err(malformed)?;
    let mut world = World::default();
    let mut report = Script::default();
    for directive in script.directives {
        let line = directive.span().linecol_in(text).0.saturating_add(1);
        match held(&mut world, directive) {
            Ok(None) => report.compared = report.compared.saturating_add(1),
            Ok(Some(reason)) => {
                let count = report.left_out.entry(reason).or_default();
                *count = count.saturating_add(1);
            }
            Err(Failure {
                what,
                expected,
                found,
            }) => {
                return Err(Difference {
                    line,
                    what,
                    expected,
                    found,
                }
                .into());
            }
        }
    }
    Ok(report)
}

/// The binary of a module given as text or bytes; none where the text form itself is the subject.
fn encoded(module: &mut QuoteWat<'_>) -> Result<Option<Vec<u8>>, Failure> {
    match module {
        QuoteWat::Wat(wat) => binary(wat).map(Some),
        _ => Ok(None),
    }
}

fn binary(wat: &mut Wat<'_>) -> Result<Vec<u8>, Failure> {
    let bytes = wat.encode();
    bytes.map_err(|error| failure("module", "a module that can be encoded", error.message()))
}

fn held(world: &mut World, directive: WastDirective<'_>) -> Held {
    match directive {
        WastDirective::Module(mut module) => {
            let name = module.name().map(|id| id.name().to_owned());
            let bytes = module
                .encode()
                .map_err(|error| failure("module", "a module", error.message()))?;
            match world.define(name, &bytes)? {
                Outcome::LeftOut(reason) => Ok(Some(reason)),
                Outcome::Returned(_) => Ok(None),
                other => Err(failure("module", "an instance", other.to_string())),
            }
        }
        WastDirective::Register { name, module, .. } => {
            world.register(name, module.map(|id| id.name()))
        }
        WastDirective::Invoke(call) => match invoke(world, &call)? {
            Outcome::LeftOut(reason) => Ok(Some(reason)),
            Outcome::Returned(_) => Ok(None),
            other => Err(failure(call.name, "a return", other.to_string())),
        },
        WastDirective::AssertReturn { exec, results, .. } => returns(world, exec, &results),
        WastDirective::AssertTrap { exec, message, .. } => {
            let (what, outcome) = execute(world, exec)?;
            fails(&what, message, outcome)
        }
        WastDirective::AssertExhaustion { call, message, .. } => {
            let outcome = invoke(world, &call)?;
            fails(call.name, message, outcome)
        }
        WastDirective::AssertUnlinkable {
            mut module,
            message,
            ..
        } => {
            let outcome = world.instantiate(&binary(&mut module)?)?;
            fails("unlinkable module", message, outcome)
        }
        WastDirective::AssertMalformed {
            mut module,
            message,
            ..
        } => match encoded(&mut module)? {
            Some(bytes) => refused(&bytes, message),
            None => Ok(Some(LeftOut::TextForm)),
        },
        WastDirective::AssertInvalid { mut module, .. } => {
            // Not held to the standard, but it must come to an end that the machine knows.
            if let Some(bytes) = encoded(&mut module)? {
                world.instantiate(&bytes)?;
            }
            Ok(Some(LeftOut::NotValidated))
        }
        _ => Ok(Some(LeftOut::Proposal)),
    }
}

/// A binary that decoding must refuse.
fn refused(bytes: &[u8], message: &str) -> Held {
    const TEXT: &str = "malformed UTF-8 encoding";
    match world::decode(bytes)? {
        Ok(_) => Err(failure("malformed module", message, "a module")),
        Err(exception) => {
            // Past its first byte, a bad character is an exception without a text.
            let text = match &exception {
                crate::wasm::Exception::Utf8 => TEXT.to_owned(),
                other => other.explanation().unwrap_or_else(|| other.raw()),
            };
            if text == world::FLOATS {
                return Ok(Some(LeftOut::Floats));
            }
            let same = text.starts_with(message);
            same.then_some(None)
                .ok_or_else(|| failure("malformed module", message, text))
        }
    }
}

fn fails(what: &str, message: &str, outcome: Outcome) -> Held {
    match outcome {
        Outcome::LeftOut(reason) => Ok(Some(reason)),
        Outcome::Failed(text) if text.starts_with(message) => Ok(None),
        other => Err(failure(what, message, other.to_string())),
    }
}

fn invoke(world: &mut World, call: &WastInvoke<'_>) -> Result<Outcome, Failure> {
    let module = call.module.map(|id| id.name());
    if let Some(reason) = world.left_out(module) {
        return Ok(Outcome::LeftOut(reason));
    }
    let args: Option<Vec<Value>> = call.args.iter().map(argument).collect();
    match args {
        Some(args) => world.invoke(module, call.name, args),
        None => Ok(Outcome::LeftOut(LeftOut::Floats)),
    }
}

fn execute(world: &mut World, exec: WastExecute<'_>) -> Result<(String, Outcome), Failure> {
    Ok(match exec {
        WastExecute::Invoke(call) => (call.name.to_owned(), invoke(world, &call)?),
        WastExecute::Wat(mut module) => {
            let bytes = binary(&mut module)?;
            ("module".to_owned(), world.instantiate(&bytes)?)
        }
        WastExecute::Get { module, global, .. } => (
            global.to_owned(),
            world.global(module.map(|id| id.name()), global)?,
        ),
    })
}

fn returns(world: &mut World, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Held {
    let (what, outcome) = execute(world, exec)?;
    let values = match outcome {
        Outcome::LeftOut(reason) => return Ok(Some(reason)),
        Outcome::Returned(values) => values,
        other => return Err(failure(what, format!("{expected:?}"), other.to_string())),
    };
    let same = values.len() == expected.len()
        && values
            .iter()
            .zip(expected)
            .all(|(value, expected)| matches(value, expected));
    if same {
        return Ok(None);
    }
    Err(failure(
        what,
        format!("{expected:?}"),
        Outcome::Returned(values).to_string(),
    ))
}

/// Whether a float pattern is met by these bits, `canonical` being the quiet bit with its exponent.
fn nan_matches<T>(
    pattern: &NanPattern<T>,
    bits: u64,
    sign: u64,
    canonical: u64,
    value: impl Fn(&T) -> u64,
) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & !sign == canonical,
        NanPattern::ArithmeticNan => bits & canonical == canonical,
        NanPattern::Value(expected) => value(expected) == bits,
    }
}
