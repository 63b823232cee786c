//! The input queue and the outbox of a state.
//!
//! Promises: vectors keep the head they have reached and the entries they hold, as the protocol's
//! do; only entries that change are touched. Refuses to know: what messages mean.
//! Upstream rule: `input_buffer.ml`, `output_buffer.ml`, `wasm_encoding.ml`.

use super::PvmError;
use super::encoding::{all_bytes, join, leaf, put, put_bytes, required};
use crate::merkle::Tree;

/// Longest message, in or out.
pub const MESSAGE_LIMIT: usize = 4096;

/// A vector with absolute keys: element `i` lives at `contents/<head + i>`.
#[derive(Debug, Clone)]
struct Vector {
    contents: Tree,
    head: i128,
    length: i128,
}

impl Vector {
    fn empty() -> Self {
        Self {
            contents: Tree::empty(),
            head: 0,
            length: 0,
        }
    }

    fn decode(tree: &Tree, path: &[&str]) -> Result<Self, PvmError> {
        Ok(Self {
            length: required(tree, &join(path, &["length"]), |r| r.z("length"))?,
            head: required(tree, &join(path, &["head"]), |r| r.z("head"))?,
            contents: tree
                .find_tree(&join(path, &["contents"]))?
                .unwrap_or_else(Tree::empty),
        })
    }

    fn encode(&self, tree: &mut Tree, path: &[&str]) -> Result<(), PvmError> {
        tree.add_tree(&join(path, &["contents"]), &self.contents)?;
        put(tree, &join(path, &["length"]), |w| {
            w.z(self.length);
        })?;
        put(tree, &join(path, &["head"]), |w| {
            w.z(self.head);
        })
    }

    /// Key of element `index`.
    fn key(&self, index: i128) -> Result<String, PvmError> {
        let key = self.head.checked_add(index);
        key.map(|key| key.to_string())
            .ok_or_else(|| PvmError::TooLong("vector".to_owned()))
    }
}

/// A message of the input queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Inbox level.
    pub level: i32,
    /// Counter within the level.
    pub counter: i128,
    /// The message itself.
    pub payload: Vec<u8>,
}

impl Input {
    fn decode(tree: &Tree, path: &[&str]) -> Result<Self, PvmError> {
        Ok(Self {
            level: required(tree, &join(path, &["raw-level"]), |r| r.i32("level"))?,
            counter: required(tree, &join(path, &["message-counter"]), |r| r.z("counter"))?,
            payload: all_bytes(tree, path, 1 << 20)?,
        })
    }

    fn encode(&self, tree: &mut Tree, path: &[&str]) -> Result<(), PvmError> {
        put(tree, &join(path, &["raw-level"]), |w| {
            w.i32(self.level);
        })?;
        put(tree, &join(path, &["message-counter"]), |w| {
            w.z(self.counter);
        })?;
        put_bytes(tree, path, &self.payload)
    }
}

/// Messages of the batch that the kernel has not read yet.
#[derive(Debug, Clone)]
pub struct InputQueue {
    vector: Vector,
    /// Level and counter of the last message, once known.
    last: Option<(i32, i128)>,
}

/// A message is not later than the last one of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLater;

impl InputQueue {
    /// The empty queue of a fresh machine.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            vector: Vector::empty(),
            last: None,
        }
    }

    /// Number of messages.
    #[must_use]
    pub const fn length(&self) -> i128 {
        self.vector.length
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read; `Ok(Err(NotLater))` when the message is refused.
    pub fn push(&mut self, input: &Input) -> Result<Result<(), NotLater>, PvmError> {
        if self.vector.length > 0 {
            let last = match self.last {
                Some(last) => last,
                None => {
                    let key = self.vector.key(self.vector.length - 1)?;
                    let last = Input::decode(&self.vector.contents, &[&key])?;
                    (last.level, last.counter)
                }
            };
            self.last = Some(last);
            if (input.level, input.counter) <= last {
                return Ok(Err(NotLater));
            }
        }
        let key = self.vector.key(self.vector.length)?;
        input.encode(&mut self.vector.contents, &[&key])?;
        self.vector.length += 1;
        self.last = Some((input.level, input.counter));
        Ok(Ok(()))
    }

    /// Takes the first message; none when the queue is empty.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn pop(&mut self) -> Result<Option<Input>, PvmError> {
        if self.vector.length <= 0 {
            return Ok(None);
        }
        let key = self.vector.key(0)?;
        let input = Input::decode(&self.vector.contents, &[&key])?;
        self.vector.contents.remove(&[&key])?;
        self.vector.head = self
            .vector
            .head
            .checked_add(1)
            .ok_or_else(|| PvmError::TooLong("input queue".to_owned()))?;
        self.vector.length -= 1;
        Ok(Some(input))
    }
}

/// Messages to layer 1, by level.
#[derive(Debug, Clone)]
pub struct Outbox {
    outboxes: Tree,
    last_level: Option<i32>,
    pub(crate) validity_period: i32,
    message_limit: i128,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxRefusal {
    /// The outbox of the level holds as many messages as it may.
    Full,
    /// There is no level yet.
    NoLevel,
}

impl Outbox {
    /// The outbox of a fresh machine.
    #[must_use]
    pub fn new(validity_period: i32, message_limit: i128) -> Self {
        Self {
            outboxes: Tree::empty(),
            last_level: None,
            validity_period,
            message_limit,
        }
    }

    /// First and last level kept; the first may be below zero.
    #[must_use]
    pub fn range(&self) -> Option<(i32, i32)> {
        self.last_level.map(|last| {
            (
                last.wrapping_sub(self.validity_period).wrapping_add(1),
                last,
            )
        })
    }

    /// Opens the outbox of the next level (`level` itself when it is the first), drops the oldest.
    pub(crate) fn advance(&mut self, level: i32) -> Result<(), PvmError> {
        let opened = match self.range() {
            None => level,
            Some((_, last)) => last.wrapping_add(1),
        };
        let dropped = self.range().map(|(first, _)| first);
        self.last_level = Some(opened);
        let name = opened.to_string();
        self.outboxes.remove(&[&name])?;
        Vector::empty().encode(&mut self.outboxes, &[&name])?;
        if let Some(first) = dropped {
            self.outboxes.remove(&[&first.to_string()])?;
        }
        Ok(())
    }

    /// Appends a message to the outbox of the last level.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read; `Ok(Err(..))` when the message is refused.
    pub fn push(&mut self, message: &[u8]) -> Result<Result<(), OutboxRefusal>, PvmError> {
        let Some(level) = self.last_level else {
            return Ok(Err(OutboxRefusal::NoLevel));
        };
        let name = level.to_string();
        let mut vector = Vector::decode(&self.outboxes, &[&name])?;
        if vector.length > 0 && vector.length >= self.message_limit {
            return Ok(Err(OutboxRefusal::Full));
        }
        let key = vector.key(vector.length)?;
        put(&mut vector.contents, &[&key], |w| {
            w.dynamic(message);
        })?;
        vector.length += 1;
        vector.encode(&mut self.outboxes, &[&name])?;
        Ok(Ok(()))
    }

    /// One message of a level, reading no other; none when the level is outside [`Self::range`] or
    /// has no such message.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn message(&self, level: i32, index: u128) -> Result<Option<Vec<u8>>, PvmError> {
        if !self.keeps(level) {
            return Ok(None);
        }
        let vector = Vector::decode(&self.outboxes, &[&level.to_string()])?;
        let Some(index) = i128::try_from(index).ok().filter(|i| *i < vector.length) else {
            return Ok(None);
        };
        output_message(&vector, index).map(Some)
    }

    /// Messages of a level; none when the level is outside [`Self::range`].
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read.
    pub fn messages(&self, level: i32) -> Result<Option<Vec<Vec<u8>>>, PvmError> {
        if !self.keeps(level) {
            return Ok(None);
        }
        let name = level.to_string();
        if self.outboxes.find_tree(&[&name])?.is_none() {
            return Ok(None);
        }
        let vector = Vector::decode(&self.outboxes, &[&name])?;
        let messages = (0..vector.length).map(|index| output_message(&vector, index));
        messages.collect::<Result<_, _>>().map(Some)
    }

    fn keeps(&self, level: i32) -> bool {
        let range = self.range();
        range.is_some_and(|(first, last)| (first..=last).contains(&level))
    }
}

fn output_message(vector: &Vector, index: i128) -> Result<Vec<u8>, PvmError> {
    let key = vector.key(index)?;
    required(&vector.contents, &[&key], |r| {
        r.dynamic("output message", 1 << 20).map(<[u8]>::to_vec)
    })
}

/// Both buffers.
#[derive(Debug, Clone)]
pub struct Buffers {
    /// Messages to the kernel.
    pub input: InputQueue,
    /// Messages from the kernel.
    pub output: Outbox,
}

const PLACE: [&str; 3] = ["value", "pvm", "buffers"];

impl Buffers {
    pub(crate) fn decode(tree: &Tree) -> Result<Self, PvmError> {
        let output = |name: &'static str| join(&PLACE, &["output", name]);
        let input = InputQueue {
            vector: Vector::decode(tree, &join(&PLACE, &["input"]))?,
            last: None,
        };
        let output = Outbox {
            outboxes: tree
                .find_tree(&join(&output("1"), &["outboxes"]))?
                .unwrap_or_else(Tree::empty),
            last_level: leaf(tree, &join(&output("2"), &["last_level"]), |r| {
                r.i32("last level")
            })?,
            validity_period: required(tree, &join(&output("3"), &["validity_period"]), |r| {
                r.i32("validity period")
            })?,
            message_limit: required(tree, &join(&output("4"), &["message_limit"]), |r| {
                r.z("message limit")
            })?,
        };
        Ok(Self { input, output })
    }

    pub(crate) fn encode(&self, tree: &mut Tree) -> Result<(), PvmError> {
        self.input.vector.encode(tree, &join(&PLACE, &["input"]))?;
        let output = |tail: &[&'static str]| join(&PLACE, &join(&["output"], tail));
        let outbox = &self.output;
        tree.add_tree(&output(&["1", "outboxes"]), &outbox.outboxes)?;
        match outbox.last_level {
            None => tree.remove(&output(&["2", "last_level"]))?,
            Some(level) => put(tree, &output(&["2", "last_level"]), |w| {
                w.i32(level);
            })?,
        }
        put(tree, &output(&["3", "validity_period"]), |w| {
            w.i32(outbox.validity_period);
        })?;
        put(tree, &output(&["4", "message_limit"]), |w| {
            w.z(outbox.message_limit);
        })
    }
}
