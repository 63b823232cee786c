//! The answer to a reveal, applied in one tick.

use super::host::TICKS_PER_BYTE;
use super::lookup;
use crate::wasm::config::{Config, InvokeKont, LabelStep, StepKont};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{Registry, Value};

/// Writes the answer to memory and goes on, the ticks of the bytes still to be spent.
///
/// A destination out of range or a negative size raises, and the tick has no result.
///
/// # Errors
/// [`Fault`], also when the evaluation waits for nothing.
pub fn reveal_step(
    config: &mut Config,
    registry: &mut Registry,
    payload: &[u8],
) -> Result<(), Fault> {
    let StepKont::Next { top, step, .. } = &mut config.step else {
        return Err(nothing_to_reveal());
    };
    let LabelStep::CraftFrame(_, kont) = step else {
        return Err(nothing_to_reveal());
    };
    let InvokeKont::RevealTick {
        base,
        max_bytes,
        code,
        ..
    } = kont
    else {
        return Err(nothing_to_reveal());
    };
    let instance = lookup::module_mut(registry, &top.frame.module)?;
    let memory = lookup::write("memory", &mut instance.memories, 0)?;
    let wanted = usize::try_from(*max_bytes).map_err(|_| invalid_size())?;
    let taken = payload.get(..wanted.min(payload.len())).unwrap_or(payload);
    if !memory.store_bytes(*base, taken)? {
        return Err(Fault::Raised(Exception::Other {
            raw: "Tezos_webassembly_interpreter.Partial_memory.Bounds".into(),
            explanation: None,
            interpreter: true,
        }));
    }
    let count = i32::try_from(taken.len()).map_err(|_| invalid_size())?;
    let mut code = code.clone();
    code.values.cons(Value::i32(count))?;
    *kont = InvokeKont::Stop {
        code,
        fresh_frame: None,
        remaining: i128::from(count).saturating_mul(TICKS_PER_BYTE),
    };
    Ok(())
}

fn nothing_to_reveal() -> Fault {
    Fault::Raised(Exception::Other {
        raw: "Tezos_webassembly_interpreter.Eval.Reveal_error(0)".into(),
        explanation: Some("Reveal_step".into()),
        interpreter: true,
    })
}

fn invalid_size() -> Fault {
    Fault::Raised(Exception::Other {
        raw: "Invalid_argument(\"String.sub / Bytes.sub\")".into(),
        explanation: None,
        interpreter: false,
    })
}
