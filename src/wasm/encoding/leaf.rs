//! Values that are one leaf: their exact bytes (`interpreter_encodings.ml`).

use crate::codec::{DecodeError, Reader, Writer};
use crate::wasm::ast::{
    BinOp, BlockLabel, BlockType, CvtOp, DataLabel, ExportDesc, Extension, Global, GlobalType,
    ImportDesc, Limits, MemArg, MemoryType, Mutability, Num, NumType, PackShape, PackSize, RefType,
    RelOp, SegmentMode, Shape, TableType, TestOp, UnOp, V128, ValueType, VecBinOp, VecBitOp,
    VecCvtOp, VecExtension, VecRelOp, VecShiftOp, VecTestOp, VecUnOp,
};
use crate::wasm::decode::IndexKind;
use crate::wasm::fault::Fault;
use crate::wasm::instance::ModuleKey;

/// A value whose encoding is the bytes of one leaf.
pub trait Leaf: Sized {
    /// Appends the bytes.
    ///
    /// # Errors
    /// [`Fault::Unencodable`] when the value has none.
    fn write(&self, out: &mut Writer) -> Result<(), Fault>;

    /// Reads the bytes back.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not the encoding of a value.
    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A union's tag that no case has.
pub(super) fn bad_tag<T>(at: &Reader<'_>, what: &'static str, tag: u8) -> Result<T, DecodeError> {
    Err(at.invalid(what, format!("unknown case {tag}")))
}

/// Enumerations: one byte, the position of the case.
macro_rules! enumerated {
    ($($ty:ident: $($case:ident)*;)*) => {$(
        impl Leaf for $ty {
            fn write(&self, out: &mut Writer) -> Result<(), Fault> {
                out.u8(*self as u8);
                Ok(())
            }

            fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
                const CASES: &[$ty] = &[$($ty::$case),*];
                let at = bytes.clone();
                let tag = bytes.u8(stringify!($ty))?;
                match CASES.get(usize::from(tag)) {
                    Some(case) => Ok(*case),
                    None => bad_tag(&at, stringify!($ty), tag),
                }
            }
        }
    )*};
}

enumerated! {
    NumType: I32 I64;
    RefType: Func Extern;
    Mutability: Mutable Immutable;
    PackSize: Pack8 Pack16 Pack32 Pack64;
    PackShape: Pack8x8 Pack16x4 Pack32x2;
    Extension: Signed Unsigned;
    TestOp: Eqz;
    RelOp: Eq Ne LtS LtU GtS GtU LeS LeU GeS GeU;
    BinOp: Add Sub Mul DivS DivU RemS RemU And Or Xor Shl ShrS ShrU Rotl Rotr;
    CvtOp: ExtendSI32 ExtendUI32 WrapI64 TruncSF32 TruncUF32 TruncSF64 TruncUF64 TruncSatSF32
        TruncSatUF32 TruncSatSF64 TruncSatUF64 ReinterpretFloat;
    Shape: I8x16 I16x8 I32x4 I64x2;
    VecTestOp: AllTrue;
    VecRelOp: Eq Ne LtS LtU LeS LeU GtS GtU GeS GeU;
    VecUnOp: Abs Neg Popcnt;
    VecCvtOp: ExtendLowS ExtendLowU ExtendHighS ExtendHighU ExtAddPairwiseS ExtAddPairwiseU
        TruncSatSF32x4 TruncSatUF32x4 TruncSatSZeroF64x2 TruncSatUZeroF64x2;
    VecShiftOp: Shl ShrS ShrU;
    VecBitOp: And Or Xor AndNot;
    IndexKind: Indexed Const;
}

impl Leaf for i32 {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.i32(*self);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.i32("integer")
    }
}

impl Leaf for i64 {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.i64(*self);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.i64("integer")
    }
}

/// Arbitrary precision in the original; the values met fit.
impl Leaf for i128 {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.z(*self);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.z("integer")
    }
}

impl Leaf for bool {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.bool(*self);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.bool("truth value")
    }
}

/// Bytes behind their length.
impl Leaf for Vec<u8> {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.dynamic(self);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(bytes.dynamic("bytes", usize::MAX)?.to_vec())
    }
}

impl Leaf for String {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.dynamic(self.as_bytes());
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        let text = bytes.dynamic("text", usize::MAX)?;
        Self::from_utf8(text.to_vec()).map_err(|error| at.invalid("text", error.to_string()))
    }
}

impl Leaf for ModuleKey {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.dynamic(self.0.as_bytes());
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::read(bytes).map(|name| Self(name.into()))
    }
}

impl Leaf for BlockLabel {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.i32("block label").map(Self)
    }
}

impl Leaf for DataLabel {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bytes.i32("data label").map(Self)
    }
}

/// `00`, or `01` and the value: not the option of protocol objects.
pub(super) fn write_option<T: Leaf>(value: Option<&T>, out: &mut Writer) -> Result<(), Fault> {
    match value {
        None => {
            out.u8(0);
            Ok(())
        }
        Some(value) => {
            out.u8(1);
            value.write(out)
        }
    }
}

pub(super) fn read_option<T: Leaf>(bytes: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
    let at = bytes.clone();
    match bytes.u8("option")? {
        0 => Ok(None),
        1 => T::read(bytes).map(Some),
        tag => bad_tag(&at, "option", tag),
    }
}

impl Leaf for ValueType {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.u8(match self {
            Self::Num(NumType::I32) => 0,
            Self::Num(NumType::I64) => 1,
            Self::V128 => 2,
            Self::Ref(RefType::Func) => 3,
            Self::Ref(RefType::Extern) => 4,
        });
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        Ok(match bytes.u8("value type")? {
            0 => Self::Num(NumType::I32),
            1 => Self::Num(NumType::I64),
            2 => Self::V128,
            3 => Self::Ref(RefType::Func),
            4 => Self::Ref(RefType::Extern),
            tag => return bad_tag(&at, "value type", tag),
        })
    }
}

impl Leaf for Limits {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.i32(self.min);
        write_option(self.max.as_ref(), out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            min: bytes.i32("minimum")?,
            max: read_option(bytes)?,
        })
    }
}

impl Leaf for TableType {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.limits.write(out)?;
        self.element.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            limits: Limits::read(bytes)?,
            element: RefType::read(bytes)?,
        })
    }
}

impl Leaf for MemoryType {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Limits::read(bytes).map(Self)
    }
}

impl Leaf for GlobalType {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.value.write(out)?;
        self.mutability.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: ValueType::read(bytes)?,
            mutability: Mutability::read(bytes)?,
        })
    }
}

impl Leaf for Global {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.ty.write(out)?;
        self.init.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ty: GlobalType::read(bytes)?,
            init: BlockLabel::read(bytes)?,
        })
    }
}

impl Leaf for Num {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::I32(value) => out.u8(0).i32(*value),
            Self::I64(value) => out.u8(1).i64(*value),
        };
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match NumType::read(bytes)? {
            NumType::I32 => Self::I32(bytes.i32("i32")?),
            NumType::I64 => Self::I64(bytes.i64("i64")?),
        })
    }
}

impl Leaf for V128 {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.u8(0).dynamic(&self.0);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        let tag = bytes.u8("vector")?;
        if tag != 0 {
            return bad_tag(&at, "vector", tag);
        }
        let lanes = bytes.dynamic("vector", 16)?;
        lanes
            .try_into()
            .map(Self)
            .map_err(|_| at.invalid("vector", "not 16 bytes"))
    }
}

impl Leaf for BlockType {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::Index(index) => {
                out.u8(0).i32(*index);
                Ok(())
            }
            Self::Value(value) => {
                out.u8(1);
                write_option(value.as_ref(), out)
            }
        }
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        match bytes.u8("block type")? {
            0 => bytes.i32("type index").map(Self::Index),
            1 => read_option(bytes).map(Self::Value),
            tag => bad_tag(&at, "block type", tag),
        }
    }
}

impl Leaf for ImportDesc {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::Func(index) => {
                out.u8(0);
                index.write(out)
            }
            Self::Table(ty) => {
                out.u8(1);
                ty.write(out)
            }
            Self::Memory(ty) => {
                out.u8(2);
                ty.write(out)
            }
            Self::Global(ty) => {
                out.u8(3);
                ty.write(out)
            }
        }
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        match bytes.u8("import")? {
            0 => i32::read(bytes).map(Self::Func),
            1 => TableType::read(bytes).map(Self::Table),
            2 => MemoryType::read(bytes).map(Self::Memory),
            3 => GlobalType::read(bytes).map(Self::Global),
            tag => bad_tag(&at, "import", tag),
        }
    }
}

impl Leaf for ExportDesc {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        let (tag, index) = match self {
            Self::Func(index) => (0, index),
            Self::Table(index) => (1, index),
            Self::Memory(index) => (2, index),
            Self::Global(index) => (3, index),
        };
        out.u8(tag).i32(*index);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        let tag = bytes.u8("export")?;
        let index = bytes.i32("index")?;
        Ok(match tag {
            0 => Self::Func(index),
            1 => Self::Table(index),
            2 => Self::Memory(index),
            3 => Self::Global(index),
            tag => return bad_tag(&at, "export", tag),
        })
    }
}

impl Leaf for SegmentMode {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::Passive => out.u8(0),
            Self::Active { index, offset } => out.u8(1).i32(*index).i32(offset.0),
            Self::Declarative => out.u8(2),
        };
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        Ok(match bytes.u8("segment mode")? {
            0 => Self::Passive,
            1 => Self::Active {
                index: bytes.i32("index")?,
                offset: BlockLabel::read(bytes)?,
            },
            2 => Self::Declarative,
            tag => return bad_tag(&at, "segment mode", tag),
        })
    }
}

impl Leaf for MemArg {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.i32(i32::from(self.align)).i32(self.offset);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        Ok(Self {
            align: u8::try_from(bytes.i32("alignment")?)
                .map_err(|_| at.invalid("alignment", "over 255"))?,
            offset: bytes.i32("offset")?,
        })
    }
}

impl Leaf for VecExtension {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::Lane(shape, extension) => {
                out.u8(0);
                shape.write(out)?;
                return extension.write(out);
            }
            Self::Splat => out.u8(1),
            Self::Zero => out.u8(2),
        };
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        Ok(match bytes.u8("vector extension")? {
            0 => Self::Lane(PackShape::read(bytes)?, Extension::read(bytes)?),
            1 => Self::Splat,
            2 => Self::Zero,
            tag => return bad_tag(&at, "vector extension", tag),
        })
    }
}

/// Pairs are written one after the other.
impl<A: Leaf, B: Leaf> Leaf for (A, B) {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)?;
        self.1.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::read(bytes)?, B::read(bytes)?))
    }
}

impl Leaf for UnOp {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        match self {
            Self::Clz => out.u8(0),
            Self::Ctz => out.u8(1),
            Self::Popcnt => out.u8(2),
            Self::ExtendS(size) => {
                out.u8(3);
                return size.write(out);
            }
        };
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        Ok(match bytes.u8("unary operator")? {
            0 => Self::Clz,
            1 => Self::Ctz,
            2 => Self::Popcnt,
            3 => Self::ExtendS(PackSize::read(bytes)?),
            tag => return bad_tag(&at, "unary operator", tag),
        })
    }
}

const VEC_BIN_OPS: &[VecBinOp] = &[
    VecBinOp::Add,
    VecBinOp::Sub,
    VecBinOp::Mul,
    VecBinOp::MinS,
    VecBinOp::MinU,
    VecBinOp::MaxS,
    VecBinOp::MaxU,
    VecBinOp::AvgrU,
    VecBinOp::AddSatS,
    VecBinOp::AddSatU,
    VecBinOp::SubSatS,
    VecBinOp::SubSatU,
    VecBinOp::DotS,
    VecBinOp::Q15MulRSatS,
    VecBinOp::ExtMulLowS,
    VecBinOp::ExtMulHighS,
    VecBinOp::ExtMulLowU,
    VecBinOp::ExtMulHighU,
    VecBinOp::Swizzle,
    VecBinOp::Shuffle([0; 16]),
    VecBinOp::NarrowS,
    VecBinOp::NarrowU,
];

const SHUFFLE: u8 = 19;

impl Leaf for VecBinOp {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        if let Self::Shuffle(lanes) = self {
            if let Some(lane) = lanes.iter().find(|lane| **lane > 127) {
                return Err(Fault::Unencodable(format!("shuffle lane {lane}")));
            }
            out.u8(SHUFFLE).dynamic(lanes);
            return Ok(());
        }
        let tag = VEC_BIN_OPS.iter().position(|op| op == self);
        let tag = tag.and_then(|tag| u8::try_from(tag).ok());
        out.u8(tag.expect("the table has every operator but shuffles"));
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        let tag = bytes.u8("vector operator")?;
        if tag == SHUFFLE {
            let lanes = bytes.dynamic("shuffle", 16)?;
            return lanes
                .try_into()
                .map(Self::Shuffle)
                .map_err(|_| at.invalid("shuffle", "not 16 lanes"));
        }
        match VEC_BIN_OPS.get(usize::from(tag)) {
            Some(op) => Ok(*op),
            None => bad_tag(&at, "vector operator", tag),
        }
    }
}
