//! Many ticks of the parser at once.
//!
//! Promises: the state after any number of ticks is that of single ticks. Nearly all ticks of a
//! real kernel are instructions of a body, bytes of a data segment, or instructions looked at
//! again while functions are joined with their types: these three run in loops that keep the
//! stack and the open blocks at hand; every other tick is a single one.

use super::opcode::instruction;
use super::types::{block_type, end};
use super::{
    Binary, BlockKont, ByteVectorKont, CodeKont, DataKont, DecodeKont, Element, Filling, Guide,
    InstrBlockKont, LazyStack, ModuleKont, Stream,
};
use crate::wasm::ast::{Allocations, Block, BlockLabel, BlockType, Instr};
use crate::wasm::fault::Fault;
use crate::wasm::instance::EMPTY_BLOCK;
use crate::wasm::lazy::LazyVec;

use InstrBlockKont::{Block as OpenBlock, If1, If2, Loop, Next, Stop};

/// Bytes of a data segment copied at once.
const PIECE: u64 = 1 << 16;

impl DecodeKont {
    /// Takes at most `ticks` ticks, fewer when the module is parsed or the next tick raises, which
    /// is given back then; the state must not be used any more in that case.
    pub fn run(
        &mut self,
        binary: &mut dyn Binary,
        ticks: u64,
        guide: &mut Guide<'_>,
    ) -> (u64, Option<Fault>) {
        let mut taken = 0;
        while taken < ticks && self.module().is_none() {
            if let Guide::Notes(notes) = guide {
                notes.see(self, taken);
            }
            let (more, fault) = self.some(binary, ticks - taken, guide);
            taken += more;
            if fault.is_some() {
                return (taken, fault);
            }
        }
        (taken, None)
    }

    /// A leap, ticks of a loop, or a single one; with what the next tick raises.
    fn some(
        &mut self,
        binary: &mut dyn Binary,
        ticks: u64,
        guide: &Guide<'_>,
    ) -> (u64, Option<Fault>) {
        let leapt = match guide {
            Guide::Parsed(parsed) => self.leap(parsed, ticks),
            Guide::Notes(_) | Guide::None => Ok(0),
        };
        let glided = match leapt {
            Ok(0) => self.glide(binary, ticks),
            leapt => leapt.map(|ticks| (ticks, None)),
        };
        match glided {
            Ok((0, None)) => match self.step(binary) {
                Ok(()) => (1, None),
                Err(fault) => (0, Some(fault)),
            },
            Ok(glided) => glided,
            Err(fault) => (0, Some(fault)),
        }
    }

    /// Ticks of one of the three loops, and what the next one raises; none when the next tick is no
    /// such tick.
    fn glide(
        &mut self,
        binary: &mut dyn Binary,
        ticks: u64,
    ) -> Result<(u64, Option<Fault>), Fault> {
        match &mut self.kont {
            ModuleKont::Code(Element {
                kont:
                    CodeKont::Body {
                        block: BlockKont::Parse(stack),
                        ..
                    },
                ..
            }) => {
                let mut stream = Stream::new(binary, self.stream_pos);
                let glided = glide_body(&mut stream, stack, &mut self.allocations, ticks);
                self.stream_pos = stream.pos();
                glided
            }
            ModuleKont::Data(Element {
                kont:
                    DataKont::Init {
                        bytes: ByteVectorKont::Read { label, pos, length },
                        ..
                    },
                ..
            }) => {
                let from = i64::from(self.stream_pos);
                let there = binary.length().saturating_sub(from);
                let left = length.saturating_sub(*pos).min(there).max(0);
                let count = ticks.min(left.unsigned_abs()).min(PIECE);
                let bytes = binary.bytes_at(from, count as usize)?;
                self.allocations.datas.write(label.0)?.write(*pos, &bytes)?;
                *pos = pos.saturating_add(count as i64);
                self.stream_pos = self.stream_pos.wrapping_add(count as i32);
                Ok((count, None))
            }
            ModuleKont::ElaborateFunc {
                scan: Some(scan),
                no_datas: true,
                ..
            } => Ok((look(&mut self.allocations, scan, ticks)?, None)),
            _ => Ok((0, None)),
        }
    }
}

/// Ticks of an expression, fewer before its last one; and what the next one raises.
pub(super) fn glide_body(
    stream: &mut Stream<'_>,
    stack: &mut LazyStack<InstrBlockKont>,
    allocations: &mut Allocations,
    ticks: u64,
) -> Result<(u64, Option<Fault>), Fault> {
    let mut body = Body::new(stack, allocations)?;
    let glided = body.run(stream, ticks);
    *stack = body.settle()?;
    Ok(glided)
}

/// The body of a function, its stack and its open blocks at hand.
struct Body<'a> {
    allocations: &'a mut Allocations,
    /// The whole vector of the stack, popped entries included.
    entries: Vec<InstrBlockKont>,
    length: usize,
    /// Instructions that are not in the table yet, of blocks that are open, outer first.
    waiting: Vec<(BlockLabel, Vec<Instr>)>,
}

impl<'a> Body<'a> {
    fn new(
        stack: &mut LazyStack<InstrBlockKont>,
        allocations: &'a mut Allocations,
    ) -> Result<Self, Fault> {
        Ok(Self {
            allocations,
            entries: stack.vector.to_items()?,
            length: stack.length as u32 as usize,
            waiting: Vec::new(),
        })
    }

    /// Everything back in its place.
    fn settle(mut self) -> Result<LazyStack<InstrBlockKont>, Fault> {
        for (label, instructions) in std::mem::take(&mut self.waiting) {
            self.write(label, instructions)?;
        }
        Ok(LazyStack {
            length: self.length as i32,
            vector: LazyVec::from_items(self.entries),
        })
    }

    fn write(&mut self, label: BlockLabel, instructions: Vec<Instr>) -> Result<(), Fault> {
        self.allocations.blocks.write(label.0)?.add(instructions)
    }

    fn add(&mut self, label: BlockLabel, instr: Instr) {
        match self.waiting.last_mut() {
            Some((last, instructions)) if *last == label => instructions.push(instr),
            _ => self.waiting.push((label, vec![instr])),
        }
    }

    /// A block gets no more instructions.
    fn close(&mut self, label: BlockLabel) -> Result<(), Fault> {
        match self.waiting.pop_if(|(last, _)| *last == label) {
            Some((_, instructions)) => self.write(label, instructions),
            None => Ok(()),
        }
    }

    fn open(&mut self) -> Result<BlockLabel, Fault> {
        self.allocations
            .blocks
            .append(Block::default())
            .map(BlockLabel)
    }

    fn push(&mut self, entry: InstrBlockKont) {
        match self.entries.get_mut(self.length) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.length += 1;
    }

    fn entry(&self, below_top: usize) -> Option<InstrBlockKont> {
        let at = self.length.checked_sub(below_top + 1)?;
        self.entries.get(at).copied()
    }

    fn run(&mut self, s: &mut Stream<'_>, ticks: u64) -> (u64, Option<Fault>) {
        let mut taken = 0;
        while taken < ticks {
            let more = match self.entry(0) {
                Some(Next(label)) => self.next(s, label),
                Some(Stop(body)) => self.stop(s, body),
                _ => Ok(false),
            };
            match more {
                Ok(true) => taken += 1,
                Ok(false) => break,
                Err(fault) => return (taken, Some(fault)),
            }
        }
        (taken, None)
    }

    /// Reads an instruction of block `label`, or finds its end.
    fn next(&mut self, s: &mut Stream<'_>, label: BlockLabel) -> Result<bool, Fault> {
        if matches!(s.peek()?, None | Some(0x05 | 0x0b)) {
            self.close(label)?;
            self.length -= 1;
            self.push(Stop(label));
            return Ok(true);
        }
        let pos = s.pos();
        let opcode = s.byte()?;
        let open: fn(BlockType, i32) -> InstrBlockKont = match opcode {
            0x02 => OpenBlock,
            0x03 => Loop,
            0x04 => If1,
            _ => {
                let instr = instruction(s, opcode)?;
                self.add(label, instr);
                return Ok(true);
            }
        };
        let ty = block_type(s)?;
        let inner = self.open()?;
        self.push(open(ty, pos));
        self.push(Next(inner));
        Ok(true)
    }

    /// Joins a finished block to the one around it; not for the outermost.
    fn stop(&mut self, s: &mut Stream<'_>, body: BlockLabel) -> Result<bool, Fault> {
        let Some(Next(parent)) = self.entry(2) else {
            return Ok(false);
        };
        let instr = match self.entry(1) {
            Some(OpenBlock(ty, _)) => {
                end(s)?;
                Instr::Block(ty, body)
            }
            Some(Loop(ty, _)) => {
                end(s)?;
                Instr::Loop(ty, body)
            }
            Some(If1(ty, pos)) => {
                if s.peek()? == Some(0x05) {
                    s.byte()?;
                    let otherwise = self.open()?;
                    self.length -= 2;
                    self.push(If2(ty, pos, body));
                    self.push(Next(otherwise));
                    return Ok(true);
                }
                end(s)?;
                Instr::If(ty, body, EMPTY_BLOCK)
            }
            Some(If2(ty, _, then)) => {
                end(s)?;
                Instr::If(ty, then, body)
            }
            _ => return Ok(false),
        };
        self.add(parent, instr);
        self.length -= 2;
        Ok(true)
    }
}

type Scan = Filling<Filling<Instr>>;

/// Looks at instructions for a use of data segments; the tick that finds one is a single tick.
pub(super) fn look(
    allocations: &mut Allocations,
    scan: &mut Scan,
    ticks: u64,
) -> Result<u64, Fault> {
    let mut taken = 0;
    while taken < ticks && !scan.is_full() {
        let mut nested = Vec::new();
        let entry = scan.vector.write(scan.offset)?;
        let mut found = false;
        while taken < ticks && !entry.is_full() {
            match entry.vector.get(entry.offset)? {
                Instr::MemoryInit(_) | Instr::DataDrop(_) => {
                    found = true;
                    break;
                }
                Instr::Block(_, body) | Instr::Loop(_, body) => nested.push(*body),
                Instr::If(_, then, otherwise) => nested.extend([*then, *otherwise]),
                _ => {}
            }
            entry.offset = entry.offset.wrapping_add(1);
            taken += 1;
        }
        let full = entry.is_full();
        for block in nested {
            let instructions = allocations.blocks.read(block.0)?.instructions()?.clone();
            scan.vector.append(Filling::over(instructions))?;
        }
        if found {
            break;
        }
        if full && taken < ticks {
            scan.offset = scan.offset.wrapping_add(1);
            taken += 1;
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::Hash;
    use crate::merkle::Tree;
    use crate::wasm::decode::{Notes, Parsed};
    use crate::wasm::encoding::{Stored, Style, Target};
    use crate::wasm::testing::binary;

    fn hash(kont: &DecodeKont) -> Hash {
        let mut tree = Tree::empty();
        let mut kont = kont.clone();
        kont.store(&mut Target::new(&mut tree, Style::Changed))
            .unwrap();
        tree.hash().unwrap()
    }

    /// What is known of a kernel after it was parsed, as another process reads it.
    fn parsed(kernel: &[u8]) -> Option<Arc<Parsed>> {
        let mut kont = DecodeKont::new("main");
        let mut notes = Notes::default();
        let mut bytes = kernel;
        let (_, fault) = kont.run(&mut bytes, u64::MAX, &mut Guide::Notes(&mut notes));
        if fault.is_some() {
            return None;
        }
        let parsed = Parsed::new(kernel.into(), notes.finish(), &kont.allocations).unwrap()?;
        let written = parsed.to_bytes();
        let read = Parsed::from_bytes(kernel.into(), &written).unwrap();
        let read = read.expect("it agrees with its kernel");
        assert_eq!(read.to_bytes(), written);
        Some(Arc::new(read))
    }

    /// Every state of the parser: by single ticks, by runs of every length, with what is known of
    /// the kernel and without, on good and bad modules.
    fn check(kernel: &[u8]) -> usize {
        let mut hashes = Vec::new();
        let mut single = DecodeKont::new("main");
        let raised = loop {
            hashes.push(hash(&single));
            if single.module().is_some() {
                break None;
            }
            let mut bytes = kernel;
            if let Err(fault) = single.step(&mut bytes) {
                break Some(fault.to_string());
            }
        };
        let parsed = parsed(kernel);
        for stride in [1, 2, 7, 20, 64, 1_000_000] {
            check_runs(kernel, stride, &mut Guide::None, &hashes, raised.as_deref());
            if let Some(parsed) = &parsed {
                check_runs(kernel, stride, &mut Guide::Parsed(parsed), &hashes, None);
            }
        }
        hashes.len()
    }

    fn check_runs(
        kernel: &[u8],
        stride: u64,
        guide: &mut Guide<'_>,
        hashes: &[Hash],
        raised: Option<&str>,
    ) {
        let mut kont = DecodeKont::new("main");
        let mut tick = 0;
        loop {
            let mut bytes = kernel;
            let (taken, fault) = kont.run(&mut bytes, stride, guide);
            tick += taken as usize;
            if let Some(fault) = fault {
                assert_eq!(Some(&*fault.to_string()), raised, "stride {stride}");
                assert_eq!(tick + 1, hashes.len(), "stride {stride}");
                break;
            }
            assert_eq!(hash(&kont), hashes[tick], "stride {stride}, tick {tick}");
            if kont.module().is_some() {
                assert_eq!((tick + 1, None), (hashes.len(), raised));
                break;
            }
        }
        // A block that was not read yet is what its hash says.
        let mut blocks = kont.allocations.blocks.clone();
        for label in 0..blocks.len() {
            let block = blocks.read(label).unwrap();
            let known = block.tree().unwrap().hash().unwrap();
            let mut read = Block::of(block.instructions().unwrap().clone());
            assert_eq!(read.tree().unwrap().hash().unwrap(), known, "block {label}");
        }
    }

    const TEXT: &str = r#"(module
        (type (func (param i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "abcdef") (data "passive segment") (data (i32.const 9) "")
        (global (mut i32) (i32.const 4))
        (func (local i32 i64)
            (block (result i32) i32.const 1 (loop nop nop (br 0)) i32.const 4) drop
            (if (i32.const 1) (then nop) (else (block nop) unreachable))
            (if (i32.const 1) (then nop))
            (br_table 0 0 0 (i32.const 5)))
        (func (param i32) (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 0)))
        (func) (func (block (block (block)))))"#;

    #[test]
    fn runs_are_single_ticks_at_every_length() {
        let kernel = binary(TEXT);
        assert!(check(&kernel) > 150);
        // Cut short and damaged anywhere, it raises at the same tick.
        for length in (0..kernel.len()).step_by(13) {
            check(kernel.get(..length).unwrap());
            let mut damaged = kernel.clone();
            damaged[length] ^= 0x15;
            check(&damaged);
        }
    }
}
