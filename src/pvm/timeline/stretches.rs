//! What the machine does around a tick: which ticks take messages, parse, initialise, evaluate, wait.
//!
//! Why: ticks drawn evenly are nearly always padding, of which a period has a million times more
//! than of anything else; who wants to see every kind of tick disputed must know where each is.
//! Promises: each stretch is of one kind, tick for tick. Refuses to know: what is disputed.

use super::{Stand, Timeline};
use crate::pvm::slow::Course;
use crate::pvm::{Phase, RunError, Running};

/// Periods looked at until one runs a kernel: one that takes messages comes before it.
const PERIODS: usize = 2;

/// What the step from a state to the next does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// Parses the kernel.
    Decode,
    /// Initialises it.
    Init,
    /// Evaluates it.
    Eval,
    /// Takes a message.
    Input,
    /// Waits for the end of the period.
    Padding,
    /// Resolves an import.
    Link,
    /// Begins a run.
    Snapshot,
    /// Stays stuck, or recovers.
    Stuck,
}

impl Doing {
    /// Its name, as the machine's own for its phases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => Running::Decode.tag(),
            Self::Link => Running::Link.tag(),
            Self::Init => Running::Init.tag(),
            Self::Eval => Running::Eval.tag(),
            Self::Input => "input",
            Self::Padding => "padding",
            Self::Snapshot => "snapshot",
            Self::Stuck => "stuck",
        }
    }
}

/// Consecutive ticks at which the machine does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// What.
    pub doing: Doing,
    /// The first of them.
    pub first: u128,
    /// The last of them.
    pub last: u128,
}

impl Stretch {
    /// How many ticks it has.
    #[must_use]
    pub const fn ticks(&self) -> u128 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl Timeline {
    /// The stretches of the period that a tick belongs to, up to the end of its kernel run; of the
    /// next one, too, when it runs no kernel. Ticks beyond the last one count as the last.
    ///
    /// # Errors
    /// [`RunError`] when the way there has no result.
    pub fn stretches(&mut self, tick: u128) -> Result<Vec<Stretch>, RunError> {
        self.seek(tick)?;
        let began = self.here.course.period_began();
        self.seek(began.saturating_sub(self.first))?;
        let mut stand = Stand {
            course: self.here.course.folded()?,
            next: self.here.next,
        };
        let mut found = Found::default();
        while found.periods < PERIODS && !found.ran && self.stretch(&mut stand, &mut found)? {}
        let first = self.first;
        Ok(found
            .stretches
            .into_iter()
            .map(|s| since(s, first))
            .collect())
    }

    /// Goes through one phase; whether there is a next.
    fn stretch(&self, stand: &mut Stand, found: &mut Found) -> Result<bool, RunError> {
        let course = &mut stand.course;
        let at = course.tick();
        match course.phase().clone() {
            Phase::Collect => {
                let Some((info, payload, next)) = self.inputs.at(stand.next) else {
                    return Ok(false);
                };
                course.set_input(info, payload, &self.environment)?;
                stand.next = next;
                found.add(Doing::Input, at, at);
            }
            Phase::Padding => {
                let last = course.period_ends();
                course.advance(last.saturating_add(1), &self.environment)?;
                found.add(Doing::Padding, at, last);
                found.periods = found.periods.saturating_add(1);
                found.ran = found.stretches.iter().any(|s| s.doing == Doing::Eval);
            }
            Phase::Snapshot => {
                course.advance(at.saturating_add(1), &self.environment)?;
                found.add(Doing::Snapshot, at, at);
                self.opening(course, found)?;
            }
            Phase::Running(running, _) => {
                let running = self.running(running, course)?;
                course.finish_phase(&self.environment)?;
                let doing = match running {
                    Running::Decode => Doing::Decode,
                    Running::Link => Doing::Link,
                    Running::Init => Doing::Init,
                    Running::Eval => Doing::Eval,
                };
                found.add(doing, at, course.tick().saturating_sub(1));
            }
            Phase::Stuck(_) => {
                found.add(Doing::Stuck, at, at);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the inside of a run works on: within an opening the phase does not say it.
    fn running(&self, running: Running, course: &mut Course) -> Result<Running, RunError> {
        if running == Running::Eval {
            return Ok(running);
        }
        match course.exact(&self.environment)?.state().phase {
            Phase::Running(running, _) => Ok(running),
            _ => Ok(running),
        }
    }

    /// What comes before evaluation, where it is known by its parts.
    fn opening(&self, course: &mut Course, found: &mut Found) -> Result<(), RunError> {
        let Some(parts) = course.opening()? else {
            return Ok(());
        };
        course.advance(parts.last, &self.environment)?;
        let end = course.tick().saturating_sub(1);
        for (doing, first, last) in [
            (Doing::Decode, parts.begun, parts.parsed),
            (Doing::Link, parts.parsed + 1, parts.linked - 1),
            (Doing::Init, parts.linked, end),
        ] {
            found.add(doing, first, last.min(end));
        }
        Ok(())
    }
}

/// Stretches so far, in ticks since origination.
#[derive(Default)]
struct Found {
    stretches: Vec<Stretch>,
    periods: usize,
    ran: bool,
}

impl Found {
    fn add(&mut self, doing: Doing, first: u128, last: u128) {
        match self.stretches.last_mut() {
            _ if last < first => {}
            Some(before) if before.doing == doing && before.last.checked_add(1) == Some(first) => {
                before.last = last;
            }
            _ => self.stretches.push(Stretch { doing, first, last }),
        }
    }
}

const fn since(stretch: Stretch, first: u128) -> Stretch {
    Stretch {
        first: stretch.first.saturating_sub(first),
        last: stretch.last.saturating_sub(first),
        ..stretch
    }
}
