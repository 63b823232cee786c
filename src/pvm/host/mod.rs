//! Host functions: what kernels may import, and what each call does.
//!
//! Why one place: both engines call the same code, so that they cannot differ. Promises: results,
//! error codes, order of checks, costs and partial effects are the judging machine's (its
//! tick-by-tick engine, where the original's two engines differ, see [`Edge`]). Refuses to know:
//! which engine calls, where revealed data comes from. Upstream rule: `host_funcs.ml`.

mod io;
mod memory;
mod store;
#[cfg(test)]
mod tests;

pub use memory::Memory;

use super::{Buffers, Durable, Edge, Edges, ListingOrder, PvmError};
use crate::protocol::PvmVersion;

/// Module name of every host function.
pub const MODULE: &str = "smart_rollup_core";

/// Ticks per byte that a host function reads or writes.
pub const TICKS_PER_BYTE: u64 = 42;

/// Type of an argument or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
}

/// An argument or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostValue {
    /// 32-bit integer.
    I32(i32),
    /// 64-bit integer.
    I64(i64),
}

/// Error codes kernels see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The key is longer than 240 bytes.
    KeyTooLarge = -1,
    /// The bytes are not a key.
    InvalidKey = -2,
    /// The key has no value.
    NotAValue = -3,
    /// The offset is outside the value.
    InvalidAccess = -4,
    /// The value would be too long.
    ValueSizeExceeded = -5,
    /// The range is outside the memory.
    MemoryInvalidAccess = -6,
    /// More bytes than one call may move.
    InputOutputTooLarge = -7,
    /// Anything else that does not fit.
    GenericInvalidAccess = -8,
    /// The key may not be changed by kernels.
    ReadOnly = -9,
    /// The key has neither value nor subkeys.
    NotANode = -10,
    /// The outbox of the level is full.
    FullOutbox = -11,
    /// There is no entry at the index.
    InvalidSubkeyIndex = -12,
    /// The key has a value already.
    ValueAlreadyExists = -13,
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostOutcome {
    /// It returned.
    Done {
        /// Its result, if it has one.
        result: Option<HostValue>,
        /// Ticks charged after the call.
        cost: u64,
    },
    /// It waits for data; [`deliver`] finishes the call.
    Reveal(RevealCall),
    /// The machine raises an exception that prints so; the durable storage and the memory are
    /// those before the call.
    Raised(&'static str),
    /// The call needs the second storage, which this program does not have.
    SecondStorage,
}

/// A call that waits for revealed data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevealCall {
    /// The request as the kernel made it.
    pub request: Vec<u8>,
    /// Where the data goes.
    pub destination: i32,
    /// Most bytes to write there.
    pub max_bytes: i32,
}

/// Receives what kernels print; none where nobody listens.
pub type Debug<'a> = Option<&'a mut dyn FnMut(&[u8])>;

/// What a call works on.
pub struct HostContext<'a> {
    /// The caller's memory 0.
    pub memory: &'a mut dyn Memory,
    /// The kernel's storage.
    pub durable: &'a mut Durable,
    /// Inputs and outputs.
    pub buffers: &'a mut Buffers,
    /// Order in which directories are listed.
    pub listing: ListingOrder,
    /// Receives what kernels print.
    pub debug: Debug<'a>,
    /// Receives marks.
    pub edges: &'a mut Edges,
}

impl std::fmt::Debug for HostContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostContext")
            .field("edges", &self.edges)
            .finish_non_exhaustive()
    }
}

/// Why a call stops before its end.
enum Stop {
    Code(Code),
    Raised(&'static str),
    Fault(PvmError),
}

impl From<Code> for Stop {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<PvmError> for Stop {
    fn from(error: PvmError) -> Self {
        Self::Fault(error)
    }
}

use ValueType::{I32, I64};

macro_rules! host_functions {
    ($($(#[$doc:meta])* $name:ident: $import:literal, $internal:literal, [$($argument:ident),*] -> [$($result:ident),*], $since:ident;)*) => {
        /// A host function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum HostFunction {
            $($(#[$doc])* $name,)*
        }

        impl HostFunction {
            /// Every host function.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name kernels import.
            #[must_use]
            pub const fn import_name(self) -> &'static str {
                match self { $(Self::$name => $import,)* }
            }

            /// The name inside the machine, which the state tree holds.
            #[must_use]
            pub const fn internal_name(self) -> &'static str {
                match self { $(Self::$name => $internal,)* }
            }

            /// Types of its arguments.
            #[must_use]
            pub const fn parameters(self) -> &'static [ValueType] {
                match self { $(Self::$name => &[$($argument),*],)* }
            }

            /// Types of its results: none or one.
            #[must_use]
            pub const fn results(self) -> &'static [ValueType] {
                match self { $(Self::$name => &[$($result),*],)* }
            }

            /// The first version that has it.
            #[must_use]
            pub const fn since(self) -> PvmVersion {
                match self { $(Self::$name => PvmVersion::$since,)* }
            }
        }
    };
}

host_functions! {
    /// Takes the next message.
    ReadInput: "read_input", "tezos_read_input", [I32, I32, I32] -> [I32], V0;
    /// Sends a message to layer 1.
    WriteOutput: "write_output", "tezos_write_output", [I32, I32] -> [I32], V0;
    /// Prints.
    WriteDebug: "write_debug", "tezos_write_debug", [I32, I32] -> [], V0;
    /// What is at a key.
    StoreHas: "store_has", "tezos_store_has", [I32, I32] -> [I32], V0;
    /// Number of entries below a key.
    StoreListSize: "store_list_size", "tezos_store_list_size", [I32, I32] -> [I64], V0;
    /// Name of an entry below a key.
    StoreGetNthKey: "store_get_nth_key", "tezos_store_get_nth_key_list", [I32, I32, I64, I32, I32] -> [I32], V0;
    /// Removes a key with everything below.
    StoreDelete: "store_delete", "tezos_store_delete", [I32, I32] -> [I32], V0;
    /// Copies a key with everything below.
    StoreCopy: "store_copy", "tezos_store_copy", [I32, I32, I32, I32] -> [I32], V0;
    /// Moves a key with everything below.
    StoreMove: "store_move", "tezos_store_move", [I32, I32, I32, I32] -> [I32], V0;
    /// Length of a value.
    StoreValueSize: "store_value_size", "tezos_store_value_size", [I32, I32] -> [I32], V0;
    /// Reads part of a value.
    StoreRead: "store_read", "tezos_store_read", [I32, I32, I32, I32, I32] -> [I32], V0;
    /// Writes part of a value.
    StoreWrite: "store_write", "tezos_write_read", [I32, I32, I32, I32, I32] -> [I32], V0;
    /// Asks for the preimage of a hash.
    RevealPreimage: "reveal_preimage", "tezos_reveal_preimage", [I32, I32, I32, I32] -> [I32], V0;
    /// Asks for the rollup's address and origination level.
    RevealMetadata: "reveal_metadata", "tezos_reveal_metadata", [I32, I32] -> [I32], V0;
    /// Hash of a node of the storage.
    StoreGetHash: "__internal_store_get_hash", "tezos_internal_store_get_hash", [I32, I32, I32, I32] -> [I32], V1;
    /// Removes only a value.
    StoreDeleteValue: "store_delete_value", "tezos_store_delete_value", [I32, I32] -> [I32], V1;
    /// Makes a value of zeros.
    StoreCreate: "store_create", "tezos_store_create", [I32, I32, I32] -> [I32], V1;
    /// Whether anything is at a key.
    StoreExists: "store_exists", "tezos_store_exists", [I32, I32] -> [I32], V2;
    /// Asks for anything that can be revealed.
    Reveal: "reveal", "tezos_reveal", [I32, I32, I32, I32] -> [I32], V3;
    /// Second storage: change the number of databases.
    NdsRegistryResize: "nds_registry_resize", "nds_registry_resize", [I64] -> [I32], V6;
    /// Second storage: copy a database.
    NdsRegistryCopy: "nds_registry_copy", "nds_registry_copy", [I64, I64] -> [I32], V6;
    /// Second storage: move a database.
    NdsRegistryMove: "nds_registry_move", "nds_registry_move", [I64, I64] -> [I32], V6;
    /// Second storage: empty a database.
    NdsRegistryClear: "nds_registry_clear", "nds_registry_clear", [I64] -> [I32], V6;
    /// Second storage: whether a key exists.
    NdsStoreExists: "nds_store_exists", "nds_store_exists", [I64, I32, I32] -> [I32], V6;
    /// Second storage: read part of a value.
    NdsStoreRead: "nds_store_read", "nds_store_read", [I64, I32, I32, I64, I32, I32] -> [I32], V6;
    /// Second storage: write part of a value.
    NdsStoreWrite: "nds_store_write", "nds_store_write", [I64, I32, I32, I64, I32, I32] -> [I32], V6;
    /// Second storage: replace a value.
    NdsStoreSet: "nds_store_set", "nds_store_set", [I64, I32, I32, I32, I32] -> [I32], V6;
    /// Second storage: remove a value.
    NdsStoreDelete: "nds_store_delete", "nds_store_delete", [I64, I32, I32] -> [I32], V6;
    /// Second storage: length of a value.
    NdsStoreValueSize: "nds_store_value_size", "nds_store_value_size", [I64, I32, I32] -> [I32], V6;
    /// Second storage: hash of a database.
    NdsDatabaseGetHash: "nds_database_get_hash", "nds_database_get_hash", [I64, I32, I32] -> [I32], V6;
}

impl HostFunction {
    /// The function a kernel imports under this name at this version.
    #[must_use]
    pub fn imported(name: &str, version: PvmVersion) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|function| function.import_name() == name && function.since() <= version)
    }

    /// The function with this name inside the machine.
    #[must_use]
    pub fn internal(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|function| function.internal_name() == name)
    }

    /// Whether it works on the second storage, which this program does not have.
    #[must_use]
    pub fn is_second_storage(self) -> bool {
        self >= Self::NdsRegistryResize
    }

    /// Calls the function. Arguments have the types of [`Self::parameters`]; others raise, as in
    /// the machine.
    ///
    /// # Errors
    /// [`PvmError`] when the storage or the memory cannot be read; then nothing can be said about
    /// the state.
    pub fn call(
        self,
        arguments: &[HostValue],
        context: &mut HostContext<'_>,
    ) -> Result<HostOutcome, PvmError> {
        let outcome = match arguments {
            [HostValue::I32(a), HostValue::I32(b)] => self.call2(*a, *b, context),
            [HostValue::I32(a), HostValue::I32(b), HostValue::I32(c)] => {
                self.call3(*a, *b, *c, context)
            }
            [
                HostValue::I32(a),
                HostValue::I32(b),
                HostValue::I32(c),
                HostValue::I32(d),
            ] => self.call4([*a, *b, *c, *d], context),
            [
                HostValue::I32(a),
                HostValue::I32(b),
                HostValue::I32(c),
                HostValue::I32(d),
                HostValue::I32(e),
            ] => match self {
                Self::StoreRead => store::read([*a, *b, *c, *d, *e], context),
                Self::StoreWrite => store::write([*a, *b, *c, *d, *e], context),
                _ => Err(Stop::Raised(BAD_INPUT)),
            },
            [
                HostValue::I32(a),
                HostValue::I32(b),
                HostValue::I64(index),
                HostValue::I32(d),
                HostValue::I32(e),
            ] if self == Self::StoreGetNthKey => {
                store::nth_key((*a, *b), *index, (*d, *e), context)
            }
            _ => Err(Stop::Raised(BAD_INPUT)),
        };
        match outcome {
            Ok(done) => Ok(done),
            Err(_) if self.is_second_storage() => Ok(HostOutcome::SecondStorage),
            Err(Stop::Code(code)) => Ok(HostOutcome::Done {
                result: Some(self.refusal(code)),
                cost: 0,
            }),
            Err(Stop::Raised(raw)) => Ok(HostOutcome::Raised(raw)),
            Err(Stop::Fault(error)) => Err(error),
        }
    }

    fn call2(self, a: i32, b: i32, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
        match self {
            Self::WriteOutput => io::write_output(a, b, on),
            Self::WriteDebug => Ok(io::write_debug(a, b, on)),
            Self::StoreHas => store::has((a, b), on),
            Self::StoreListSize => store::list_size((a, b), on),
            Self::StoreDelete => store::delete((a, b), on),
            Self::StoreDeleteValue => store::delete_value((a, b), on),
            Self::StoreValueSize => store::value_size((a, b), on),
            Self::StoreExists => store::exists((a, b), on),
            Self::RevealMetadata => Ok(io::reveal_metadata(a, b)),
            _ => Err(Stop::Raised(BAD_INPUT)),
        }
    }

    fn call3(self, a: i32, b: i32, c: i32, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
        match self {
            Self::ReadInput => io::read_input(a, b, c, on),
            Self::StoreCreate => store::create((a, b), c, on),
            _ => Err(Stop::Raised(BAD_INPUT)),
        }
    }

    fn call4(self, args: [i32; 4], on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
        let [a, b, c, d] = args;
        match self {
            Self::StoreCopy => store::copy((a, b), (c, d), on),
            Self::StoreMove => store::rename((a, b), (c, d), on),
            Self::StoreGetHash => store::node_hash((a, b), (c, d), on),
            Self::RevealPreimage => io::reveal_preimage((a, b), (c, d), on),
            Self::Reveal => io::reveal((a, b), (c, d), on),
            _ => Err(Stop::Raised(BAD_INPUT)),
        }
    }

    /// An error code in the type of the function's result.
    const fn refusal(self, code: Code) -> HostValue {
        match self {
            Self::StoreListSize => HostValue::I64(code as i64),
            _ => HostValue::I32(code as i32),
        }
    }
}

/// Arguments that do not have the types of the function: possible only for a machine that does not
/// type-check.
const BAD_INPUT: &str = "Tezos_scoru_wasm.Host_funcs.Bad_input";

/// Cutting a name or hash to a negative size.
const NEGATIVE_CUT: &str = "Invalid_argument(\"String.sub / Bytes.sub\")";

fn done(result: i32, cost: u64) -> HostOutcome {
    HostOutcome::Done {
        result: Some(HostValue::I32(result)),
        cost,
    }
}

/// Why revealed data cannot be delivered: the judging machine raises, there is no next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoNextState;

/// Finishes a call that waited for data: the result to push, and the ticks charged.
///
/// # Errors
/// [`PvmError`] when the memory cannot be written; `Ok(Err(NoNextState))` when the judging machine
/// has no state after this: the destination is outside the memory or `max_bytes` is negative.
pub fn deliver(
    call: &RevealCall,
    data: &[u8],
    memory: &mut dyn Memory,
) -> Result<Result<(i32, u64), NoNextState>, PvmError> {
    let Ok(max_bytes) = usize::try_from(call.max_bytes) else {
        return Ok(Err(NoNextState));
    };
    let data = data.get(..max_bytes).unwrap_or(data);
    let mut edges = Edges::default();
    match memory::store(memory, call.destination, data, &mut edges) {
        Ok(()) => {}
        Err(Stop::Fault(error)) => return Err(error),
        Err(_) => return Ok(Err(NoNextState)),
    }
    let count = i32::try_from(data.len()).unwrap_or(i32::MAX);
    Ok(Ok((count, TICKS_PER_BYTE * data.len() as u64)))
}
