//! Instructions: a tag each, and the fields at `$1`, `1/$1`, `2/$2`…

use std::sync::Arc;

use crate::codec::{DecodeError, Reader, Writer};
use crate::wasm::ast::{BlockLabel, Extension, Instr, MemArg, NumType, PackSize, Shape, ValueType};
use crate::wasm::encoding::leaf::{bad_tag, read_option, write_option};
use crate::wasm::encoding::{Leaf, Source, Stored, Target};
use crate::wasm::fault::Fault;

/// A list behind its size in bytes.
struct Listed<T>(Arc<[T]>);

impl<T: Leaf> Leaf for Listed<T> {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        let mut inner = Writer::new();
        for item in self.0.iter() {
            item.write(&mut inner)?;
        }
        out.dynamic(&inner.into_bytes());
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = bytes.sized("list")?;
        let mut items = Vec::new();
        while !inner.is_empty() {
            items.push(T::read(&mut inner)?);
        }
        Ok(Self(items.into()))
    }
}

/// The optional list of types of `select`.
struct Selected(Option<Listed<ValueType>>);

impl Leaf for Selected {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        write_option(self.0.as_ref(), out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_option(bytes).map(Self)
    }
}

/// A memory access whose optional part comes last.
struct Access<T, P>(T, MemArg, Option<P>);

impl<T: Leaf, P: Leaf> Leaf for Access<T, P> {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)?;
        self.1.write(out)?;
        write_option(self.2.as_ref(), out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(
            T::read(bytes)?,
            MemArg::read(bytes)?,
            read_option(bytes)?,
        ))
    }
}

/// The only vector type: no bytes.
struct VecType;

impl Leaf for VecType {
    fn write(&self, _: &mut Writer) -> Result<(), Fault> {
        Ok(())
    }

    fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

/// Lane numbers are four bytes.
struct Lane(u8);

impl Leaf for Lane {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.i32(i32::from(self.0));
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        u8::try_from(bytes.i32("lane")?)
            .map(Self)
            .map_err(|_| at.invalid("lane", "over 255"))
    }
}

/// Unions of one case: a zero byte and the payload.
struct Only<T>(T);

impl<T: Leaf> Leaf for Only<T> {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.u8(0);
        self.0.write(out)
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        match bytes.u8("vector operation")? {
            0 => T::read(bytes).map(Self),
            tag => bad_tag(&at, "vector operation", tag),
        }
    }
}

/// `VecExtract` keeps its extension only for the narrow lanes.
struct Extract(Shape, u8, Extension);

const fn is_narrow(shape: Shape) -> bool {
    matches!(shape, Shape::I8x16 | Shape::I16x8)
}

impl Leaf for Extract {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        self.0.write(out)?;
        Only(Lane(self.1)).write(out)?;
        if is_narrow(self.0) {
            self.2.write(out)?;
        }
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let shape = Shape::read(bytes)?;
        let Only(Lane(lane)) = Only::read(bytes)?;
        let extension = if is_narrow(shape) {
            Extension::read(bytes)?
        } else {
            Extension::Signed
        };
        Ok(Self(shape, lane, extension))
    }
}

/// The unit of one-case operators behind their shape.
struct Sole;

impl Leaf for Sole {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        out.u8(0);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = bytes.clone();
        match bytes.u8("operator")? {
            0 => Ok(Self),
            tag => bad_tag(&at, "operator", tag),
        }
    }
}

/// Steps of a payload with several fields, and the leaf below each.
pub(super) const STEPS: [(&str, &str); 3] = [("1", "$1"), ("2", "$2"), ("3", "$3")];

/// An instruction as its tree shows it: a tag and the bytes of its fields.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) tag: &'static str,
    bytes: Vec<u8>,
    ends: [usize; 3],
    count: usize,
}

impl Fields {
    const fn new(tag: &'static str) -> Self {
        Self {
            tag,
            bytes: Vec::new(),
            ends: [0; 3],
            count: 0,
        }
    }

    /// With one field more.
    fn with<T: Leaf>(mut self, field: &T) -> Result<Self, Fault> {
        let mut writer = Writer::new();
        field.write(&mut writer)?;
        self.bytes.append(&mut writer.into_bytes());
        if let Some(end) = self.ends.get_mut(self.count) {
            *end = self.bytes.len();
        }
        self.count += 1;
        Ok(self)
    }

    /// The fields in order.
    pub(super) fn list(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().take(self.count).map(move |end| {
            let field = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            field
        })
    }
}

fn one<T: Leaf>(tag: &'static str, value: &T) -> Result<Fields, Fault> {
    Fields::new(tag).with(value)
}

fn two<A: Leaf, B: Leaf>(tag: &'static str, a: &A, b: &B) -> Result<Fields, Fault> {
    Fields::new(tag).with(a)?.with(b)
}

impl Stored for Instr {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        let fields = self.fields()?;
        let mut list = fields.list();
        target.tagged(fields.tag, |target| match list.len() {
            0 => target.unit(),
            1 => list.try_for_each(|field| target.bytes("$1", field)),
            _ => STEPS
                .into_iter()
                .zip(list)
                .try_for_each(|((step, leaf), field)| {
                    target.at(step, |target| target.bytes(leaf, field))
                }),
        })
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let tag = source.tag()?;
        let at = source.payload();
        load_structured(&tag, &at)?.map_or_else(|| load_one(&tag, source, &at), Ok)
    }
}

impl Instr {
    /// What its tree shows.
    pub(super) fn fields(&self) -> Result<Fields, Fault> {
        let unit = |tag| Ok(Fields::new(tag));
        match self {
            Self::If(ty, then, otherwise) => two("If", ty, then)?.with(otherwise),
            Self::Block(ty, label) => two("Block", ty, label),
            Self::Loop(ty, label) => two("Loop", ty, label),
            Self::BrTable(labels, default) => two("BrTable", &Listed(labels.clone()), default),
            Self::CallIndirect { table, type_index } => two("CallIndirect", table, type_index),
            Self::TableCopy { to, from } => two("TableCopy", to, from),
            Self::TableInit { table, segment } => two("TableInit", table, segment),
            Self::Unencodable(name) => Err(Fault::Unencodable((*name).to_owned())),
            Self::Unreachable => unit("Unreachable"),
            Self::Nop => unit("Nop"),
            Self::Drop => unit("Drop"),
            Self::Return => unit("Return"),
            Self::MemorySize => unit("MemorySize"),
            Self::MemoryGrow => unit("MemoryGrow"),
            Self::MemoryFill => unit("MemoryFill"),
            Self::MemoryCopy => unit("MemoryCopy"),
            Self::RefIsNull => unit("RefIsNull"),
            other => other.one_field(),
        }
    }

    /// Instructions with one leaf.
    fn one_field(&self) -> Result<Fields, Fault> {
        match self {
            Self::Select(types) => one("Select", &Selected(types.clone().map(Listed))),
            Self::Br(x) => one("Br", x),
            Self::BrIf(x) => one("BrIf", x),
            Self::Call(x) => one("Call", x),
            Self::LocalGet(x) => one("LocalGet", x),
            Self::LocalSet(x) => one("LocalSet", x),
            Self::LocalTee(x) => one("LocalTee", x),
            Self::GlobalGet(x) => one("GlobalGet", x),
            Self::GlobalSet(x) => one("GlobalSet", x),
            Self::TableGet(x) => one("TableGet", x),
            Self::TableSet(x) => one("TableSet", x),
            Self::TableSize(x) => one("TableSize", x),
            Self::TableGrow(x) => one("TableGrow", x),
            Self::TableFill(x) => one("TableFill", x),
            Self::ElemDrop(x) => one("ElemDrop", x),
            Self::MemoryInit(x) => one("MemoryInit", x),
            Self::DataDrop(x) => one("DataDrop", x),
            Self::RefNull(ty) => one("RefNull", ty),
            Self::RefFunc(x) => one("RefFunc", x),
            Self::Const(num) => one("Const", num),
            Self::Load(ty, arg, pack) => one("Load", &Access(*ty, *arg, *pack)),
            Self::Store(ty, arg, pack) => one("Store", &Access(*ty, *arg, *pack)),
            Self::VecLoad(arg, pack) => one("VecLoad", &Access(VecType, *arg, *pack)),
            Self::VecStore(arg) => one("VecStore", arg),
            Self::VecLoadLane(arg, size, lane) => one("VecLoadLane", &((*arg, *size), Lane(*lane))),
            Self::VecStoreLane(arg, size, lane) => {
                one("VecStoreLane", &((*arg, *size), Lane(*lane)))
            }
            Self::Test(ty, op) => one("Test", &(*ty, *op)),
            Self::Compare(ty, op) => one("Compare", &(*ty, *op)),
            Self::Unary(ty, op) => one("Unary", &(*ty, *op)),
            Self::Binary(ty, op) => one("Binary", &(*ty, *op)),
            Self::Convert(ty, op) => one("Convert", &(*ty, *op)),
            Self::VecConst(value) => one("VecConst", value),
            Self::VecTest(shape, op) => one("VecTest", &Only((*shape, *op))),
            Self::VecCompare(shape, op) => one("VecCompare", &Only((*shape, *op))),
            Self::VecUnary(shape, op) => one("VecUnary", &Only((*shape, *op))),
            Self::VecBinary(shape, op) => one("VecBinary", &Only((*shape, *op))),
            Self::VecConvert(shape, op) => one("VecConvert", &Only((*shape, *op))),
            Self::VecShift(shape, op) => one("VecShift", &Only((*shape, *op))),
            Self::VecBitmask(shape) => one("VecBitmask", &Only((*shape, Sole))),
            Self::VecTestBits => one("VecTestBits", &Only(Sole)),
            Self::VecUnaryBits => one("VecUnaryBits", &Only(Sole)),
            Self::VecBinaryBits(op) => one("VecBinaryBits", &Only(*op)),
            Self::VecTernaryBits => one("VecTernaryBits", &Only(Sole)),
            Self::VecSplat(shape) => one("VecSplat", &Only((*shape, Sole))),
            Self::VecExtract(shape, lane, extension) => {
                one("VecExtract", &Only(Extract(*shape, *lane, *extension)))
            }
            Self::VecReplace(shape, lane) => one("VecReplace", &Only((*shape, Only(Lane(*lane))))),
            other => Err(Fault::Unencodable(format!("{other:?}"))),
        }
    }
}

fn load_structured(tag: &str, at: &Source) -> Result<Option<Instr>, Fault> {
    let unit = |instr| at.bytes("").map(|_| Some(instr));
    match tag {
        "Unreachable" => unit(Instr::Unreachable),
        "Nop" => unit(Instr::Nop),
        "Drop" => unit(Instr::Drop),
        "Return" => unit(Instr::Return),
        "MemorySize" => unit(Instr::MemorySize),
        "MemoryGrow" => unit(Instr::MemoryGrow),
        "MemoryFill" => unit(Instr::MemoryFill),
        "MemoryCopy" => unit(Instr::MemoryCopy),
        "RefIsNull" => unit(Instr::RefIsNull),
        "If" => Ok(Some(Instr::If(
            at.at("1").leaf("$1")?,
            at.at("2").leaf("$2")?,
            at.at("3").leaf("$3")?,
        ))),
        "Block" => Ok(Some(Instr::Block(
            at.at("1").leaf("$1")?,
            at.at("2").leaf::<BlockLabel>("$2")?,
        ))),
        "Loop" => Ok(Some(Instr::Loop(
            at.at("1").leaf("$1")?,
            at.at("2").leaf::<BlockLabel>("$2")?,
        ))),
        "BrTable" => {
            let labels: Listed<i32> = at.at("1").leaf("$1")?;
            Ok(Some(Instr::BrTable(labels.0, at.at("2").leaf("$2")?)))
        }
        "CallIndirect" => Ok(Some(Instr::CallIndirect {
            table: at.at("1").leaf("$1")?,
            type_index: at.at("2").leaf("$2")?,
        })),
        "TableCopy" => Ok(Some(Instr::TableCopy {
            to: at.at("1").leaf("$1")?,
            from: at.at("2").leaf("$2")?,
        })),
        "TableInit" => Ok(Some(Instr::TableInit {
            table: at.at("1").leaf("$1")?,
            segment: at.at("2").leaf("$2")?,
        })),
        _ => Ok(None),
    }
}

fn load_one(tag: &str, source: &Source, at: &Source) -> Result<Instr, Fault> {
    fn index(at: &Source, instr: fn(i32) -> Instr) -> Result<Instr, Fault> {
        at.leaf("$1").map(instr)
    }
    Ok(match tag {
        "Br" => return index(at, Instr::Br),
        "BrIf" => return index(at, Instr::BrIf),
        "Call" => return index(at, Instr::Call),
        "LocalGet" => return index(at, Instr::LocalGet),
        "LocalSet" => return index(at, Instr::LocalSet),
        "LocalTee" => return index(at, Instr::LocalTee),
        "GlobalGet" => return index(at, Instr::GlobalGet),
        "GlobalSet" => return index(at, Instr::GlobalSet),
        "TableGet" => return index(at, Instr::TableGet),
        "TableSet" => return index(at, Instr::TableSet),
        "TableSize" => return index(at, Instr::TableSize),
        "TableGrow" => return index(at, Instr::TableGrow),
        "TableFill" => return index(at, Instr::TableFill),
        "ElemDrop" => return index(at, Instr::ElemDrop),
        "MemoryInit" => return index(at, Instr::MemoryInit),
        "DataDrop" => return index(at, Instr::DataDrop),
        "RefFunc" => return index(at, Instr::RefFunc),
        "Select" => {
            let selected: Selected = at.leaf("$1")?;
            Instr::Select(selected.0.map(|types| types.0))
        }
        "RefNull" => Instr::RefNull(at.leaf("$1")?),
        "Const" => Instr::Const(at.leaf("$1")?),
        "Load" => {
            let Access(ty, arg, pack) = at.leaf::<Access<NumType, (PackSize, Extension)>>("$1")?;
            Instr::Load(ty, arg, pack)
        }
        "Store" => {
            let Access(ty, arg, pack) = at.leaf::<Access<NumType, PackSize>>("$1")?;
            Instr::Store(ty, arg, pack)
        }
        _ => return load_operator(tag, source, at),
    })
}

fn load_operator(tag: &str, source: &Source, at: &Source) -> Result<Instr, Fault> {
    Ok(match tag {
        "Test" => at.leaf("$1").map(|(ty, op)| Instr::Test(ty, op))?,
        "Compare" => at.leaf("$1").map(|(ty, op)| Instr::Compare(ty, op))?,
        "Unary" => at.leaf("$1").map(|(ty, op)| Instr::Unary(ty, op))?,
        "Binary" => at.leaf("$1").map(|(ty, op)| Instr::Binary(ty, op))?,
        "Convert" => at.leaf("$1").map(|(ty, op)| Instr::Convert(ty, op))?,
        "VecLoad" => at
            .leaf("$1")
            .map(|Access(VecType, arg, pack)| Instr::VecLoad(arg, pack))?,
        "VecStore" => Instr::VecStore(at.leaf("$1")?),
        "VecLoadLane" => at
            .leaf("$1")
            .map(|((arg, size), Lane(lane))| Instr::VecLoadLane(arg, size, lane))?,
        "VecStoreLane" => at
            .leaf("$1")
            .map(|((arg, size), Lane(lane))| Instr::VecStoreLane(arg, size, lane))?,
        "VecConst" => Instr::VecConst(at.leaf("$1")?),
        "VecTest" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecTest(shape, op))?,
        "VecCompare" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecCompare(shape, op))?,
        "VecUnary" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecUnary(shape, op))?,
        "VecBinary" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecBinary(shape, op))?,
        "VecConvert" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecConvert(shape, op))?,
        "VecShift" => at
            .leaf("$1")
            .map(|Only((shape, op))| Instr::VecShift(shape, op))?,
        "VecBitmask" => at
            .leaf("$1")
            .map(|Only((shape, Sole))| Instr::VecBitmask(shape))?,
        "VecTestBits" => at.leaf("$1").map(|Only(Sole)| Instr::VecTestBits)?,
        "VecUnaryBits" => at.leaf("$1").map(|Only(Sole)| Instr::VecUnaryBits)?,
        "VecBinaryBits" => at.leaf("$1").map(|Only(op)| Instr::VecBinaryBits(op))?,
        "VecTernaryBits" => at.leaf("$1").map(|Only(Sole)| Instr::VecTernaryBits)?,
        "VecSplat" => at
            .leaf("$1")
            .map(|Only((shape, Sole))| Instr::VecSplat(shape))?,
        "VecExtract" => at.leaf("$1").map(|Only(Extract(shape, lane, extension))| {
            Instr::VecExtract(shape, lane, extension)
        })?,
        "VecReplace" => at
            .leaf("$1")
            .map(|Only((shape, Only(Lane(lane))))| Instr::VecReplace(shape, lane))?,
        other => return Err(source.unknown_tag(other)),
    })
}
