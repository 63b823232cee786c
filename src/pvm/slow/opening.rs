//! What every run of a kernel begins with: parsing, linking, initialising.
//!
//! Why: on a large kernel these are nearly all ticks, and they depend on the kernel's bytes and the
//! version alone. Promises: computed once, shared by all runs in the process; the inside of the run
//! at any tick of it, by single ticks' rule; states that were hashed are kept, in bounded number,
//! so that a later question writes only what changed since; what takes longest by far, hashing the
//! blocks of the module, is kept on disk for the next process. Refuses to know: the rest of the state.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::host::Imports;
use super::machine::{Run, entered, linked, stack_size_limit, stuck_with};
use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::protocol::PvmVersion;
use crate::pvm::Stuck;
use crate::pvm::folder::Folder;
use crate::wasm::decode::DecodeKont;
use crate::wasm::encoding::Style;
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::Fault;
use crate::wasm::init::{EvalState, InitKont, InitState, LinkState};
use crate::wasm::instance::{ModuleKey, Value};
use crate::wasm::lazy::LazyVec;
use crate::wasm::run::{self, Compiled};

/// States of one opening kept at most.
const RUNGS: usize = 48;
/// Blocks of a kernel from which their hashes are kept on disk; fewer are hashed as quickly.
const WORTH_KEEPING: usize = 1_000;
/// Ticks that are taken at once.
const STRIDE: u64 = 1 << 40;

/// How an opening ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// At the first tick of evaluation.
    Evaluates,
    /// Stuck.
    Stuck(Stuck),
    /// The next tick calls a host function: what it does depends on the rest of the state.
    CallsHost,
}

/// The inside of a run, and how many ticks of the run led there.
#[derive(Debug, Clone)]
struct Rung {
    tick: u64,
    run: Run,
}

/// One kernel's opening. Tick 0 is the state right after the snapshot.
#[derive(Debug)]
pub(super) struct Opening {
    kernel: Vec<u8>,
    version: PvmVersion,
    folder: Folder,
    /// What it is called there.
    name: Hash,
    rungs: Mutex<BTreeMap<u64, Rung>>,
    end: OnceLock<(u64, End)>,
    /// Last tick of parsing, and first tick after linking.
    parts: OnceLock<(u64, u64)>,
    evaluation: OnceLock<EvalState>,
    compiled: OnceLock<Result<Compiled, run::RunError>>,
    /// Whether the hashes of the blocks are known from the folder, and no run has begun since.
    recalled: AtomicBool,
}

/// Whatever happened to another thread, a rung is a true state.
pub(super) fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses every call, and remembers that there was one.
#[derive(Default)]
struct NoHost {
    called: bool,
}

impl HostFunctions for NoHost {
    fn call(&mut self, _: &str, _: &[Value], _: Memories<'_>) -> Result<HostOutcome, Fault> {
        self.called = true;
        Err(Fault::Unencodable("a host call in an opening".to_owned()))
    }
}

/// What a walk came to.
enum Walked {
    /// The tick that was asked for.
    There,
    /// The last state, and how it ends there or at the next tick.
    Ended(End),
}

impl Rung {
    /// Goes on to a tick, or to the end.
    fn walk(&mut self, opening: &Opening, target: u64) -> Result<Walked, Fault> {
        self.walk_while(opening, target, |_| true)
    }

    /// Goes on to a tick, but not beyond the last one of parsing, where the module is there.
    fn parse(&mut self, opening: &Opening, target: u64) -> Result<Walked, Fault> {
        let parses = |run: &Run| matches!(run, Run::Decode(kont, _) if kont.module().is_none());
        self.walk_while(opening, target, parses)
    }

    fn walk_while(
        &mut self,
        opening: &Opening,
        target: u64,
        goes_on: impl Fn(&Run) -> bool,
    ) -> Result<Walked, Fault> {
        while self.tick < target && goes_on(&self.run) {
            let running = self.run.running();
            let (taken, stepped) = self.some_ticks(opening, target - self.tick);
            self.tick = self.tick.saturating_add(taken);
            match stepped {
                Ok(None) => {}
                Ok(Some(end)) => return Ok(Walked::Ended(end)),
                Err(Fault::Raised(exception)) => {
                    let stuck = stuck_with(running, &exception);
                    return Ok(Walked::Ended(End::Stuck(stuck)));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(Walked::There)
    }

    /// Ticks within a phase, or the one that leads to the next.
    fn some_ticks(&mut self, opening: &Opening, left: u64) -> (u64, Result<Option<End>, Fault>) {
        let limit = stack_size_limit(opening.version);
        match &mut self.run {
            Run::Decode(kont, _) => {
                if let Some(module) = kont.module() {
                    self.run = Run::Link(LinkState {
                        module: module.clone(),
                        externs: LazyVec::default(),
                        offset: 0,
                    });
                    return (1, Ok(None));
                }
                let mut bytes = opening.kernel.as_slice();
                let (taken, fault) = kont.run(&mut bytes, left.min(STRIDE));
                (taken, fault.map_or(Ok(None), Err))
            }
            Run::Link(link) => {
                if link.is_complete() {
                    let key = ModuleKey(super::machine::MAIN.into());
                    self.run = Run::Init(InitState::new(key, link.clone()));
                    return (1, Ok(None));
                }
                match linked(link, &Imports(opening.version)) {
                    Ok(None) => (1, Ok(None)),
                    Ok(Some(stuck)) => (0, Ok(Some(End::Stuck(stuck)))),
                    Err(fault) => (0, Err(fault)),
                }
            }
            Run::Init(init) if matches!(init.kont, InitKont::Stop) => match entered(init, limit) {
                Ok(Ok(eval)) => {
                    self.run = Run::Eval(eval);
                    (1, Ok(Some(End::Evaluates)))
                }
                Ok(Err(stuck)) => (0, Ok(Some(End::Stuck(stuck)))),
                Err(fault) => (0, Err(fault)),
            },
            Run::Init(init) => {
                let mut host = NoHost::default();
                let (taken, fault) = init.run(left, &mut host, limit);
                match fault {
                    Some(_) if host.called => (taken, Ok(Some(End::CallsHost))),
                    Some(fault) => (taken, Err(fault)),
                    None => (taken, Ok(None)),
                }
            }
            Run::Eval(_) => (0, Ok(Some(End::Evaluates))),
        }
    }
}

impl Opening {
    /// The opening of a kernel; hashes of its blocks are kept in this folder under this name.
    pub(super) fn new(kernel: Vec<u8>, version: PvmVersion, folder: Folder, name: Hash) -> Self {
        Self {
            kernel,
            version,
            folder,
            name,
            rungs: Mutex::default(),
            end: OnceLock::new(),
            parts: OnceLock::new(),
            evaluation: OnceLock::new(),
            compiled: OnceLock::new(),
            recalled: AtomicBool::new(false),
        }
    }

    fn first() -> Rung {
        Rung {
            tick: 0,
            run: Run::Decode(DecodeKont::new(super::machine::MAIN), None),
        }
    }

    /// The last tick of the opening, and how it ends: in the state there, or at the next tick.
    pub(super) fn end(&self) -> Result<(u64, End), Fault> {
        if let Some(end) = self.end.get() {
            return Ok(end.clone());
        }
        let mut rung = Self::first();
        let mut walked = rung.parse(self, u64::MAX)?;
        let parsed = rung.tick;
        if let Walked::There = walked {
            self.recall_blocks(&mut rung.run)?;
            self.keep(rung.tick, &rung.run);
            let links = |run: &Run| matches!(run, Run::Decode(..) | Run::Link(_));
            walked = rung.walk_while(self, u64::MAX, links)?;
        }
        self.parts.get_or_init(|| (parsed, rung.tick));
        if let Walked::There = walked {
            walked = rung.walk(self, u64::MAX)?;
        }
        let end = match walked {
            Walked::Ended(end) => end,
            Walked::There => End::CallsHost,
        };
        if let (End::Evaluates, Run::Eval(eval)) = (&end, rung.run) {
            self.evaluation.get_or_init(|| eval);
        }
        Ok(self.end.get_or_init(|| (rung.tick, end)).clone())
    }

    /// Last tick of parsing, first tick after linking, and the last tick of all.
    pub(super) fn parts(&self) -> Result<(u64, u64, u64), Fault> {
        let (last, _) = self.end()?;
        let (parsed, linked) = self.parts.get().copied().unwrap_or((last, last));
        Ok((parsed, linked, last))
    }

    /// The inside of the run at a tick up to the last one.
    pub(super) fn run_at(&self, tick: u64) -> Result<Run, Fault> {
        let (end, _) = self.end()?;
        // From the end of parsing on, everything holds the parsed blocks: they are written to the
        // tree once, before the containers part.
        let below = |tick: u64| {
            let rungs = locked(&self.rungs);
            let nearest = rungs.range(..=tick).next_back();
            nearest.map(|(_, rung)| rung.clone())
        };
        let mut rung = below(tick).unwrap_or_else(Self::first);
        if matches!(rung.run, Run::Decode(..)) {
            rung.parse(self, tick.min(end))?;
            if rung.tick < tick {
                self.hash_blocks(&mut rung.run)?;
                rung.run.store(Style::Changed)?.hash()?;
                locked(&self.rungs).insert(rung.tick, rung.clone());
            } else {
                self.take_known(&mut rung.run)?;
            }
        }
        rung.walk(self, tick)?;
        Ok(rung.run)
    }

    /// Takes what is known of the blocks of the parsed module, while it is being parsed once more.
    fn take_known(&self, run: &mut Run) -> Result<(), Fault> {
        let parsed = locked(&self.rungs)
            .values()
            .find_map(|rung| match &rung.run {
                Run::Decode(kont, _) => kont.module().map(|module| module.allocations.clone()),
                _ => None,
            });
        match (run, parsed) {
            (Run::Decode(kont, _), Some(parsed)) if kont.module().is_none() => {
                kont.allocations.take_known(&parsed)
            }
            _ => Ok(()),
        }
    }

    /// Takes the hashes of the parsed blocks from the folder, if they are there.
    fn recall_blocks(&self, run: &mut Run) -> Result<(), Fault> {
        let (Run::Decode(kont, _), Some(bytes)) = (run, self.folder.load(&self.name)) else {
            return Ok(());
        };
        let (hashes, rest) = bytes.as_chunks::<32>();
        let hashes: Vec<Hash> = hashes.iter().map(|hash| Hash(*hash)).collect();
        kont.parsed_blocks(|allocations| {
            if !rest.is_empty() || !allocations.agrees(&hashes)? {
                tracing::warn!("hashes of a kernel's blocks on disk are not its own: not used");
                return Ok(());
            }
            self.recalled.store(true, Ordering::Relaxed);
            allocations.know_blocks(&hashes)
        })
    }

    /// Hashes the parsed blocks, unless that was done, and keeps the hashes in the folder.
    fn hash_blocks(&self, run: &mut Run) -> Result<(), Fault> {
        let Run::Decode(kont, _) = run else {
            return Ok(());
        };
        kont.parsed_blocks(|allocations| {
            let Some(hashes) = allocations.unknown_blocks()? else {
                return Ok(());
            };
            if hashes.len() >= WORTH_KEEPING {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                self.folder.keep(&self.name, &bytes);
            }
            allocations.know_blocks(&hashes)
        })
    }

    /// Keeps the inside of the run at a tick, after it was written to a tree.
    pub(super) fn keep(&self, tick: u64, run: &Run) {
        let mut rungs = locked(&self.rungs);
        if rungs.len() >= RUNGS {
            let mut odd = false;
            rungs.retain(|_, rung| {
                odd = !odd;
                match &rung.run {
                    Run::Decode(kont, _) => odd || kont.module().is_some(),
                    Run::Init(_) => odd,
                    Run::Link(_) | Run::Eval(_) => true,
                }
            });
        }
        let run = run.clone();
        rungs.entry(tick).or_insert(Rung { tick, run });
    }

    /// The first state of evaluation; with everything in its tree when hashes are wanted. With the
    /// hashes of the blocks from the folder the first run does not wait for that: its own first hash
    /// takes a second, and it is there at once.
    pub(super) fn evaluation(&self, purpose: Purpose) -> Result<EvalState, Fault> {
        let (tick, _) = self.end()?;
        if purpose == Purpose::Hashes && !self.recalled.swap(false, Ordering::Relaxed) {
            let mut run = self.run_at(tick)?;
            let tree: Tree = run.store(Style::Changed)?;
            tree.hash()?;
            self.keep(tick, &run);
            if let Run::Eval(eval) = run {
                return Ok(eval);
            }
        }
        match self.evaluation.get() {
            Some(eval) => Ok(eval.clone()),
            None => Err(Fault::Unencodable("no evaluation begins here".to_owned())),
        }
    }

    /// The module, compiled for run mode; why it is not, otherwise.
    pub(super) fn compiled(&self) -> Result<&Compiled, run::RunError> {
        let compiled = self.compiled.get_or_init(|| {
            let mut eval = self.evaluation(Purpose::Reach)?;
            Compiled::new(&mut eval)
        });
        compiled.as_ref().map_err(Clone::clone)
    }
}

/// What a course is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To reach its end.
    Reach,
    /// For hashes on the way, too: what is common to them is written to the tree first.
    Hashes,
}
