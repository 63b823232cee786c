//! Evaluation, one small step a tick.
//!
//! Promises: [`step`] does exactly what one tick of the protocol's machine does
//! (`lib_webassembly/exec/eval.ml`): administrative instructions, labels, frames, calls, bulk
//! operations unfolded, reads in the same order. Refuses to know: what host functions do, and
//! which ticks are not evaluation.

mod bulk;
mod control;
mod data;
mod host;
mod instr;
mod invoke;
mod label;
mod lookup;
mod memory;
mod reveal;
mod table;
#[cfg(test)]
mod tests;

pub use host::{GuestMemory, HostFunctions, HostOutcome, Memories};
pub(crate) use invoke::REVEAL_STEP;
pub use reveal::reveal_step;

use crate::wasm::config::{
    AnyFrame, Code, ConcatKont, Config, Frame, FrameStack, Label, LabelKont, LabelStack, LabelStep,
    Ongoing, StepKont,
};
use crate::wasm::fault::{EvalStep, Exception, Fault};
use crate::wasm::instance::{Registry, Value};
use crate::wasm::lazy::LazyVec;

/// What a step works on besides the configuration.
struct Context<'a> {
    registry: &'a mut Registry,
    host: &'a mut dyn HostFunctions,
    init: bool,
}

/// When evaluation happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While a module is initialised: host functions see no memory.
    Init,
    /// In a kernel run.
    Run,
}

/// The first `count` values, or all.
fn take(count: Option<i32>, values: LazyVec<Value>) -> Result<LazyVec<Value>, Fault> {
    match count {
        Some(count) => Ok(values.split(count)?.0),
        None => Ok(values),
    }
}

/// One tick of evaluation. After an error the configuration must not be used any more.
///
/// # Errors
/// [`Fault`]; a trap is not one but a state.
pub fn step(
    config: &mut Config,
    registry: &mut Registry,
    host: &mut dyn HostFunctions,
    moment: Moment,
) -> Result<(), Fault> {
    let mut context = Context {
        registry,
        host,
        init: moment == Moment::Init,
    };
    let limit = config.stack_size_limit;
    let step = std::mem::replace(&mut config.step, StepKont::Result(LazyVec::default()));
    config.step = context.frame_step(limit, step)?;
    Ok(())
}

impl Context<'_> {
    fn frame_step(&mut self, limit: i32, kont: StepKont) -> Result<StepKont, Fault> {
        match kont {
            StepKont::Result(_) | StepKont::Trapped(_) => {
                Err(Exception::EvalStep(EvalStep::Eval).into())
            }
            StepKont::Start { top, rest } => start(top, rest),
            StepKont::ConsolidateLabelResult {
                top_frame,
                frames,
                top_label,
                kont,
                instructions,
                labels,
            } => consolidate(top_frame, frames, top_label, kont, instructions, labels),
            StepKont::Next { top, rest, step } => match step {
                LabelStep::ModifyTop(labels) => Ok(StepKont::Start {
                    top: FrameStack { labels, ..top },
                    rest,
                }),
                LabelStep::PushFrame(labels, fresh) => push_frame(limit, top, rest, labels, fresh),
                other => {
                    let AnyFrame {
                        arity,
                        mut frame,
                        labels,
                    } = top;
                    let step = self.label_step(&mut frame, other)?;
                    let top = FrameStack {
                        arity,
                        frame,
                        labels,
                    };
                    Ok(StepKont::Next { top, rest, step })
                }
            },
        }
    }
}

fn start(top: AnyFrame, mut rest: LazyVec<Ongoing>) -> Result<StepKont, Fault> {
    match top.labels {
        LabelKont::Trapped(message) => Ok(StepKont::Trapped(message)),
        LabelKont::Result(values) if rest.is_empty() => {
            Ok(StepKont::Result(take(top.arity, values)?))
        }
        LabelKont::Result(values) => {
            let caller = rest.pop()?;
            let LabelStack {
                top: label,
                rest: labels,
            } = caller.labels.clone();
            let kont = ConcatKont::new(values, label.code.values.clone())?;
            Ok(StepKont::ConsolidateLabelResult {
                instructions: label.code.instructions.clone(),
                top_frame: caller,
                frames: rest,
                top_label: label,
                kont,
                labels,
            })
        }
        LabelKont::Stack(ref labels) => {
            let step = LabelStep::Start(labels.clone());
            Ok(StepKont::Next { top, rest, step })
        }
    }
}

fn consolidate(
    top_frame: Ongoing,
    frames: LazyVec<Ongoing>,
    top_label: Label,
    mut kont: ConcatKont<Value>,
    instructions: LazyVec<crate::wasm::config::Admin>,
    labels: LazyVec<Label>,
) -> Result<StepKont, Fault> {
    if !kont.is_complete() {
        kont.step()?;
        return Ok(StepKont::ConsolidateLabelResult {
            top_frame,
            frames,
            top_label,
            kont,
            instructions,
            labels,
        });
    }
    let top = Label {
        code: Code {
            values: kont.result,
            instructions,
        },
        ..top_label
    };
    let labels = LabelKont::Stack(LabelStack { top, rest: labels });
    let Ongoing { arity, frame, .. } = top_frame;
    Ok(StepKont::Start {
        top: FrameStack {
            arity,
            frame,
            labels,
        },
        rest: frames,
    })
}

fn push_frame(
    limit: i32,
    top: AnyFrame,
    mut rest: LazyVec<Ongoing>,
    labels: LabelStack,
    fresh: Ongoing,
) -> Result<StepKont, Fault> {
    if limit <= rest.len().wrapping_add(1) {
        return Err(Fault::located("call stack exhausted"));
    }
    let AnyFrame { arity, frame, .. } = top;
    rest.cons(FrameStack {
        arity,
        frame,
        labels,
    })?;
    let Ongoing {
        arity,
        frame: Frame { module, locals },
        labels,
    } = fresh;
    Ok(StepKont::Start {
        top: FrameStack {
            arity,
            frame: Frame { module, locals },
            labels: LabelKont::Stack(labels),
        },
        rest,
    })
}
