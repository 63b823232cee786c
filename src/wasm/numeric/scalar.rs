//! Integer operators of the scalar instructions.
//!
//! Each is the standard's; what traps says so with the reference's exact text. Upstream: `exec/ixx.ml`.

/// Why a scalar operator has no result: a trap of the guest, not an error of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumericTrap {
    /// The quotient does not fit.
    Overflow,
    /// The divisor is zero.
    DivideByZero,
}

impl NumericTrap {
    /// The text of the trap.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Overflow => "integer overflow",
            Self::DivideByZero => "integer divide by zero",
        }
    }
}

macro_rules! integers {
    ($module:ident, $int:ty, $uint:ty) => {
        pub(crate) mod $module {
            use super::NumericTrap;

            pub(crate) fn div_s(a: $int, b: $int) -> Result<$int, NumericTrap> {
                if b == 0 {
                    return Err(NumericTrap::DivideByZero);
                }
                a.checked_div(b).ok_or(NumericTrap::Overflow)
            }

            pub(crate) fn div_u(a: $int, b: $int) -> Result<$int, NumericTrap> {
                (a as $uint)
                    .checked_div(b as $uint)
                    .map(|quotient| quotient as $int)
                    .ok_or(NumericTrap::DivideByZero)
            }

            pub(crate) fn rem_s(a: $int, b: $int) -> Result<$int, NumericTrap> {
                if b == 0 {
                    return Err(NumericTrap::DivideByZero);
                }
                Ok(a.wrapping_rem(b))
            }

            pub(crate) fn rem_u(a: $int, b: $int) -> Result<$int, NumericTrap> {
                (a as $uint)
                    .checked_rem(b as $uint)
                    .map(|rest| rest as $int)
                    .ok_or(NumericTrap::DivideByZero)
            }

            pub(crate) fn shl(a: $int, b: $int) -> $int {
                a.wrapping_shl(b as u32)
            }

            pub(crate) fn shr_s(a: $int, b: $int) -> $int {
                a.wrapping_shr(b as u32)
            }

            pub(crate) fn shr_u(a: $int, b: $int) -> $int {
                (a as $uint).wrapping_shr(b as u32) as $int
            }

            pub(crate) fn rotl(a: $int, b: $int) -> $int {
                a.rotate_left(b as u32 & (<$int>::BITS - 1))
            }

            pub(crate) fn rotr(a: $int, b: $int) -> $int {
                a.rotate_right(b as u32 & (<$int>::BITS - 1))
            }

            /// Sign extension of the low `bits`; more bits than the type has change nothing.
            pub(crate) fn extend_s(a: $int, bits: u32) -> $int {
                let shift = <$int>::BITS.saturating_sub(bits);
                a.wrapping_shl(shift).wrapping_shr(shift)
            }
        }
    };
}

integers!(int32, i32, u32);
integers!(int64, i64, u64);
