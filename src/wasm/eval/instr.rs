//! Execution of one plain instruction: operands, traps, dispatch.
//!
//! An operand that is missing or of the wrong kind is a crash, not a trap: nothing validated the
//! kernel. Upstream: `step_instr`.

use super::Context;
use crate::wasm::ast::{Instr, Num, V128};
use crate::wasm::config::{Admin, Frame, LabelStack};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{Ref, Value};
use crate::wasm::lazy::LazyVec;
use crate::wasm::numeric::{self, Failure};

const OUT_OF_MEMORY_BOUNDS: &str = "out of bounds memory access";
const OUT_OF_TABLE_BOUNDS: &str = "out of bounds table access";

pub(super) fn ill_typed() -> Fault {
    Fault::located("missing or ill-typed operand on stack")
}

/// The operands of the top label and what is left to do there.
pub(super) struct Exec {
    pub(super) stack: LabelStack,
}

impl Exec {
    pub(super) fn values(&mut self) -> &mut LazyVec<Value> {
        &mut self.stack.top.code.values
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.values().cons(value)
    }

    pub(super) fn push_i32(&mut self, value: i32) -> Result<(), Fault> {
        self.push(Value::i32(value))
    }

    pub(super) fn pop(&mut self) -> Result<Value, Fault> {
        if self.values().is_empty() {
            return Err(ill_typed());
        }
        self.values().pop()
    }

    pub(super) fn pop_num(&mut self) -> Result<Num, Fault> {
        match self.pop()? {
            Value::Num(num) => Ok(num),
            _ => Err(ill_typed()),
        }
    }

    pub(super) fn pop_i32(&mut self) -> Result<i32, Fault> {
        match self.pop()? {
            Value::Num(Num::I32(value)) => Ok(value),
            _ => Err(ill_typed()),
        }
    }

    pub(super) fn pop_ref(&mut self) -> Result<Ref, Fault> {
        match self.pop()? {
            Value::Ref(reference) => Ok(reference),
            _ => Err(ill_typed()),
        }
    }

    pub(super) fn pop_vec(&mut self) -> Result<V128, Fault> {
        match self.pop()? {
            Value::V128(vector) => Ok(vector),
            _ => Err(ill_typed()),
        }
    }

    /// What comes next instead of the instruction.
    pub(super) fn then(&mut self, admin: Admin) -> Result<(), Fault> {
        self.stack.top.code.instructions.cons(admin)
    }

    pub(super) fn trap(&mut self, message: &str) -> Result<(), Fault> {
        self.then(Admin::Trapping(message.to_owned()))
    }

    pub(super) fn memory_trap(&mut self) -> Result<(), Fault> {
        self.trap(OUT_OF_MEMORY_BOUNDS)
    }

    pub(super) fn table_trap(&mut self) -> Result<(), Fault> {
        self.trap(OUT_OF_TABLE_BOUNDS)
    }
}

impl Context<'_> {
    /// Executes `instr` with its place already taken from the top label.
    pub(super) fn execute(
        &mut self,
        frame: &mut Frame,
        stack: LabelStack,
        instr: Instr,
    ) -> Result<LabelStack, Fault> {
        let mut exec = Exec { stack };
        if self.control(frame, &mut exec, &instr)?
            || self.variable(frame, &mut exec, &instr)?
            || self.table_or_memory(frame, &mut exec, &instr)?
            || scalar(&mut exec, &instr)?
            || vector(&mut exec, &instr)?
        {
            return Ok(exec.stack);
        }
        Err(Fault::Unencodable(format!("{instr:?}")))
    }
}

/// Constants and scalar operators. Whether `instr` is one.
fn scalar(exec: &mut Exec, instr: &Instr) -> Result<bool, Fault> {
    match instr {
        Instr::Const(num) => exec.push(Value::Num(*num))?,
        Instr::Test(ty, _) => {
            let num = exec.pop_num()?;
            exec.push_i32(i32::from(numeric::is_zero(*ty, num)?))?;
        }
        Instr::Compare(ty, op) => {
            let b = exec.pop_num()?;
            let a = exec.pop_num()?;
            exec.push_i32(i32::from(numeric::compare(*ty, *op, a, b)?))?;
        }
        Instr::Unary(ty, op) => {
            let num = exec.pop_num()?;
            exec.push(Value::Num(numeric::unary(*ty, *op, num)?))?;
        }
        Instr::Binary(ty, op) => {
            let b = exec.pop_num()?;
            let a = exec.pop_num()?;
            match numeric::binary(*ty, *op, a, b) {
                Ok(num) => exec.push(Value::Num(num))?,
                Err(Failure::Trap(trap)) => exec.trap(trap.message())?,
                Err(Failure::Fault(fault)) => return Err(fault),
            }
        }
        Instr::Convert(ty, op) => {
            let num = exec.pop_num()?;
            exec.push(Value::Num(numeric::convert(*ty, *op, num)?))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Vector operators without memory access. Whether `instr` is one.
fn vector(exec: &mut Exec, instr: &Instr) -> Result<bool, Fault> {
    let result = match instr {
        Instr::VecConst(vector) => Value::V128(*vector),
        Instr::VecTest(shape, op) => {
            Value::i32(i32::from(numeric::vec_test(*shape, *op, exec.pop_vec()?)))
        }
        Instr::VecUnary(shape, op) => {
            Value::V128(numeric::vec_unary(*shape, *op, exec.pop_vec()?)?)
        }
        Instr::VecCompare(shape, op) => {
            let (b, a) = (exec.pop_vec()?, exec.pop_vec()?);
            Value::V128(numeric::vec_compare(*shape, *op, a, b))
        }
        Instr::VecBinary(shape, op) => {
            let (b, a) = (exec.pop_vec()?, exec.pop_vec()?);
            Value::V128(numeric::vec_binary(*shape, *op, a, b)?)
        }
        Instr::VecConvert(shape, op) => {
            Value::V128(numeric::vec_convert(*shape, *op, exec.pop_vec()?)?)
        }
        Instr::VecShift(shape, op) => {
            let (by, v) = (exec.pop_num()?, exec.pop_vec()?);
            Value::V128(numeric::vec_shift(*shape, *op, v, by)?)
        }
        Instr::VecBitmask(shape) => Value::i32(numeric::vec_bitmask(*shape, exec.pop_vec()?)),
        Instr::VecTestBits => Value::i32(i32::from(exec.pop_vec()?.0 != [0; 16])),
        Instr::VecUnaryBits => Value::V128(V128(exec.pop_vec()?.0.map(|byte| !byte))),
        Instr::VecBinaryBits(op) => {
            let (b, a) = (exec.pop_vec()?, exec.pop_vec()?);
            Value::V128(numeric::vec_bits(*op, a, b))
        }
        Instr::VecTernaryBits => {
            let (c, b, a) = (exec.pop_vec()?, exec.pop_vec()?, exec.pop_vec()?);
            Value::V128(numeric::vec_bitselect(a, b, c))
        }
        Instr::VecSplat(shape) => Value::V128(numeric::vec_splat(*shape, exec.pop_num()?)?),
        Instr::VecExtract(shape, lane, extension) => {
            let vector = exec.pop_vec()?;
            Value::Num(numeric::vec_extract(*shape, *lane, *extension, vector)?)
        }
        Instr::VecReplace(shape, lane) => {
            let (num, v) = (exec.pop_num()?, exec.pop_vec()?);
            Value::V128(numeric::vec_replace(*shape, *lane, v, num)?)
        }
        _ => return Ok(false),
    };
    exec.push(result)?;
    Ok(true)
}
