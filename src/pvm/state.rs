//! A state of the machine: its tree and the components decoded from it.
//!
//! Promises: `encode` after `decode` is the same tree; only what changed is touched, in the order
//! of the protocol's encoder; every phase is kept, the inside of a kernel run as an opaque subtree.
//! Refuses to know: how a kernel run proceeds. Upstream rule: `tree_state.ml`, `wasm_pvm.ml`.

use super::buffers::Buffers;
use super::durable::Durable;
use super::encoding::{leaf, put, put_bytes, required};
use super::key::Key;
use super::stuck::Stuck;
use super::{Outbox, PvmError};
use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::protocol::{Level, PvmVersion, Tick};

/// Reboots accepted per batch of inputs.
const MAXIMUM_REBOOTS: u128 = 1000;

/// Place of an input in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputInfo {
    /// Inbox level.
    pub level: Level,
    /// Counter within the level.
    pub counter: u128,
}

/// What a rollup is made with; fixed by the protocol it was originated under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origination {
    /// Version of the machine.
    pub version: PvmVersion,
    /// Ticks of a period.
    pub ticks_per_snapshot: u64,
    /// Levels an outbox message stays executable.
    pub outbox_validity_period: i32,
    /// Outbox messages of a level.
    pub outbox_message_limit: u32,
}

/// A phase inside a kernel run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// Parsing the kernel.
    Decode,
    /// Resolving its imports.
    Link,
    /// Instantiating it.
    Init,
    /// Evaluating it.
    Eval,
}

impl Running {
    /// Its name in the tree.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Link => "link",
            Self::Init => "init",
            Self::Eval => "eval",
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        [Self::Decode, Self::Link, Self::Init, Self::Eval]
            .into_iter()
            .find(|running| running.tag() == tag)
    }
}

/// What the machine is doing.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Waiting for a message.
    Collect,
    /// Idle until the end of the period.
    Padding,
    /// About to run the kernel.
    Snapshot,
    /// Stuck, for one tick or for ever.
    Stuck(Stuck),
    /// Inside a kernel run; the continuation is the subtree `wasm/value`.
    Running(Running, Tree),
}

impl Phase {
    /// Its name in the tree.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Padding => "padding",
            Self::Snapshot => "snapshot",
            Self::Stuck(_) => "stuck",
            Self::Running(running, _) => running.tag(),
        }
    }

    fn decode(tree: &Tree) -> Result<Self, PvmError> {
        let tag = leaf(tree, &["wasm", "tag"], |r| {
            r.dynamic("phase", 64).map(<[u8]>::to_vec)
        })?;
        let Some(tag) = tag else {
            return Ok(Self::Collect);
        };
        let tag = String::from_utf8_lossy(&tag).into_owned();
        Ok(match tag.as_str() {
            "collect" => Self::Collect,
            "padding" => Self::Padding,
            "snapshot" => Self::Snapshot,
            "stuck" => Self::Stuck(required(tree, &["wasm", "value"], Stuck::read)?),
            other => {
                let Some(running) = Running::from_tag(other) else {
                    return Err(PvmError::UnknownPhase(tag));
                };
                let value = tree.find_tree(&["wasm", "value"])?;
                Self::Running(
                    running,
                    value.ok_or_else(|| PvmError::Missing("wasm/value".to_owned()))?,
                )
            }
        })
    }

    fn encode(&self, tree: &mut Tree) -> Result<(), PvmError> {
        put(tree, &["wasm", "tag"], |w| {
            w.dynamic(self.tag().as_bytes());
        })?;
        match self {
            Self::Stuck(error) => put(tree, &["wasm", "value"], |w| error.write(w)),
            Self::Running(_, value) => Ok(tree.add_tree(&["wasm", "value"], value)?),
            Self::Collect | Self::Padding | Self::Snapshot => Ok(()),
        }
    }
}

/// What a state waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputRequest {
    /// Nothing: it can take a step.
    Nothing,
    /// The first message of all.
    First,
    /// The message after this one.
    After(InputInfo),
}

/// A state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    /// The tree the components were decoded from, or last encoded into.
    base: Tree,
    /// Last input consumed.
    pub last_input: Option<InputInfo>,
    /// Ticks since origination.
    pub current_tick: u128,
    /// Remaining reboots of the batch.
    pub reboot_counter: u128,
    /// The kernel's storage.
    pub durable: Durable,
    /// Inputs and outputs.
    pub buffers: Buffers,
    /// What the machine is doing.
    pub phase: Phase,
    /// Tick at which the period started.
    pub last_top_level_call: u128,
    /// Ticks of a period.
    pub max_nb_ticks: u128,
    /// Reboots accepted per batch.
    pub maximum_reboots: u128,
    /// Outbox parameters as originated; the live ones are in the buffers.
    outbox_parameters: (i32, i128),
}

impl State {
    /// The tree of a rollup without boot sector: what the protocol calls the initial state.
    ///
    /// # Errors
    /// [`PvmError`] never, in practice: the tree is in memory.
    pub fn initial(version: PvmVersion) -> Result<Tree, PvmError> {
        let mut tree = Tree::empty();
        put_bytes(
            &mut tree,
            &["durable", "readonly", "wasm_version", "@"],
            version.text().as_bytes(),
        )?;
        Ok(tree)
    }

    /// The state after origination with this kernel.
    ///
    /// # Errors
    /// [`PvmError`] never, in practice: the tree is in memory.
    pub fn originate(origination: &Origination, kernel: &[u8]) -> Result<Self, PvmError> {
        Self::originate_on(Self::initial(origination.version)?, origination, kernel)
    }

    /// The state after this kernel was installed in an initial state, of which `base` may show a part.
    ///
    /// # Errors
    /// [`PvmError`] when what is needed of the tree is not there.
    pub fn originate_on(
        base: Tree,
        origination: &Origination,
        kernel: &[u8],
    ) -> Result<Self, PvmError> {
        let mut durable = Durable::new(Self::durable_of(&base)?);
        durable.set(&Key::REBOOT.key(), &[])?;
        durable.set(&Key::KERNEL.key(), kernel)?;
        let validity = origination.outbox_validity_period;
        let limit = i128::from(origination.outbox_message_limit);
        let mut state = Self {
            base,
            last_input: None,
            current_tick: 0,
            reboot_counter: MAXIMUM_REBOOTS + 1,
            durable,
            buffers: Buffers {
                input: super::InputQueue::empty(),
                output: Outbox::new(validity, limit),
            },
            phase: Phase::Collect,
            last_top_level_call: 0,
            max_nb_ticks: u128::from(origination.ticks_per_snapshot),
            maximum_reboots: MAXIMUM_REBOOTS,
            outbox_parameters: (validity, limit),
        };
        state.encode()?;
        Ok(state)
    }

    fn durable_of(tree: &Tree) -> Result<Tree, PvmError> {
        Ok(tree.find_tree(&["durable"])?.unwrap_or_else(Tree::empty))
    }

    /// Reads a state from its tree.
    ///
    /// # Errors
    /// [`PvmError`] when the tree is not the tree of a state.
    pub fn decode(tree: &Tree) -> Result<Self, PvmError> {
        let n = |what| move |r: &mut crate::codec::Reader<'_>| r.n(what);
        let last_input = leaf(tree, &["wasm", "input"], |r| {
            let at = r.clone();
            let level = r.i32("input level")?;
            let counter = r.n("input counter")?;
            let level =
                Level::try_from(level).map_err(|e| at.invalid("input level", e.to_string()))?;
            Ok(InputInfo { level, counter })
        })?;
        let current_tick = leaf(tree, &["wasm", "current_tick"], n("tick"))?.unwrap_or(0);
        let reboot_counter = leaf(tree, &["wasm", "reboot_counter"], n("reboot counter"))?;
        let durable = Durable::new(Self::durable_of(tree)?);
        let buffers = match leaf(tree, &["tag"], |r| r.dynamic("tag", 64).map(<[u8]>::to_vec))? {
            Some(tag) if tag == b"Some" => Some(Buffers::decode(tree)?),
            _ => None,
        };
        let phase = Phase::decode(tree)?;
        let last_top_level_call = leaf(tree, &["pvm", "last_top_level_call"], n("tick"))?;
        let max_nb_ticks = required(tree, &["pvm", "max_nb_ticks"], n("ticks"))?;
        let maximum_reboots = leaf(tree, &["pvm", "maximum_reboots_per_input"], n("reboots"))?
            .unwrap_or(MAXIMUM_REBOOTS);
        let validity = required(tree, &["pvm", "outbox_validity_period"], |r| {
            r.i32("validity period")
        })?;
        let limit = required(tree, &["pvm", "outbox_message_limit"], |r| r.z("limit"))?;
        let fresh = || Buffers {
            input: super::InputQueue::empty(),
            output: Outbox::new(validity, limit),
        };
        Ok(Self {
            base: tree.clone(),
            last_input,
            current_tick,
            reboot_counter: reboot_counter.unwrap_or_else(|| maximum_reboots.saturating_add(1)),
            durable,
            buffers: buffers.unwrap_or_else(fresh),
            phase,
            last_top_level_call: last_top_level_call.unwrap_or(0),
            max_nb_ticks,
            maximum_reboots,
            outbox_parameters: (validity, limit),
        })
    }

    /// Writes the state into its tree, which it returns.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn encode(&mut self) -> Result<&Tree, PvmError> {
        let tree = &mut self.base;
        tree.remove(&["wasm"])?;
        match &self.last_input {
            Some(info) => put(tree, &["wasm", "input"], |w| {
                w.i32(info.level.get()).n(info.counter);
            })?,
            None => tree.remove(&["wasm", "input"])?,
        }
        let n = |value: u128| {
            move |w: &mut crate::codec::Writer| {
                w.n(value);
            }
        };
        put(tree, &["wasm", "current_tick"], n(self.current_tick))?;
        put(tree, &["wasm", "reboot_counter"], n(self.reboot_counter))?;
        tree.add_tree(&["durable"], self.durable.tree()?)?;
        put(tree, &["tag"], |w| {
            w.dynamic(b"Some");
        })?;
        self.buffers.encode(tree)?;
        self.phase.encode(tree)?;
        let (validity, limit) = self.outbox_parameters;
        put(
            tree,
            &["pvm", "last_top_level_call"],
            n(self.last_top_level_call),
        )?;
        put(tree, &["pvm", "max_nb_ticks"], n(self.max_nb_ticks))?;
        put(
            tree,
            &["pvm", "maximum_reboots_per_input"],
            n(self.maximum_reboots),
        )?;
        put(tree, &["pvm", "outbox_validity_period"], |w| {
            w.i32(validity);
        })?;
        put(tree, &["pvm", "outbox_message_limit"], |w| {
            w.z(limit);
        })?;
        Ok(tree)
    }

    /// Hash of the state.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn hash(&mut self) -> Result<Hash, PvmError> {
        Ok(self.encode()?.hash()?)
    }

    /// Takes over an equal tree from the store, so that what is durable there leaves memory.
    ///
    /// # Errors
    /// [`PvmError`] when the tree is not the tree of a state.
    pub fn rebase(&mut self, tree: &Tree) -> Result<(), PvmError> {
        *self = Self::decode(tree)?;
        Ok(())
    }

    /// The current tick.
    #[must_use]
    pub const fn tick(&self) -> Tick {
        Tick(self.current_tick)
    }

    /// Version of the machine, as its storage says.
    ///
    /// # Errors
    /// [`PvmError`] when there is none or it is unknown.
    pub fn version(&mut self) -> Result<PvmVersion, PvmError> {
        let text = self
            .durable
            .get(&Key::VERSION.key())?
            .ok_or_else(|| PvmError::Missing(Key::VERSION.key().to_string()))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        PvmVersion::from_text(&text).ok_or(PvmError::UnknownVersion(text))
    }

    /// What the state waits for, a reveal inside a run excepted.
    #[must_use]
    pub fn input_request(&self) -> InputRequest {
        let waits = match &self.phase {
            Phase::Collect => true,
            Phase::Stuck(error) => error.cause().is_none(),
            Phase::Padding | Phase::Snapshot | Phase::Running(..) => false,
        };
        match (waits, self.last_input) {
            (false, _) => InputRequest::Nothing,
            (true, None) => InputRequest::First,
            (true, Some(info)) => InputRequest::After(info),
        }
    }
}
