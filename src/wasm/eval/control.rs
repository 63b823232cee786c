//! Control instructions, locals and globals.

use super::instr::Exec;
use super::{Context, lookup};
use crate::wasm::ast::{BlockLabel, BlockType, Instr, Mutability};
use crate::wasm::config::{Admin, Code, Frame, Label};
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

impl Exec {
    /// Enters a block with the operands it takes; the label below keeps the others.
    fn enter(
        &mut self,
        taken: i32,
        arity: i32,
        body: BlockLabel,
        break_to: Option<Instr>,
    ) -> Result<(), Fault> {
        let top = &mut self.stack.top;
        let (args, others) = top.code.values.clone().split(taken)?;
        top.code.values = others;
        let inner = Label {
            arity: Some(arity),
            break_to,
            code: Code {
                values: args,
                instructions: LazyVec::singleton(Admin::FromBlock(body, 0)),
            },
        };
        let outer = std::mem::replace(top, inner);
        self.stack.rest.cons(outer)
    }

    fn branch(&mut self, depth: i32) -> Result<(), Fault> {
        self.then(Admin::Plain(Instr::Br(depth)))
    }
}

impl Context<'_> {
    /// Executes a control instruction. Whether `instr` is one.
    pub(super) fn control(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::Unreachable => exec.trap("unreachable executed")?,
            Instr::Nop => {}
            Instr::Block(ty, body) => {
                let (params, results) = self.block_arity(frame, *ty)?;
                exec.enter(params, results, *body, None)?;
            }
            Instr::Loop(ty, body) => {
                let (params, _) = self.block_arity(frame, *ty)?;
                exec.enter(params, params, *body, Some(instr.clone()))?;
            }
            Instr::If(ty, then, otherwise) => {
                let body = if exec.pop_i32()? == 0 {
                    otherwise
                } else {
                    then
                };
                exec.then(Admin::Plain(Instr::Block(*ty, *body)))?;
            }
            Instr::Br(depth) => {
                let values = std::mem::take(exec.values());
                exec.then(Admin::Breaking(*depth, values))?;
            }
            Instr::BrIf(depth) => {
                if exec.pop_i32()? != 0 {
                    exec.branch(*depth)?;
                }
            }
            Instr::BrTable(depths, default) => {
                let index = exec.pop_i32()? as u32 as usize;
                exec.branch(*depths.get(index).unwrap_or(default))?;
            }
            Instr::Return => {
                let values = std::mem::take(exec.values());
                exec.then(Admin::Returning(values))?;
            }
            Instr::Call(index) => {
                let instance = lookup::module(self.registry, &frame.module)?;
                let func = lookup::read("function", &mut instance.funcs, *index)?.clone();
                exec.then(Admin::Invoke(Box::new(func)))?;
            }
            Instr::CallIndirect { table, type_index } => {
                self.call_indirect(frame, exec, *table, *type_index)?;
            }
            Instr::Drop => drop(exec.pop()?),
            Instr::Select(_) => {
                let condition = exec.pop_i32()?;
                let second = exec.pop()?;
                let first = exec.pop()?;
                exec.push(if condition == 0 { second } else { first })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn block_arity(&mut self, frame: &Frame, ty: BlockType) -> Result<(i32, i32), Fault> {
        lookup::block_arity(self.registry, &frame.module, ty)
    }

    fn call_indirect(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        table: i32,
        type_index: i32,
    ) -> Result<(), Fault> {
        let index = exec.pop_i32()?;
        let instance = lookup::module(self.registry, &frame.module)?;
        let table = lookup::read("table", &mut instance.tables, table)?;
        let func = lookup::table_function(table, index)?;
        let wanted = &mut lookup::read("type", &mut instance.types, type_index)?.0;
        if lookup::same_type(wanted, &mut func.ty().clone())? {
            exec.then(Admin::Invoke(Box::new(func)))
        } else {
            exec.trap("indirect call type mismatch")
        }
    }

    /// Executes an access to a local or global. Whether `instr` is one.
    pub(super) fn variable(
        &mut self,
        frame: &mut Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::LocalGet(index) => {
                let value = lookup::read("local", &mut frame.locals, *index)?.clone();
                exec.push(value)?;
            }
            Instr::LocalSet(index) => {
                let value = exec.pop()?;
                frame.locals.set(*index, value)?;
            }
            Instr::LocalTee(index) => {
                let value = exec.pop()?;
                frame.locals.set(*index, value.clone())?;
                exec.push(value)?;
            }
            Instr::GlobalGet(index) => {
                let instance = lookup::module(self.registry, &frame.module)?;
                let global = lookup::read("global", &mut instance.globals, *index)?;
                exec.push(global.value.clone())?;
            }
            Instr::GlobalSet(index) => {
                let value = exec.pop()?;
                let instance = lookup::module_mut(self.registry, &frame.module)?;
                let global = lookup::write("global", &mut instance.globals, *index)?;
                if global.mutability != Mutability::Mutable {
                    return Err(Fault::located("write to immutable global"));
                }
                if global.value.ty() != value.ty() {
                    return Err(Fault::located("type mismatch at global write"));
                }
                global.value = value;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
