//! What every run of a kernel begins with: parsing, linking, initialising.
//!
//! Why: on a large kernel these are nearly all ticks, and they depend on the kernel's bytes and the
//! version alone. Promises: computed once, shared by all runs in the process; the inside of the run
//! at any tick of it, by single ticks' rule; states that were hashed are kept, in bounded number,
//! so that a later question writes only what changed since. Two things are kept on disk for the
//! next process: what parsing came to, function by function, with the hashes of the blocks, which
//! take longest by far, of their table, and the last tick; and the module as run mode compiles it,
//! with the tick and the native state at the end. With the second, runs begin at once; with the
//! first, a state anywhere is reached without parsing again but for the function that a tick stands
//! in, so that every function is a checkpoint.
//! Refuses to know: the rest of the state.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::host::Imports;
use super::machine::{Run, entered, linked, stack_size_limit, stuck_with};
use crate::codec::{DecodeError, Reader, Writer};
use crate::merkle::Tree;
use crate::protocol::PvmVersion;
use crate::pvm::Stuck;
use crate::pvm::folder::Saved;
use crate::wasm::ast::Allocations;
use crate::wasm::decode::{DecodeKont, Guide, Noted, Notes, Parsed};
use crate::wasm::encoding::{Stored, Style};
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::Fault;
use crate::wasm::init::{EvalState, InitKont, InitState, LinkState};
use crate::wasm::instance::{ModuleKey, Value};
use crate::wasm::lazy::LazyVec;
use crate::wasm::run::{self, Beginning, Compiled};

/// States of one opening kept at most.
const RUNGS: usize = 48;
/// Blocks of a kernel from which what parsing came to is kept on disk; fewer are parsed as quickly.
const WORTH_KEEPING: usize = 1_000;
/// Bytes of a kernel from which the beginning of its runs is kept on disk; others are as quickly there.
const LARGE: usize = 1 << 13;
/// Ticks that are taken at once.
const STRIDE: u64 = 1 << 40;
/// Ticks of a start function that belong to the opening. A longer one, which may be endless, is run
/// natively by each run, within the ticks of its period and by the stop signal.
const START: u64 = 1 << 16;

/// How an opening ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// At the first tick of evaluation.
    Evaluates,
    /// Stuck.
    Stuck(Stuck),
    /// The next tick calls a host function, which sees the rest of the state. Not much comes after
    /// it: while a module is initialised, host functions have no memory, so the call raises; that of
    /// the metadata, which needs none, leaves a wait that the tick after it raises on.
    CallsHost,
    /// The next tick calls a start function that takes long.
    Starts,
}

/// The inside of a run, and how many ticks of the run led there.
#[derive(Debug, Clone)]
struct Rung {
    tick: u64,
    run: Run,
}

/// What parsing came to, from disk.
#[derive(Debug)]
struct Recalled {
    /// The last tick of the opening, where evaluation begins there.
    last: Option<u64>,
    parsed: Arc<Parsed>,
}

impl Recalled {
    fn to_bytes(last: Option<u64>, parsed: &Parsed) -> Vec<u8> {
        let mut out = Writer::new();
        out.option(last, |out, last| {
            out.raw(&last.to_le_bytes());
        });
        out.raw(&parsed.to_bytes());
        out.into_bytes()
    }

    fn from_bytes(kernel: &Arc<[u8]>, bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut from = Reader::new(bytes);
        let last = from.option("end", |from| from.array("tick").map(u64::from_le_bytes))?;
        let parsed = Parsed::from_bytes(Arc::clone(kernel), from.rest())?;
        Ok(parsed.map(Arc::new).map(|parsed| Self { last, parsed }))
    }
}

/// The end of an opening, from disk.
#[derive(Debug)]
struct Kept {
    last: u64,
    /// All of it, until the module and how its runs begin are asked for.
    bytes: Mutex<Vec<u8>>,
    runs: OnceLock<Option<(Compiled, Beginning)>>,
}

impl Kept {
    /// The last tick, and the bytes behind it.
    fn parts(bytes: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
        let mut from = Reader::new(bytes);
        let last = from.array("tick").map(u64::from_le_bytes)?;
        if from.array("tick").map(u64::from_le_bytes)? != !last {
            return Err(from.invalid("tick", "its bits are not twice there"));
        }
        Ok((last, from.rest()))
    }

    fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let (last, _) = Self::parts(&bytes)?;
        Ok(Self {
            last,
            bytes: Mutex::new(bytes),
            runs: OnceLock::new(),
        })
    }

    fn runs(&self) -> Option<&(Compiled, Beginning)> {
        let read = || {
            let bytes = std::mem::take(&mut *locked(&self.bytes));
            let runs = Self::parts(&bytes).and_then(|(_, rest)| Compiled::from_bytes(rest));
            runs.map_err(|error| not_used(&error)).ok()
        };
        self.runs.get_or_init(read).as_ref()
    }
}

fn not_used(error: &DecodeError) {
    tracing::warn!(%error, "the beginning of runs on disk is not used");
}

/// The first state of evaluation, found when it is asked for.
#[derive(Debug)]
struct FirstOf {
    opening: Arc<Opening>,
    purpose: Purpose,
}

impl run::First for FirstOf {
    fn state(&self) -> Result<EvalState, Fault> {
        self.opening.evaluation(self.purpose)
    }
}

/// One kernel's opening. Tick 0 is the state right after the snapshot.
#[derive(Debug)]
pub(super) struct Opening {
    kernel: Arc<[u8]>,
    version: PvmVersion,
    /// On disk, what its parsing came to.
    decoded: Saved,
    /// On disk, how its runs begin, where that is worth it.
    begins: Option<Saved>,
    kept: OnceLock<Option<Kept>>,
    writing: Mutex<Option<JoinHandle<()>>>,
    /// Whether the beginning of runs was written.
    written: AtomicBool,
    rungs: Mutex<BTreeMap<u64, Rung>>,
    end: OnceLock<(u64, End)>,
    /// Last tick of parsing, and first tick after linking.
    parts: OnceLock<(u64, u64)>,
    /// What parsing came to; none for a kernel that does not parse.
    parsed: OnceLock<Option<Arc<Parsed>>>,
    /// The same from disk, if it is there.
    recalled: OnceLock<Option<Recalled>>,
    /// The same before its blocks were hashed.
    noted: Mutex<Option<(Noted, Allocations)>>,
    evaluation: OnceLock<EvalState>,
    /// The same with everything in its tree; found out once, however many wait for it.
    evaluation_in_tree: OnceLock<Result<Option<EvalState>, Fault>>,
    compiled: OnceLock<Result<Compiled, run::RunError>>,
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
        self.walk_while(opening, target, &mut Guide::None, |_| true)
    }

    /// Goes on to a tick, but not beyond the last one of parsing, where the module is there.
    fn parse(
        &mut self,
        opening: &Opening,
        target: u64,
        guide: &mut Guide<'_>,
    ) -> Result<Walked, Fault> {
        let parses = |run: &Run| matches!(run, Run::Decode(kont, _) if kont.module().is_none());
        self.walk_while(opening, target, guide, parses)
    }

    fn walk_while(
        &mut self,
        opening: &Opening,
        target: u64,
        guide: &mut Guide<'_>,
        goes_on: impl Fn(&Run) -> bool,
    ) -> Result<Walked, Fault> {
        while self.tick < target && goes_on(&self.run) {
            let running = self.run.running();
            let (taken, stepped) = self.some_ticks(opening, target - self.tick, guide);
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
    fn some_ticks(
        &mut self,
        opening: &Opening,
        left: u64,
        guide: &mut Guide<'_>,
    ) -> (u64, Result<Option<End>, Fault>) {
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
                let mut bytes = &*opening.kernel;
                let (taken, fault) = kont.run(&mut bytes, left.min(STRIDE), guide);
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
                let starts = init.calls_start();
                let most = if starts { left.min(START) } else { left };
                let (taken, fault) = init.run(most, &mut host, limit);
                match fault {
                    None if starts && taken == START && !matches!(init.kont, InitKont::Stop) => {
                        (0, Ok(Some(End::Starts)))
                    }
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
    /// The opening of a kernel; what its parsing came to and how its runs begin are kept in these
    /// files.
    pub(super) fn new(kernel: Vec<u8>, version: PvmVersion, decoded: Saved, begins: Saved) -> Self {
        let is_worth_it = kernel.len() >= LARGE && begins.is_on_disk();
        Self {
            kernel: kernel.into(),
            version,
            decoded,
            begins: is_worth_it.then_some(begins),
            kept: OnceLock::new(),
            writing: Mutex::default(),
            written: AtomicBool::new(false),
            rungs: Mutex::default(),
            end: OnceLock::new(),
            parts: OnceLock::new(),
            evaluation: OnceLock::new(),
            evaluation_in_tree: OnceLock::new(),
            parsed: OnceLock::new(),
            recalled: OnceLock::new(),
            noted: Mutex::default(),
            compiled: OnceLock::new(),
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
        let last = self.recalled().and_then(|recalled| recalled.last);
        if let Some(last) = last.or_else(|| Some(self.kept()?.last)) {
            let end = self.end.get_or_init(|| (last, End::Evaluates));
            return Ok(end.clone());
        }
        self.walk()
    }

    /// What an earlier process has left, if it is whole.
    fn kept(&self) -> Option<&Kept> {
        let load = || {
            let kept = Kept::new(self.begins.as_ref()?.load()?);
            kept.map_err(|error| not_used(&error)).ok()
        };
        self.kept.get_or_init(load).as_ref()
    }

    /// What parsing came to, from disk.
    fn recalled(&self) -> Option<&Recalled> {
        let load = || {
            let bytes = self.decoded.load()?;
            let recalled = Recalled::from_bytes(&self.kernel, &bytes).unwrap_or_default();
            if recalled.is_none() {
                tracing::warn!("what a kernel's parsing came to is not what is on disk: not used");
            }
            recalled
        };
        self.recalled.get_or_init(load).as_ref()
    }

    /// What parsing came to, if that was found out here or by an earlier process.
    fn known(&self) -> Option<&Arc<Parsed>> {
        let here = self.parsed.get().and_then(Option::as_ref);
        here.or_else(|| Some(&self.recalled()?.parsed))
    }

    /// What parsing came to; none when that is nothing.
    fn parsed(&self) -> Result<Option<&Arc<Parsed>>, Fault> {
        if let Some(known) = self.known() {
            return Ok(Some(known));
        }
        if self.parsed.get().is_none() {
            self.walk()?;
            // Others wait for the hashes here, instead of computing them as well.
            let mut noted = locked(&self.noted);
            if let Some((functions, blocks)) = noted.take() {
                let parsed = Parsed::new(Arc::clone(&self.kernel), functions, &blocks)?;
                let parsed = self.parsed.get_or_init(|| parsed);
                if let Some(parsed) = parsed
                    && parsed.blocks() >= WORTH_KEEPING
                {
                    let last = match self.end.get() {
                        Some((last, End::Evaluates)) => Some(*last),
                        _ => None,
                    };
                    self.decoded.keep(&Recalled::to_bytes(last, parsed));
                }
            }
        }
        Ok(self.parsed.get_or_init(|| None).as_ref())
    }

    /// Goes through the whole opening.
    fn walk(&self) -> Result<(u64, End), Fault> {
        let mut rung = Self::first();
        let mut walked;
        if let Some(known) = self.known() {
            walked = rung.parse(self, u64::MAX, &mut Guide::Parsed(known))?;
        } else {
            let mut notes = Notes::default();
            walked = rung.parse(self, u64::MAX, &mut Guide::Notes(&mut notes))?;
            if let (Walked::There, Run::Decode(kont, _)) = (&walked, &rung.run)
                && self.parsed.get().is_none()
            {
                *locked(&self.noted) = Some((notes.finish(), kont.allocations.clone()));
            }
        }
        let parsed = rung.tick;
        if let Walked::There = walked {
            let links = |run: &Run| matches!(run, Run::Decode(..) | Run::Link(_));
            walked = rung.walk_while(self, u64::MAX, &mut Guide::None, links)?;
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
        let (tick, known) = self.end.get_or_init(|| (rung.tick, end)).clone();
        if tick != rung.tick {
            let lost = format!("an opening of {} ticks, known with {tick}", rung.tick);
            return Err(Fault::Unencodable(lost));
        }
        Ok((tick, known))
    }

    /// Last tick of parsing, first tick after linking, and the last tick of all.
    pub(super) fn parts(&self) -> Result<(u64, u64, u64), Fault> {
        // An end that comes from disk says nothing of the way there.
        let (last, _) = match self.parts.get() {
            Some(_) => self.end()?,
            None => self.walk()?,
        };
        let (parsed, linked) = self.parts.get().copied().unwrap_or((last, last));
        Ok((parsed, linked, last))
    }

    /// The inside of the run at a tick up to the last one.
    pub(super) fn run_at(&self, tick: u64) -> Result<Run, Fault> {
        let (end, _) = self.end()?;
        let below = |tick: u64| {
            let rungs = locked(&self.rungs);
            let nearest = rungs.range(..=tick).next_back();
            nearest.map(|(_, rung)| rung.clone())
        };
        let parsed = self.parsed()?;
        let mut rung = below(tick).unwrap_or_else(Self::first);
        if matches!(rung.run, Run::Decode(..)) {
            let mut guide = parsed.map_or(Guide::None, Guide::Parsed);
            rung.parse(self, tick.min(end), &mut guide)?;
            if let Run::Decode(kont, _) = &mut rung.run {
                if let Some(table) = parsed.and_then(|parsed| parsed.table()) {
                    kont.believe(table);
                }
                // From the end of parsing on, everything holds the parsed module: it is written to
                // the tree once, before the containers part.
                if rung.tick < tick
                    && let Some(module) = kont.module_mut()
                {
                    module.tree()?.hash()?;
                    locked(&self.rungs).insert(rung.tick, rung.clone());
                }
            }
        }
        rung.walk(self, tick)?;
        Ok(rung.run)
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

    /// The first state of evaluation; with everything in its tree when hashes are wanted.
    pub(super) fn evaluation(&self, purpose: Purpose) -> Result<EvalState, Fault> {
        if purpose == Purpose::Hashes {
            let found = self
                .evaluation_in_tree
                .get_or_init(|| self.write_evaluation());
            if let Some(eval) = found.clone()? {
                return Ok(eval);
            }
        }
        self.end()?;
        if self.evaluation.get().is_none() {
            self.walk()?;
        }
        match self.evaluation.get() {
            Some(eval) => Ok(eval.clone()),
            None => Err(Fault::Unencodable("no evaluation begins here".to_owned())),
        }
    }

    fn write_evaluation(&self) -> Result<Option<EvalState>, Fault> {
        let (tick, _) = self.end()?;
        let mut run = self.run_at(tick)?;
        let tree: Tree = run.store(Style::Changed)?;
        tree.hash()?;
        self.keep(tick, &run);
        Ok(match run {
            Run::Eval(eval) => Some(eval),
            _ => None,
        })
    }

    /// The module, compiled for run mode; why it is not, otherwise.
    fn compiled(&self) -> Result<&Compiled, run::RunError> {
        let compiled = self.compiled.get_or_init(|| {
            let mut eval = self.evaluation(Purpose::Reach)?;
            Compiled::new(&mut eval)
        });
        compiled.as_ref().map_err(Clone::clone)
    }

    /// A run of the module, at the first tick of evaluation.
    pub(super) fn run(self: &Arc<Self>, purpose: Purpose) -> Result<run::Run, run::RunError> {
        let is_found = self.evaluation_in_tree.get().is_some();
        if purpose == Purpose::Hashes && self.begins.is_some() && !is_found {
            // Asked for next: it comes about while how runs begin is read.
            let opening = Arc::clone(self);
            std::thread::spawn(move || opening.evaluation(purpose));
        }
        if let Some((compiled, beginning)) = self.kept().and_then(Kept::runs) {
            let first = FirstOf {
                opening: Arc::clone(self),
                purpose,
            };
            return Ok(run::Run::with_first(
                compiled,
                beginning.clone(),
                Arc::new(first),
            ));
        }
        let eval = self.evaluation(purpose)?;
        let compiled = self.compiled()?;
        if let Some(file) = &self.begins
            && !self.written.swap(true, Ordering::Relaxed)
        {
            self.keep_beginning(file.clone(), compiled.clone(), eval.clone())?;
        }
        run::Run::new(compiled, eval)
    }

    /// Writes how runs begin, behind the back of this one.
    fn keep_beginning(
        &self,
        file: Saved,
        compiled: Compiled,
        mut eval: EvalState,
    ) -> Result<(), Fault> {
        let (last, _) = self.end()?;
        let write = move || {
            let Ok(beginning) = Beginning::of(&compiled, &mut eval) else {
                return;
            };
            if let Some(bytes) = compiled.to_bytes(&beginning) {
                // The tick is believed long before the rest is read.
                let ticks = [last, !last].map(u64::to_le_bytes).concat();
                file.keep(&[ticks, bytes].concat());
            }
        };
        *locked(&self.writing) = Some(std::thread::spawn(write));
        Ok(())
    }

    /// Waits until what is being written to disk is there.
    pub(super) fn settle(&self) {
        let writing = locked(&self.writing).take();
        if writing.is_some_and(|writing| writing.join().is_err()) {
            tracing::warn!("the beginning of a kernel's runs was not written");
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.settle();
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
