//! Every state of a commitment period, and the proof of any of its ticks, by walking the reference
//! machine from the start of a level: how players inside the simulation know what to say.
//!
//! Promises: obvious and slow, for small kernels; written apart from what a tower plays with, so
//! that each checks the other through the judge. Refuses to know who asks and what they make of it.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::Chain;
use crate::inbox::{InboxProof, Message};
use crate::protocol::operation::{InputProof, Proof, RevealProof};
use crate::protocol::{HistoryCell, Level, StateHash};
use crate::pvm::slow::{self, Expects, Input, Machine};
use crate::pvm::{Environment, InputInfo, InputRequest, Request, State};

/// The states of a period, by tick from its start.
pub trait States: fmt::Debug + Send {
    /// Tick of the last state: the one that waits for the next level.
    fn length(&self) -> u128;

    /// Tick of the state that has just read a message; none when it is not of the period.
    fn reading(&self, level: Level, message: u32) -> Option<u128>;

    /// The state at a tick; none when the machine has stopped before.
    fn state(&mut self, tick: u128) -> Option<StateHash>;

    /// Proof of the step that the state at `tick` takes, for a game with this inbox snapshot.
    fn proof(&mut self, chain: &Chain, snapshot: &HistoryCell, tick: u128) -> Option<Proof>;
}

/// A level as the machine reads it.
#[derive(Clone)]
pub(crate) struct ReadLevel {
    /// Which one.
    pub level: Level,
    /// Tick at which it begins, from the start of the period.
    pub begins: u128,
    /// The state that begins it, where it is known.
    pub start: Option<State>,
    /// Its messages.
    pub messages: Vec<Vec<u8>>,
    /// Who answers reveals.
    pub environment: Environment,
}

/// The machine somewhere in the period.
#[derive(Debug, Clone)]
struct Walk {
    machine: Machine,
    level: usize,
    message: usize,
}

/// A period on the reference machine.
pub(crate) struct MachineTrace {
    start: u128,
    length: u128,
    levels: Vec<ReadLevel>,
    /// Places visited, by tick.
    marks: BTreeMap<u128, Walk>,
}

impl fmt::Debug for MachineTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineTrace")
            .field("length", &self.length)
            .field("marks", &self.marks.len())
            .finish_non_exhaustive()
    }
}

impl MachineTrace {
    /// The period that begins in `state`.
    pub(crate) fn new(state: State, levels: Vec<ReadLevel>, length: u128) -> Option<Self> {
        let start = state.current_tick;
        let walk = Walk {
            machine: Machine::new(state).ok()?,
            level: 0,
            message: 0,
        };
        Some(Self {
            start,
            length,
            levels,
            marks: BTreeMap::from([(0, walk)]),
        })
    }

    /// The machine at `tick`, walked there from the nearest place before.
    fn at(&mut self, tick: u128) -> Option<&mut Walk> {
        if !self.marks.contains_key(&tick) {
            let mut walk = self.nearest(tick)?;
            let mut level = walk.level;
            while walk.tick(self.start) < tick {
                walk.stride(&self.levels, self.start.saturating_add(tick))?;
                if walk.level != level {
                    level = walk.level;
                    self.marks.insert(walk.tick(self.start), walk.clone());
                }
            }
            self.marks.insert(tick, walk);
        }
        self.marks.get_mut(&tick)
    }

    /// The last known place that is not after `tick`.
    fn nearest(&self, tick: u128) -> Option<Walk> {
        let (visited, walk) = self.marks.range(..=tick).next_back()?;
        let starts = self.levels.iter().enumerate();
        let started = starts
            .filter(|(_, level)| level.begins > *visited && level.begins <= tick)
            .filter_map(|(level, read)| Some((level, read.start.clone()?)))
            .next_back();
        let Some((level, state)) = started else {
            return Some(walk.clone());
        };
        Some(Walk {
            machine: Machine::new(state).ok()?,
            level,
            message: 0,
        })
    }

    /// What the machine at this place reads next.
    fn next_message(&self, walk: &Walk) -> Option<(InputInfo, &[u8])> {
        let level = self.levels.get(walk.level)?;
        let payload = level.messages.get(walk.message)?;
        let info = InputInfo {
            level: level.level,
            counter: walk.message as u128,
        };
        Some((info, payload))
    }
}

impl Walk {
    fn tick(&self, start: u128) -> u128 {
        self.machine.state().current_tick.saturating_sub(start)
    }

    /// One step, or as much padding as leads to `target`; none where there is no next state.
    fn stride(&mut self, levels: &[ReadLevel], target: u128) -> Option<()> {
        match self.machine.expects() {
            Expects::Input(_) => {
                let level = levels.get(self.level)?;
                let payload = level.messages.get(self.message)?;
                let info = InputInfo {
                    level: level.level,
                    counter: self.message as u128,
                };
                self.machine.set_input(info, payload).ok()?;
                self.message += 1;
                if self.message == level.messages.len() {
                    self.level += 1;
                    self.message = 0;
                }
            }
            Expects::Reveal(request) => {
                let data = self.revealed(levels, &request)?;
                self.machine.reveal(&data).ok()?;
            }
            Expects::Nothing => {
                let left = target.saturating_sub(self.machine.state().current_tick);
                if self.machine.pad(left) == 0 {
                    self.machine.tick().ok()?;
                }
            }
        }
        Some(())
    }

    fn environment<'a>(&self, levels: &'a [ReadLevel]) -> Option<&'a Environment> {
        let read = match self.message {
            0 => self.level.saturating_sub(1),
            _ => self.level,
        };
        levels.get(read).map(|level| &level.environment)
    }

    fn revealed(&self, levels: &[ReadLevel], request: &[u8]) -> Option<Vec<u8>> {
        let last = self.machine.state().last_input.map(|info| info.level);
        let reveals = &self.environment(levels)?.reveals;
        reveals.answer(request, last).ok()
    }
}

impl States for MachineTrace {
    fn length(&self) -> u128 {
        self.length
    }

    fn reading(&self, level: Level, message: u32) -> Option<u128> {
        let read = self.levels.iter().find(|read| read.level == level)?;
        // Messages are read one tick after the other, before the kernel runs.
        let last = u128::try_from(read.messages.len().checked_sub(1)?).ok()?;
        let place = u128::from(message).min(last);
        read.begins.checked_add(place)?.checked_add(1)
    }

    fn state(&mut self, tick: u128) -> Option<StateHash> {
        let walk = self.at(tick)?;
        walk.machine.hash().ok().map(StateHash::from)
    }

    fn proof(&mut self, chain: &Chain, snapshot: &HistoryCell, tick: u128) -> Option<Proof> {
        let walk = self.at(tick)?.clone();
        let expects = walk.machine.expects();
        let (input, input_proof) = match &expects {
            Expects::Nothing => (Input::None, None),
            Expects::Input(request) => {
                let input = self
                    .next_message(&walk)
                    .map_or(Input::None, |(info, payload)| Input::Message {
                        info,
                        payload: payload.to_vec(),
                    });
                (input, inbox_part(chain, snapshot, request))
            }
            Expects::Reveal(request) => {
                let data = walk.revealed(&self.levels, request)?;
                let last = walk.machine.state().last_input.map(|info| info.level);
                let activation = walk.environment(&self.levels)?.reveals.activation();
                let proof = match Request::resolve(request, last, &activation) {
                    Request::Metadata => RevealProof::Metadata,
                    Request::DalParameters => RevealProof::DalParameters,
                    _ => RevealProof::RawData(data.clone()),
                };
                (Input::Revealed(data), Some(InputProof::Reveal(proof)))
            }
        };
        let mut state = walk.machine.into_state().ok()?;
        let tree = state.encode().ok()?;
        let step = slow::prove(tree, &input).ok()?.proof;
        Some(Proof {
            pvm_step: step.encode().ok()?,
            input_proof,
        })
    }
}

/// Proof of what the chain's inbox has where the machine asks.
fn inbox_part(chain: &Chain, snapshot: &HistoryCell, request: &InputRequest) -> Option<InputProof> {
    let after = match request {
        InputRequest::Nothing => return None,
        InputRequest::First => return Some(InputProof::FirstInput),
        InputRequest::After(after) => after,
    };
    let messages = chain.at(after.level)?.messages.as_ref()?;
    let counter = u64::try_from(after.counter).ok()?;
    let cell = |index: u64| {
        let above = u32::try_from(snapshot.index.checked_sub(index)?).ok()?;
        let block = chain.at(snapshot.level.minus(above)?)?;
        Some(block.context.as_ref()?.inbox.cell.clone())
    };
    let wanted = counter.checked_add(1)?;
    let produced = InboxProof::produce(snapshot, after.level, wanted, messages, cell);
    let (proof, _) = produced.ok()?;
    Some(InputProof::Inbox {
        level: after.level,
        message_counter: counter,
        serialized_proof: proof.to_bytes(),
    })
}

/// What is wrong with the inputs of a machine that does not read the chain's.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(tag = "meddling", rename_all = "snake_case")]
pub enum Meddling {
    /// A message is left out.
    Skips {
        /// Its level.
        level: Level,
        /// Its place.
        message: u32,
    },
    /// A message is put before the end of the level.
    Adds {
        /// The level.
        level: Level,
        /// Hexadecimal digits of the serialized message.
        message: String,
    },
    /// The level has no start.
    SkipsStart {
        /// The level.
        level: Level,
    },
    /// The level has no end.
    SkipsEnd {
        /// The level.
        level: Level,
    },
    /// The predecessor named at the start of the level is another one.
    CorruptsInfo {
        /// The level.
        level: Level,
    },
    /// The level is read as if it were the first one of the rollup.
    Replays {
        /// The level.
        level: Level,
    },
    /// Revealed data is other data from a level on.
    WrongReveals {
        /// The first such level.
        level: Level,
    },
    /// From a level on, the parameters of the data availability layer are those of the protocol
    /// that comes later.
    LaterSizes {
        /// The first such level.
        level: Level,
    },
}

impl Meddling {
    /// First level that is read differently.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Skips { level, .. }
            | Self::Adds { level, .. }
            | Self::SkipsStart { level }
            | Self::SkipsEnd { level }
            | Self::CorruptsInfo { level }
            | Self::Replays { level }
            | Self::WrongReveals { level }
            | Self::LaterSizes { level } => *level,
        }
    }

    /// Whether reveals at `level` are answered with other data.
    #[must_use]
    pub(crate) fn corrupts_reveals(&self, level: Level) -> bool {
        matches!(self, Self::WrongReveals { level: from } if level >= *from)
    }

    /// Whether sizes of past protocols are forgotten at `level`.
    #[must_use]
    pub(crate) fn takes_later_sizes(&self, level: Level) -> bool {
        matches!(self, Self::LaterSizes { level: from } if level >= *from)
    }

    /// The messages of `level` as this machine reads them; `first` are those of the rollup's first.
    #[must_use]
    pub(crate) fn read(
        &self,
        level: Level,
        mut messages: Vec<Vec<u8>>,
        first: &[Vec<u8>],
    ) -> Vec<Vec<u8>> {
        if level != self.level() {
            return messages;
        }
        match self {
            Self::Skips { message, .. } => {
                let place = *message as usize;
                if place < messages.len() {
                    messages.remove(place);
                }
            }
            Self::Adds { message, .. } => {
                let place = messages.len().saturating_sub(1);
                messages.insert(place, hex::decode(message).unwrap_or_default());
            }
            Self::SkipsStart { .. } => {
                messages.remove(0);
            }
            Self::SkipsEnd { .. } => {
                messages.retain(|message| message.as_slice() != Message::END_OF_LEVEL);
            }
            Self::CorruptsInfo { .. } => {
                if let Some(last) = messages.get_mut(1).and_then(|info| info.last_mut()) {
                    *last ^= 1;
                }
            }
            Self::Replays { .. } => messages = first.to_vec(),
            Self::WrongReveals { .. } | Self::LaterSizes { .. } => {}
        }
        messages
    }
}
