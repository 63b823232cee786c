//! A kernel that was parsed before: its functions' places, ticks and hashes stand for their parsing.
//!
//! Why: decoding is most of a large kernel's ticks and is repeated by every kernel run. Promises: a
//! parser that leaps over known functions is after every tick the parser that did not; a block is
//! parsed when it is read, its function with it. What comes from disk is compared with the kernel
//! in some places first. Refuses to know: where it is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::notes::{Function, Noted, Notes};
use super::run::{glide_body, look};
use super::{BlockKont, CodeKont, DecodeKont, Element, Filling, ModuleKont, Stream, block, module};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Hash;
use crate::merkle::{Numbered, Tree, TreeError};
use crate::wasm::ast::{Allocations, Block, BlockLabel, Bodies, Instr};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::Fault;
use crate::wasm::lazy::{Backing, LazyBytes, LazyVec};

/// Functions that stay parsed for the next reader of their blocks.
const READ: usize = 16;
/// Functions that are compared with what a file says.
const LOOKED_AT: usize = 64;

/// What the parser knows of the kernel it reads.
#[derive(Debug)]
pub enum Guide<'a> {
    /// Nothing, and takes notes.
    Notes(&'a mut Notes),
    /// Its functions.
    Parsed(&'a Arc<Parsed>),
    /// Nothing.
    None,
}

/// A parsed function: the instructions of its blocks, first label first.
type Bodied = Arc<Vec<LazyVec<Instr>>>;

/// What is known of a kernel's functions.
#[derive(Debug)]
pub struct Parsed {
    kernel: Arc<[u8]>,
    noted: Noted,
    /// Hashes of the blocks of all functions, by label.
    hashes: Vec<Hash>,
    /// Hash of the directory of all blocks at the end of parsing, those of no function among them.
    table: OnceLock<Hash>,
    read: Mutex<VecDeque<(usize, Bodied)>>,
}

impl Parsed {
    /// What is known of a kernel that was just parsed; none when it has no blocks to leap over.
    ///
    /// # Errors
    /// [`Fault`] when a block cannot be hashed.
    pub fn new(
        kernel: Arc<[u8]>,
        noted: Noted,
        blocks: &Allocations,
    ) -> Result<Option<Arc<Self>>, Fault> {
        let (Some(first), Some(last)) = (noted.functions.first(), noted.functions.last()) else {
            return Ok(None);
        };
        let labels = first.label..last.labels().end;
        let hashes = blocks.hashes(labels.clone())?;
        let parsed = hashes.and_then(|hashes| Self::of(kernel, noted, hashes));
        let Some(parsed) = parsed.map(Arc::new) else {
            return Ok(None);
        };
        let backing = Arc::clone(&parsed) as Arc<dyn Backing<Block>>;
        let mut table = LazyVec::default();
        for (label, block) in blocks.blocks.loaded() {
            if label == labels.start {
                table.append_known(&backing, labels.end - labels.start)?;
            }
            if !labels.contains(&label) {
                table.append(block.clone())?;
            }
        }
        table.tree()?;
        if let Some(written) = table
            .written()
            .filter(|_| table.len() == blocks.blocks.len())
        {
            let hash = written.hash()?;
            parsed.table.get_or_init(|| hash);
        }
        Ok(Some(parsed))
    }

    /// Hash of the directory of all blocks at the end of parsing, if it is known.
    #[must_use]
    pub fn table(&self) -> Option<Hash> {
        self.table.get().copied()
    }

    /// All of it, if the functions follow each other in the kernel and each block has its hash.
    fn of(kernel: Arc<[u8]>, noted: Noted, hashes: Vec<Hash>) -> Option<Self> {
        let mut label = noted.functions.first()?.label;
        let mut end = 0;
        for function in &noted.functions {
            let follows = function.label == label && end <= function.start;
            if !follows || function.end < function.start || function.blocks <= 0 {
                return None;
            }
            label = function.label.checked_add(function.blocks)?;
            end = function.end;
        }
        let all = usize::try_from(label - noted.functions.first()?.label).ok()?;
        let is_inside = usize::try_from(end).is_ok_and(|end| end < kernel.len());
        (all == hashes.len() && is_inside).then(|| Self {
            kernel,
            noted,
            hashes,
            table: OnceLock::new(),
            read: Mutex::default(),
        })
    }

    /// Number of blocks of all functions.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.hashes.len()
    }

    /// All but the kernel, as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.option(self.noted.uses_data, |out, index| {
            out.u32(index);
        });
        out.u32(self.noted.functions.len() as u32);
        for function in &self.noted.functions {
            let Function {
                label,
                blocks,
                start,
                end,
                ..
            } = *function;
            for number in [label, blocks, start, end] {
                out.i32(number);
            }
            for ticks in [function.ticks, function.looked] {
                out.raw(&ticks.to_le_bytes());
            }
        }
        out.option(self.table.get(), |out, hash| {
            out.raw(hash.as_bytes());
        });
        for hash in &self.hashes {
            out.raw(hash.as_bytes());
        }
        out.into_bytes()
    }

    /// Reads what [`Self::to_bytes`] wrote about this kernel. None when it is about another one.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(kernel: Arc<[u8]>, bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut from = Reader::new(bytes);
        let uses_data = from.option("use of data", |from| from.u32("function"))?;
        let mut functions = Vec::new();
        for _ in 0..from.u32("functions")? {
            functions.push(Function {
                label: from.i32("label")?,
                blocks: from.i32("blocks")?,
                start: from.i32("start")?,
                end: from.i32("end")?,
                ticks: from.array("ticks").map(u64::from_le_bytes)?,
                looked: from.array("ticks").map(u64::from_le_bytes)?,
            });
        }
        let table = from.option("table", |from| from.array("hash").map(Hash))?;
        let (hashes, rest) = from.rest().as_chunks::<32>();
        if !rest.is_empty() {
            return Err(from.invalid("hashes", format!("{} bytes left", rest.len())));
        }
        let hashes = hashes.iter().map(|hash| Hash(*hash)).collect();
        let noted = Noted {
            functions,
            uses_data,
        };
        let parsed = Self::of(kernel, noted, hashes).map(|parsed| Self {
            table: table.map(OnceLock::from).unwrap_or_default(),
            ..parsed
        });
        Ok(parsed.filter(|parsed| parsed.agrees().is_ok_and(|agrees| agrees)))
    }

    /// Whether some of the functions are what is said of them.
    fn agrees(&self) -> Result<bool, Fault> {
        let count = self.noted.functions.len();
        for index in (0..count).step_by(count.div_ceil(LOOKED_AT).max(1)) {
            let Some(function) = self.noted.functions.get(index) else {
                return Ok(false);
            };
            let (ticks, end, mut allocations) = self.parse(function)?;
            let looks = self.noted.uses_data.is_none_or(|at| index < at as usize);
            let is_so = (ticks, end) == (function.ticks, function.end)
                && allocations.hashes(function.labels())?.as_deref() == self.hashes_of(function.label, function.blocks)
                // One tick begins to look, one ends it.
                && (!looks || looked(&mut allocations, function)? + 2 == function.looked);
            if !is_so {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hashes of so many blocks from a label on.
    fn hashes_of(&self, label: i32, count: i32) -> Option<&[Hash]> {
        let first = self.noted.functions.first()?.label;
        let from = usize::try_from(label.checked_sub(first)?).ok()?;
        let count = usize::try_from(count).ok()?;
        self.hashes.get(from..from.checked_add(count)?)
    }

    /// Parses an expression: its ticks, where it ends, and its blocks, behind those before it, which
    /// are not there.
    fn parse(&self, function: &Function) -> Result<(u64, i32, Allocations), Fault> {
        let mut allocations = Allocations {
            // The shared empty one is there.
            blocks: LazyVec::from_bindings(0, function.label, [(0, Block::default())]),
            datas: LazyVec::singleton(LazyBytes::default()),
        };
        let mut bytes = &*self.kernel;
        let mut stream = Stream::new(&mut bytes, function.start);
        let (mut kont, mut ticks) = (BlockKont::Start, 0);
        loop {
            kont = match kont {
                BlockKont::Stop(_) => return Ok((ticks, stream.pos(), allocations)),
                BlockKont::Parse(mut stack) => {
                    let (taken, fault) =
                        glide_body(&mut stream, &mut stack, &mut allocations, u64::MAX)?;
                    ticks += taken;
                    fault.map_or(Ok(()), Err)?;
                    block::step(&mut stream, &mut allocations, BlockKont::Parse(stack))?
                }
                start @ BlockKont::Start => block::step(&mut stream, &mut allocations, start)?,
            };
            ticks += 1;
        }
    }

    /// A function's instructions, as they are read again and again for a while.
    fn bodied(&self, index: usize, function: &Function) -> Result<Bodied, Fault> {
        let known = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bodied)) = known().iter().find(|(at, _)| *at == index) {
            return Ok(Arc::clone(bodied));
        }
        let (.., allocations) = self.parse(function)?;
        let labels = function.labels();
        let blocks = allocations.blocks.loaded();
        let here = blocks
            .filter(|(label, _)| labels.contains(label))
            .filter_map(|(_, block)| block.here().cloned());
        let bodied = Arc::new(here.collect::<Vec<_>>());
        let mut known = known();
        if known.len() >= READ {
            known.pop_front();
        }
        known.push_back((index, Arc::clone(&bodied)));
        Ok(bodied)
    }
}

impl Bodies for Parsed {
    fn instructions(&self, label: BlockLabel) -> Result<LazyVec<Instr>, Fault> {
        let functions = &self.noted.functions;
        let index = functions.partition_point(|function| function.label <= label.0);
        let lost = || Fault::Unencodable(of_no_function(label.0));
        let index = index.checked_sub(1).ok_or_else(lost)?;
        let function = functions.get(index).ok_or_else(lost)?;
        let place = label.0.checked_sub(function.label).ok_or_else(lost)?;
        let bodied = self.bodied(index, function)?;
        bodied.get(place as usize).cloned().ok_or_else(lost)
    }
}

fn of_no_function(label: impl std::fmt::Display) -> String {
    format!("block {label} is of no function")
}

/// Blocks by the numbers of their labels.
impl Numbered for Parsed {
    fn hash(&self, number: u32) -> Option<Hash> {
        let hashes = self.hashes_of(i32::try_from(number).ok()?, 1)?;
        hashes.first().copied()
    }

    fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError> {
        let block = self.value(number.cast_signed()).ok();
        let tree = block.and_then(|block| block.known_tree());
        tree.ok_or_else(|| TreeError::unknown(of_no_function(number)))
    }
}

impl Backing<Block> for Parsed {
    fn value(self: Arc<Self>, key: i32) -> Result<Block, Fault> {
        let hash = self.hash(key.cast_unsigned());
        let hash = hash.ok_or_else(|| Fault::Unencodable(of_no_function(key)))?;
        Ok(Block::unread(self, BlockLabel(key), hash))
    }
}

/// Ticks that look through a function that uses no data segment.
fn looked(allocations: &mut Allocations, function: &Function) -> Result<u64, Fault> {
    let body = module::instructions(allocations, function.label)?;
    let mut scan = Filling::over(LazyVec::singleton(body));
    look(allocations, &mut scan, u64::MAX)
}

impl DecodeKont {
    /// Takes the ticks of a whole function at once when they are known and not too many; their
    /// number, or none.
    pub(super) fn leap(&mut self, parsed: &Arc<Parsed>, ticks: u64) -> Result<u64, Fault> {
        match &mut self.kont {
            ModuleKont::Code(Element {
                kont:
                    CodeKont::Body {
                        block: block @ BlockKont::Start,
                        ..
                    },
                vector,
                ..
            }) => {
                let functions = &parsed.noted.functions;
                let known = functions.get(vector.offset as u32 as usize);
                let here = (self.stream_pos, self.allocations.blocks.len());
                let Some(function) = known.filter(|function| {
                    function.ticks <= ticks && (function.start, function.label) == here
                }) else {
                    return Ok(0);
                };
                let backing = Arc::clone(parsed) as Arc<dyn Backing<Block>>;
                let blocks = &mut self.allocations.blocks;
                blocks.append_known(&backing, function.blocks)?;
                *block = BlockKont::Stop(BlockLabel(function.label));
                self.stream_pos = function.end;
                Ok(function.ticks)
            }
            ModuleKont::ElaborateFunc {
                types,
                bodies,
                done,
                scan: None,
                no_datas: no_datas @ true,
            } if !done.is_full() => {
                let index = done.offset as u32;
                let known = parsed.noted.functions.get(index as usize);
                let Some(function) = known.filter(|function| function.looked <= ticks) else {
                    return Ok(0);
                };
                module::join(types, bodies, done)?;
                *no_datas = parsed.noted.uses_data != Some(index);
                Ok(function.looked)
            }
            _ => Ok(0),
        }
    }
}
