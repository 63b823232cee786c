//! Which operation an operator of the kernel becomes.

use super::{Op, Slot};
use crate::wasm::ast::{BinOp, NumType, RelOp};

/// An operation of these fields.
macro_rules! operation {
    ($name:ident { $($field:ident),* }) => { Op::$name { $($field),* } };
}

/// The operation of an operator by the width of its operands.
macro_rules! choose {
    ($op:expr, $ty:expr, $fields:tt; $kind:ident { $($rows:tt)* }) => {
        choose!($op, $ty, $fields; $kind { $($rows)* } otherwise {})
    };
    (
        $op:expr, $ty:expr, $fields:tt;
        $kind:ident { $($name:ident => $narrow:ident $wide:ident,)* }
        otherwise { $($otherwise:tt)* }
    ) => {
        match ($op, $ty) {
            $(
                ($kind::$name, NumType::I32) => operation!($narrow $fields),
                ($kind::$name, NumType::I64) => operation!($wide $fields),
            )*
            $($otherwise)*
        }
    };
}

/// The operation of a binary operator on two registers.
pub(in crate::wasm::run) const fn binary(
    ty: NumType,
    op: BinOp,
    dst: Slot,
    a: Slot,
    b: Slot,
) -> Op {
    choose! {
        op, ty, { dst, a, b };
        BinOp {
            Add => I32Add I64Add,
            Sub => I32Sub I64Sub,
            Mul => I32Mul I64Mul,
            And => I32And I64And,
            Or => I32Or I64Or,
            Xor => I32Xor I64Xor,
            Shl => I32Shl I64Shl,
            ShrS => I32ShrS I64ShrS,
            ShrU => I32ShrU I64ShrU,
            Rotl => I32Rotl I64Rotl,
            Rotr => I32Rotr I64Rotr,
            DivS => I32DivS I64DivS,
            DivU => I32DivU I64DivU,
            RemS => I32RemS I64RemS,
            RemU => I32RemU I64RemU,
        }
    }
}

/// The operation of a binary operator on a register and a constant, if there is one.
pub(in crate::wasm::run) const fn binary_immediate(
    ty: NumType,
    op: BinOp,
    dst: Slot,
    a: Slot,
    imm: i32,
) -> Option<Op> {
    Some(choose! {
        op, ty, { dst, a, imm };
        BinOp {
            Add => I32AddImm I64AddImm,
            Sub => I32SubImm I64SubImm,
            Mul => I32MulImm I64MulImm,
            And => I32AndImm I64AndImm,
            Or => I32OrImm I64OrImm,
            Xor => I32XorImm I64XorImm,
            Shl => I32ShlImm I64ShlImm,
            ShrS => I32ShrSImm I64ShrSImm,
            ShrU => I32ShrUImm I64ShrUImm,
            Rotl => I32RotlImm I64RotlImm,
            Rotr => I32RotrImm I64RotrImm,
        }
        otherwise { _ => return None, }
    })
}

/// The operation of a comparison of two registers.
pub(in crate::wasm::run) const fn compare(
    ty: NumType,
    op: RelOp,
    dst: Slot,
    a: Slot,
    b: Slot,
) -> Op {
    choose! {
        op, ty, { dst, a, b };
        RelOp {
            Eq => I32Eq I64Eq,
            Ne => I32Ne I64Ne,
            LtS => I32LtS I64LtS,
            LtU => I32LtU I64LtU,
            GtS => I32GtS I64GtS,
            GtU => I32GtU I64GtU,
            LeS => I32LeS I64LeS,
            LeU => I32LeU I64LeU,
            GeS => I32GeS I64GeS,
            GeU => I32GeU I64GeU,
        }
    }
}

/// The operation of a comparison with a constant.
pub(in crate::wasm::run) const fn compare_immediate(
    ty: NumType,
    op: RelOp,
    dst: Slot,
    a: Slot,
    imm: i32,
) -> Op {
    choose! {
        op, ty, { dst, a, imm };
        RelOp {
            Eq => I32EqImm I64EqImm,
            Ne => I32NeImm I64NeImm,
            LtS => I32LtSImm I64LtSImm,
            LtU => I32LtUImm I64LtUImm,
            GtS => I32GtSImm I64GtSImm,
            GtU => I32GtUImm I64GtUImm,
            LeS => I32LeSImm I64LeSImm,
            LeU => I32LeUImm I64LeUImm,
            GeS => I32GeSImm I64GeSImm,
            GeU => I32GeUImm I64GeUImm,
        }
    }
}

/// The branch that a comparison becomes, when it holds and, with the opposite one, when it does not.
macro_rules! branches {
    ($compared:expr; $($when:ident $not:ident $jump:ident / $when_imm:ident $not_imm:ident $jump_imm:ident,)*) => {
        match $compared {
            $(
                (Op::$when { a, b, .. }, true) | (Op::$not { a, b, .. }, false) => Op::$jump {
                    a,
                    b,
                    delta: 0,
                    target: 0,
                },
                (Op::$when_imm { a, imm, .. }, true) | (Op::$not_imm { a, imm, .. }, false) => {
                    Op::$jump_imm {
                        a,
                        imm: i16::try_from(imm).ok()?,
                        delta: 0,
                        target: 0,
                    }
                }
            )*
            (Op::I32Eqz { a: condition, .. }, true) => Op::JumpIfZero {
                condition,
                delta: 0,
                target: 0,
            },
            (Op::I32Eqz { a: condition, .. }, false) => Op::JumpIf {
                condition,
                delta: 0,
                target: 0,
            },
            _ => return None,
        }
    };
}

impl Op {
    /// A branch taken when the comparison that this operation makes holds, or when it does not.
    pub(in crate::wasm::run) fn into_branch(self, holds: bool) -> Option<Self> {
        Some(branches! {
            (self, holds);
            I32Eq I32Ne JumpEq / I32EqImm I32NeImm JumpEqImm,
            I32Ne I32Eq JumpNe / I32NeImm I32EqImm JumpNeImm,
            I32LtS I32GeS JumpLtS / I32LtSImm I32GeSImm JumpLtSImm,
            I32LtU I32GeU JumpLtU / I32LtUImm I32GeUImm JumpLtUImm,
            I32GtS I32LeS JumpGtS / I32GtSImm I32LeSImm JumpGtSImm,
            I32GtU I32LeU JumpGtU / I32GtUImm I32LeUImm JumpGtUImm,
            I32LeS I32GtS JumpLeS / I32LeSImm I32GtSImm JumpLeSImm,
            I32LeU I32GtU JumpLeU / I32LeUImm I32GtUImm JumpLeUImm,
            I32GeS I32LtS JumpGeS / I32GeSImm I32LtSImm JumpGeSImm,
            I32GeU I32LtU JumpGeU / I32GeUImm I32LtUImm JumpGeUImm,
        })
    }
}
