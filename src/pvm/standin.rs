//! A stand-in for the largest kernel of mainnet, which cannot be kept here.
//!
//! Why: what is slow on a real kernel (six million leaves, eighty million ticks before its first
//! instruction) does not show on small ones. Promises: the same bytes for the same [`Shape`], valid,
//! with the sizes, the padded LEB128 and the multi-byte table indices that a Rust kernel has; its
//! `kernel_run` reads its inputs, calls through the table, writes memory, and ends.
//! Refuses to know: what real kernels compute.

use super::host::{HostFunction, MODULE, ValueType};
use crate::protocol::PvmVersion;

/// What a stand-in looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Functions defined.
    pub functions: u32,
    /// Bytes of the large data segment.
    pub data: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Shape {
    /// The development line of the kernel, as it was measured.
    pub const MAINNET: Self = Self {
        functions: 12_243,
        data: 1_811_208,
        seed: 7,
    };

    /// A slice for tests.
    pub const SLICE: Self = Self {
        functions: 60,
        data: 1_200,
        seed: 7,
    };
}

/// Functions a stand-in imports: those of the measured kernel.
const IMPORTS: [&str; 16] = [
    "write_debug",
    "read_input",
    "write_output",
    "store_has",
    "store_read",
    "store_write",
    "store_copy",
    "store_move",
    "store_delete",
    "store_delete_value",
    "store_list_size",
    "store_value_size",
    "__internal_store_get_hash",
    "reveal",
    "reveal_preimage",
    "reveal_metadata",
];

/// Pages of memory.
const PAGES: u32 = 44;
/// Where the large data segment goes.
const DATA_AT: u32 = 1 << 20;
/// Types of defined functions: parameters and results are 32-bit integers.
const TYPES: [(u8, u8); 6] = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 1), (2, 0)];
/// The global that bounds how many calls a run makes.
const FUEL: u8 = 1;

/// A small generator of pseudo-random numbers.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound.max(1)
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low)
    }
}

/// Bytes of a binary.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u32(&mut self, mut value: u32) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// In five bytes, as linkers leave them.
    fn padded(&mut self, value: u32) -> &mut Self {
        for shift in [0, 7, 14, 21] {
            self.0.push((value >> shift) as u8 | 0x80);
        }
        self.0.push((value >> 28) as u8);
        self
    }

    fn i32_const(&mut self, mut value: i32) -> &mut Self {
        self.0.push(0x41);
        loop {
            let byte = value as u8 & 0x7f;
            value >>= 7;
            let is_last = (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0);
            if is_last {
                self.0.push(byte);
                return self;
            }
            self.0.push(byte | 0x80);
        }
    }

    fn name(&mut self, name: &str) -> &mut Self {
        self.u32(name.len() as u32).raw(name.as_bytes())
    }

    fn section(&mut self, id: u8, content: &Self) {
        self.0.push(id);
        self.u32(content.0.len() as u32).raw(&content.0);
    }
}

/// Type index of a defined function.
fn type_of(function: u32) -> u32 {
    function % TYPES.len() as u32
}

struct Writer {
    shape: Shape,
    chance: Chance,
    table: u32,
}

impl Writer {
    /// A value on the stack, from one of the locals or made of nothing.
    fn operand(&mut self, out: &mut Bytes, locals: u32) {
        if locals > 0 && self.chance.below(3) > 0 {
            out.raw(&[0x20]).u32(self.chance.below(locals));
        } else {
            let value = self.chance.next() as i32 >> self.chance.below(28);
            out.i32_const(value);
        }
    }

    /// An address in the part of memory that is for scribbling.
    fn address(&mut self, out: &mut Bytes, locals: u32) {
        self.operand(out, locals);
        out.i32_const(0xfff8).raw(&[0x71]);
    }

    /// A call that is made while there is fuel.
    fn call(&mut self, out: &mut Bytes, locals: u32) {
        out.raw(&[0x23, FUEL, 0x04, 0x40, 0x23, FUEL]);
        out.i32_const(1).raw(&[0x6b, 0x24, FUEL]);
        let callee = self.chance.below(self.shape.functions);
        let indirect = self.chance.below(6) == 0;
        let callee = if indirect {
            callee % (self.table - 1)
        } else {
            callee
        };
        let (params, results) = TYPES
            .get(type_of(callee) as usize)
            .copied()
            .unwrap_or_default();
        for _ in 0..params {
            self.operand(out, locals);
        }
        if indirect {
            out.i32_const(callee as i32 + 1);
            out.raw(&[0x11]).padded(type_of(callee)).padded(0);
        } else {
            out.raw(&[0x10]).padded(callee + IMPORTS.len() as u32);
        }
        for _ in 0..results {
            out.raw(&[0x1a]);
        }
        out.raw(&[0x0b]);
    }

    fn statement(&mut self, out: &mut Bytes, locals: u32, depth: u32) {
        match self.chance.below(if depth > 6 { 9 } else { 14 }) {
            0..=3 if locals > 0 => {
                self.operand(out, locals);
                self.operand(out, locals);
                let operators = [0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x76, 0x46, 0x49];
                let operator = self.chance.below(operators.len() as u32) as usize;
                out.raw(operators.get(operator..=operator).unwrap_or(&[0x6a]));
                out.raw(&[0x21]).u32(self.chance.below(locals));
            }
            4..=5 => {
                self.address(out, locals);
                self.operand(out, locals);
                out.raw(&[0x36, 2])
                    .u32(0x1_0000 + self.chance.below(1 << 16));
            }
            6..=7 if locals > 0 => {
                self.address(out, locals);
                out.raw(&[0x28, 2])
                    .u32(0x1_0000 + self.chance.below(1 << 16));
                out.raw(&[0x21]).u32(self.chance.below(locals));
            }
            8 => self.call(out, locals),
            9 | 10 => {
                self.operand(out, locals);
                out.raw(&[0x04, 0x40]);
                self.statements(out, locals, depth + 1, 2);
                if self.chance.below(2) == 0 {
                    out.raw(&[0x05]);
                    self.statements(out, locals, depth + 1, 2);
                }
                out.raw(&[0x0b]);
            }
            11 => {
                out.raw(&[0x02, 0x40]);
                self.statements(out, locals, depth + 1, 3);
                self.operand(out, locals);
                out.raw(&[0x0d, 0]);
                self.statements(out, locals, depth + 1, 2);
                out.raw(&[0x0b]);
            }
            12 => {
                out.raw(&[0x02, 0x40, 0x02, 0x40]);
                self.operand(out, locals);
                let count = if self.chance.below(200) == 0 { 412 } else { 3 };
                out.raw(&[0x0e]).u32(count);
                for _ in 0..=count {
                    out.u32(self.chance.below(2));
                }
                out.raw(&[0x0b]);
                self.statements(out, locals, depth + 1, 2);
                out.raw(&[0x0b]);
            }
            _ => {
                self.address(out, locals);
                out.raw(&[0x29, 3]).u32(0x1_0000);
                out.raw(&[0x42, 3, 0x7c, 0x50, 0x1a]);
            }
        }
    }

    fn statements(&mut self, out: &mut Bytes, locals: u32, depth: u32, count: u32) {
        for _ in 0..self.chance.between(1, count + 1) {
            self.statement(out, locals, depth);
        }
    }

    /// Bytes a body aims at: half are short, a few very long.
    fn length(&mut self, function: u32) -> usize {
        let length = match (function, self.chance.below(100)) {
            (11, _) if self.shape.functions > 1_000 => 82_000,
            (_, 0) => self.chance.between(6_500, 20_000),
            (_, 1..5) => self.chance.between(2_000, 6_500),
            (_, 5..20) => self.chance.between(500, 1_500),
            (_, 20..50) => self.chance.between(133, 500),
            _ => self.chance.between(20, 133),
        };
        length as usize
    }

    fn body(&mut self, function: u32) -> Bytes {
        let (params, results) = TYPES
            .get(type_of(function) as usize)
            .copied()
            .unwrap_or_default();
        let own = match self.chance.below(200) {
            0 => 150,
            1..60 => 0,
            _ => self.chance.between(1, 8),
        };
        let mut body = Bytes::default();
        if own == 0 {
            body.u32(0);
        } else {
            body.u32(1).u32(own).raw(&[0x7f]);
        }
        let locals = u32::from(params) + own;
        let length = self.length(function);
        while body.0.len() < length {
            self.statement(&mut body, locals, 0);
        }
        for _ in 0..results {
            self.operand(&mut body, locals);
        }
        body.raw(&[0x0b]);
        body
    }

    /// Reads all inputs, then calls around until the fuel is spent.
    fn kernel_run(&mut self) -> Bytes {
        let mut body = Bytes::default();
        body.u32(1).u32(2).raw(&[0x7f, 0x02, 0x40, 0x03, 0x40]);
        body.i32_const(64).i32_const(4_096).i32_const(4_096);
        body.raw(&[0x10])
            .padded(1)
            .raw(&[0x45, 0x0d, 1, 0x0c, 0, 0x0b, 0x0b]);
        let fuel = self.shape.functions.min(2_000);
        body.i32_const(fuel as i32).raw(&[0x24, FUEL]);
        body.i32_const(0x2_0000).i32_const(5).i32_const(3_000);
        body.raw(&[0xfc, 11, 0]);
        body.i32_const(0x3_0000)
            .i32_const(DATA_AT as i32)
            .i32_const(9_000);
        body.raw(&[0xfc, 10, 0, 0]);
        for _ in 0..40 {
            self.call(&mut body, 2);
        }
        body.raw(&[0x0b]);
        body
    }
}

fn value_type(ty: &ValueType) -> u8 {
    match ty {
        ValueType::I32 => 0x7f,
        ValueType::I64 => 0x7e,
    }
}

/// The binary of a stand-in.
#[must_use]
pub fn kernel(shape: Shape) -> Vec<u8> {
    let functions = shape.functions;
    let table = functions * 3 / 10 + 2;
    let mut writer = Writer {
        shape,
        chance: Chance(shape.seed | 1),
        table,
    };
    let mut out = Bytes::default();
    out.raw(b"\0asm\x01\0\0\0");

    let mut types = Bytes::default();
    types.u32((TYPES.len() + IMPORTS.len()) as u32);
    for (params, results) in TYPES {
        types.raw(&[0x60]).u32(params.into());
        types.raw(&vec![0x7f; params.into()]).u32(results.into());
        types.raw(&vec![0x7f; results.into()]);
    }
    let mut imports = Bytes::default();
    imports.u32(IMPORTS.len() as u32);
    for (index, name) in (0..).zip(IMPORTS) {
        let function = HostFunction::imported(name, PvmVersion::V6);
        let (params, results) = function.map_or((&[][..], &[][..]), |function| {
            (function.parameters(), function.results())
        });
        types.raw(&[0x60]).u32(params.len() as u32);
        types.raw(&params.iter().map(value_type).collect::<Vec<_>>());
        types.u32(results.len() as u32);
        types.raw(&results.iter().map(value_type).collect::<Vec<_>>());
        imports.name(MODULE).name(name).raw(&[0]);
        imports.u32(TYPES.len() as u32 + index);
    }
    out.section(1, &types);
    out.section(2, &imports);

    let mut section = Bytes::default();
    section.u32(functions + 1);
    for function in 0..functions {
        section.u32(type_of(function));
    }
    section.u32(0);
    out.section(3, &section);

    let mut section = Bytes::default();
    section.u32(1).raw(&[0x70, 1]).u32(table).u32(table);
    out.section(4, &section);
    let mut section = Bytes::default();
    section.u32(1).raw(&[0]).u32(PAGES);
    out.section(5, &section);

    let mut section = Bytes::default();
    section.u32(3);
    for value in [DATA_AT as i32, 0, 2_883_000] {
        section.raw(&[0x7f, 1]).i32_const(value).raw(&[0x0b]);
    }
    out.section(6, &section);

    let mut section = Bytes::default();
    section.u32(2).name("memory").raw(&[2, 0]);
    section.name("kernel_run").raw(&[0]);
    section.u32(functions + IMPORTS.len() as u32);
    out.section(7, &section);

    let mut section = Bytes::default();
    section
        .u32(1)
        .u32(0)
        .i32_const(1)
        .raw(&[0x0b])
        .u32(table - 1);
    for function in 0..table - 1 {
        section.padded(function % functions + IMPORTS.len() as u32);
    }
    out.section(9, &section);

    let mut section = Bytes::default();
    section.u32(functions + 1);
    for function in 0..functions {
        let body = writer.body(function);
        section.padded(body.0.len() as u32).raw(&body.0);
    }
    let body = writer.kernel_run();
    section.padded(body.0.len() as u32).raw(&body.0);
    out.section(10, &section);

    let mut section = Bytes::default();
    section.u32(2);
    for (address, length) in [(DATA_AT, shape.data), (DATA_AT + shape.data, 312)] {
        section.u32(0).i32_const(address as i32).raw(&[0x0b]);
        section.u32(length);
        for _ in 0..length {
            section.0.push(writer.chance.next() as u8);
        }
    }
    out.section(11, &section);
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_valid_and_always_the_same() {
        let features = wasmparser::WasmFeatures::WASM2 - wasmparser::WasmFeatures::FLOATS;
        let slice = kernel(Shape::SLICE);
        let mut validator = wasmparser::Validator::new_with_features(features);
        validator.validate_all(&slice).unwrap();
        assert_eq!(slice, kernel(Shape::SLICE));
    }
}
