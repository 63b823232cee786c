//! One tick of the machine, in every phase.

use super::engine::{answer_reveal, gave_up};
use super::host::{Host, Imports, to_fault};
use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::protocol::PvmVersion;
use crate::pvm::durable::VALUE;
use crate::pvm::host::Debug;
use crate::pvm::key::Key;
use crate::pvm::stuck::Exception as Text;
use crate::pvm::{
    Edges, Environment, InputInfo, InputRequest, ListingOrder, Phase, PvmError, RunError, Running,
    State, Status, Stuck, Text as StuckText,
};
use crate::wasm::config::{Admin, Code, Config, InvokeKont, LabelStep, StepKont};
use crate::wasm::decode::DecodeKont;
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::eval::{self, Moment};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::init::{Aggregate, EvalState, InitKont, InitState, LinkState, Linked};
use crate::wasm::instance::{Extern, FuncInst, ModuleKey, Name};
use crate::wasm::lazy::{LazyBytes, LazyVec};

/// Name of the kernel's module.
pub(super) const MAIN: &str = "main";
/// What a kernel must export.
const ENTRYPOINT: &str = "kernel_run";

/// Ticks between two looks at what is around the machine.
const AT_ONCE: u32 = 1 << 16;

/// Who receives what the kernel prints, for a shorter time.
fn lent<'a>(debug: &'a mut Debug<'_>) -> Debug<'a> {
    debug.as_mut().map(|debug| &mut **debug as _)
}

/// Why a tick has no result.
#[derive(Debug, thiserror::Error)]
pub enum SlowError {
    /// The state cannot be read, or is not one.
    #[error(transparent)]
    State(#[from] PvmError),
    /// The judging machine has no next state either, or the tree cannot answer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a state waits for before its next tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expects {
    /// Nothing: it can be evaluated.
    Nothing,
    /// A message.
    Input(InputRequest),
    /// The answer to this request.
    Reveal(Vec<u8>),
}

/// The inside of a kernel run.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub(super) enum Run {
    /// The kernel's bytes are read again from the storage at every tick that is recorded.
    Decode(DecodeKont, Option<LazyBytes>),
    Link(LinkState),
    Init(InitState),
    Eval(EvalState),
}

impl Run {
    pub(super) const fn running(&self) -> Running {
        match self {
            Self::Decode(..) => Running::Decode,
            Self::Link(_) => Running::Link,
            Self::Init(_) => Running::Init,
            Self::Eval(_) => Running::Eval,
        }
    }

    fn load(running: Running, value: &Tree) -> Result<Self, Fault> {
        let source = Source::new(value.clone());
        Ok(match running {
            Running::Decode => Self::Decode(DecodeKont::load(&source)?, None),
            Running::Link => Self::Link(LinkState::load(&source)?),
            Running::Init => Self::Init(InitState::load(&source)?),
            Running::Eval => Self::Eval(EvalState::load(&source)?),
        })
    }

    pub(super) fn store(&mut self, style: Style) -> Result<Tree, Fault> {
        let mut value = Tree::empty();
        let mut target = Target::new(&mut value, style);
        match self {
            Self::Decode(kont, _) => kont.store(&mut target)?,
            Self::Link(state) => state.store(&mut target)?,
            Self::Init(state) => state.store(&mut target)?,
            Self::Eval(state) => state.store(&mut target)?,
        }
        Ok(value)
    }
}

/// The machine between two ticks.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) state: State,
    pub(super) run: Option<Run>,
    pub(super) listing: ListingOrder,
    pub(super) edges: Edges,
}

impl Machine {
    /// The machine in a given state.
    ///
    /// # Errors
    /// [`SlowError`] when the inside of a kernel run cannot be read.
    pub fn new(state: State) -> Result<Self, SlowError> {
        let run = match &state.phase {
            Phase::Running(running, value) => Some(Run::load(*running, value)?),
            _ => None,
        };
        Ok(Self {
            state,
            run,
            listing: ListingOrder::Judge,
            edges: Edges::default(),
        })
    }

    /// The machine whose state is this tree.
    ///
    /// # Errors
    /// [`SlowError`] when it is not the tree of a state.
    pub fn decode(tree: &Tree) -> Result<Self, SlowError> {
        Self::new(State::decode(tree)?)
    }

    /// The same machine, listing directories of the storage in this order.
    #[must_use]
    pub const fn listing(mut self, listing: ListingOrder) -> Self {
        self.listing = listing;
        self
    }

    /// The state; the inside of a kernel run is as of the last [`Self::encode`].
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The state with everything in its tree.
    ///
    /// # Errors
    /// [`SlowError`] when the state has no encoding.
    pub fn into_state(mut self) -> Result<State, SlowError> {
        self.encode(Style::Changed)?;
        Ok(self.state)
    }

    /// Places where the original's engines can differ, of all ticks so far.
    #[must_use]
    pub const fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Writes the state into its tree.
    ///
    /// # Errors
    /// [`SlowError`] when the state has no encoding.
    pub fn encode(&mut self, style: Style) -> Result<&Tree, SlowError> {
        if let Some(run) = &mut self.run {
            self.state.phase = Phase::Running(run.running(), run.store(style)?);
        }
        Ok(self.state.encode()?)
    }

    /// Hash of the state.
    ///
    /// # Errors
    /// [`SlowError`] when the state has no encoding.
    pub fn hash(&mut self) -> Result<Hash, SlowError> {
        let tree = self.encode(Style::Changed)?;
        Ok(tree.hash().map_err(PvmError::from)?)
    }

    /// What the next tick needs.
    #[must_use]
    pub fn expects(&self) -> Expects {
        if let Some(Run::Eval(eval)) = &self.run
            && let Some(request) = eval.config.reveal_request()
        {
            return Expects::Reveal(request.to_bytes());
        }
        match self.state.input_request() {
            InputRequest::Nothing => Expects::Nothing,
            request => Expects::Input(request),
        }
    }

    /// The phase, and inside a kernel run the continuation it stands at: `eval:next`.
    #[must_use]
    pub fn phase_name(&self) -> String {
        let continuation = match &self.run {
            Some(Run::Init(init)) => Some(init_name(&init.kont)),
            Some(Run::Eval(eval)) => Some(match &eval.config.step {
                StepKont::Start { .. } => "start",
                StepKont::Next { .. } => "next",
                StepKont::ConsolidateLabelResult { .. } => "consolidate",
                StepKont::Result(_) => "result",
                StepKont::Trapped(_) => "trapped",
            }),
            _ => None,
        };
        let tag = self.state.phase.tag();
        continuation.map_or_else(|| tag.to_owned(), |name| format!("{tag}:{name}"))
    }

    /// Where the data of a reveal that is waited for goes in memory.
    #[must_use]
    pub const fn reveal_destination(&self) -> Option<u32> {
        match &self.run {
            Some(Run::Eval(EvalState {
                config:
                    Config {
                        step:
                            StepKont::Next {
                                step: LabelStep::CraftFrame(_, InvokeKont::RevealTick { base, .. }),
                                ..
                            },
                        ..
                    },
                ..
            })) => Some(base.cast_unsigned()),
            _ => None,
        }
    }

    /// Gives a message: one tick, in every state.
    ///
    /// # Errors
    /// [`SlowError`] when the state cannot be read.
    pub fn set_input(&mut self, info: InputInfo, payload: &[u8]) -> Result<(), SlowError> {
        self.state.set_input(info, payload)?;
        self.forget_ended_run();
        Ok(())
    }

    /// Gives revealed data: one tick, in every state.
    ///
    /// # Errors
    /// [`SlowError`], also when the judging machine has no state after this: a destination outside
    /// the memory, a negative size.
    pub fn reveal(&mut self, data: &[u8]) -> Result<(), SlowError> {
        let during = match (&mut self.run, &self.state.phase) {
            (Some(Run::Eval(eval)), _) => {
                eval::reveal_step(&mut eval.config, &mut eval.registry, data)?;
                None
            }
            (Some(Run::Decode(..)), _) => Some("decoding"),
            (Some(Run::Link(_)), _) => Some("link"),
            (Some(Run::Init(_)), _) => Some("initialization"),
            (None, Phase::Snapshot) => Some("start"),
            (None, Phase::Collect) => Some("collecting"),
            (None, _) => None,
        };
        if let Some(during) = during {
            let text = format!("No reveal expected during {during}");
            self.state.phase = Phase::Stuck(Stuck::invalid_state(&text));
            self.run = None;
        }
        self.state.current_tick = self
            .state
            .current_tick
            .checked_add(1)
            .ok_or(PvmError::Overflow("the tick"))?;
        Ok(())
    }

    /// Padding up to the last tick of the period, at most `limit` ticks at once; the number taken.
    pub fn pad(&mut self, limit: u128) -> u128 {
        self.state.pad(limit)
    }

    /// One tick of evaluation.
    ///
    /// # Errors
    /// [`SlowError`]; an exception of the machine is not one, but a stuck state.
    pub fn tick(&mut self) -> Result<Status, SlowError> {
        self.tick_heard(None)
    }

    /// One tick of evaluation; `debug` receives what the kernel prints.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub fn tick_with(&mut self, debug: &mut dyn FnMut(&[u8])) -> Result<Status, SlowError> {
        self.tick_heard(Some(debug))
    }

    fn tick_heard(&mut self, debug: Debug<'_>) -> Result<Status, SlowError> {
        let version = self.state.version()?;
        let status = match (&self.run, &self.state.phase) {
            (None, Phase::Snapshot) => {
                self.begin(Run::Decode(DecodeKont::new(MAIN), None));
                Status::Running
            }
            (None, _) => return Ok(self.state.tick_at_rest()?),
            (Some(_), _) if self.state.is_expired() => self.stuck(Stuck::TooManyTicks),
            (Some(_), _) => self.tick_run(version, debug)?,
        };
        self.state.finish_tick(status)?;
        Ok(status)
    }

    /// Ticks up to `until`, at most some thousands of them, and none beyond the end of the inside of
    /// a kernel run or where run mode can go on; reveals are answered.
    pub(super) fn some_ticks(
        &mut self,
        until: u128,
        environment: &Environment,
    ) -> Result<(), RunError> {
        let mut debug = |text: &[u8]| (environment.debug)(text);
        let inside = self.run.is_some();
        for taken in 0..AT_ONCE {
            let left = until.saturating_sub(self.state.current_tick);
            if left == 0 || (inside && self.run.is_none()) || (taken > 0 && self.makes_first_call())
            {
                return Ok(());
            }
            match self.expects() {
                Expects::Input(_) => return Ok(()),
                Expects::Reveal(request) => answer_reveal(self, &request, environment)?,
                Expects::Nothing => {
                    if matches!(self.state.phase, Phase::Snapshot) {
                        return Ok(());
                    }
                    if self.skip(left)? == 0 && self.pad(left) == 0 {
                        self.tick_with(&mut debug).map_err(gave_up)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the next tick calls the start function or the kernel's entry.
    pub(super) fn makes_first_call(&self) -> bool {
        match &self.run {
            Some(Run::Eval(eval)) => eval.config.makes_first_call(),
            Some(Run::Init(init)) => init.calls_start(),
            _ => false,
        }
    }

    /// Ticks that only count down or copy, all at once; the number taken.
    fn skip(&mut self, left: u128) -> Result<u64, RunError> {
        let (config, registry) = match &mut self.run {
            Some(Run::Eval(EvalState { config, registry })) => (config, registry),
            Some(Run::Init(InitState {
                kont: InitKont::Eval(config),
                registry,
                ..
            })) => (config, registry),
            _ => return Ok(0),
        };
        let budget = u128::try_from(self.state.ticks_left()).unwrap_or(0);
        let left = u64::try_from(left.min(budget)).unwrap_or(u64::MAX);
        let taken = crate::wasm::run::skip(config, registry, left);
        let taken = taken.map_err(|fault| gave_up(fault.into()))?;
        self.state.current_tick = self.state.current_tick.saturating_add(u128::from(taken));
        Ok(taken)
    }

    /// The guest's memory in the last state of an evaluation, and the text of the trap there.
    #[cfg(test)]
    pub(in crate::pvm) fn memory_at_end(&mut self) -> Option<(Vec<u8>, Option<String>)> {
        let Some(Run::Eval(eval)) = &mut self.run else {
            return None;
        };
        let trap = match &eval.config.step {
            StepKont::Result(_) => None,
            StepKont::Trapped(text) => Some(text.clone()),
            _ => return None,
        };
        let instance = eval.registry.read(&ModuleKey(MAIN.into())).ok()?;
        Some((instance.memories.read(0).ok()?.chunks.to_vec().ok()?, trap))
    }

    /// The host function that the next tick calls, by its name in the machine.
    #[cfg(test)]
    pub(super) fn calls(&self) -> Option<&str> {
        match self.run.as_ref().and_then(called_host) {
            Some(FuncInst::Host { name, .. }) => Some(name),
            _ => None,
        }
    }

    fn begin(&mut self, run: Run) {
        self.state.phase = Phase::Running(run.running(), Tree::empty());
        self.run = Some(run);
    }

    fn stuck(&mut self, error: Stuck) -> Status {
        self.state.phase = Phase::Stuck(error);
        self.run = None;
        Status::Failing
    }

    fn forget_ended_run(&mut self) {
        if !matches!(self.state.phase, Phase::Running(..)) {
            self.run = None;
        }
    }

    /// One tick inside a kernel run; an exception leaves the storage as it was before.
    fn tick_run(&mut self, version: PvmVersion, debug: Debug<'_>) -> Result<Status, SlowError> {
        let Some(run) = self.run.take() else {
            return Err(PvmError::NeedsEngine("run").into());
        };
        let running = run.running();
        let before = called_host(&run).map(|_| self.state.durable.clone());
        let stepped = match run {
            Run::Decode(kont, kernel) => self.tick_decode(kont, kernel),
            Run::Link(link) => self.tick_link(link, version),
            Run::Init(init) => self.tick_init(init, version, debug),
            Run::Eval(eval) => self.tick_eval(eval, debug),
        };
        match stepped {
            Ok(status) => Ok(status),
            Err(Fault::Raised(exception)) => {
                if let Some(before) = before {
                    self.state.durable = before;
                }
                Ok(self.stuck(stuck_with(running, &exception)))
            }
            Err(other) => Err(other.into()),
        }
    }

    fn tick_decode(
        &mut self,
        mut kont: DecodeKont,
        kernel: Option<LazyBytes>,
    ) -> Result<Status, Fault> {
        if let Some(module) = kont.module() {
            let link = LinkState {
                module: module.clone(),
                externs: LazyVec::default(),
                offset: 0,
            };
            self.begin(Run::Link(link));
            return Ok(Status::Running);
        }
        let mut kernel = match kernel {
            Some(kernel) => kernel,
            None => self.kernel()?,
        };
        kont.step(&mut kernel)?;
        self.run = Some(Run::Decode(kont, Some(kernel)));
        Ok(Status::Running)
    }

    fn kernel(&mut self) -> Result<LazyBytes, Fault> {
        let storage = self.state.durable.tree().map_err(to_fault)?;
        let value = storage.find_tree(&Key::KERNEL.key().path(&[VALUE]))?;
        let Some(value) = value else {
            return Err(Fault::Raised(Exception::Other {
                raw: "Tezos_scoru_wasm.Durable.Value_not_found".to_owned(),
                explanation: Some("Value not found".to_owned()),
                interpreter: true,
            }));
        };
        LazyBytes::load(&Source::new(value))
    }

    fn tick_link(&mut self, mut link: LinkState, version: PvmVersion) -> Result<Status, Fault> {
        if link.is_complete() {
            let key = ModuleKey(MAIN.into());
            self.begin(Run::Init(InitState::new(key, link)));
            return Ok(Status::Running);
        }
        if let Some(stuck) = linked(&mut link, &Imports(version))? {
            return Ok(self.stuck(stuck));
        }
        self.run = Some(Run::Link(link));
        Ok(Status::Running)
    }

    fn tick_init(
        &mut self,
        mut init: InitState,
        version: PvmVersion,
        mut debug: Debug<'_>,
    ) -> Result<Status, Fault> {
        let limit = stack_size_limit(version);
        if let InitKont::Stop = init.kont {
            return self.start_kernel(init, limit);
        }
        init.step(&mut self.host(lent(&mut debug)), limit)?;
        self.run = Some(Run::Init(init));
        Ok(Status::Running)
    }

    pub(super) fn host<'a>(&'a mut self, debug: Debug<'a>) -> Host<'a> {
        Host {
            durable: &mut self.state.durable,
            buffers: &mut self.state.buffers,
            listing: self.listing,
            debug,
            edges: &mut self.edges,
        }
    }

    fn start_kernel(&mut self, mut init: InitState, limit: i32) -> Result<Status, Fault> {
        match entered(&mut init, limit)? {
            Ok(eval) => {
                self.state.save_fallback().map_err(to_fault)?;
                self.begin(Run::Eval(eval));
                Ok(Status::Running)
            }
            Err(stuck) => Ok(self.stuck(stuck)),
        }
    }

    fn tick_eval(&mut self, mut eval: EvalState, mut debug: Debug<'_>) -> Result<Status, Fault> {
        match &eval.config.step {
            StepKont::Trapped(_) => self.state.mark_trap().map_err(to_fault)?,
            StepKont::Result(_) => self.state.mark_success().map_err(to_fault)?,
            _ => {
                eval::step(
                    &mut eval.config,
                    &mut eval.registry,
                    &mut self.host(lent(&mut debug)),
                    Moment::Run,
                )?;
                self.run = Some(Run::Eval(eval));
                return Ok(Status::Running);
            }
        }
        self.state.phase = Phase::Padding;
        Ok(Status::Running)
    }
}

/// What a tick of initialisation works on.
const fn init_name(kont: &InitKont) -> &'static str {
    match kont {
        InitKont::Start(_) => "start",
        InitKont::AddImport(_) => "add_import",
        InitKont::Types(..) => "type",
        InitKont::Aggregate(_, Aggregate::Func(_)) => "func",
        InitKont::Aggregate(_, Aggregate::Global(_)) => "global",
        InitKont::Aggregate(_, Aggregate::Table(_)) => "table",
        InitKont::Aggregate(_, Aggregate::Memory(_)) => "memory",
        InitKont::AggregateConcat(..) => "aggregate_concat",
        InitKont::Exports(..) => "exports",
        InitKont::Elems(..) => "elems",
        InitKont::Datas(..) => "datas",
        InitKont::EsElem(..) => "es_elems",
        InitKont::EsData(..) => "es_datas",
        InitKont::JoinAdmin(..) => "join_admin",
        InitKont::Eval(_) => "eval",
        InitKont::Stop => "stop",
    }
}

/// One tick of linking, or how it fails.
pub(super) fn linked(link: &mut LinkState, imports: &Imports) -> Result<Option<Stuck>, Fault> {
    let text = match link.step(imports)? {
        Linked::Import => return Ok(None),
        Linked::UnknownItem { module, item } => format!("Unexpected import: {module}.{item}"),
        Linked::UnknownModule(module) => format!("Unexpected module import: {module}"),
    };
    Ok(Some(Stuck::LinkError(StuckText::new(text))))
}

/// The first state of evaluation after a finished initialisation, or how that fails.
pub(super) fn entered(init: &mut InitState, limit: i32) -> Result<Result<EvalState, Stuck>, Fault> {
    let inst = init.registry.read(&ModuleKey(MAIN.into()))?;
    let entry = inst.exports.get(&Name(ENTRYPOINT.to_owned()))?.clone();
    let Extern::Func(entry) = entry else {
        let text = format!("Invalid_module: no `{ENTRYPOINT}` function exported");
        return Ok(Err(Stuck::invalid_state(&text)));
    };
    let code = Code {
        values: LazyVec::default(),
        instructions: LazyVec::singleton(Admin::Invoke(Box::new(entry))),
    };
    Ok(Ok(EvalState {
        config: Config::new(limit, init.self_key.clone(), code),
        registry: init.registry.clone(),
    }))
}

/// Depth of calls at which evaluation fails.
pub(super) const fn stack_size_limit(version: PvmVersion) -> i32 {
    match version {
        PvmVersion::V0 => 300,
        _ => 60_000,
    }
}

/// The host function that the next tick calls, which may change the storage and then raise.
fn called_host(run: &Run) -> Option<&FuncInst> {
    let Run::Eval(eval) = run else {
        return None;
    };
    match &eval.config.step {
        StepKont::Next {
            step: LabelStep::CraftFrame(_, InvokeKont::Start { func, .. }),
            ..
        } => Some(func).filter(|func| matches!(func, FuncInst::Host { .. })),
        _ => None,
    }
}

/// The error a state is stuck with after an exception in a phase.
pub(super) fn stuck_with(running: Running, exception: &Exception) -> Stuck {
    let raw = exception.raw();
    if !exception.is_interpreter() {
        return Stuck::unknown(&raw);
    }
    let error = Text::named(&raw, exception.explanation().as_deref());
    match running {
        Running::Decode => Stuck::DecodeError(error),
        Running::Link => Stuck::LinkError(error.raw),
        Running::Init => Stuck::InitError(error),
        Running::Eval => Stuck::EvalError(error),
    }
}
