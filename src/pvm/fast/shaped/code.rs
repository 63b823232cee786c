//! The code of random kernels: expressions, statements, calls of the host.

use super::{Bytes, I32, KEYS, LONG, SLOT, SOURCE, Writer};
use crate::pvm::host::ValueType;

impl Writer<'_> {
    pub(super) fn corner(&mut self) -> i64 {
        let some = self.random.next() as i64 >> self.below(64);
        self.pick(&[
            0,
            1,
            -1,
            2,
            7,
            31,
            32,
            33,
            63,
            64,
            127,
            128,
            255,
            256,
            0x7fff,
            0x8000,
            -0x8000,
            0xffff,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            1 << 31,
            1 << 32,
            i64::MAX,
            i64::MIN,
            some,
            some,
        ])
    }

    /// Something that is on the stack as a 32-bit integer.
    pub(super) fn int(&mut self, depth: u32) -> Bytes {
        let (a, b) = match depth {
            0 => (Vec::new(), Vec::new()),
            _ => (self.int(depth - 1), self.int(depth - 1)),
        };
        let (x, y) = match depth {
            0 => (Vec::new(), Vec::new()),
            _ => (self.long(depth - 1), self.long(depth - 1)),
        };
        let constant = self.corner() as i32;
        match if depth == 0 {
            self.below(5)
        } else {
            self.below(20)
        } {
            0 | 1 => self.i32(constant),
            2 => self.op(&[0x20], &[0]),
            3 => self.op(&[0x23], &[0]),
            4 => vec![0x3f, 0],
            5..=7 => {
                // Shifts, rotations, bits and arithmetic without the divisions.
                let op = self.pick(&[
                    0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
                ]);
                [a, b, vec![op]].concat()
            }
            8 => {
                let op = self.pick(&[0x6d, 0x6e, 0x6f, 0x70]);
                let odd = if self.random.one_in(8) {
                    Vec::new()
                } else {
                    [self.i32(3), vec![0x72]].concat()
                };
                [a, b, odd, vec![op]].concat()
            }
            9 | 10 => [a, b, vec![0x46 + self.below(10) as u8]].concat(),
            11 => [x, y, vec![0x51 + self.below(10) as u8]].concat(),
            12 => [a, vec![self.pick(&[0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1])]].concat(),
            13 => [x, vec![self.pick(&[0x50, 0xa7])]].concat(),
            14 => {
                let (op, wide) =
                    self.pick(&[(0x28, 4), (0x2c, 1), (0x2d, 1), (0x2e, 2), (0x2f, 2)]);
                let place = self.place(wide);
                [place, self.access(op)].concat()
            }
            15 => [a.clone(), b, a, vec![0x1b]].concat(),
            16 => {
                let delta = self.pick(&[0, 1, 2, -1, 65_535]);
                [self.i32(delta), vec![0x40, 0]].concat()
            }
            17 => {
                let ty = self.pick(&[I32, I32, 1]);
                match ty {
                    1 => [a, b, vec![0x04, 1], vec![0x45, 0x05, 0x67, 0x0b]].concat(),
                    _ => [a.clone(), vec![0x04, ty], b, vec![0x05], a, vec![0x0b]].concat(),
                }
            }
            18 => {
                let function = self.function(1);
                [a, self.op(&[0x10], &[function])].concat()
            }
            _ => {
                let function = self.function(2);
                [a, b, self.op(&[0x10], &[function])].concat()
            }
        }
    }

    fn long(&mut self, depth: u32) -> Bytes {
        let (a, x, y) = match depth {
            0 => (Vec::new(), Vec::new(), Vec::new()),
            _ => (
                self.int(depth - 1),
                self.long(depth - 1),
                self.long(depth - 1),
            ),
        };
        let constant = self.corner();
        match if depth == 0 {
            self.below(3)
        } else {
            self.below(9)
        } {
            0 | 1 => self.i64(constant),
            2 => self.op(&[0x23], &[1]),
            3 | 4 => {
                let op = self.pick(&[
                    0x7c, 0x7d, 0x7e, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
                ]);
                [x, y, vec![op]].concat()
            }
            5 => {
                let op = self.pick(&[0x7f, 0x80, 0x81, 0x82]);
                let odd = if self.random.one_in(8) {
                    Vec::new()
                } else {
                    [self.i64(3), vec![0x84]].concat()
                };
                [x, y, odd, vec![op]].concat()
            }
            6 => [x, vec![self.pick(&[0x79, 0x7a, 0x7b, 0xc2, 0xc3, 0xc4])]].concat(),
            7 => [a, vec![self.pick(&[0xac, 0xad])]].concat(),
            _ => {
                let ops = [
                    (0x29, 8),
                    (0x30, 1),
                    (0x31, 1),
                    (0x32, 2),
                    (0x33, 2),
                    (0x34, 4),
                    (0x35, 4),
                ];
                let (op, wide) = self.pick(&ops);
                let place = self.place(wide);
                [place, self.access(op)].concat()
            }
        }
    }

    /// An address for so many bytes; seldom one outside.
    fn place(&mut self, wide: i32) -> Bytes {
        let address = match self.below(24) {
            0 => self.pick(&[65_536 - wide + 1, 65_536, -1, i32::MIN]),
            1..=8 => 65_536 - wide,
            _ => SOURCE + self.below(8_000) as i32,
        };
        self.i32(address)
    }

    /// A load or store with its alignment and offset.
    fn access(&mut self, op: u8) -> Bytes {
        let offset = if self.random.one_in(40) {
            self.pick(&[1, 65_535, 0x7fff_ffff, 0xffff_ffff])
        } else {
            0
        };
        self.op(&[op], &[0, offset])
    }

    /// A function of the module by its number.
    pub(super) fn function(&mut self, number: usize) -> usize {
        self.imports.len() + number
    }

    fn key(&mut self) -> Vec<i32> {
        if self.random.one_in(12) {
            return vec![LONG, self.pick(&[239, 240, 241, 242])];
        }
        let most = if self.random.one_in(3) { 14 } else { 5 };
        let key = self.below(most);
        let length = KEYS[key as usize].len() as i32;
        let address = key as i32 * SLOT;
        match self.below(20) {
            0 => vec![address, self.pick(&[-1, i32::MIN, 300])],
            1 => vec![self.pick(&[65_535, 65_536, -1]), length],
            _ => vec![address, length],
        }
    }

    fn pointer(&mut self) -> i32 {
        match self.below(10) {
            0 => self.pick(&[0, 65_536, -1, i32::MIN, i32::MAX]),
            1 | 2 => self.pick(&[65_535, 65_532, 65_516, 65_503, 63_488]),
            _ => SOURCE + self.below(1_000) as i32,
        }
    }

    fn length(&mut self) -> i32 {
        match self.below(12) {
            0 => self.pick(&[-1, i32::MIN, i32::MAX, 65_536]),
            1 => self.pick(&[2_047, 2_048, 2_049, 4_095, 4_096, 4_097]),
            _ => self.pick(&[0, 1, 2, 4, 20, 23, 24, 25, 32, 33, 100, 600]),
        }
    }

    /// A call of a host function, with what it answers kept in memory.
    pub(super) fn host(&mut self) -> Bytes {
        let Some(index) = (!self.imports.is_empty()).then(|| self.below(self.imports.len() as u64))
        else {
            return vec![0x01];
        };
        let function = self.imports[index as usize];
        let shape = match function.import_name() {
            "read_input" => "ppn",
            "write_output" | "write_debug" | "reveal_metadata" => "pn",
            "store_get_nth_key" => "kIpn",
            "store_copy" | "store_move" => "kk",
            "store_read" | "store_write" => "kopn",
            "reveal_preimage" | "reveal" => "pnpn",
            "__internal_store_get_hash" => "kpn",
            "store_create" => "kn",
            _ => "k",
        };
        let kept = SOURCE + 4_096 + 8 * self.below(64) as i32;
        let mut code = self.i32(kept);
        for part in shape.chars() {
            let values = match part {
                'k' => self.key(),
                'p' => vec![self.pointer()],
                'n' => vec![self.length()],
                'o' => vec![self.pick(&[0, 0, 0, 1, 4, 599, 600, 2_048, -1, i32::MAX])],
                _ => {
                    let index = self.pick(&[0, 0, 1, 2, -1, 9, i64::MAX, i64::MIN]);
                    code.extend(self.i64(index));
                    continue;
                }
            };
            for value in values {
                code.extend(self.i32(value));
            }
        }
        code.extend(self.op(&[0x10], &[index as usize]));
        code.extend(match function.results() {
            [] => vec![0x1a],
            [ValueType::I64] => self.op(&[0x37], &[0, 0]),
            _ => self.op(&[0x36], &[0, 0]),
        });
        code
    }

    pub(super) fn bulk(&mut self) -> Bytes {
        let edge = |writer: &mut Self| match writer.below(8) {
            0 => writer.pick(&[65_536, -1, i32::MIN]),
            1 | 2 => 65_536 - 40,
            _ => SOURCE + writer.below(300) as i32,
        };
        let (to, from) = (edge(self), edge(self));
        let count = self.pick(&[0, 1, 5, 40, 40, 41, 100]);
        match self.below(4) {
            0 => [
                self.i32(to),
                self.i32(from),
                self.i32(count),
                vec![0xfc, 11, 0],
            ]
            .concat(),
            1 | 2 => [
                self.i32(to),
                self.i32(from),
                self.i32(count),
                vec![0xfc, 10, 0, 0],
            ]
            .concat(),
            _ if self.random.one_in(4) => self.op(&[0xfc, 9], &[1]),
            _ => {
                let from = self.pick(&[0, 1, 19, 20, 21, -1]);
                let count = self.pick(&[0, 0, 1, 19, 20, 21]);
                [
                    self.i32(to),
                    self.i32(from),
                    self.i32(count),
                    self.op(&[0xfc, 8], &[1]),
                    vec![0],
                ]
                .concat()
            }
        }
    }

    pub(super) fn tables(&mut self) -> Bytes {
        let index = self.pick(&[0, 1, 2, 3, 4, 5, 6, 7, -1]);
        let index = if self.random.one_in(4) {
            index
        } else {
            index & 3
        };
        let table = self.below(2) as usize;
        let at = self.i32(index);
        let reference = match self.below(3) {
            0 => vec![0xd0, 0x70],
            1 => {
                let function = self.function(1);
                self.op(&[0xd2], &[function])
            }
            _ => [self.i32(index & 3), self.op(&[0x25], &[table])].concat(),
        };
        let count = self.pick(&[0, 0, 1, 2, 5, -1]);
        let (other, count) = (self.i32(index & 1), self.i32(count));
        match self.below(14) {
            0..=5 => {
                let (ty, arguments) = self.pick(&[(1, 1), (1, 1), (2, 2), (0, 0), (4, 3)]);
                let mut code = match arguments {
                    3 => self.i64(5),
                    _ => Vec::new(),
                };
                for _ in 0..arguments.min(2) - i32::from(arguments == 3) {
                    code.extend(self.i32(7));
                }
                code.extend(at);
                code.extend(self.op(&[0x11], &[ty, table]));
                if let 1 | 2 = ty {
                    code.push(0x1a);
                }
                code
            }
            6 => [at, self.op(&[0x25], &[table]), vec![0xd1, 0x1a]].concat(),
            7 => [at, reference, self.op(&[0x26], &[table])].concat(),
            8 => [self.op(&[0xfc, 16], &[table]), vec![0x1a]].concat(),
            9 => [reference, count, self.op(&[0xfc, 15], &[table]), vec![0x1a]].concat(),
            10 => [at, reference, count, self.op(&[0xfc, 17], &[table])].concat(),
            11 => [at, other, count, self.op(&[0xfc, 14], &[table, 1 - table])].concat(),
            12 => [at, other, count, self.op(&[0xfc, 12], &[2, table])].concat(),
            _ => self.op(&[0xfc, 13], &[2]),
        }
    }

    pub(super) fn statement(&mut self, depth: u32) -> Bytes {
        match self.below(if depth == 0 { 13 } else { 17 }) {
            0 | 1 => [self.int(3), self.op(&[0x21], &[0])].concat(),
            2 => [self.int(2), self.op(&[0x24], &[0])].concat(),
            3 => [self.long(3), self.op(&[0x24], &[1])].concat(),
            4 => {
                let (op, wide) = self.pick(&[(0x36, 4), (0x3a, 1), (0x3b, 2)]);
                [self.place(wide), self.int(2), self.access(op)].concat()
            }
            5 => {
                let (op, wide) = self.pick(&[(0x37, 8), (0x3c, 1), (0x3d, 2), (0x3e, 4)]);
                [self.place(wide), self.long(2), self.access(op)].concat()
            }
            6 => self.bulk(),
            7 => self.tables(),
            8 => {
                let depths = [3, 5, 20, 296, 297, 298, 299, 300, 301];
                let depth = self.pick(&depths);
                let depth = match self.below(4) {
                    0 => depth,
                    _ if self.deep && self.random.one_in(60) => 59_994 + self.below(8) as i32,
                    _ => depth.min(20),
                };
                let deep = self.function(4);
                [self.i32(depth), self.op(&[0x10], &[deep]), vec![0x1a]].concat()
            }
            9..=12 => self.host(),
            13 => [vec![0x02, 0x40], self.statements(depth - 1), vec![0x0b]].concat(),
            14 => {
                let (then, other) = (self.statements(depth - 1), self.statements(depth - 1));
                [
                    self.int(1),
                    vec![0x04, 0x40],
                    then,
                    vec![0x05],
                    other,
                    vec![0x0b],
                ]
                .concat()
            }
            15 => {
                // As many rounds as the second local counts down.
                let rounds = self.pick(&[1, 2, 9]);
                let body = self.statements(depth - 1);
                let count = [
                    self.op(&[0x20], &[1]),
                    self.i32(1),
                    vec![0x6b],
                    self.op(&[0x22], &[1]),
                ]
                .concat();
                let begin = [self.i32(rounds), self.op(&[0x21], &[1]), vec![0x03, 0x40]].concat();
                [
                    begin,
                    body,
                    count,
                    self.i32(0),
                    vec![0x4a],
                    self.op(&[0x0d], &[0]),
                    vec![0x0b],
                ]
                .concat()
            }
            _ => {
                let count = self.pick(&[0, 1, 3, 40]);
                let body = self.statements(depth - 1);
                let mut table = self.size(count);
                for _ in 0..=count {
                    let label = self.below(3) as usize;
                    table.extend(self.size(label));
                }
                let open = [0x02, 0x40].repeat(3);
                [
                    open,
                    self.int(1),
                    vec![0x0e],
                    table,
                    vec![0x0b],
                    body.clone(),
                    vec![0x0b],
                    body,
                    vec![0x0b],
                ]
                .concat()
            }
        }
    }

    fn statements(&mut self, depth: u32) -> Bytes {
        (0..1 + self.below(3))
            .flat_map(|_| self.statement(depth))
            .collect()
    }

    /// Code that no validator takes, or that stops.
    pub(super) fn fault(&mut self) -> Bytes {
        let faults: [&[u8]; 14] = [
            &[0x1a],
            &[0x0f],
            &[0x00],
            &[0x41, 1, 0x0f],
            &[0x42, 1, 0x21, 0],
            &[0x20, 9, 0x1a],
            &[0x23, 9, 0x1a],
            &[0x10, 99],
            &[0x0c, 9],
            &[0x41, 1, 0x42, 2, 0x6a, 0x1a],
            &[0x11, 0, 5],
            &[0xfc, 9, 7],
            &[0x06],
            &[0x92],
        ];
        self.pick(&faults).to_vec()
    }
}
