//! Ticks between kernel runs: padding, the end of a period, recovery from a failed kernel.
//!
//! Promises: tick for tick what the machine does in the phases at rest. Refuses to know: how a
//! kernel runs; engines end their ticks with [`State::finish_tick`].
//! Upstream rule: `compute_step` in `wasm_vm.ml`.

use super::edge::{Edge, Edges};
use super::key::Key;
use super::state::{Phase, State};
use super::stuck::Stuck;
use super::{PvmError, StaticKey};
use crate::protocol::PvmVersion;

/// How a tick ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The period goes on.
    Running,
    /// The tick left the machine stuck.
    Failing,
    /// A new period with the same inputs.
    Reboot,
    /// The batch is done.
    Yielding,
    /// The batch is cut: too many reboots.
    ForcingYield,
}

impl State {
    /// Ticks left before the last one of the period; zero or less when it is the last one's turn.
    #[must_use]
    pub fn ticks_left(&self) -> i128 {
        let whole = |n: u128| i128::try_from(n).unwrap_or(i128::MAX);
        let spent = whole(self.current_tick).saturating_sub(whole(self.last_top_level_call));
        whole(self.max_nb_ticks)
            .saturating_sub(1)
            .saturating_sub(spent)
    }

    /// Whether the budget of the period is spent.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.ticks_left() <= 0
    }

    /// Padding up to the last tick of the period, at most `limit` ticks at once; the number taken.
    pub fn pad(&mut self, limit: u128) -> u128 {
        if !matches!(self.phase, Phase::Padding) {
            return 0;
        }
        let left = u128::try_from(self.ticks_left()).unwrap_or(0).min(limit);
        self.current_tick = self.current_tick.saturating_add(left);
        left
    }

    /// One evaluation tick in a phase at rest.
    ///
    /// # Errors
    /// [`PvmError::NeedsEngine`] in `Snapshot` and inside a run; other [`PvmError`]s when the tree
    /// cannot be read.
    pub fn tick_at_rest(&mut self) -> Result<Status, PvmError> {
        let status = match self.phase.clone() {
            Phase::Snapshot => return Err(PvmError::NeedsEngine("snapshot")),
            Phase::Running(running, _) => return Err(PvmError::NeedsEngine(running.tag())),
            Phase::Stuck(error) => self.tick_stuck(error)?,
            Phase::Collect => {
                self.phase = Phase::Stuck(Stuck::invalid_state("Collect is a input tick"));
                Status::Failing
            }
            Phase::Padding if self.is_expired() => self.end_period()?,
            Phase::Padding => Status::Running,
        };
        self.finish_tick(status)?;
        Ok(status)
    }

    fn tick_stuck(&mut self, error: Stuck) -> Result<Status, PvmError> {
        let Some(cause) = error.cause() else {
            return Ok(Status::Failing);
        };
        let kernel = self.durable.value_hash(&Key::KERNEL.key())?;
        let fallback = self.durable.value_hash(&Key::FALLBACK.key())?;
        if fallback.is_none() || kernel == fallback {
            self.phase = Phase::Stuck(Stuck::NoFallbackKernel(cause));
            return Ok(Status::Failing);
        }
        self.durable
            .copy(&Key::FALLBACK.key(), &Key::KERNEL.key())?;
        self.durable.raise(Key::UPGRADE_ERROR)?;
        self.phase = Phase::Padding;
        Ok(Status::Running)
    }

    /// Marks what the coming end of a period would do with a second storage. The tick itself does
    /// not look: with the feature off the original does not either, and a proof shows what was read.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn mark_end_of_period(&mut self, edges: &mut Edges) -> Result<(), PvmError> {
        let ends = matches!(self.phase, Phase::Padding) && self.is_expired();
        if ends && self.version()? >= PvmVersion::V6 && self.durable.has(Key::ACTIVATE_NDS)? {
            edges.mark(Edge::SecondStorageRequested);
        }
        Ok(())
    }

    fn end_period(&mut self) -> Result<Status, PvmError> {
        let asked = self.durable.has(Key::REBOOT)?;
        let (status, phase) = match (asked, self.reboot_counter) {
            (false, _) => (Status::Yielding, Phase::Collect),
            (true, 0) => (Status::ForcingYield, Phase::Collect),
            (true, _) => (Status::Reboot, Phase::Snapshot),
        };
        self.phase = phase;
        Ok(status)
    }

    /// What every tick ends with: counters, then the flags of the durable storage.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn finish_tick(&mut self, status: Status) -> Result<(), PvmError> {
        self.current_tick = self
            .current_tick
            .checked_add(1)
            .ok_or(PvmError::Overflow("the tick"))?;
        let full = self.maximum_reboots.saturating_add(1);
        match status {
            Status::Running => return Ok(()),
            Status::Failing => {
                self.reboot_counter = full;
                return Ok(());
            }
            Status::Reboot => self.reboot_counter = self.reboot_counter.saturating_sub(1),
            Status::Yielding | Status::ForcingYield => self.reboot_counter = full,
        }
        self.last_top_level_call = self.current_tick;
        match status {
            Status::Yielding => self.durable.lower(Key::TOO_MANY_REBOOT)?,
            Status::ForcingYield => self.durable.raise(Key::TOO_MANY_REBOOT)?,
            _ => {}
        }
        if status == Status::Reboot {
            self.durable.lower(Key::REBOOT)?;
        } else {
            self.durable.raise(Key::REBOOT)?;
        }
        self.write_reboot_counter()?;
        if status != Status::Reboot {
            self.buffers.input = super::InputQueue::empty();
        }
        Ok(())
    }

    /// Deleted first, so that a proof need not hold the old chunk.
    fn write_reboot_counter(&mut self) -> Result<(), PvmError> {
        const COUNTER: StaticKey = Key::REBOOT_COUNTER;
        let counter = i32::try_from(self.reboot_counter)
            .map_err(|_| PvmError::Overflow("the reboot counter"))?;
        self.durable.lower(COUNTER)?;
        self.durable
            .write(&COUNTER.key(), 0, &counter.to_le_bytes())
    }

    /// Flags after a kernel run that returned.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read (likewise below).
    pub fn mark_success(&mut self) -> Result<(), PvmError> {
        if self.durable.has(Key::STUCK)? {
            self.durable.lower(Key::STUCK)?;
        }
        if self.durable.has(Key::UPGRADE_ERROR)? {
            self.durable.lower(Key::UPGRADE_ERROR)?;
        }
        Ok(())
    }

    /// Flag after a kernel run that trapped.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn mark_trap(&mut self) -> Result<(), PvmError> {
        self.durable.raise(Key::STUCK)
    }

    /// Keeps the kernel, now known to be valid, as the one to fall back to.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn save_fallback(&mut self) -> Result<(), PvmError> {
        let kernel = self.durable.value_hash(&Key::KERNEL.key())?;
        let fallback = self.durable.value_hash(&Key::FALLBACK.key())?;
        if kernel != fallback {
            self.durable
                .copy(&Key::KERNEL.key(), &Key::FALLBACK.key())?;
        }
        Ok(())
    }
}
