//! The compact code of run mode: a register machine whose registers are the locals and the operand
//! slots of a frame.
//!
//! An instruction of the kernel is at most one operation; most `local.get` and constants are none,
//! being operands of what consumes them. Ticks are charged at the start of a straight run of code.

use crate::wasm::ast::{BinOp, NumType, RelOp};

/// A register of the frame: a local, an operand slot, or a saved value.
pub(super) type Slot = u16;

/// An operation. Twelve bytes, so that hot loops stay in the first cache.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// Start of a straight run that costs so many ticks: the place where a run stops.
    Charge(u32),
    /// Further ticks.
    Spend(u32),
    /// The native machine cannot go on; the exact one can, from here.
    Decline,
    Unreachable,
    Const32 {
        dst: Slot,
        value: u32,
    },
    /// Sign-extended.
    Const64 {
        dst: Slot,
        value: i32,
    },
    ConstPool {
        dst: Slot,
        index: u32,
    },
    Copy {
        dst: Slot,
        src: Slot,
    },
    Select {
        dst: Slot,
        condition: Slot,
        a: Slot,
        b: Slot,
    },
    GlobalGet {
        dst: Slot,
        index: u32,
    },
    GlobalSet {
        src: Slot,
        index: u32,
    },
    Jump {
        target: u32,
    },
    JumpIf {
        condition: Slot,
        delta: i16,
        target: u32,
    },
    JumpIfZero {
        condition: Slot,
        delta: i16,
        target: u32,
    },
    /// Through a table of targets, the default last.
    JumpTable {
        index: Slot,
        delta: i16,
        table: u32,
    },
    Call {
        base: Slot,
        rest: Slot,
        size: Slot,
        func: u32,
    },
    CallIndirect {
        base: Slot,
        rest: Slot,
        site: u32,
    },
    HostCall {
        base: Slot,
        func: u32,
    },
    /// Results from `src` on go to the caller.
    Return {
        src: Slot,
        count: Slot,
    },
    MemorySize {
        dst: Slot,
    },
    MemoryGrow {
        dst: Slot,
        src: Slot,
    },
    /// Destination, source or value, and count are in consecutive slots.
    MemoryFill {
        base: Slot,
    },
    MemoryCopy {
        base: Slot,
    },
    MemoryInit {
        base: Slot,
        segment: u32,
    },
    DataDrop {
        segment: u32,
    },
    Load8U {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load16U {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load32U {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load64 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load8S32 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load16S32 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load8S64 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load16S64 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Load32S64 {
        dst: Slot,
        address: Slot,
        offset: u32,
    },
    Store8 {
        address: Slot,
        src: Slot,
        offset: u32,
    },
    Store16 {
        address: Slot,
        src: Slot,
        offset: u32,
    },
    Store32 {
        address: Slot,
        src: Slot,
        offset: u32,
    },
    Store64 {
        address: Slot,
        src: Slot,
        offset: u32,
    },
    I32Clz {
        dst: Slot,
        a: Slot,
    },
    I32Ctz {
        dst: Slot,
        a: Slot,
    },
    I32Popcnt {
        dst: Slot,
        a: Slot,
    },
    I32Extend8 {
        dst: Slot,
        a: Slot,
    },
    I32Extend16 {
        dst: Slot,
        a: Slot,
    },
    I32Eqz {
        dst: Slot,
        a: Slot,
    },
    I32Add {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Sub {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Mul {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32And {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Or {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Xor {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Shl {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32ShrS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32ShrU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Rotl {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Rotr {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32DivS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32DivU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32RemS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32RemU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Eq {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32Ne {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32LtS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32LtU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32GtS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32GtU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32LeS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32LeU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32GeS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32GeU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I32AddImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32SubImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32MulImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32AndImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32OrImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32XorImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32ShlImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32ShrSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32ShrUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32RotlImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32RotrImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32EqImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32NeImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32LtSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32LtUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32GtSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32GtUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32LeSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32LeUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32GeSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I32GeUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64Clz {
        dst: Slot,
        a: Slot,
    },
    I64Ctz {
        dst: Slot,
        a: Slot,
    },
    I64Popcnt {
        dst: Slot,
        a: Slot,
    },
    I64Extend8 {
        dst: Slot,
        a: Slot,
    },
    I64Extend16 {
        dst: Slot,
        a: Slot,
    },
    I64Eqz {
        dst: Slot,
        a: Slot,
    },
    I64Extend32 {
        dst: Slot,
        a: Slot,
    },
    I64Add {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Sub {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Mul {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64And {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Or {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Xor {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Shl {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64ShrS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64ShrU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Rotl {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Rotr {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64DivS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64DivU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64RemS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64RemU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Eq {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64Ne {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64LtS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64LtU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64GtS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64GtU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64LeS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64LeU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64GeS {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64GeU {
        dst: Slot,
        a: Slot,
        b: Slot,
    },
    I64AddImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64SubImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64MulImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64AndImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64OrImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64XorImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64ShlImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64ShrSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64ShrUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64RotlImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64RotrImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64EqImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64NeImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64LtSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64LtUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64GtSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64GtUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64LeSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64LeUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64GeSImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    I64GeUImm {
        dst: Slot,
        a: Slot,
        imm: i32,
    },
    Wrap {
        dst: Slot,
        a: Slot,
    },
    ExtendU {
        dst: Slot,
        a: Slot,
    },
    JumpEq {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpNe {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpLtS {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpLtU {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpGtS {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpGtU {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpLeS {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpLeU {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpGeS {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpGeU {
        a: Slot,
        b: Slot,
        delta: i16,
        target: u32,
    },
    JumpEqImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpNeImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpLtSImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpLtUImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpGtSImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpGtUImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpLeSImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpLeUImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpGeSImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
    JumpGeUImm {
        a: Slot,
        imm: i16,
        delta: i16,
        target: u32,
    },
}

impl Op {
    /// The same operation with its result in another register, if it has one.
    pub(super) const fn with_result(self, dst: Slot) -> Option<Self> {
        Some(match self {
            Self::Select {
                condition, a, b, ..
            } => Self::Select {
                dst,
                condition,
                a,
                b,
            },
            Self::GlobalGet { index, .. } => Self::GlobalGet { dst, index },
            Self::MemorySize { .. } => Self::MemorySize { dst },
            Self::MemoryGrow { src, .. } => Self::MemoryGrow { dst, src },
            Self::Load8U {
                address, offset, ..
            } => Self::Load8U {
                dst,
                address,
                offset,
            },
            Self::Load16U {
                address, offset, ..
            } => Self::Load16U {
                dst,
                address,
                offset,
            },
            Self::Load32U {
                address, offset, ..
            } => Self::Load32U {
                dst,
                address,
                offset,
            },
            Self::Load64 {
                address, offset, ..
            } => Self::Load64 {
                dst,
                address,
                offset,
            },
            Self::Load8S32 {
                address, offset, ..
            } => Self::Load8S32 {
                dst,
                address,
                offset,
            },
            Self::Load16S32 {
                address, offset, ..
            } => Self::Load16S32 {
                dst,
                address,
                offset,
            },
            Self::Load8S64 {
                address, offset, ..
            } => Self::Load8S64 {
                dst,
                address,
                offset,
            },
            Self::Load16S64 {
                address, offset, ..
            } => Self::Load16S64 {
                dst,
                address,
                offset,
            },
            Self::Load32S64 {
                address, offset, ..
            } => Self::Load32S64 {
                dst,
                address,
                offset,
            },
            Self::I32Clz { a, .. } => Self::I32Clz { dst, a },
            Self::I32Ctz { a, .. } => Self::I32Ctz { dst, a },
            Self::I32Popcnt { a, .. } => Self::I32Popcnt { dst, a },
            Self::I32Extend8 { a, .. } => Self::I32Extend8 { dst, a },
            Self::I32Extend16 { a, .. } => Self::I32Extend16 { dst, a },
            Self::I32Eqz { a, .. } => Self::I32Eqz { dst, a },
            Self::I32Add { a, b, .. } => Self::I32Add { dst, a, b },
            Self::I32Sub { a, b, .. } => Self::I32Sub { dst, a, b },
            Self::I32Mul { a, b, .. } => Self::I32Mul { dst, a, b },
            Self::I32And { a, b, .. } => Self::I32And { dst, a, b },
            Self::I32Or { a, b, .. } => Self::I32Or { dst, a, b },
            Self::I32Xor { a, b, .. } => Self::I32Xor { dst, a, b },
            Self::I32Shl { a, b, .. } => Self::I32Shl { dst, a, b },
            Self::I32ShrS { a, b, .. } => Self::I32ShrS { dst, a, b },
            Self::I32ShrU { a, b, .. } => Self::I32ShrU { dst, a, b },
            Self::I32Rotl { a, b, .. } => Self::I32Rotl { dst, a, b },
            Self::I32Rotr { a, b, .. } => Self::I32Rotr { dst, a, b },
            Self::I32DivS { a, b, .. } => Self::I32DivS { dst, a, b },
            Self::I32DivU { a, b, .. } => Self::I32DivU { dst, a, b },
            Self::I32RemS { a, b, .. } => Self::I32RemS { dst, a, b },
            Self::I32RemU { a, b, .. } => Self::I32RemU { dst, a, b },
            Self::I32Eq { a, b, .. } => Self::I32Eq { dst, a, b },
            Self::I32Ne { a, b, .. } => Self::I32Ne { dst, a, b },
            Self::I32LtS { a, b, .. } => Self::I32LtS { dst, a, b },
            Self::I32LtU { a, b, .. } => Self::I32LtU { dst, a, b },
            Self::I32GtS { a, b, .. } => Self::I32GtS { dst, a, b },
            Self::I32GtU { a, b, .. } => Self::I32GtU { dst, a, b },
            Self::I32LeS { a, b, .. } => Self::I32LeS { dst, a, b },
            Self::I32LeU { a, b, .. } => Self::I32LeU { dst, a, b },
            Self::I32GeS { a, b, .. } => Self::I32GeS { dst, a, b },
            Self::I32GeU { a, b, .. } => Self::I32GeU { dst, a, b },
            Self::I32AddImm { a, imm, .. } => Self::I32AddImm { dst, a, imm },
            Self::I32SubImm { a, imm, .. } => Self::I32SubImm { dst, a, imm },
            Self::I32MulImm { a, imm, .. } => Self::I32MulImm { dst, a, imm },
            Self::I32AndImm { a, imm, .. } => Self::I32AndImm { dst, a, imm },
            Self::I32OrImm { a, imm, .. } => Self::I32OrImm { dst, a, imm },
            Self::I32XorImm { a, imm, .. } => Self::I32XorImm { dst, a, imm },
            Self::I32ShlImm { a, imm, .. } => Self::I32ShlImm { dst, a, imm },
            Self::I32ShrSImm { a, imm, .. } => Self::I32ShrSImm { dst, a, imm },
            Self::I32ShrUImm { a, imm, .. } => Self::I32ShrUImm { dst, a, imm },
            Self::I32RotlImm { a, imm, .. } => Self::I32RotlImm { dst, a, imm },
            Self::I32RotrImm { a, imm, .. } => Self::I32RotrImm { dst, a, imm },
            Self::I32EqImm { a, imm, .. } => Self::I32EqImm { dst, a, imm },
            Self::I32NeImm { a, imm, .. } => Self::I32NeImm { dst, a, imm },
            Self::I32LtSImm { a, imm, .. } => Self::I32LtSImm { dst, a, imm },
            Self::I32LtUImm { a, imm, .. } => Self::I32LtUImm { dst, a, imm },
            Self::I32GtSImm { a, imm, .. } => Self::I32GtSImm { dst, a, imm },
            Self::I32GtUImm { a, imm, .. } => Self::I32GtUImm { dst, a, imm },
            Self::I32LeSImm { a, imm, .. } => Self::I32LeSImm { dst, a, imm },
            Self::I32LeUImm { a, imm, .. } => Self::I32LeUImm { dst, a, imm },
            Self::I32GeSImm { a, imm, .. } => Self::I32GeSImm { dst, a, imm },
            Self::I32GeUImm { a, imm, .. } => Self::I32GeUImm { dst, a, imm },
            Self::I64Clz { a, .. } => Self::I64Clz { dst, a },
            Self::I64Ctz { a, .. } => Self::I64Ctz { dst, a },
            Self::I64Popcnt { a, .. } => Self::I64Popcnt { dst, a },
            Self::I64Extend8 { a, .. } => Self::I64Extend8 { dst, a },
            Self::I64Extend16 { a, .. } => Self::I64Extend16 { dst, a },
            Self::I64Eqz { a, .. } => Self::I64Eqz { dst, a },
            Self::I64Extend32 { a, .. } => Self::I64Extend32 { dst, a },
            Self::I64Add { a, b, .. } => Self::I64Add { dst, a, b },
            Self::I64Sub { a, b, .. } => Self::I64Sub { dst, a, b },
            Self::I64Mul { a, b, .. } => Self::I64Mul { dst, a, b },
            Self::I64And { a, b, .. } => Self::I64And { dst, a, b },
            Self::I64Or { a, b, .. } => Self::I64Or { dst, a, b },
            Self::I64Xor { a, b, .. } => Self::I64Xor { dst, a, b },
            Self::I64Shl { a, b, .. } => Self::I64Shl { dst, a, b },
            Self::I64ShrS { a, b, .. } => Self::I64ShrS { dst, a, b },
            Self::I64ShrU { a, b, .. } => Self::I64ShrU { dst, a, b },
            Self::I64Rotl { a, b, .. } => Self::I64Rotl { dst, a, b },
            Self::I64Rotr { a, b, .. } => Self::I64Rotr { dst, a, b },
            Self::I64DivS { a, b, .. } => Self::I64DivS { dst, a, b },
            Self::I64DivU { a, b, .. } => Self::I64DivU { dst, a, b },
            Self::I64RemS { a, b, .. } => Self::I64RemS { dst, a, b },
            Self::I64RemU { a, b, .. } => Self::I64RemU { dst, a, b },
            Self::I64Eq { a, b, .. } => Self::I64Eq { dst, a, b },
            Self::I64Ne { a, b, .. } => Self::I64Ne { dst, a, b },
            Self::I64LtS { a, b, .. } => Self::I64LtS { dst, a, b },
            Self::I64LtU { a, b, .. } => Self::I64LtU { dst, a, b },
            Self::I64GtS { a, b, .. } => Self::I64GtS { dst, a, b },
            Self::I64GtU { a, b, .. } => Self::I64GtU { dst, a, b },
            Self::I64LeS { a, b, .. } => Self::I64LeS { dst, a, b },
            Self::I64LeU { a, b, .. } => Self::I64LeU { dst, a, b },
            Self::I64GeS { a, b, .. } => Self::I64GeS { dst, a, b },
            Self::I64GeU { a, b, .. } => Self::I64GeU { dst, a, b },
            Self::I64AddImm { a, imm, .. } => Self::I64AddImm { dst, a, imm },
            Self::I64SubImm { a, imm, .. } => Self::I64SubImm { dst, a, imm },
            Self::I64MulImm { a, imm, .. } => Self::I64MulImm { dst, a, imm },
            Self::I64AndImm { a, imm, .. } => Self::I64AndImm { dst, a, imm },
            Self::I64OrImm { a, imm, .. } => Self::I64OrImm { dst, a, imm },
            Self::I64XorImm { a, imm, .. } => Self::I64XorImm { dst, a, imm },
            Self::I64ShlImm { a, imm, .. } => Self::I64ShlImm { dst, a, imm },
            Self::I64ShrSImm { a, imm, .. } => Self::I64ShrSImm { dst, a, imm },
            Self::I64ShrUImm { a, imm, .. } => Self::I64ShrUImm { dst, a, imm },
            Self::I64RotlImm { a, imm, .. } => Self::I64RotlImm { dst, a, imm },
            Self::I64RotrImm { a, imm, .. } => Self::I64RotrImm { dst, a, imm },
            Self::I64EqImm { a, imm, .. } => Self::I64EqImm { dst, a, imm },
            Self::I64NeImm { a, imm, .. } => Self::I64NeImm { dst, a, imm },
            Self::I64LtSImm { a, imm, .. } => Self::I64LtSImm { dst, a, imm },
            Self::I64LtUImm { a, imm, .. } => Self::I64LtUImm { dst, a, imm },
            Self::I64GtSImm { a, imm, .. } => Self::I64GtSImm { dst, a, imm },
            Self::I64GtUImm { a, imm, .. } => Self::I64GtUImm { dst, a, imm },
            Self::I64LeSImm { a, imm, .. } => Self::I64LeSImm { dst, a, imm },
            Self::I64LeUImm { a, imm, .. } => Self::I64LeUImm { dst, a, imm },
            Self::I64GeSImm { a, imm, .. } => Self::I64GeSImm { dst, a, imm },
            Self::I64GeUImm { a, imm, .. } => Self::I64GeUImm { dst, a, imm },
            Self::Wrap { a, .. } => Self::Wrap { dst, a },
            Self::ExtendU { a, .. } => Self::ExtendU { dst, a },
            _ => return None,
        })
    }

    /// The register of its result.
    pub(super) const fn result(self) -> Option<Slot> {
        Some(match self {
            Self::Select { dst, .. }
            | Self::GlobalGet { dst, .. }
            | Self::MemorySize { dst, .. }
            | Self::MemoryGrow { dst, .. }
            | Self::Load8U { dst, .. }
            | Self::Load16U { dst, .. }
            | Self::Load32U { dst, .. }
            | Self::Load64 { dst, .. }
            | Self::Load8S32 { dst, .. }
            | Self::Load16S32 { dst, .. }
            | Self::Load8S64 { dst, .. }
            | Self::Load16S64 { dst, .. }
            | Self::Load32S64 { dst, .. }
            | Self::I32Clz { dst, .. }
            | Self::I32Ctz { dst, .. }
            | Self::I32Popcnt { dst, .. }
            | Self::I32Extend8 { dst, .. }
            | Self::I32Extend16 { dst, .. }
            | Self::I32Eqz { dst, .. }
            | Self::I32Add { dst, .. }
            | Self::I32Sub { dst, .. }
            | Self::I32Mul { dst, .. }
            | Self::I32And { dst, .. }
            | Self::I32Or { dst, .. }
            | Self::I32Xor { dst, .. }
            | Self::I32Shl { dst, .. }
            | Self::I32ShrS { dst, .. }
            | Self::I32ShrU { dst, .. }
            | Self::I32Rotl { dst, .. }
            | Self::I32Rotr { dst, .. }
            | Self::I32DivS { dst, .. }
            | Self::I32DivU { dst, .. }
            | Self::I32RemS { dst, .. }
            | Self::I32RemU { dst, .. }
            | Self::I32Eq { dst, .. }
            | Self::I32Ne { dst, .. }
            | Self::I32LtS { dst, .. }
            | Self::I32LtU { dst, .. }
            | Self::I32GtS { dst, .. }
            | Self::I32GtU { dst, .. }
            | Self::I32LeS { dst, .. }
            | Self::I32LeU { dst, .. }
            | Self::I32GeS { dst, .. }
            | Self::I32GeU { dst, .. }
            | Self::I32AddImm { dst, .. }
            | Self::I32SubImm { dst, .. }
            | Self::I32MulImm { dst, .. }
            | Self::I32AndImm { dst, .. }
            | Self::I32OrImm { dst, .. }
            | Self::I32XorImm { dst, .. }
            | Self::I32ShlImm { dst, .. }
            | Self::I32ShrSImm { dst, .. }
            | Self::I32ShrUImm { dst, .. }
            | Self::I32RotlImm { dst, .. }
            | Self::I32RotrImm { dst, .. }
            | Self::I32EqImm { dst, .. }
            | Self::I32NeImm { dst, .. }
            | Self::I32LtSImm { dst, .. }
            | Self::I32LtUImm { dst, .. }
            | Self::I32GtSImm { dst, .. }
            | Self::I32GtUImm { dst, .. }
            | Self::I32LeSImm { dst, .. }
            | Self::I32LeUImm { dst, .. }
            | Self::I32GeSImm { dst, .. }
            | Self::I32GeUImm { dst, .. }
            | Self::I64Clz { dst, .. }
            | Self::I64Ctz { dst, .. }
            | Self::I64Popcnt { dst, .. }
            | Self::I64Extend8 { dst, .. }
            | Self::I64Extend16 { dst, .. }
            | Self::I64Eqz { dst, .. }
            | Self::I64Extend32 { dst, .. }
            | Self::I64Add { dst, .. }
            | Self::I64Sub { dst, .. }
            | Self::I64Mul { dst, .. }
            | Self::I64And { dst, .. }
            | Self::I64Or { dst, .. }
            | Self::I64Xor { dst, .. }
            | Self::I64Shl { dst, .. }
            | Self::I64ShrS { dst, .. }
            | Self::I64ShrU { dst, .. }
            | Self::I64Rotl { dst, .. }
            | Self::I64Rotr { dst, .. }
            | Self::I64DivS { dst, .. }
            | Self::I64DivU { dst, .. }
            | Self::I64RemS { dst, .. }
            | Self::I64RemU { dst, .. }
            | Self::I64Eq { dst, .. }
            | Self::I64Ne { dst, .. }
            | Self::I64LtS { dst, .. }
            | Self::I64LtU { dst, .. }
            | Self::I64GtS { dst, .. }
            | Self::I64GtU { dst, .. }
            | Self::I64LeS { dst, .. }
            | Self::I64LeU { dst, .. }
            | Self::I64GeS { dst, .. }
            | Self::I64GeU { dst, .. }
            | Self::I64AddImm { dst, .. }
            | Self::I64SubImm { dst, .. }
            | Self::I64MulImm { dst, .. }
            | Self::I64AndImm { dst, .. }
            | Self::I64OrImm { dst, .. }
            | Self::I64XorImm { dst, .. }
            | Self::I64ShlImm { dst, .. }
            | Self::I64ShrSImm { dst, .. }
            | Self::I64ShrUImm { dst, .. }
            | Self::I64RotlImm { dst, .. }
            | Self::I64RotrImm { dst, .. }
            | Self::I64EqImm { dst, .. }
            | Self::I64NeImm { dst, .. }
            | Self::I64LtSImm { dst, .. }
            | Self::I64LtUImm { dst, .. }
            | Self::I64GtSImm { dst, .. }
            | Self::I64GtUImm { dst, .. }
            | Self::I64LeSImm { dst, .. }
            | Self::I64LeUImm { dst, .. }
            | Self::I64GeSImm { dst, .. }
            | Self::I64GeUImm { dst, .. }
            | Self::Wrap { dst, .. }
            | Self::ExtendU { dst, .. } => dst,
            _ => return None,
        })
    }

    /// A branch taken when the comparison that this operation makes holds, or when it does not.
    pub(super) fn into_branch(self, holds: bool) -> Option<Self> {
        let (delta, target) = (0, 0);
        let narrow = |imm: i32| i16::try_from(imm).ok();
        Some(match (self, holds) {
            (Self::I32Eqz { a, .. }, true) => Self::JumpIfZero {
                condition: a,
                delta,
                target,
            },
            (Self::I32Eqz { a, .. }, false) => Self::JumpIf {
                condition: a,
                delta,
                target,
            },
            (Self::I32Eq { a, b, .. }, true) | (Self::I32Ne { a, b, .. }, false) => Self::JumpEq {
                a,
                b,
                delta,
                target,
            },
            (Self::I32EqImm { a, imm, .. }, true) | (Self::I32NeImm { a, imm, .. }, false) => {
                Self::JumpEqImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32Ne { a, b, .. }, true) | (Self::I32Eq { a, b, .. }, false) => Self::JumpNe {
                a,
                b,
                delta,
                target,
            },
            (Self::I32NeImm { a, imm, .. }, true) | (Self::I32EqImm { a, imm, .. }, false) => {
                Self::JumpNeImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32LtS { a, b, .. }, true) | (Self::I32GeS { a, b, .. }, false) => {
                Self::JumpLtS {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32LtSImm { a, imm, .. }, true) | (Self::I32GeSImm { a, imm, .. }, false) => {
                Self::JumpLtSImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32LtU { a, b, .. }, true) | (Self::I32GeU { a, b, .. }, false) => {
                Self::JumpLtU {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32LtUImm { a, imm, .. }, true) | (Self::I32GeUImm { a, imm, .. }, false) => {
                Self::JumpLtUImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32GtS { a, b, .. }, true) | (Self::I32LeS { a, b, .. }, false) => {
                Self::JumpGtS {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32GtSImm { a, imm, .. }, true) | (Self::I32LeSImm { a, imm, .. }, false) => {
                Self::JumpGtSImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32GtU { a, b, .. }, true) | (Self::I32LeU { a, b, .. }, false) => {
                Self::JumpGtU {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32GtUImm { a, imm, .. }, true) | (Self::I32LeUImm { a, imm, .. }, false) => {
                Self::JumpGtUImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32LeS { a, b, .. }, true) | (Self::I32GtS { a, b, .. }, false) => {
                Self::JumpLeS {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32LeSImm { a, imm, .. }, true) | (Self::I32GtSImm { a, imm, .. }, false) => {
                Self::JumpLeSImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32LeU { a, b, .. }, true) | (Self::I32GtU { a, b, .. }, false) => {
                Self::JumpLeU {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32LeUImm { a, imm, .. }, true) | (Self::I32GtUImm { a, imm, .. }, false) => {
                Self::JumpLeUImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32GeS { a, b, .. }, true) | (Self::I32LtS { a, b, .. }, false) => {
                Self::JumpGeS {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32GeSImm { a, imm, .. }, true) | (Self::I32LtSImm { a, imm, .. }, false) => {
                Self::JumpGeSImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            (Self::I32GeU { a, b, .. }, true) | (Self::I32LtU { a, b, .. }, false) => {
                Self::JumpGeU {
                    a,
                    b,
                    delta,
                    target,
                }
            }
            (Self::I32GeUImm { a, imm, .. }, true) | (Self::I32LtUImm { a, imm, .. }, false) => {
                Self::JumpGeUImm {
                    a,
                    imm: narrow(imm)?,
                    delta,
                    target,
                }
            }
            _ => return None,
        })
    }

    /// Where a jump goes.
    pub(super) const fn target_mut(&mut self) -> Option<&mut u32> {
        match self {
            Self::Jump { target }
            | Self::JumpIf { target, .. }
            | Self::JumpIfZero { target, .. }
            | Self::JumpEq { target, .. }
            | Self::JumpEqImm { target, .. }
            | Self::JumpNe { target, .. }
            | Self::JumpNeImm { target, .. }
            | Self::JumpLtS { target, .. }
            | Self::JumpLtSImm { target, .. }
            | Self::JumpLtU { target, .. }
            | Self::JumpLtUImm { target, .. }
            | Self::JumpGtS { target, .. }
            | Self::JumpGtSImm { target, .. }
            | Self::JumpGtU { target, .. }
            | Self::JumpGtUImm { target, .. }
            | Self::JumpLeS { target, .. }
            | Self::JumpLeSImm { target, .. }
            | Self::JumpLeU { target, .. }
            | Self::JumpLeUImm { target, .. }
            | Self::JumpGeS { target, .. }
            | Self::JumpGeSImm { target, .. }
            | Self::JumpGeU { target, .. }
            | Self::JumpGeUImm { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Ticks that taking a branch costs beyond what was charged.
    pub(super) const fn delta_mut(&mut self) -> Option<&mut i16> {
        match self {
            Self::JumpIf { delta, .. }
            | Self::JumpIfZero { delta, .. }
            | Self::JumpTable { delta, .. }
            | Self::JumpEq { delta, .. }
            | Self::JumpEqImm { delta, .. }
            | Self::JumpNe { delta, .. }
            | Self::JumpNeImm { delta, .. }
            | Self::JumpLtS { delta, .. }
            | Self::JumpLtSImm { delta, .. }
            | Self::JumpLtU { delta, .. }
            | Self::JumpLtUImm { delta, .. }
            | Self::JumpGtS { delta, .. }
            | Self::JumpGtSImm { delta, .. }
            | Self::JumpGtU { delta, .. }
            | Self::JumpGtUImm { delta, .. }
            | Self::JumpLeS { delta, .. }
            | Self::JumpLeSImm { delta, .. }
            | Self::JumpLeU { delta, .. }
            | Self::JumpLeUImm { delta, .. }
            | Self::JumpGeS { delta, .. }
            | Self::JumpGeSImm { delta, .. }
            | Self::JumpGeU { delta, .. }
            | Self::JumpGeUImm { delta, .. } => Some(delta),
            _ => None,
        }
    }
}

/// The operation of a binary operator on two registers.
pub(super) const fn binary(ty: NumType, op: BinOp, dst: Slot, a: Slot, b: Slot) -> Op {
    match (ty, op) {
        (NumType::I32, BinOp::Add) => Op::I32Add { dst, a, b },
        (NumType::I32, BinOp::Sub) => Op::I32Sub { dst, a, b },
        (NumType::I32, BinOp::Mul) => Op::I32Mul { dst, a, b },
        (NumType::I32, BinOp::And) => Op::I32And { dst, a, b },
        (NumType::I32, BinOp::Or) => Op::I32Or { dst, a, b },
        (NumType::I32, BinOp::Xor) => Op::I32Xor { dst, a, b },
        (NumType::I32, BinOp::Shl) => Op::I32Shl { dst, a, b },
        (NumType::I32, BinOp::ShrS) => Op::I32ShrS { dst, a, b },
        (NumType::I32, BinOp::ShrU) => Op::I32ShrU { dst, a, b },
        (NumType::I32, BinOp::Rotl) => Op::I32Rotl { dst, a, b },
        (NumType::I32, BinOp::Rotr) => Op::I32Rotr { dst, a, b },
        (NumType::I32, BinOp::DivS) => Op::I32DivS { dst, a, b },
        (NumType::I32, BinOp::DivU) => Op::I32DivU { dst, a, b },
        (NumType::I32, BinOp::RemS) => Op::I32RemS { dst, a, b },
        (NumType::I32, BinOp::RemU) => Op::I32RemU { dst, a, b },
        (NumType::I64, BinOp::Add) => Op::I64Add { dst, a, b },
        (NumType::I64, BinOp::Sub) => Op::I64Sub { dst, a, b },
        (NumType::I64, BinOp::Mul) => Op::I64Mul { dst, a, b },
        (NumType::I64, BinOp::And) => Op::I64And { dst, a, b },
        (NumType::I64, BinOp::Or) => Op::I64Or { dst, a, b },
        (NumType::I64, BinOp::Xor) => Op::I64Xor { dst, a, b },
        (NumType::I64, BinOp::Shl) => Op::I64Shl { dst, a, b },
        (NumType::I64, BinOp::ShrS) => Op::I64ShrS { dst, a, b },
        (NumType::I64, BinOp::ShrU) => Op::I64ShrU { dst, a, b },
        (NumType::I64, BinOp::Rotl) => Op::I64Rotl { dst, a, b },
        (NumType::I64, BinOp::Rotr) => Op::I64Rotr { dst, a, b },
        (NumType::I64, BinOp::DivS) => Op::I64DivS { dst, a, b },
        (NumType::I64, BinOp::DivU) => Op::I64DivU { dst, a, b },
        (NumType::I64, BinOp::RemS) => Op::I64RemS { dst, a, b },
        (NumType::I64, BinOp::RemU) => Op::I64RemU { dst, a, b },
    }
}

/// The operation of a binary operator on a register and a constant, if there is one.
pub(super) const fn binary_immediate(
    ty: NumType,
    op: BinOp,
    dst: Slot,
    a: Slot,
    imm: i32,
) -> Option<Op> {
    Some(match (ty, op) {
        (NumType::I32, BinOp::Add) => Op::I32AddImm { dst, a, imm },
        (NumType::I32, BinOp::Sub) => Op::I32SubImm { dst, a, imm },
        (NumType::I32, BinOp::Mul) => Op::I32MulImm { dst, a, imm },
        (NumType::I32, BinOp::And) => Op::I32AndImm { dst, a, imm },
        (NumType::I32, BinOp::Or) => Op::I32OrImm { dst, a, imm },
        (NumType::I32, BinOp::Xor) => Op::I32XorImm { dst, a, imm },
        (NumType::I32, BinOp::Shl) => Op::I32ShlImm { dst, a, imm },
        (NumType::I32, BinOp::ShrS) => Op::I32ShrSImm { dst, a, imm },
        (NumType::I32, BinOp::ShrU) => Op::I32ShrUImm { dst, a, imm },
        (NumType::I32, BinOp::Rotl) => Op::I32RotlImm { dst, a, imm },
        (NumType::I32, BinOp::Rotr) => Op::I32RotrImm { dst, a, imm },
        (NumType::I64, BinOp::Add) => Op::I64AddImm { dst, a, imm },
        (NumType::I64, BinOp::Sub) => Op::I64SubImm { dst, a, imm },
        (NumType::I64, BinOp::Mul) => Op::I64MulImm { dst, a, imm },
        (NumType::I64, BinOp::And) => Op::I64AndImm { dst, a, imm },
        (NumType::I64, BinOp::Or) => Op::I64OrImm { dst, a, imm },
        (NumType::I64, BinOp::Xor) => Op::I64XorImm { dst, a, imm },
        (NumType::I64, BinOp::Shl) => Op::I64ShlImm { dst, a, imm },
        (NumType::I64, BinOp::ShrS) => Op::I64ShrSImm { dst, a, imm },
        (NumType::I64, BinOp::ShrU) => Op::I64ShrUImm { dst, a, imm },
        (NumType::I64, BinOp::Rotl) => Op::I64RotlImm { dst, a, imm },
        (NumType::I64, BinOp::Rotr) => Op::I64RotrImm { dst, a, imm },
        _ => return None,
    })
}

/// The operation of a comparison of two registers.
pub(super) const fn compare(ty: NumType, op: RelOp, dst: Slot, a: Slot, b: Slot) -> Op {
    match (ty, op) {
        (NumType::I32, RelOp::Eq) => Op::I32Eq { dst, a, b },
        (NumType::I32, RelOp::Ne) => Op::I32Ne { dst, a, b },
        (NumType::I32, RelOp::LtS) => Op::I32LtS { dst, a, b },
        (NumType::I32, RelOp::LtU) => Op::I32LtU { dst, a, b },
        (NumType::I32, RelOp::GtS) => Op::I32GtS { dst, a, b },
        (NumType::I32, RelOp::GtU) => Op::I32GtU { dst, a, b },
        (NumType::I32, RelOp::LeS) => Op::I32LeS { dst, a, b },
        (NumType::I32, RelOp::LeU) => Op::I32LeU { dst, a, b },
        (NumType::I32, RelOp::GeS) => Op::I32GeS { dst, a, b },
        (NumType::I32, RelOp::GeU) => Op::I32GeU { dst, a, b },
        (NumType::I64, RelOp::Eq) => Op::I64Eq { dst, a, b },
        (NumType::I64, RelOp::Ne) => Op::I64Ne { dst, a, b },
        (NumType::I64, RelOp::LtS) => Op::I64LtS { dst, a, b },
        (NumType::I64, RelOp::LtU) => Op::I64LtU { dst, a, b },
        (NumType::I64, RelOp::GtS) => Op::I64GtS { dst, a, b },
        (NumType::I64, RelOp::GtU) => Op::I64GtU { dst, a, b },
        (NumType::I64, RelOp::LeS) => Op::I64LeS { dst, a, b },
        (NumType::I64, RelOp::LeU) => Op::I64LeU { dst, a, b },
        (NumType::I64, RelOp::GeS) => Op::I64GeS { dst, a, b },
        (NumType::I64, RelOp::GeU) => Op::I64GeU { dst, a, b },
    }
}

/// The operation of a comparison with a constant.
pub(super) const fn compare_immediate(ty: NumType, op: RelOp, dst: Slot, a: Slot, imm: i32) -> Op {
    match (ty, op) {
        (NumType::I32, RelOp::Eq) => Op::I32EqImm { dst, a, imm },
        (NumType::I32, RelOp::Ne) => Op::I32NeImm { dst, a, imm },
        (NumType::I32, RelOp::LtS) => Op::I32LtSImm { dst, a, imm },
        (NumType::I32, RelOp::LtU) => Op::I32LtUImm { dst, a, imm },
        (NumType::I32, RelOp::GtS) => Op::I32GtSImm { dst, a, imm },
        (NumType::I32, RelOp::GtU) => Op::I32GtUImm { dst, a, imm },
        (NumType::I32, RelOp::LeS) => Op::I32LeSImm { dst, a, imm },
        (NumType::I32, RelOp::LeU) => Op::I32LeUImm { dst, a, imm },
        (NumType::I32, RelOp::GeS) => Op::I32GeSImm { dst, a, imm },
        (NumType::I32, RelOp::GeU) => Op::I32GeUImm { dst, a, imm },
        (NumType::I64, RelOp::Eq) => Op::I64EqImm { dst, a, imm },
        (NumType::I64, RelOp::Ne) => Op::I64NeImm { dst, a, imm },
        (NumType::I64, RelOp::LtS) => Op::I64LtSImm { dst, a, imm },
        (NumType::I64, RelOp::LtU) => Op::I64LtUImm { dst, a, imm },
        (NumType::I64, RelOp::GtS) => Op::I64GtSImm { dst, a, imm },
        (NumType::I64, RelOp::GtU) => Op::I64GtUImm { dst, a, imm },
        (NumType::I64, RelOp::LeS) => Op::I64LeSImm { dst, a, imm },
        (NumType::I64, RelOp::LeU) => Op::I64LeUImm { dst, a, imm },
        (NumType::I64, RelOp::GeS) => Op::I64GeSImm { dst, a, imm },
        (NumType::I64, RelOp::GeU) => Op::I64GeUImm { dst, a, imm },
    }
}
