//! Blocks: nearly all leaves of a real kernel's state are instructions.
//!
//! Promises: the same tree as element by element. Where no proof is recorded, a block is hashed
//! once and then known by its hash alone; whoever reads it has its tree made from the compact
//! instructions. Equal instructions share one tree, however often they occur.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::merkle::{Maker, Tree, TreeError};
use crate::wasm::ast::{Block, Instr};
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

/// Trees of instructions kept for the next block, at most.
const KNOWN: usize = 1 << 16;

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
struct Instructions(LazyVec<Instr>);

impl Maker for Instructions {
    fn make(&self) -> Result<Tree, TreeError> {
        match whole(&self.0) {
            Ok(Some(tree)) => Ok(tree),
            Err(Fault::Tree(error)) => Err(error),
            Ok(None) => unmade("instructions are missing".to_owned()),
            Err(other) => unmade(other.to_string()),
        }
    }
}

fn unmade(reason: String) -> Result<Tree, TreeError> {
    Err(TreeError::NotMade {
        hash: crate::crypto::Hash([0; 32]),
        reason,
    })
}

impl Stored for Block {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        if target.style() == Style::Changed
            && let Some(tree) = whole(&self.instructions)?
        {
            let maker = Instructions(self.instructions.clone());
            return target.graft(&Tree::made_when_read(tree.hash()?, Arc::new(maker)));
        }
        target.store("instructions", &mut self.instructions)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            instructions: source.load("instructions")?,
        })
    }
}
