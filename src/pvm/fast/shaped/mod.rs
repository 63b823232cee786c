//! Random kernels of our own shape, for the edges where a generator of plain modules seldom comes:
//! host functions at the ends of memory and of their limits, bulk operations, tables and calls by
//! reference, deep calls, corner values, integers written longer than they need, broken code.

mod code;

use crate::protocol::PvmVersion;
use crate::pvm::host::{HostFunction, MODULE, ValueType};
use crate::wasm::testing::Random;

/// Keys in memory, each in a slot of its own, and the length of most.
const KEYS: [&str; 14] = [
    "/a",
    "/a/b",
    "/a/c",
    "/d/e/f",
    "/a/b/c",
    "/readonly/x",
    "/kernel/boot.wasm",
    "/kernel/env/reboot",
    "a/b",
    "/a//b",
    "/a/",
    "/\u{e9}",
    "",
    "/",
];
const SLOT: i32 = 24;
/// A key of the longest length and of one more, and where bytes to write come from.
const LONG: i32 = SLOT * 14;
const SOURCE: i32 = LONG + 320;

const I32: u8 = 0x7f;
const I64: u8 = 0x7e;

/// Parameters and results of the functions that are not imported, and their names below.
const TYPES: [(&[u8], &[u8]); 5] = [
    (&[], &[]),
    (&[I32], &[I32]),
    (&[I32, I32], &[I32]),
    (&[I64], &[I64]),
    (&[I64, I32], &[]),
];
/// Types of the functions of the module: the entry, three leaves, the deep one, the start.
const FUNCTIONS: [usize; 6] = [0, 1, 2, 3, 1, 0];

/// A module being written.
struct Writer<'r> {
    random: &'r mut Random,
    /// Integers are padded in one place of so many.
    padded: u64,
    imports: Vec<HostFunction>,
    /// Whether code that no validator takes is strewn in.
    broken: bool,
    deep: bool,
}

type Bytes = Vec<u8>;

impl Writer<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.random.next() % from.len() as u64) as usize]
    }

    fn below(&mut self, count: u64) -> u64 {
        self.random.next() % count
    }

    /// An integer in groups of seven bits, `most` bytes at most.
    fn integer(&mut self, value: i64, most: usize, signed: bool) -> Bytes {
        let mut needed = 1;
        let fits = |count: usize| {
            let bits = 7 * count as u32;
            match signed {
                true => bits > 63 || value >> (bits - 1) == 0 || value >> (bits - 1) == -1,
                false => bits > 63 || (value as u64) >> bits == 0,
            }
        };
        while !fits(needed) {
            needed += 1;
        }
        if self.random.one_in(self.padded) {
            needed += self.below((most - needed) as u64 + 1) as usize;
        }
        let groups = (0..needed).map(|group| {
            let bits = (value >> (7 * group as u32).min(63)) as u8 & 0x7f;
            bits | if group + 1 < needed { 0x80 } else { 0 }
        });
        groups.collect()
    }

    fn size(&mut self, value: usize) -> Bytes {
        self.integer(i64::from(value as u32), 5, false)
    }

    fn i32(&mut self, value: i32) -> Bytes {
        [vec![0x41], self.integer(i64::from(value), 5, true)].concat()
    }

    fn i64(&mut self, value: i64) -> Bytes {
        [vec![0x42], self.integer(value, 10, true)].concat()
    }

    /// An opcode and indices.
    fn op(&mut self, opcode: &[u8], indices: &[usize]) -> Bytes {
        let mut bytes = opcode.to_vec();
        for index in indices {
            bytes.extend(self.size(*index));
        }
        bytes
    }

    fn vector(&mut self, items: &[Bytes]) -> Bytes {
        [self.size(items.len()), items.concat()].concat()
    }

    fn text(&mut self, text: &str) -> Bytes {
        [self.size(text.len()), text.as_bytes().to_vec()].concat()
    }

    fn section(&mut self, id: u8, contents: Bytes) -> Bytes {
        [vec![id], self.size(contents.len()), contents].concat()
    }
}

impl Writer<'_> {
    fn entry(&mut self) -> Bytes {
        let count = 4 + self.below(14);
        let mut code = Vec::new();
        for _ in 0..count {
            code.extend(self.statement(2));
            if self.broken && self.random.one_in(6) {
                code.extend(self.fault());
            }
        }
        code
    }

    fn body(&mut self, number: usize) -> Bytes {
        let calm =
            |writer: &mut Self| [writer.int(0), writer.op(&[0x20], &[0]), vec![0x6a]].concat();
        match number {
            0 => self.entry(),
            1 => calm(self),
            2 => [calm(self), self.op(&[0x20], &[1]), vec![0x73]].concat(),
            3 => self.op(&[0x20], &[0]),
            4 => {
                let own = self.function(4);
                let next = [
                    self.op(&[0x20], &[0]),
                    self.i32(1),
                    vec![0x6b],
                    self.op(&[0x10], &[own]),
                ]
                .concat();
                [
                    self.op(&[0x20], &[0]),
                    vec![0x04, I32],
                    next,
                    self.i32(1),
                    vec![0x6a, 0x05],
                    self.i32(0),
                    vec![0x0b],
                ]
                .concat()
            }
            _ => {
                // Initialisation has no memory for host functions.
                let imports = if self.random.one_in(3) {
                    self.imports.len()
                } else {
                    0
                };
                if imports == 0 {
                    [
                        self.int(2),
                        self.op(&[0x21], &[0]),
                        self.tables(),
                        self.bulk(),
                    ]
                    .concat()
                } else {
                    self.host()
                }
            }
        }
    }

    fn code(&mut self) -> Bytes {
        let mut bodies = Vec::new();
        for (number, ty) in FUNCTIONS.iter().enumerate() {
            let parameters = TYPES[*ty].0.len();
            let locals = match parameters {
                0 => [self.size(1), self.size(2), vec![I32]].concat(),
                _ => self.size(0),
            };
            let code = [locals, self.body(number), vec![0x0b]].concat();
            bodies.push([self.size(code.len()), code].concat());
        }
        self.vector(&bodies)
    }

    fn types(&mut self) -> Bytes {
        let numbers = |types: &[ValueType]| -> Bytes {
            let number = |ty: &ValueType| if *ty == ValueType::I32 { I32 } else { I64 };
            types.iter().map(number).collect()
        };
        let own = TYPES
            .iter()
            .map(|(params, results)| (params.to_vec(), results.to_vec()));
        let hosts = self.imports.iter();
        let hosts =
            hosts.map(|function| (numbers(function.parameters()), numbers(function.results())));
        let all: Vec<(Bytes, Bytes)> = own.chain(hosts).collect();
        let mut types = Vec::new();
        for (params, results) in all {
            types.push(
                [
                    vec![0x60],
                    self.size(params.len()),
                    params,
                    self.size(results.len()),
                    results,
                ]
                .concat(),
            );
        }
        self.vector(&types)
    }

    fn imports(&mut self) -> Bytes {
        let mut imports = Vec::new();
        for (index, function) in self.imports.clone().into_iter().enumerate() {
            let module = if self.random.one_in(400) {
                "env"
            } else {
                MODULE
            };
            let name = [
                self.text(module),
                self.text(function.import_name()),
                vec![0],
            ]
            .concat();
            imports.push([name, self.size(TYPES.len() + index)].concat());
        }
        self.vector(&imports)
    }

    fn elements(&mut self) -> Bytes {
        let names: Vec<usize> = (0..4).map(|number| self.function(number % 3 + 1)).collect();
        let indices = |writer: &mut Self, count: usize| -> Bytes {
            let items: Vec<Bytes> = names
                .iter()
                .take(count)
                .map(|name| writer.size(*name))
                .collect();
            writer.vector(&items)
        };
        let first = if self.random.one_in(30) {
            7
        } else {
            self.below(2) as i32
        };
        let active = [vec![0], self.i32(first), vec![0x0b], indices(self, 3)].concat();
        let second = [
            vec![2],
            self.size(1),
            self.i32(1),
            vec![0x0b, 0],
            indices(self, 2),
        ]
        .concat();
        let passive = match self.random.one_in(2) {
            true => [vec![1, 0], indices(self, 4)].concat(),
            false => {
                let function = self.op(&[0xd2], &[names[0]]);
                let items = [[function, vec![0x0b]].concat(), vec![0xd0, 0x70, 0x0b]];
                [vec![5, 0x70], self.vector(&items)].concat()
            }
        };
        let declared = [vec![3, 0], indices(self, 1)].concat();
        self.vector(&[active, second, passive, declared])
    }

    fn data(&mut self) -> Bytes {
        let mut keys = vec![0; SOURCE as usize + 64];
        for (slot, key) in KEYS.iter().enumerate() {
            let at = slot * SLOT as usize;
            keys[at..at + key.len()].copy_from_slice(key.as_bytes());
        }
        keys[LONG as usize..LONG as usize + 300].fill(b'x');
        keys[LONG as usize] = b'/';
        for byte in &mut keys[SOURCE as usize..] {
            *byte = self.random.next() as u8;
        }
        let at = if self.random.one_in(30) {
            65_530
        } else {
            65_516
        };
        let first = [
            vec![0],
            self.i32(0),
            vec![0x0b],
            self.size(keys.len()),
            keys,
        ]
        .concat();
        let passive = [vec![1], self.size(20), vec![0xab; 20]].concat();
        let last = [
            vec![2],
            self.size(0),
            self.i32(at),
            vec![0x0b],
            self.size(20),
            (0..20).collect(),
        ]
        .concat();
        self.vector(&[first, passive, last])
    }

    fn module(&mut self) -> Bytes {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        if self.random.one_in(3) {
            let custom = [self.text("name"), vec![7; 3]].concat();
            module.extend(self.section(0, custom));
        }
        let types = self.types();
        module.extend(self.section(1, types));
        let imports = self.imports();
        module.extend(self.section(2, imports));
        let functions: Vec<Bytes> = FUNCTIONS.iter().map(|ty| self.size(*ty)).collect();
        let functions = self.vector(&functions);
        module.extend(self.section(3, functions));
        let size = 4 + self.below(3) as usize;
        let tables = [
            [vec![0x70, 1], self.size(size), self.size(9)].concat(),
            [vec![0x70, 0], self.size(4)].concat(),
        ];
        let tables = self.vector(&tables);
        module.extend(self.section(4, tables));
        let memory = [vec![1, 1], self.size(1), self.size(3)].concat();
        module.extend(self.section(5, memory));
        let first = self.corner() as i32;
        let second = self.corner();
        let globals = [
            [vec![I32, 1], self.i32(first), vec![0x0b]].concat(),
            [vec![I64, 1], self.i64(second), vec![0x0b]].concat(),
        ];
        let globals = self.vector(&globals);
        module.extend(self.section(6, globals));
        let entry = self.function(0);
        let exports = [
            [self.text("mem"), vec![2], self.size(0)].concat(),
            [self.text("kernel_run"), vec![0], self.size(entry)].concat(),
        ];
        let exports = self.vector(&exports);
        module.extend(self.section(7, exports));
        if self.random.one_in(5) {
            let start = self.function(5);
            let start = self.size(start);
            module.extend(self.section(8, start));
        }
        let elements = self.elements();
        module.extend(self.section(9, elements));
        if !self.random.one_in(60) {
            let count = self.size(3);
            module.extend(self.section(12, count));
        }
        let code = self.code();
        module.extend(self.section(10, code));
        let data = self.data();
        module.extend(self.section(11, data));
        module
    }
}

/// A kernel; one in some is broken in a byte, and `deep` ones may nest calls to the last limit.
pub(super) fn kernel(random: &mut Random, version: PvmVersion, deep: bool) -> Vec<u8> {
    let all = HostFunction::ALL.iter().copied();
    let known = all.filter(|function| !function.is_second_storage());
    let most = if random.one_in(40) {
        PvmVersion::V6
    } else {
        version
    };
    let imports = known.filter(|function| function.since() <= most).collect();
    let mut writer = Writer {
        padded: [1, 6, 1_000][(random.next() % 3) as usize],
        broken: random.one_in(8),
        deep,
        random,
        imports,
    };
    let mut module = writer.module();
    if random.one_in(10) {
        let at = (random.next() % module.len() as u64) as usize;
        let bit = 1 << (random.next() % 8);
        module[at] ^= bit;
    }
    module
}
