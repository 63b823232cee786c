//! Expressions: a stack of open blocks, one instruction or one bracket a tick.

use super::opcode::instruction;
use super::types::{block_type, end};
use super::{BlockKont, InstrBlockKont, LazyStack, Stream};
use crate::wasm::ast::{Allocations, Block, BlockLabel, BlockType, Instr};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::{DecodeStep, Exception, Fault};
use crate::wasm::instance::EMPTY_BLOCK;
use crate::wasm::lazy::LazyVec;

use InstrBlockKont::{Block as OpenBlock, If1, If2, Loop, Next, Stop};

impl<T: Stored> LazyStack<T> {
    pub(super) fn empty() -> Self {
        Self {
            length: 0,
            vector: LazyVec::default(),
        }
    }

    pub(super) fn push(&mut self, value: T) -> Result<(), Fault> {
        if self.length >= self.vector.len() {
            self.vector.append(value)?;
        } else {
            self.vector.set(self.length, value)?;
        }
        self.length = self.length.wrapping_add(1);
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<T>, Fault> {
        if self.length == 0 {
            return Ok(None);
        }
        self.length = self.length.wrapping_sub(1);
        self.vector.get(self.length).cloned().map(Some)
    }
}

impl Allocations {
    pub(super) fn open_block(&mut self) -> Result<BlockLabel, Fault> {
        self.blocks.append(Block::default()).map(BlockLabel)
    }

    pub(super) fn add_instruction(&mut self, to: BlockLabel, instr: Instr) -> Result<(), Fault> {
        self.blocks.write(to.0)?.add(vec![instr])
    }
}

/// One tick of an expression.
pub(super) fn step(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    kont: BlockKont,
) -> Result<BlockKont, Fault> {
    match kont {
        BlockKont::Start => {
            let mut stack = LazyStack::empty();
            stack.push(Next(allocations.open_block()?))?;
            Ok(BlockKont::Parse(stack))
        }
        BlockKont::Parse(mut stack) => {
            if stack.length == 1
                && let Stop(label) = stack.vector.get(0)?
            {
                return Ok(BlockKont::Stop(*label));
            }
            advance(s, allocations, &mut stack)?;
            Ok(BlockKont::Parse(stack))
        }
        BlockKont::Stop(_) => Err(Exception::DecodeStep(DecodeStep::Block).into()),
    }
}

fn advance(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    stack: &mut LazyStack<InstrBlockKont>,
) -> Result<(), Fault> {
    // The original pops three entries, always, and puts back what it does not use.
    let top = stack.pop()?;
    let second = if top.is_some() { stack.pop()? } else { None };
    let third = if second.is_some() { stack.pop()? } else { None };
    let below = [third, second];
    match (top, second, third) {
        (Some(Next(label)), ..) => next(s, allocations, stack, label, below),
        (Some(Stop(body)), Some(OpenBlock(ty, _)), Some(Next(parent))) => {
            end(s)?;
            allocations.add_instruction(parent, Instr::Block(ty, body))?;
            stack.push(Next(parent))
        }
        (Some(Stop(body)), Some(Loop(ty, _)), Some(Next(parent))) => {
            end(s)?;
            allocations.add_instruction(parent, Instr::Loop(ty, body))?;
            stack.push(Next(parent))
        }
        (Some(Stop(then)), Some(If1(ty, pos)), Some(Next(parent))) => {
            if s.peek()? == Some(0x05) {
                s.byte()?;
                let otherwise = allocations.open_block()?;
                stack.push(Next(parent))?;
                stack.push(If2(ty, pos, then))?;
                return stack.push(Next(otherwise));
            }
            end(s)?;
            allocations.add_instruction(parent, Instr::If(ty, then, EMPTY_BLOCK))?;
            stack.push(Next(parent))
        }
        (Some(Stop(otherwise)), Some(If2(ty, _, then)), Some(Next(parent))) => {
            end(s)?;
            allocations.add_instruction(parent, Instr::If(ty, then, otherwise))?;
            stack.push(Next(parent))
        }
        _ => Err(Exception::DecodeStep(DecodeStep::InstrBlock).into()),
    }
}

/// Reads an instruction of block `label`, or finds its end.
fn next(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    stack: &mut LazyStack<InstrBlockKont>,
    label: BlockLabel,
    below: [Option<InstrBlockKont>; 2],
) -> Result<(), Fault> {
    let restore = |stack: &mut LazyStack<InstrBlockKont>| {
        below
            .into_iter()
            .flatten()
            .try_for_each(|entry| stack.push(entry))
    };
    if matches!(s.peek()?, None | Some(0x05 | 0x0b)) {
        restore(stack)?;
        return stack.push(Stop(label));
    }
    let pos = s.pos();
    let opcode = s.byte()?;
    let open: fn(BlockType, i32) -> InstrBlockKont = match opcode {
        0x02 => OpenBlock,
        0x03 => Loop,
        0x04 => If1,
        _ => {
            let instr = instruction(s, opcode)?;
            allocations.add_instruction(label, instr)?;
            restore(stack)?;
            return stack.push(Next(label));
        }
    };
    let ty = block_type(s)?;
    let inner = allocations.open_block()?;
    restore(stack)?;
    stack.push(Next(label))?;
    stack.push(open(ty, pos))?;
    stack.push(Next(inner))
}
