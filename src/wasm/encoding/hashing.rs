//! Hashes of blocks without their trees.
//!
//! Promises: the hash of the tree that [`Stored`](super::Stored) writes. Equal instructions are hashed
//! once, as long as they are remembered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::thread::LocalKey;

use super::instr::STEPS;
use crate::codec::Writer;
use crate::crypto::Hash;
use crate::merkle::{Kind, Plan, Scratch, value_hash};
use crate::wasm::ast::Instr;
use crate::wasm::encoding::Leaf;
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

/// Hashes of instructions remembered, at most.
const KNOWN: usize = 1 << 16;
/// Plans of blocks remembered, at most.
const LENGTHS: usize = 256;

/// Plans of the directories of an instruction and a block.
struct Plans {
    tagged: Plan,
    /// Of one leaf, by the place of the field.
    leaf: [Plan; 3],
    /// Of two and of three fields.
    fields: [Plan; 2],
    vector: Plan,
    block: Plan,
}

impl Plans {
    fn new() -> Result<Self, Fault> {
        let [(one, a), (two, b), (three, c)] = STEPS;
        Ok(Self {
            tagged: Plan::new(["tag", "value"])?,
            leaf: [Plan::new([a])?, Plan::new([b])?, Plan::new([c])?],
            fields: [Plan::new([one, two])?, Plan::new([one, two, three])?],
            vector: Plan::new(["contents", "length", "head"])?,
            block: Plan::new(["instructions"])?,
        })
    }
}

/// Hashes blocks one after the other.
struct Hasher {
    plans: Plans,
    scratch: Scratch,
    instructions: HashMap<Instr, Hash>,
    tags: HashMap<&'static str, Hash>,
    /// Of the number.
    zero: Hash,
    /// Plan of the elements of a vector, and hash of its length, by length.
    lengths: HashMap<usize, (Plan, Hash)>,
    elements: Vec<(Kind, Hash)>,
}

thread_local! {
    static HASHER: RefCell<Option<Hasher>> = const { RefCell::new(None) };
}

/// The hash of the tree of a block with these instructions; none when some of them are not here.
pub(super) fn block_hash(instructions: &LazyVec<Instr>) -> Result<Option<Hash>, Fault> {
    if instructions.is_empty() {
        return Ok(None);
    }
    with_hasher(&HASHER, Hasher::new, |hasher| hasher.block(instructions))
}

/// Does this with the thread's hasher, which comes to be with its first use.
pub(super) fn with_hasher<H, R>(
    hasher: &'static LocalKey<RefCell<Option<H>>>,
    new: fn() -> Result<H, Fault>,
    work: impl FnOnce(&mut H) -> Result<R, Fault>,
) -> Result<R, Fault> {
    hasher.with_borrow_mut(|hasher| {
        let hasher = match hasher {
            Some(hasher) => hasher,
            None => hasher.insert(new()?),
        };
        work(hasher)
    })
}

pub(super) fn leaf_hash<T: Leaf>(value: &T) -> Result<Hash, Fault> {
    let mut writer = Writer::new();
    value.write(&mut writer)?;
    Ok(value_hash(&writer.into_bytes()))
}

impl Hasher {
    fn new() -> Result<Self, Fault> {
        Ok(Self {
            plans: Plans::new()?,
            scratch: Scratch::default(),
            instructions: HashMap::new(),
            tags: HashMap::new(),
            zero: leaf_hash(&0_i32)?,
            lengths: HashMap::new(),
            elements: Vec::new(),
        })
    }

    fn block(&mut self, instructions: &LazyVec<Instr>) -> Result<Option<Hash>, Fault> {
        let Some(elements) = instructions.elements() else {
            return Ok(None);
        };
        let mut hashes = std::mem::take(&mut self.elements);
        hashes.clear();
        for (place, (key, instr)) in (0..).zip(elements) {
            if *key != place {
                return Ok(None);
            }
            hashes.push((Kind::Directory, self.instruction(instr)?));
        }
        let contents = self.contents(&hashes);
        self.elements = hashes;
        let (contents, length) = contents?;
        let head = match instructions.first_key() {
            0 => self.zero,
            first => leaf_hash(&first)?,
        };
        let entries = [
            (Kind::Directory, contents),
            (Kind::Value, length),
            (Kind::Value, head),
        ];
        let vector = self.plans.vector.hash(&mut self.scratch, &entries);
        let entries = [(Kind::Directory, vector)];
        Ok(Some(self.plans.block.hash(&mut self.scratch, &entries)))
    }

    /// Hashes of the directory of these elements and of their number.
    fn contents(&mut self, elements: &[(Kind, Hash)]) -> Result<(Hash, Hash), Fault> {
        let count = elements.len();
        let (plan, length) = match self.lengths.entry(count) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let plan = Plan::new((0..count).map(|place| place.to_string()))?;
                free.insert((plan, leaf_hash(&(count as i32))?))
            }
        };
        let hashes = (plan.hash(&mut self.scratch, elements), *length);
        if self.lengths.len() > LENGTHS {
            self.lengths.clear();
        }
        Ok(hashes)
    }

    fn instruction(&mut self, instr: &Instr) -> Result<Hash, Fault> {
        // These name a block of their own: no two are equal.
        if matches!(instr, Instr::Block(..) | Instr::Loop(..) | Instr::If(..)) {
            return self.fresh(instr);
        }
        if let Some(hash) = self.instructions.get(instr) {
            return Ok(*hash);
        }
        let hash = self.fresh(instr)?;
        if self.instructions.len() >= KNOWN {
            self.instructions.clear();
        }
        self.instructions.insert(instr.clone(), hash);
        Ok(hash)
    }

    fn fresh(&mut self, instr: &Instr) -> Result<Hash, Fault> {
        let Self { plans, scratch, .. } = self;
        let fields = instr.fields()?;
        let mut leaves = [(Kind::Directory, Hash([0; 32])); 3];
        for ((leaf, plan), field) in leaves.iter_mut().zip(&plans.leaf).zip(fields.list()) {
            leaf.1 = plan.hash(scratch, &[(Kind::Value, value_hash(field))]);
        }
        let [first, ..] = leaves;
        let value = match fields.list().len() {
            0 => (Kind::Value, value_hash(&[])),
            1 => first,
            count => {
                let [two, three] = &plans.fields;
                let plan = if count == 2 { two } else { three };
                (Kind::Directory, plan.hash(scratch, &leaves))
            }
        };
        let tag = *self.tags.entry(fields.tag).or_insert_with(|| {
            let mut writer = Writer::new();
            writer.dynamic(fields.tag.as_bytes());
            value_hash(&writer.into_bytes())
        });
        Ok(plans.tagged.hash(scratch, &[(Kind::Value, tag), value]))
    }
}
