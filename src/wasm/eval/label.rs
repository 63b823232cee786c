//! Steps of the top frame's labels: fetching, administrative instructions, leaving a label.

use super::{Context, bulk, lookup, take};
use crate::wasm::ast::BlockLabel;
use crate::wasm::config::{
    Admin, Code, ConcatKont, Frame, InvokeKont, Label, LabelKont, LabelStack, LabelStep,
};
use crate::wasm::fault::{EvalStep, Exception, Fault};
use crate::wasm::instance::Value;
use crate::wasm::lazy::LazyVec;

/// The labels with another code on top.
fn with_code(stack: LabelStack, code: Code) -> LabelStack {
    LabelStack {
        top: Label { code, ..stack.top },
        rest: stack.rest,
    }
}

fn running(stack: LabelStack) -> LabelStep {
    LabelStep::ModifyTop(LabelKont::Stack(stack))
}

/// The values join those of the label below, which becomes the top.
fn consolidate(
    values: LazyVec<Value>,
    resumed: Option<crate::wasm::ast::Instr>,
    mut rest: LazyVec<Label>,
) -> Result<LabelStep, Fault> {
    if rest.is_empty() {
        return Ok(LabelStep::ModifyTop(LabelKont::Result(values)));
    }
    let label = rest.pop()?;
    let kont = ConcatKont::new(values, label.code.values.clone())?;
    let mut instructions = label.code.instructions.clone();
    instructions.prepend(resumed.map(Admin::Plain))?;
    Ok(LabelStep::ConsolidateTop {
        label,
        kont,
        instructions,
        rest,
    })
}

impl Context<'_> {
    pub(super) fn label_step(
        &mut self,
        frame: &mut Frame,
        step: LabelStep,
    ) -> Result<LabelStep, Fault> {
        match step {
            LabelStep::PushFrame(..) | LabelStep::ModifyTop(_) => {
                Err(Exception::EvalStep(EvalStep::Label).into())
            }
            LabelStep::Start(stack) => self.fetch(frame, stack),
            LabelStep::ConsolidateTop {
                label,
                mut kont,
                instructions,
                rest,
            } => {
                if kont.is_complete() {
                    let code = Code {
                        values: kont.result,
                        instructions,
                    };
                    let top = Label { code, ..label };
                    return Ok(running(LabelStack { top, rest }));
                }
                kont.step()?;
                Ok(LabelStep::ConsolidateTop {
                    label,
                    kont,
                    instructions,
                    rest,
                })
            }
            LabelStep::CraftFrame(
                stack,
                InvokeKont::Stop {
                    code,
                    fresh_frame,
                    remaining,
                },
            ) if remaining <= 0 => {
                let stack = with_code(stack, code);
                Ok(match fresh_frame {
                    Some(fresh) => LabelStep::PushFrame(stack, fresh),
                    None => running(stack),
                })
            }
            LabelStep::CraftFrame(stack, kont) => {
                let kont = self.invoke_step(&frame.module, kont)?;
                Ok(LabelStep::CraftFrame(stack, kont))
            }
        }
    }

    /// Takes the next instruction of the top label and does its tick.
    fn fetch(&mut self, frame: &mut Frame, mut stack: LabelStack) -> Result<LabelStep, Fault> {
        if stack.top.code.instructions.is_empty() {
            return consolidate(stack.top.code.values, None, stack.rest);
        }
        // A call keeps the labels as they were before its instruction was taken.
        let before = stack.clone();
        let instructions = &mut stack.top.code.instructions;
        match instructions.pop()? {
            Admin::Plain(instr) => Ok(LabelStep::ModifyTop(
                self.execute(frame, stack, instr).map(LabelKont::Stack)?,
            )),
            Admin::FromBlock(block, index) => {
                self.expand_block(frame, instructions, block, index)?;
                Ok(running(stack))
            }
            Admin::Refer(reference) => {
                stack.top.code.values.cons(Value::Ref(reference))?;
                Ok(running(stack))
            }
            Admin::Trapping(message) => Ok(LabelStep::ModifyTop(LabelKont::Trapped(message))),
            Admin::Returning(values) => Ok(LabelStep::ModifyTop(LabelKont::Result(values))),
            Admin::Breaking(0, values) => {
                let values = take(stack.top.arity, values)?;
                consolidate(values, stack.top.break_to, stack.rest)
            }
            Admin::Breaking(depth, values) => {
                let mut rest = stack.rest;
                if rest.is_empty() {
                    return Err(Fault::located("undefined label"));
                }
                let mut top = rest.pop()?;
                top.code
                    .instructions
                    .cons(Admin::Breaking(depth.wrapping_sub(1), values))?;
                Ok(running(LabelStack { top, rest }))
            }
            Admin::Invoke(func) => Ok(LabelStep::CraftFrame(
                before,
                InvokeKont::Start {
                    func: *func,
                    code: stack.top.code,
                },
            )),
            unfolding => {
                let (next, again) = bulk::unfold(unfolding)?;
                instructions.prepend(std::iter::once(next).chain(again).collect::<Vec<_>>())?;
                Ok(running(stack))
            }
        }
    }

    fn expand_block(
        &mut self,
        frame: &Frame,
        instructions: &mut LazyVec<Admin>,
        block: BlockLabel,
        index: i32,
    ) -> Result<(), Fault> {
        let instance = lookup::module(self.registry, &frame.module)?;
        let body = instance.allocations.blocks.read(block.0)?.instructions()?;
        if index == body.len() {
            return Ok(());
        }
        let instr = body.get(index)?.clone();
        instructions.prepend([
            Admin::Plain(instr),
            Admin::FromBlock(block, index.wrapping_add(1)),
        ])
    }
}
