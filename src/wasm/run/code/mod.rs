//! The compact code of run mode: a register machine whose registers are the locals and the operand
//! slots of a frame.
//!
//! An instruction of the kernel is at most one operation; most `local.get` and constants are none,
//! being operands of what consumes them. Ticks are charged at the start of a straight run of code.

mod choice;

use super::kept::Kept;
use crate::codec::{DecodeError, Reader, Writer};

pub(super) use choice::{binary, binary_immediate, compare, compare_immediate};

/// A register of the frame: a local, an operand slot, or a saved value.
pub(super) type Slot = u16;

/// The operations: those with fields of their own, then families by what they hold. Each is kept on
/// disk as the byte that is its place in the list, and its fields.
macro_rules! operations {
    (
        cost { $($(#[$cost_doc:meta])* $cost:ident)* }
        bare { $($(#[$bare_doc:meta])* $bare:ident)* }
        other { $($(#[$doc:meta])* $other:ident { $($field:ident: $ty:ty),* },)* }
        unary { $($unary:ident)* }
        binary { $($binary:ident)* }
        immediate { $($immediate:ident)* }
        load { $($load:ident)* }
        store { $($store:ident)* }
        branch { $($branch:ident)* }
        branch_immediate { $($branch_immediate:ident)* }
    ) => {
        /// An operation. Twelve bytes, so that hot loops stay in the first cache.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(super) enum Op {
            $($(#[$cost_doc])* $cost(u32),)*
            $($(#[$bare_doc])* $bare,)*
            $($(#[$doc])* $other { $($field: $ty),* },)*
            $($unary { dst: Slot, a: Slot },)*
            $($binary { dst: Slot, a: Slot, b: Slot },)*
            $($immediate { dst: Slot, a: Slot, imm: i32 },)*
            $($load { dst: Slot, address: Slot, offset: u32 },)*
            $($store { address: Slot, src: Slot, offset: u32 },)*
            $($branch { a: Slot, b: Slot, delta: i16, target: u32 },)*
            $($branch_immediate { a: Slot, imm: i16, delta: i16, target: u32 },)*
        }

        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Tag {
            $($cost,)* $($bare,)* $($other,)* $($unary,)* $($binary,)* $($immediate,)* $($load,)*
            $($store,)* $($branch,)* $($branch_immediate,)*
        }

        /// The bytes that name operations on disk.
        #[allow(non_upper_case_globals)]
        mod tag {
            use super::Tag;
            operations!(@tags $($cost)* $($bare)* $($other)* $($unary)* $($binary)* $($immediate)*
                $($load)* $($store)* $($branch)* $($branch_immediate)*);
        }

        impl Kept for Op {
            fn put(&self, out: &mut Writer) {
                match *self {
                    $(Self::$cost(cost) => operations!(@put out, $cost { cost }),)*
                    $(Self::$bare => operations!(@put out, $bare {}),)*
                    $(Self::$other { $($field),* } => operations!(@put out, $other { $($field),* }),)*
                    $(Self::$unary { dst, a } => operations!(@put out, $unary { dst, a }),)*
                    $(Self::$binary { dst, a, b } => operations!(@put out, $binary { dst, a, b }),)*
                    $(Self::$immediate { dst, a, imm } => {
                        operations!(@put out, $immediate { dst, a, imm });
                    })*
                    $(Self::$load { dst, address, offset } => {
                        operations!(@put out, $load { dst, address, offset });
                    })*
                    $(Self::$store { address, src, offset } => {
                        operations!(@put out, $store { address, src, offset });
                    })*
                    $(Self::$branch { a, b, delta, target } => {
                        operations!(@put out, $branch { a, b, delta, target });
                    })*
                    $(Self::$branch_immediate { a, imm, delta, target } => {
                        operations!(@put out, $branch_immediate { a, imm, delta, target });
                    })*
                }
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let at = from.clone();
                Ok(match from.u8("operation")? {
                    $(tag::$cost => Self::$cost(Kept::take(from)?),)*
                    $(tag::$bare => Self::$bare,)*
                    $(tag::$other => operations!(@take from, $other { $($field),* }),)*
                    $(tag::$unary => operations!(@take from, $unary { dst, a }),)*
                    $(tag::$binary => operations!(@take from, $binary { dst, a, b }),)*
                    $(tag::$immediate => operations!(@take from, $immediate { dst, a, imm }),)*
                    $(tag::$load => operations!(@take from, $load { dst, address, offset }),)*
                    $(tag::$store => operations!(@take from, $store { address, src, offset }),)*
                    $(tag::$branch => operations!(@take from, $branch { a, b, delta, target }),)*
                    $(tag::$branch_immediate => {
                        operations!(@take from, $branch_immediate { a, imm, delta, target })
                    })*
                    other => return Err(at.invalid("operation", format!("none has number {other}"))),
                })
            }
        }

        impl Op {
            /// The same operation with its result in another register, if it has one.
            pub(super) const fn with_result(mut self, to: Slot) -> Option<Self> {
                match self.result_mut() {
                    Some(dst) => {
                        *dst = to;
                        Some(self)
                    }
                    None => None,
                }
            }

            /// The register of its result.
            pub(super) const fn result(mut self) -> Option<Slot> {
                match self.result_mut() {
                    Some(dst) => Some(*dst),
                    None => None,
                }
            }

            const fn result_mut(&mut self) -> Option<&mut Slot> {
                match self {
                    Self::Select { dst, .. }
                    | Self::GlobalGet { dst, .. }
                    | Self::MemorySize { dst }
                    | Self::MemoryGrow { dst, .. }
                    $(| Self::$unary { dst, .. })*
                    $(| Self::$binary { dst, .. })*
                    $(| Self::$immediate { dst, .. })*
                    $(| Self::$load { dst, .. })* => Some(dst),
                    _ => None,
                }
            }

            /// Where a jump goes.
            pub(super) const fn target_mut(&mut self) -> Option<&mut u32> {
                match self {
                    Self::Jump { target }
                    | Self::JumpIf { target, .. }
                    | Self::JumpIfZero { target, .. }
                    $(| Self::$branch { target, .. })*
                    $(| Self::$branch_immediate { target, .. })* => Some(target),
                    _ => None,
                }
            }

            /// Ticks that taking a branch costs beyond what was charged.
            pub(super) const fn delta_mut(&mut self) -> Option<&mut i16> {
                match self {
                    Self::JumpIf { delta, .. }
                    | Self::JumpIfZero { delta, .. }
                    | Self::JumpTable { delta, .. }
                    $(| Self::$branch { delta, .. })*
                    $(| Self::$branch_immediate { delta, .. })* => Some(delta),
                    _ => None,
                }
            }
        }
    };
    (@tags $($name:ident)*) => { $(pub(super) const $name: u8 = Tag::$name as u8;)* };
    (@put $out:ident, $name:ident { $($field:ident),* }) => {{
        $out.u8(tag::$name);
        $(Kept::put(&$field, $out);)*
    }};
    (@take $from:ident, $name:ident { $($field:ident),* }) => {
        Self::$name { $($field: Kept::take($from)?),* }
    };
}

operations! {
    cost {
        /// Start of a straight run that costs so many ticks: the place where a run stops.
        Charge
        /// Further ticks.
        Spend
    }
    bare {
        /// The native machine cannot go on; the exact one can, from here.
        Decline
        Unreachable
    }
    other {
        Const32 { dst: Slot, value: u32 },
        /// Sign-extended.
        Const64 { dst: Slot, value: i32 },
        ConstPool { dst: Slot, index: u32 },
        Copy { dst: Slot, src: Slot },
        Select { dst: Slot, condition: Slot, a: Slot, b: Slot },
        GlobalGet { dst: Slot, index: u32 },
        GlobalSet { src: Slot, index: u32 },
        Jump { target: u32 },
        JumpIf { condition: Slot, delta: i16, target: u32 },
        JumpIfZero { condition: Slot, delta: i16, target: u32 },
        /// Through a table of targets, the default last.
        JumpTable { index: Slot, delta: i16, table: u32 },
        Call { base: Slot, rest: Slot, size: Slot, func: u32 },
        CallIndirect { base: Slot, rest: Slot, site: u32 },
        HostCall { base: Slot, func: u32 },
        /// Results from `src` on go to the caller.
        Return { src: Slot, count: Slot },
        MemorySize { dst: Slot },
        MemoryGrow { dst: Slot, src: Slot },
        /// Destination, source or value, and count are in consecutive slots.
        MemoryFill { base: Slot },
        MemoryCopy { base: Slot },
        MemoryInit { base: Slot, segment: u32 },
        DataDrop { segment: u32 },
    }
    unary {
        I32Clz I32Ctz I32Popcnt I32Extend8 I32Extend16 I32Eqz I64Clz I64Ctz I64Popcnt I64Extend8
        I64Extend16 I64Eqz I64Extend32 Wrap ExtendU
    }
    binary {
        I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr I32DivS
        I32DivU I32RemS I32RemU I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS
        I32GeU I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
        I64DivS I64DivU I64RemS I64RemU I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU
        I64GeS I64GeU
    }
    immediate {
        I32AddImm I32SubImm I32MulImm I32AndImm I32OrImm I32XorImm I32ShlImm I32ShrSImm
        I32ShrUImm I32RotlImm I32RotrImm I32EqImm I32NeImm I32LtSImm I32LtUImm I32GtSImm
        I32GtUImm I32LeSImm I32LeUImm I32GeSImm I32GeUImm I64AddImm I64SubImm I64MulImm I64AndImm
        I64OrImm I64XorImm I64ShlImm I64ShrSImm I64ShrUImm I64RotlImm I64RotrImm I64EqImm
        I64NeImm I64LtSImm I64LtUImm I64GtSImm I64GtUImm I64LeSImm I64LeUImm I64GeSImm I64GeUImm
    }
    load {
        Load8U Load16U Load32U Load64 Load8S32 Load16S32 Load8S64 Load16S64 Load32S64
    }
    store {
        Store8 Store16 Store32 Store64
    }
    branch {
        JumpEq JumpNe JumpLtS JumpLtU JumpGtS JumpGtU JumpLeS JumpLeU JumpGeS JumpGeU
    }
    branch_immediate {
        JumpEqImm JumpNeImm JumpLtSImm JumpLtUImm JumpGtSImm JumpGtUImm JumpLeSImm JumpLeUImm
        JumpGeSImm JumpGeUImm
    }
}
