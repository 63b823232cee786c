//! Blocks: nearly all leaves of a real kernel's state are instructions.
//!
//! Promises: the same tree as element by element. Where no proof is recorded, a block is hashed
//! once and then known by its hash alone; whoever reads it has its tree made from the compact
//! instructions. Equal instructions share one tree, however often they occur.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::hashing::block_hash;
use crate::crypto::Hash;
use crate::merkle::{Maker, Tree, TreeError, in_parts};
use crate::wasm::ast::{Allocations, Block, Instr};
use crate::wasm::encoding::place::written;
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

/// Trees of instructions kept for the next block, at most.
const KNOWN: usize = 1 << 16;
/// Blocks from which a second thread is worth its start.
const WORTH_A_THREAD: usize = 4_000;
/// Blocks that a thread takes at once.
const AT_ONCE: usize = 500;

thread_local! {
    static TREES: RefCell<HashMap<Instr, Tree>> = RefCell::new(HashMap::new());
}

/// The tree of an instruction, hashed.
fn instruction(instr: &Instr) -> Result<Tree, Fault> {
    let known = TREES.with_borrow(|known| known.get(instr).cloned());
    if let Some(tree) = known {
        return Ok(tree);
    }
    let mut tree = Tree::empty();
    instr
        .clone()
        .store(&mut Target::new(&mut tree, Style::Changed))?;
    tree.hash()?;
    TREES.with_borrow_mut(|known| {
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(instr.clone(), tree.clone());
    });
    Ok(tree)
}

/// The tree of a block whose instructions are all here.
fn whole(instructions: &LazyVec<Instr>) -> Result<Option<Tree>, Fault> {
    let Some(elements) = instructions.elements() else {
        return Ok(None);
    };
    let mut entries = Vec::with_capacity(instructions.len() as u32 as usize);
    for (key, instr) in elements {
        entries.push((key.to_string(), instruction(instr)?));
    }
    let contents = Tree::directory(entries)?;
    let mut tree = Tree::empty();
    Target::new(&mut tree, Style::Changed).at("instructions", |target| {
        target.at("contents", |target| target.graft(&contents))?;
        target.leaf("length", &instructions.len())?;
        target.leaf("head", &instructions.first_key())
    })?;
    Ok(Some(tree))
}

/// Makes the tree of a block.
#[derive(Debug)]
struct Instructions(Block);

impl Maker for Instructions {
    fn make(&self) -> Result<Tree, TreeError> {
        match self.0.clone().instructions().and_then(|here| whole(here)) {
            Ok(Some(tree)) => Ok(tree),
            Ok(None) => Err(TreeError::unknown("instructions are missing")),
            Err(fault) => Err(fault.into_tree_error()),
        }
    }
}

impl Stored for Block {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        if target.style() == Style::Changed
            && let Some(tree) = by_hash(self)?
        {
            return target.graft(&tree);
        }
        target.store("instructions", self.instructions()?)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        source.load("instructions").map(Self::of)
    }

    fn tree(&mut self) -> Result<Tree, Fault> {
        if let Some(tree) = by_hash(self)? {
            return Ok(tree);
        }
        written(self)
    }
}

/// The tree of a block whose instructions are all here, known by its hash.
fn by_hash(block: &mut Block) -> Result<Option<Tree>, Fault> {
    block.hash = hash_of(block)?;
    Ok(block.known_tree())
}

impl Block {
    /// The tree of a block whose hash is known, made when it is read.
    pub(in crate::wasm) fn known_tree(&self) -> Option<Tree> {
        let maker = || Arc::new(Instructions(self.clone()));
        self.hash.map(|hash| Tree::made_when_read(hash, maker()))
    }
}

/// The hash of a block whose instructions are all here.
fn hash_of(block: &Block) -> Result<Option<Hash>, Fault> {
    let (None, Some(instructions)) = (block.hash, block.here()) else {
        return Ok(block.hash);
    };
    if let Some(hash) = block_hash(instructions)? {
        return Ok(Some(hash));
    }
    let tree = whole(instructions)?;
    Ok(tree.map(|tree| tree.hash()).transpose()?)
}

/// Hashes of blocks, in their order, by all processors; none when not all of a block is here.
fn hashes_of(blocks: &[&Block]) -> Result<Vec<Option<Hash>>, Fault> {
    let parts = in_parts(blocks.len(), (AT_ONCE, WORTH_A_THREAD), |part| {
        let blocks = blocks.get(part).unwrap_or_default();
        blocks.iter().map(|block| hash_of(block)).collect()
    });
    let parts: Result<Vec<Vec<_>>, Fault> = parts.into_iter().collect();
    Ok(parts?.concat())
}

impl Allocations {
    /// Hashes the blocks that changed since they were last written.
    ///
    /// # Errors
    /// [`Fault`] of the tree.
    pub(super) fn hash_changed(&mut self) -> Result<(), Fault> {
        let changed = self.blocks.changed();
        let (labels, blocks): (Vec<i32>, Vec<&Block>) =
            changed.filter(|(_, block)| block.hash.is_none()).unzip();
        let hashes = hashes_of(&blocks)?;
        for (label, hash) in labels.into_iter().zip(hashes) {
            self.blocks.write(label)?.hash = hash;
        }
        Ok(())
    }

    /// Hashes of these blocks; none when not all of them are here.
    ///
    /// # Errors
    /// [`Fault`] of the tree.
    pub fn hashes(&self, labels: Range<i32>) -> Result<Option<Vec<Hash>>, Fault> {
        let among = |(label, block)| labels.contains(&label).then_some(block);
        let blocks: Vec<&Block> = self.blocks.loaded().filter_map(among).collect();
        if blocks.len() != labels.len() {
            return Ok(None);
        }
        Ok(hashes_of(&blocks)?.into_iter().collect())
    }
}
