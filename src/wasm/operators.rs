//! Operators of numeric and vector instructions. The order of the cases is their code in a state.

/// Width of a packed access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PackSize {
    Pack8,
    Pack16,
    Pack32,
    Pack64,
}

impl PackSize {
    /// Width in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Pack8 => 1,
            Self::Pack16 => 2,
            Self::Pack32 => 4,
            Self::Pack64 => 8,
        }
    }
}

/// How a narrow value is widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Extension {
    Signed,
    Unsigned,
}

/// Lanes of an extending vector load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PackShape {
    Pack8x8,
    Pack16x4,
    Pack32x2,
}

/// How a narrow vector load fills its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecExtension {
    Lane(PackShape, Extension),
    Splat,
    Zero,
}

/// Alignment exponent and offset of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemArg {
    /// Exponent, at most 32, of no effect.
    pub align: u8,
    /// Added to the address, as unsigned.
    pub offset: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TestOp {
    Eqz,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RelOp {
    Eq,
    Ne,
    LtS,
    LtU,
    GtS,
    GtU,
    LeS,
    LeU,
    GeS,
    GeU,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum UnOp {
    Clz,
    Ctz,
    Popcnt,
    ExtendS(PackSize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    DivS,
    DivU,
    RemS,
    RemU,
    And,
    Or,
    Xor,
    Shl,
    ShrS,
    ShrU,
    Rotl,
    Rotr,
}

/// Conversions to an integer; those from a float never find their operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CvtOp {
    ExtendSI32,
    ExtendUI32,
    WrapI64,
    TruncSF32,
    TruncUF32,
    TruncSF64,
    TruncUF64,
    TruncSatSF32,
    TruncSatUF32,
    TruncSatSF64,
    TruncSatUF64,
    ReinterpretFloat,
}

/// Lanes of a vector operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Shape {
    I8x16,
    I16x8,
    I32x4,
    I64x2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecTestOp {
    AllTrue,
}

/// The order differs from [`RelOp`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecRelOp {
    Eq,
    Ne,
    LtS,
    LtU,
    LeS,
    LeU,
    GtS,
    GtU,
    GeS,
    GeU,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecUnOp {
    Abs,
    Neg,
    Popcnt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecBinOp {
    Add,
    Sub,
    Mul,
    MinS,
    MinU,
    MaxS,
    MaxU,
    AvgrU,
    AddSatS,
    AddSatU,
    SubSatS,
    SubSatU,
    DotS,
    Q15MulRSatS,
    ExtMulLowS,
    ExtMulHighS,
    ExtMulLowU,
    ExtMulHighU,
    Swizzle,
    Shuffle([u8; 16]),
    NarrowS,
    NarrowU,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecCvtOp {
    ExtendLowS,
    ExtendLowU,
    ExtendHighS,
    ExtendHighU,
    ExtAddPairwiseS,
    ExtAddPairwiseU,
    TruncSatSF32x4,
    TruncSatUF32x4,
    TruncSatSZeroF64x2,
    TruncSatUZeroF64x2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecShiftOp {
    Shl,
    ShrS,
    ShrU,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VecBitOp {
    And,
    Or,
    Xor,
    AndNot,
}
