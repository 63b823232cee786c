//! Passing the last ticks to a target on the exact state.

use crate::wasm::ast::Num;
use crate::wasm::config::{Admin, Config, InvokeKont, LabelKont, LabelStep, StepKont};
use crate::wasm::eval::{self, HostFunctions, Moment};
use crate::wasm::fault::Fault;
use crate::wasm::init::EvalState;
use crate::wasm::instance::Registry;

/// Takes `ticks` ticks of evaluation, or fewer when it ends or waits; returns what is left.
///
/// Ticks that only count down are taken at once.
///
/// # Errors
/// [`Fault`], as [`eval::step`].
pub fn pass(
    state: &mut EvalState,
    mut ticks: u64,
    host: &mut dyn HostFunctions,
) -> Result<u64, Fault> {
    while ticks > 0 {
        let EvalState { config, registry } = state;
        ticks -= skip(config, registry, ticks)?;
        if ticks == 0 || has_ended(state) {
            break;
        }
        let EvalState { config, registry } = state;
        eval::step(config, registry, host, Moment::Run)?;
        ticks -= 1;
    }
    Ok(ticks)
}

/// Takes at once ticks that only count down, or copy or fill memory; returns how many.
///
/// # Errors
/// [`Fault`], as [`eval::step`].
pub fn skip(config: &mut Config, registry: &mut Registry, ticks: u64) -> Result<u64, Fault> {
    let counted = count_down(config, ticks);
    Ok(counted + bulk(config, registry, ticks - counted)?)
}

fn has_ended(state: &EvalState) -> bool {
    matches!(
        state.config.step,
        StepKont::Result(_) | StepKont::Trapped(_)
    ) || state.config.reveal_request().is_some()
}

/// Ticks of a host function that are only to be spent.
fn count_down(config: &mut Config, ticks: u64) -> u64 {
    let StepKont::Next {
        step: LabelStep::CraftFrame(_, InvokeKont::Stop { remaining, .. }),
        ..
    } = &mut config.step
    else {
        return 0;
    };
    let spent = ticks.min(u64::try_from(*remaining).unwrap_or_default());
    *remaining = remaining.saturating_sub(i128::from(spent));
    spent
}

/// Whole rounds of filling memory or copying it forward. One round at least is stepped afterwards:
/// it changes what is still bound on the operand stack, always in the same way.
fn bulk(config: &mut Config, registry: &mut Registry, ticks: u64) -> Result<u64, Fault> {
    let StepKont::Start { top, .. } = &mut config.step else {
        return Ok(0);
    };
    let LabelKont::Stack(labels) = &mut top.labels else {
        return Ok(0);
    };
    let code = &mut labels.top.code;
    if code.instructions.is_empty() {
        return Ok(0);
    }
    let (per_round, left) = match code.instructions.get(0)? {
        Admin::MemoryFill { idx: 0, n, .. } => (42, *n as u32),
        Admin::MemoryCopy {
            idx: 0,
            n,
            forward: true,
            ..
        } => (48, *n as u32),
        Admin::MemoryInit { idx: 0, n, .. } => (42, *n as u32),
        _ => return Ok(0),
    };
    let rounds = (ticks / per_round).min(u64::from(left)).saturating_sub(2);
    if rounds < 4 {
        return Ok(0);
    }
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    let module = top.frame.module.clone();
    let mut admin = code.instructions.pop()?;
    let instance = registry.write(&module)?;
    let step = rounds as i32;
    match &mut admin {
        Admin::MemoryFill { i, k, n, .. } => {
            let byte = match k {
                Num::I32(value) => *value as u8,
                Num::I64(value) => *value as u8,
            };
            let memory = instance.memories.write(0)?;
            memory.store_bytes(*i, &vec![byte; rounds as usize])?;
            *i = i.wrapping_add(step);
            *n = n.wrapping_sub(step);
        }
        Admin::MemoryCopy { d, s, n, .. } => {
            let memory = instance.memories.write(0)?;
            // One byte after the other: overlapping ranges repeat what was just written.
            for _ in 0..rounds {
                let byte = memory.load_bytes(*s, 1)?.unwrap_or_default();
                memory.store_bytes(*d, &byte)?;
                *d = d.wrapping_add(1);
                *s = s.wrapping_add(1);
            }
            *n = n.wrapping_sub(step);
        }
        Admin::MemoryInit { d, b, n, s, x, .. } => {
            let label = instance.datas.get(*x)?.0;
            let bytes = instance.allocations.datas.read(label)?;
            let from = i64::from(*s as u32);
            let part = bytes.slice(from, i64::from(rounds) + 1)?;
            let (next, written) = part.split_last().unwrap_or((&0, &[]));
            instance.memories.write(0)?.store_bytes(*d, written)?;
            *b = i32::from(*next);
            *d = d.wrapping_add(step);
            *s = s.wrapping_add(step);
            *n = n.wrapping_sub(step);
        }
        _ => {}
    }
    code.instructions.cons(admin)?;
    Ok(u64::from(rounds) * per_round)
}
