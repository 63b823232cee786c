//! A state of the machine as people read it: phase, calls, operands, what comes next.
//!
//! Promises: reads the state, changes nothing that a hash would show. Refuses to know: names of
//! functions, which no state holds.

use std::fmt;

use super::machine::{Expects, Machine, Run, SlowError};
use crate::pvm::{InputRequest, Phase};
use crate::wasm::ast::{Instr, Num};
use crate::wasm::config::{
    Admin, AnyFrame, Code, Config, InvokeKont, LabelKont, LabelStack, LabelStep, StepKont,
};
use crate::wasm::fault::Fault;
use crate::wasm::init::EvalState;
use crate::wasm::instance::{FuncInst, Value};
use crate::wasm::lazy::LazyVec;

/// Values and calls that are shown at most.
const SHOWN: usize = 16;

/// What a state looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Ticks since origination.
    pub tick: u128,
    /// Phase, with the error of a stuck state.
    pub phase: String,
    /// What the state waits for, if it does.
    pub waits_for: Option<String>,
    /// What the next tick does, in the words of the phase.
    pub next: String,
    /// Calls that are running, innermost first.
    pub frames: Vec<FrameDescription>,
    /// Operands of the innermost label, the top first.
    pub operands: Vec<String>,
    /// Calls, and operands, that are not shown.
    pub hidden: (usize, usize),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameDescription {
    /// Labels that are open in it.
    pub labels: usize,
    /// Parameters and locals.
    pub locals: Vec<String>,
    /// Where it stands: block and index of the instruction there.
    pub at: String,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tick      {}", self.tick)?;
        writeln!(f, "phase     {}", self.phase)?;
        if let Some(waits_for) = &self.waits_for {
            writeln!(f, "waits for {waits_for}")?;
        }
        writeln!(f, "next      {}", self.next)?;
        let (frames, operands) = self.hidden;
        for (depth, frame) in self.frames.iter().enumerate() {
            let locals = frame.locals.join(", ");
            writeln!(
                f,
                "call {depth:<4} {}, labels {}, locals [{locals}]",
                frame.at, frame.labels
            )?;
        }
        if frames > 0 {
            writeln!(f, "          and {frames} more calls")?;
        }
        if !self.operands.is_empty() {
            writeln!(f, "operands  [{}]", self.operands.join(", "))?;
        }
        if operands > 0 {
            writeln!(f, "          and {operands} more operands")?;
        }
        Ok(())
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Num(Num::I32(value)) => format!("i32 {value}"),
        Value::Num(Num::I64(value)) => format!("i64 {value}"),
        Value::V128(value) => format!("v128 {}", hex::encode(value.0)),
        Value::Ref(reference) => format!("reference to {:?}", reference.ty()),
    }
}

/// The first elements; one that nothing binds any more is left out.
fn values(vector: &LazyVec<Value>) -> Result<(Vec<String>, usize), Fault> {
    let mut vector = vector.clone();
    let length = vector.len() as u32 as usize;
    let shown = length.min(SHOWN);
    let mut texts = Vec::with_capacity(shown);
    for index in 0..shown {
        texts.push(value(vector.get(index as i32)?));
    }
    Ok((texts, length - shown))
}

struct View<'a> {
    eval: &'a mut EvalState,
}

impl View<'_> {
    /// An instruction of a block; nothing at its end.
    fn instruction(&mut self, frame: &AnyFrame, admin: &Admin) -> Result<String, Fault> {
        Ok(match admin {
            Admin::FromBlock(block, index) => {
                let instance = self.eval.registry.read(&frame.frame.module)?;
                let block = instance.allocations.blocks.read(block.0)?;
                let instructions = block.instructions()?;
                if (*index as u32) < (instructions.len() as u32) {
                    instr(instructions.get(*index)?)
                } else {
                    "end of the block".to_owned()
                }
            }
            Admin::Plain(plain) => instr(plain),
            Admin::Invoke(function) => match &**function {
                FuncInst::Host { name, .. } => format!("call of host function {name}"),
                FuncInst::Native { func, .. } => {
                    format!("call of the function of block {}", func.body.0)
                }
            },
            Admin::Refer(_) => "push a reference".to_owned(),
            Admin::Trapping(message) => format!("trap: {message}"),
            Admin::Returning(_) => "return".to_owned(),
            Admin::Breaking(depth, _) => format!("branch out of {depth} labels"),
            Admin::TableInit { n, .. } => format!("table.init, {} left", *n as u32),
            Admin::TableFill { n, .. } => format!("table.fill, {} left", *n as u32),
            Admin::TableCopy { n, .. } => format!("table.copy, {} left", *n as u32),
            Admin::MemoryInit { n, .. } => format!("memory.init, {} left", *n as u32),
            Admin::MemoryFill { n, .. } => format!("memory.fill, {} left", *n as u32),
            Admin::MemoryCopy { n, .. } => format!("memory.copy, {} left", *n as u32),
        })
    }

    fn first(&mut self, frame: &AnyFrame, code: &Code) -> Result<String, Fault> {
        let mut instructions = code.instructions.clone();
        if instructions.is_empty() {
            return Ok("end of the label".to_owned());
        }
        let admin = instructions.get(0)?.clone();
        self.instruction(frame, &admin)
    }

    fn next(&mut self) -> Result<String, Fault> {
        let step = self.eval.config.step.clone();
        Ok(match &step {
            StepKont::Start { top, .. } => match &top.labels {
                LabelKont::Stack(labels) => self.first(top, &labels.top.code)?,
                LabelKont::Result(_) => "leave the call with its result".to_owned(),
                LabelKont::Trapped(message) => format!("leave the call, trapped: {message}"),
            },
            StepKont::Next { top, step, .. } => match step {
                LabelStep::Start(labels) => self.first(top, &labels.top.code)?,
                LabelStep::CraftFrame(_, kont) => craft(kont),
                LabelStep::PushFrame(..) => "enter the function".to_owned(),
                LabelStep::ConsolidateTop { .. } => "collect the operands of a label".to_owned(),
                LabelStep::ModifyTop(_) => "put the labels back".to_owned(),
            },
            StepKont::ConsolidateLabelResult { .. } => "collect the results of a call".to_owned(),
            StepKont::Result(_) => "end of the run: the entry point has returned".to_owned(),
            StepKont::Trapped(message) => format!("end of the run: trapped: {message}"),
        })
    }
}

fn instr(instr: &Instr) -> String {
    format!("{instr:?}")
}

fn craft(kont: &InvokeKont) -> String {
    match kont {
        InvokeKont::Start { func, .. } => match func {
            FuncInst::Host { name, .. } => format!("run host function {name}"),
            FuncInst::Native { .. } => "prepare a call".to_owned(),
        },
        InvokeKont::PrepareLocals { .. } => "prepare the locals of a call".to_owned(),
        InvokeKont::PrepareArgs { .. } => "prepare the arguments of a call".to_owned(),
        InvokeKont::Concat { .. } => "join arguments and locals of a call".to_owned(),
        InvokeKont::RevealTick { .. } => "receive revealed data".to_owned(),
        InvokeKont::Stop { remaining, .. } if *remaining > 0 => {
            format!("spend {remaining} more ticks of a host function")
        }
        InvokeKont::Stop { .. } => "finish the call".to_owned(),
    }
}

/// The labels that a configuration has open in its top frame.
fn top_labels(config: &Config) -> Option<&LabelStack> {
    match &config.step {
        StepKont::Start { top, .. } => match &top.labels {
            LabelKont::Stack(labels) => Some(labels),
            _ => None,
        },
        StepKont::Next { step, .. } => match step {
            LabelStep::Start(labels)
            | LabelStep::CraftFrame(labels, _)
            | LabelStep::PushFrame(labels, _)
            | LabelStep::ModifyTop(LabelKont::Stack(labels)) => Some(labels),
            _ => None,
        },
        StepKont::ConsolidateLabelResult { top_frame, .. } => Some(&top_frame.labels),
        StepKont::Result(_) | StepKont::Trapped(_) => None,
    }
}

fn place(labels: &LabelStack) -> Result<String, Fault> {
    let mut instructions = labels.top.code.instructions.clone();
    if instructions.is_empty() {
        return Ok("at the end of a label".to_owned());
    }
    Ok(match instructions.get(0)? {
        Admin::FromBlock(block, index) => format!("block {} at {index}", block.0),
        _ => "inside an instruction".to_owned(),
    })
}

fn frame_of(
    locals: &LazyVec<Value>,
    labels: Option<&LabelStack>,
) -> Result<FrameDescription, Fault> {
    Ok(FrameDescription {
        labels: labels.map_or(0, |labels| {
            (labels.rest.len() as u32 as usize).saturating_add(1)
        }),
        locals: values(locals)?.0,
        at: match labels {
            Some(labels) => place(labels)?,
            None => "between two labels".to_owned(),
        },
    })
}

fn evaluation(eval: &EvalState, into: &mut Description) -> Result<(), Fault> {
    let mut eval = eval.clone();
    into.next = View { eval: &mut eval }.next()?;
    let config = &eval.config;
    let labels = top_labels(config);
    let (top, rest) = match &config.step {
        StepKont::Start { top, rest } | StepKont::Next { top, rest, .. } => (&top.frame, rest),
        StepKont::ConsolidateLabelResult {
            top_frame, frames, ..
        } => (&top_frame.frame, frames),
        StepKont::Result(values) => {
            (into.operands, into.hidden.1) = self::values(values)?;
            return Ok(());
        }
        StepKont::Trapped(_) => return Ok(()),
    };
    into.frames.push(frame_of(&top.locals, labels)?);
    let mut rest = rest.clone();
    let length = rest.len() as u32 as usize;
    for index in 0..length.min(SHOWN) {
        let call = rest.get(index as i32)?.clone();
        into.frames
            .push(frame_of(&call.frame.locals, Some(&call.labels))?);
    }
    into.hidden.0 = length.saturating_sub(SHOWN);
    if let Some(labels) = labels {
        (into.operands, into.hidden.1) = values(&labels.top.code.values)?;
    }
    Ok(())
}

impl Machine {
    /// The state as people read it.
    ///
    /// # Errors
    /// [`SlowError`] when it cannot be read.
    pub fn describe(&self) -> Result<Description, SlowError> {
        let waits_for = match self.expects() {
            Expects::Nothing => None,
            Expects::Input(InputRequest::After(info)) => Some(format!(
                "the message after number {} of level {}",
                info.counter, info.level
            )),
            Expects::Input(_) => Some("the first message".to_owned()),
            Expects::Reveal(request) => Some(format!("the reveal of {}", hex::encode(request))),
        };
        let state = self.state();
        let phase = match &state.phase {
            Phase::Stuck(error) => format!("stuck: {error}"),
            phase => phase.tag().to_owned(),
        };
        let next = match &state.phase {
            _ if waits_for.is_some() => "take what it waits for".to_owned(),
            Phase::Padding => format!("pad; {} ticks left in the period", state.ticks_left()),
            Phase::Snapshot => "begin a kernel run".to_owned(),
            phase => format!("go on in phase {}", phase.tag()),
        };
        let mut description = Description {
            tick: state.current_tick,
            phase,
            waits_for,
            next,
            frames: Vec::new(),
            operands: Vec::new(),
            hidden: (0, 0),
        };
        match &self.run {
            Some(Run::Decode(kont, _)) => {
                description.next = format!("parse at byte {} of the kernel", kont.stream_pos);
            }
            Some(Run::Link(link)) => description.next = format!("link import {}", link.offset),
            Some(Run::Init(_)) => description.next = "initialise the module".to_owned(),
            Some(Run::Eval(eval)) => evaluation(eval, &mut description)?,
            None => {}
        }
        Ok(description)
    }
}
