//! What evaluation asks of whoever provides the host functions.

use crate::wasm::config::RevealRequest;
use crate::wasm::fault::Fault;
use crate::wasm::instance::{MemoryInst, Value};
use crate::wasm::lazy::LazyVec;

/// A memory as host functions reach it.
pub trait GuestMemory {
    /// Its size in bytes.
    fn size_in_bytes(&self) -> u64;

    /// Bytes of a range that is inside the memory.
    ///
    /// # Errors
    /// [`Fault`] when the range is not inside or a chunk cannot be read.
    fn read_range(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Fault>;

    /// Overwrites a range that is inside the memory.
    ///
    /// # Errors
    /// [`Fault`] when the range is not inside or a chunk cannot be read.
    fn write_range(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault>;

    /// Loads what is there from `address` to the end, where loading leaves a trace.
    ///
    /// # Errors
    /// [`Fault`] when a chunk cannot be read.
    fn touch_end(&mut self, _address: u64) -> Result<(), Fault> {
        Ok(())
    }
}

impl GuestMemory for MemoryInst {
    fn size_in_bytes(&self) -> u64 {
        self.bound().unsigned_abs()
    }

    fn read_range(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Fault> {
        self.chunks.slice(signed(address), signed(length as u64))
    }

    fn write_range(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.chunks.write(signed(address), bytes)
    }

    /// Byte by byte and to the last one, as in `load_bytes` of `partial_memory.ml`.
    fn touch_end(&mut self, address: u64) -> Result<(), Fault> {
        let left = self.bound().saturating_sub(signed(address));
        if left > 0 {
            self.chunks.slice(signed(address), left)?;
        }
        Ok(())
    }
}

/// No memory reaches beyond the largest signed address.
fn signed(address: u64) -> i64 {
    i64::try_from(address).unwrap_or(i64::MAX)
}

/// The memory a host function may reach.
#[allow(missing_debug_implementations)]
pub enum Memories<'a> {
    /// None: the module is being initialised.
    DuringInit,
    /// Those of the caller's module; which there are is looked up when a function asks.
    OfCaller(&'a mut LazyVec<MemoryInst>),
    /// The only one of the caller's module.
    One(&'a mut dyn GuestMemory),
}

impl<'a> Memories<'a> {
    /// The only memory of the caller.
    ///
    /// # Errors
    /// A crash during initialisation, and when there is not exactly one memory.
    pub fn only(self) -> Result<&'a mut dyn GuestMemory, Fault> {
        match self {
            Self::DuringInit => Err(Fault::located(
                "host functions must not access memory during initialisation",
            )),
            Self::One(memory) => Ok(memory),
            Self::OfCaller(memories) if memories.len() == 1 => Ok(memories.write(0)?),
            Self::OfCaller(_) => Err(Fault::located(
                "caller module must have exactly 1 memory instance",
            )),
        }
    }
}

/// What a host function did.
#[derive(Debug, Clone)]
pub enum HostOutcome {
    /// It returned.
    Returned {
        /// Results, first on top.
        results: Vec<Value>,
        /// Ticks to be spent before evaluation goes on.
        ticks: i128,
    },
    /// It waits for a reveal.
    Reveals {
        /// What is asked for.
        request: RevealRequest,
        /// Where the answer goes.
        base: i32,
        /// The most bytes of it to take.
        max_bytes: i32,
    },
}

/// The host functions, by internal name.
pub trait HostFunctions {
    /// Calls `name` with `args`, the first parameter first.
    ///
    /// # Errors
    /// [`Fault`]; a crash or any other exception leaves the machine stuck.
    fn call(
        &mut self,
        name: &str,
        args: &[Value],
        memories: Memories<'_>,
    ) -> Result<HostOutcome, Fault>;
}

/// Ticks a reveal costs for each byte it writes.
pub(crate) const TICKS_PER_BYTE: i128 = 42;
