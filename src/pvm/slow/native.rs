//! Evaluation on run mode, of the kernel's entry and of long start functions, and the exact machine
//! wherever it is asked for.
//!
//! A start function is evaluated inside of initialisation, where host functions have no memory: all
//! but one raise, and the wait for the metadata that this one leaves cannot be evaluated
//! (`check_memory` in `host_funcs.ml`, `Inv_reveal_tick` in `eval.ml`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::gave_up;
use super::machine::{Machine, Run, stuck_with};
use super::opening::{Opening, Purpose};
use crate::merkle::Tree;
use crate::pvm::{Environment, NotJudgeable, Phase, RunError, Running, Status, Stuck};
use crate::wasm::ast::Module;
use crate::wasm::encoding::{Stored, Style, Target};
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories, REVEAL_STEP};
use crate::wasm::fault::{EvalStep, Exception, Fault};
use crate::wasm::init::{EvalState, InitKont, InitState};
use crate::wasm::instance::{ModuleKey, Value};
use crate::wasm::run;

/// Ticks before a target that are left to single ticks: run mode may say that the run has ended
/// when it is asked for one of its very last states, of which it then has none.
const MARGIN: u64 = 32;

/// How an advance ended.
#[derive(Debug)]
pub(super) enum Went {
    /// At its target.
    There,
    /// The run has returned; the machine has taken the tick to padding.
    Padding,
    /// The run has trapped with this text; the machine has taken the tick to padding.
    Trapped(String),
    /// The start function has returned; the machine has taken the tick that ends initialisation.
    Started,
    /// The next tick leaves the machine stuck.
    Raised(Stuck),
    /// Only single ticks lead further.
    Declined,
}

/// A native evaluation. The rest of the state is the machine's, up to every host call that the
/// evaluation has made.
#[derive(Debug, Clone)]
pub(super) struct Native {
    run: run::Run,
    /// Tick since origination at which evaluation began.
    from: u128,
    purpose: Purpose,
    /// Of a start function: the module that is being initialised.
    initialised: Option<(ModuleKey, Module)>,
}

/// The host functions of the machine; one that raises leaves the storage as it was. Each call looks
/// at the stop signal: a call may take far more time than its ticks say.
struct Kept<'a> {
    machine: &'a mut Machine,
    environment: &'a Environment,
    during_init: bool,
}

impl HostFunctions for Kept<'_> {
    fn call(
        &mut self,
        name: &str,
        args: &[Value],
        memories: Memories<'_>,
    ) -> Result<HostOutcome, Fault> {
        if self.environment.interrupt.load(Ordering::Relaxed) {
            return Err(Fault::Unencodable("an interrupted run".to_owned()));
        }
        let memories = if self.during_init {
            Memories::DuringInit
        } else {
            memories
        };
        let before = self.machine.state.durable.clone();
        let mut debug = |text: &[u8]| (self.environment.debug)(text);
        let called = self
            .machine
            .host(Some(&mut debug))
            .call(name, args, memories);
        if let Err(Fault::Raised(_)) = called {
            self.machine.state.durable = before;
        }
        called
    }
}

fn failed(fault: Fault) -> RunError {
    gave_up(fault.into())
}

impl Native {
    pub(super) fn new(
        opening: &Arc<Opening>,
        from: u128,
        purpose: Purpose,
    ) -> Result<Self, run::RunError> {
        Ok(Self {
            run: opening.run(purpose)?,
            from,
            purpose,
            initialised: None,
        })
    }

    /// The run of a machine that is about to make its first call, whose inside is taken out; none
    /// when run mode does not take it.
    pub(super) fn of(machine: &mut Machine, purpose: Purpose) -> Result<Option<Self>, RunError> {
        let (mut first, initialised) = match &machine.run {
            Some(Run::Eval(eval)) => (eval.clone(), None),
            Some(Run::Init(InitState {
                self_key,
                module,
                kont: InitKont::Eval(config),
                registry,
            })) => {
                let first = EvalState {
                    config: config.clone(),
                    registry: registry.clone(),
                };
                (first, Some((self_key.clone(), module.clone())))
            }
            _ => return Ok(None),
        };
        let run =
            run::Compiled::new(&mut first).and_then(|compiled| run::Run::new(&compiled, first));
        let run = match run {
            Ok(run) => run,
            Err(run::RunError::Declined(_)) => return Ok(None),
            Err(run::RunError::Fault(fault)) => return Err(failed(fault)),
        };
        machine.run = None;
        Ok(Some(Self {
            run,
            from: machine.state.current_tick,
            purpose,
            initialised,
        }))
    }

    const fn running(&self) -> Running {
        match self.initialised {
            Some(_) => Running::Init,
            None => Running::Eval,
        }
    }

    /// The inside of a kernel run with this evaluation.
    fn inside(&self, eval: EvalState) -> Run {
        match self.initialised.clone() {
            None => Run::Eval(eval),
            Some((self_key, module)) => Run::Init(InitState {
                self_key,
                module,
                kont: InitKont::Eval(eval.config),
                registry: eval.registry,
            }),
        }
    }

    /// Whether a machine still stands in this evaluation.
    pub(super) const fn is_inside(&self, machine: &Machine) -> bool {
        match (&machine.run, &self.initialised) {
            (Some(Run::Eval(_)), None) => true,
            (Some(Run::Init(init)), Some(_)) => matches!(init.kont, InitKont::Eval(_)),
            _ => false,
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.run.memory()
    }

    pub(super) fn folded(&mut self) -> Result<Self, RunError> {
        Ok(Self {
            run: self.run.folded().map_err(failed)?,
            initialised: self.initialised.clone(),
            ..*self
        })
    }

    /// Goes on to a tick since origination, or to where the run ends or cannot go on.
    pub(super) fn advance(
        &mut self,
        machine: &mut Machine,
        until: u128,
        environment: &Environment,
    ) -> Result<Went, RunError> {
        let asked = u64::try_from(until.saturating_sub(self.from)).unwrap_or(u64::MAX);
        let target = asked.saturating_sub(MARGIN);
        loop {
            let mut host = Kept {
                machine,
                environment,
                during_init: self.initialised.is_some(),
            };
            let advanced = self.run.advance(target, &mut host);
            if environment.interrupt.load(Ordering::Relaxed) {
                return Err(NotJudgeable::Interrupted.into());
            }
            let status = advanced.map_err(failed)?;
            let at = |tick: u64| self.from.saturating_add(u128::from(tick));
            match status {
                run::Status::Near => return Ok(Went::There),
                run::Status::Reveals { tick, .. } if tick >= target => return Ok(Went::There),
                run::Status::Reveals { tick, .. } if self.initialised.is_some() => {
                    machine.state.current_tick = at(tick);
                    let waits = Exception::EvalStep(EvalStep::Invoke(REVEAL_STEP));
                    return Ok(Went::Raised(stuck_with(Running::Init, &waits)));
                }
                run::Status::Reveals { tick, request } => {
                    machine.state.current_tick = at(tick);
                    let level = machine.state.last_input.map(|info| info.level);
                    let data = environment.reveals.answer(&request.to_bytes(), level);
                    let data = data.map_err(NotJudgeable::from)?;
                    self.answer(&data)?;
                }
                run::Status::Declined { tick } => {
                    machine.state.current_tick = at(tick);
                    return Ok(Went::Declined);
                }
                run::Status::Finished { tick }
                | run::Status::Trapped { tick, .. }
                | run::Status::Raised { tick, .. }
                    if tick >= asked =>
                {
                    let lost = "run mode ended after the tick that was asked for";
                    return Err(failed(Fault::Unencodable(lost.to_owned())));
                }
                run::Status::Raised { tick, exception } => {
                    machine.state.current_tick = at(tick);
                    return Ok(Went::Raised(stuck_with(self.running(), &exception)));
                }
                run::Status::Finished { tick } => {
                    machine.state.current_tick = at(tick);
                    return self.finished(machine);
                }
                run::Status::Trapped { tick, message } => {
                    machine.state.current_tick = at(tick);
                    if self.initialised.is_some() {
                        let trap = Exception::Located(message);
                        return Ok(Went::Raised(stuck_with(Running::Init, &trap)));
                    }
                    machine.state.mark_trap()?;
                    padding(machine)?;
                    return Ok(Went::Trapped(message));
                }
            }
        }
    }

    /// The tick after the state with the result.
    fn finished(&mut self, machine: &mut Machine) -> Result<Went, RunError> {
        let Some((self_key, module)) = self.initialised.clone() else {
            machine.state.mark_success()?;
            return padding(machine);
        };
        machine.run = Some(Run::Init(InitState {
            self_key,
            module,
            kont: InitKont::Stop,
            registry: self.run.registry().map_err(failed)?,
        }));
        machine.state.finish_tick(Status::Running)?;
        Ok(Went::Started)
    }

    fn answer(&mut self, data: &[u8]) -> Result<(), RunError> {
        let destination = self.run.destination().unwrap_or_default();
        self.run.answer(data).map_err(|fault| match fault {
            Fault::Raised(_) => NotJudgeable::NoNextState { destination }.into(),
            other => failed(other),
        })
    }

    /// The machine at the tick where `outer` stands, which is not before the evaluation's own; or,
    /// without the inside of a run, where the run ends before it.
    pub(super) fn machine(
        &mut self,
        outer: &Machine,
        environment: &Environment,
    ) -> Result<Machine, RunError> {
        let (mut eval, tick) = self.run.state().map_err(failed)?;
        if self.purpose == Purpose::Hashes {
            // Written once, before the last ticks: the next state of this run then writes only
            // what changed since.
            let mut tree = Tree::empty();
            let mut target = Target::new(&mut tree, Style::Changed);
            eval.registry.store(&mut target).map_err(failed)?;
            self.run.adopt(eval.registry.clone());
        }
        let target = outer.state.current_tick;
        let mut machine = outer.clone();
        machine.state.current_tick = self.from.saturating_add(u128::from(tick));
        machine.state.phase = Phase::Running(self.running(), Tree::empty());
        machine.run = Some(self.inside(eval));
        while machine.state.current_tick < target && machine.run.is_some() {
            let before = machine.state.current_tick;
            machine.some_ticks(target, environment)?;
            if machine.state.current_tick == before {
                let lost = "run mode stopped before the tick that was asked for";
                return Err(failed(Fault::Unencodable(lost.to_owned())));
            }
        }
        Ok(machine)
    }
}

fn padding(machine: &mut Machine) -> Result<Went, RunError> {
    machine.state.phase = Phase::Padding;
    machine.state.finish_tick(Status::Running)?;
    Ok(Went::Padding)
}
