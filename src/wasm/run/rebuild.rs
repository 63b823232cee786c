//! The exact configuration from registers, suspended calls and the place in the code.
//!
//! The blocks that lead to the place are walked again, keeping the reference's vector of operands:
//! its keys depend on how the values came there, and it holds values that are no operands any more.

use std::collections::BTreeMap;

use super::compile::View;
use super::machine::{Machine, value_of};
use super::program::{Function, Kind, Place, Program, Scope};
use crate::wasm::ast::{BlockType, Instr, NumType};
use crate::wasm::config::{Admin, Code, Frame, FrameStack, Label, LabelStack, Ongoing};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{ModuleKey, Value};
use crate::wasm::lazy::LazyVec;

/// The place or the code contradicts the other; the run cannot be trusted.
pub(super) fn inconsistent(what: &str) -> Fault {
    Fault::Unencodable(format!("run mode lost track of {what}"))
}

/// A label's operands: by key, the register that holds the value.
#[derive(Debug, Clone, Default)]
struct Operands {
    first: i32,
    length: i32,
    bound: BTreeMap<i32, (u16, NumType)>,
    /// Position of the next operand in the frame.
    height: usize,
}

impl Operands {
    fn push(&mut self, ty: NumType, locals: usize) -> Result<(), Fault> {
        let register = u16::try_from(locals.saturating_add(self.height));
        let register = register.map_err(|_| inconsistent("an operand"))?;
        self.first -= 1;
        self.length += 1;
        self.height += 1;
        self.bound.insert(self.first, (register, ty));
        Ok(())
    }

    fn pop(&mut self) -> Result<NumType, Fault> {
        let bound = self.bound.remove(&self.first);
        let (_, ty) = bound.ok_or_else(|| inconsistent("an operand"))?;
        self.first += 1;
        self.length -= 1;
        self.height = self.height.saturating_sub(1);
        Ok(ty)
    }

    fn drop(&mut self, count: usize) -> Result<(), Fault> {
        (0..count).try_for_each(|_| self.pop().map(|_| ()))
    }

    /// The first `count` stay bound but are no elements any more.
    fn split_off(&mut self, count: usize) {
        self.first += count as i32;
        self.length -= count as i32;
        self.height = self.height.saturating_sub(count);
    }

    /// All elements move to a new vector.
    fn renew(&mut self) {
        let (first, length) = (self.first, self.length);
        self.bound = std::mem::take(&mut self.bound)
            .into_iter()
            .map(|(key, bound)| (key - first, bound))
            .filter(|(key, _)| (0..length).contains(key))
            .collect();
        self.first = 0;
    }
}

/// A frame whose state is rebuilt.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramePlace<'a> {
    /// Start of its registers.
    pub(super) start: usize,
    pub(super) place: Place,
    /// Whether it has called a function at the place, or stands before the instruction.
    pub(super) calling: bool,
    /// First register and values of arguments whose registers were overwritten.
    pub(super) instead: Option<(usize, &'a [u64])>,
}

/// What rebuilding reads.
#[derive(Debug)]
pub(super) struct Rebuilder<'a> {
    pub(super) program: &'a Program,
    pub(super) view: &'a View,
    /// Every block that the places are in, by label.
    pub(super) blocks: &'a BTreeMap<i32, Vec<Instr>>,
    pub(super) machine: &'a Machine,
    pub(super) module: &'a ModuleKey,
}

impl Rebuilder<'_> {
    pub(super) fn frame(&self, at: FramePlace<'_>) -> Result<Ongoing, Fault> {
        let chain = self.chain(at.place.scope)?;
        let (_, innermost) = *chain.last().ok_or_else(|| inconsistent("a block"))?;
        let function = self.function(innermost.function)?;
        let locals = function
            .types
            .iter()
            .enumerate()
            .map(|(register, ty)| value_of(*ty, self.register(at, register)))
            .collect();
        let labels = self.labels(at, function, &chain)?;
        Ok(FrameStack {
            arity: Some(function.results.len() as i32),
            frame: Frame {
                module: self.module.clone(),
                locals: LazyVec::from_items(locals),
            },
            labels,
        })
    }

    fn function(&self, index: u32) -> Result<&Function, Fault> {
        let function = self.program.functions.get(index as usize);
        function.ok_or_else(|| inconsistent("a function"))
    }

    fn register(&self, at: FramePlace<'_>, register: usize) -> u64 {
        if let Some((first, values)) = at.instead
            && let Some(value) = register.checked_sub(first).and_then(|at| values.get(at))
        {
            return *value;
        }
        let at = at.start.saturating_add(register);
        self.machine.registers.get(at).copied().unwrap_or_default()
    }

    /// The blocks from the function's own to the innermost, each with the index of the instruction
    /// that enters the next.
    fn chain(&self, innermost: u32) -> Result<Vec<(u32, &Scope)>, Fault> {
        let mut chain = Vec::new();
        let mut next = Some((innermost, u32::MAX));
        while let Some((scope, index)) = next {
            let found = self.program.scopes.get(scope as usize);
            let found = found.ok_or_else(|| inconsistent("a block"))?;
            chain.push((index, found));
            next = found.parent;
        }
        chain.reverse();
        Ok(chain)
    }

    fn labels(
        &self,
        at: FramePlace<'_>,
        function: &Function,
        chain: &[(u32, &Scope)],
    ) -> Result<LabelStack, Fault> {
        let mut operands = Operands::default();
        let mut rest = LazyVec::default();
        let mut arity = function.results.len();
        let mut break_to = None;
        let mut scopes = chain.iter().peekable();
        while let Some((enters, scope)) = scopes.next() {
            let body = self.blocks.get(&scope.body.0);
            let body = body.ok_or_else(|| inconsistent("a block"))?;
            let until = scopes.peek().map_or(at.place.index, |_| *enters);
            for instr in body.iter().take(until as usize) {
                self.effect(&mut operands, instr, function)?;
            }
            let Some((_, inner)) = scopes.peek() else {
                let mut next = at.place.index as i32;
                if at.calling {
                    let call = body.get(until as usize);
                    self.leave_arguments(&mut operands, call)?;
                    next += 1;
                }
                let code = self.code(at, &operands, scope, next);
                let top = Label {
                    arity: Some(arity as i32),
                    break_to,
                    code,
                };
                return Ok(LabelStack { top, rest });
            };
            let instr = body.get(until as usize);
            let instr = instr.ok_or_else(|| inconsistent("an instruction"))?;
            let (params, results) = self.entering(&mut operands, instr)?;
            if inner
                .again
                .is_some_and(|flag| self.register(at, usize::from(flag)) != 0)
            {
                operands.renew();
            }
            let below = below(&operands, params, inner, function);
            operands.length = params as i32;
            let outer = Label {
                arity: Some(arity as i32),
                break_to: break_to.take(),
                code: self.code(at, &below, scope, until as i32 + 1),
            };
            rest.cons(outer)?;
            arity = results;
            if let Instr::Loop(..) = instr {
                arity = params;
                break_to = Some(instr.clone());
            }
        }
        Err(inconsistent("a block"))
    }

    fn code(&self, at: FramePlace<'_>, operands: &Operands, scope: &Scope, next: i32) -> Code {
        let bound = operands.bound.iter().map(|(key, (register, ty))| {
            (
                *key,
                value_of(*ty, self.register(at, usize::from(*register))),
            )
        });
        let values: LazyVec<Value> = LazyVec::from_bindings(operands.first, operands.length, bound);
        Code {
            values,
            instructions: LazyVec::singleton(Admin::FromBlock(scope.body, next)),
        }
    }

    fn types(&self, index: i32) -> Result<&(Vec<NumType>, Vec<NumType>), Fault> {
        let ty = self.view.types.get(index as u32 as usize);
        ty.and_then(Option::as_ref)
            .ok_or_else(|| inconsistent("a type"))
    }

    fn arity(&self, ty: BlockType) -> Result<(usize, Vec<NumType>), Fault> {
        Ok(match ty {
            BlockType::Value(None) => (0, Vec::new()),
            BlockType::Value(Some(ty)) => {
                let ty = super::compile::integer(ty);
                (0, vec![ty.ok_or_else(|| inconsistent("a type"))?])
            }
            BlockType::Index(index) => {
                let (params, results) = self.types(index)?;
                (params.len(), results.clone())
            }
        })
    }

    /// Numbers of parameters and results of the block that `instr` enters.
    fn entering(&self, operands: &mut Operands, instr: &Instr) -> Result<(usize, usize), Fault> {
        let (Instr::Block(ty, _) | Instr::Loop(ty, _) | Instr::If(ty, ..)) = instr else {
            return Err(inconsistent("a block"));
        };
        if let Instr::If(..) = instr {
            operands.pop()?;
        }
        let (params, results) = self.arity(*ty)?;
        Ok((params, results.len()))
    }

    /// The caller's operands while it waits for the callee: arguments stay bound.
    fn leave_arguments(&self, operands: &mut Operands, call: Option<&Instr>) -> Result<(), Fault> {
        let count = match call {
            Some(Instr::Call(index)) => self.function(*index as u32)?.params.len(),
            Some(Instr::CallIndirect { type_index, .. }) => {
                operands.pop()?;
                self.types(*type_index)?.0.len()
            }
            _ => return Err(inconsistent("a call")),
        };
        operands.split_off(count);
        Ok(())
    }

    /// What an instruction that was passed did to the operands.
    fn effect(
        &self,
        operands: &mut Operands,
        instr: &Instr,
        function: &Function,
    ) -> Result<(), Fault> {
        let locals = function.types.len();
        let (popped, pushed) = match instr {
            Instr::Nop | Instr::DataDrop(_) => (0, None),
            Instr::Drop | Instr::LocalSet(_) | Instr::GlobalSet(_) | Instr::BrIf(_) => (1, None),
            Instr::Store(..) => (2, None),
            Instr::MemoryFill | Instr::MemoryCopy | Instr::MemoryInit(_) => (3, None),
            Instr::Const(num) => (0, Some(num.ty())),
            Instr::MemorySize => (0, Some(NumType::I32)),
            Instr::MemoryGrow | Instr::Test(..) => (1, Some(NumType::I32)),
            Instr::Compare(..) => (2, Some(NumType::I32)),
            Instr::Load(ty, ..) | Instr::Unary(ty, _) | Instr::Convert(ty, _) => (1, Some(*ty)),
            Instr::Binary(ty, _) => (2, Some(*ty)),
            Instr::LocalGet(local) => {
                let ty = function.types.get(*local as u32 as usize);
                (0, Some(*ty.ok_or_else(|| inconsistent("a local"))?))
            }
            Instr::LocalTee(local) => {
                let ty = function.types.get(*local as u32 as usize);
                (1, Some(*ty.ok_or_else(|| inconsistent("a local"))?))
            }
            Instr::GlobalGet(global) => {
                let ty = self.view.global_types.get(*global as u32 as usize).copied();
                (
                    0,
                    Some(ty.flatten().ok_or_else(|| inconsistent("a global"))?),
                )
            }
            Instr::Select(_) => {
                operands.pop()?;
                (2, Some(operands.top_type()?))
            }
            other => return self.structured(operands, other, locals),
        };
        operands.drop(popped)?;
        pushed.map_or(Ok(()), |ty| operands.push(ty, locals))
    }

    /// Blocks and calls that were passed.
    fn structured(
        &self,
        operands: &mut Operands,
        instr: &Instr,
        locals: usize,
    ) -> Result<(), Fault> {
        let (params, results) = match instr {
            Instr::Block(ty, _) | Instr::Loop(ty, _) => self.arity(*ty)?,
            Instr::If(ty, ..) => {
                operands.pop()?;
                self.arity(*ty)?
            }
            Instr::Call(index) => {
                let callee = self.function(*index as u32)?;
                let (params, results) = (callee.params.len(), callee.results.clone());
                if let Kind::Host(_) = callee.kind {
                    operands.split_off(params);
                    return results.iter().try_for_each(|ty| operands.push(*ty, locals));
                }
                (params, results)
            }
            Instr::CallIndirect { type_index, .. } => {
                operands.pop()?;
                let (params, results) = self.types(*type_index)?;
                (params.len(), results.clone())
            }
            _ => return Err(inconsistent("an instruction")),
        };
        operands.drop(params)?;
        results
            .iter()
            .try_for_each(|ty| operands.push(*ty, locals))?;
        operands.renew();
        Ok(())
    }
}

impl Operands {
    fn top_type(&self) -> Result<NumType, Fault> {
        let bound = self.bound.get(&self.first);
        bound
            .map(|(_, ty)| *ty)
            .ok_or_else(|| inconsistent("an operand"))
    }
}

/// The operands of the label below a block: what the block takes stays bound, with the values at
/// entry, as does everything that was bound before.
fn below(operands: &Operands, params: usize, inner: &Scope, function: &Function) -> Operands {
    let mut below = operands.clone();
    below.split_off(params);
    let locals = function.types.len();
    for (key, (register, _)) in &mut below.bound {
        if *key >= below.first {
            continue;
        }
        let position = usize::from(*register).checked_sub(locals);
        let saved = inner
            .saved
            .iter()
            .find(|(at, _)| Some(usize::from(*at)) == position);
        if let Some((_, save)) = saved {
            *register = *save;
        }
    }
    below
}
