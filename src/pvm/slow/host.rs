//! Host functions as the small-step evaluation calls them.

use std::cell::RefCell;

use crate::merkle::TreeError;
use crate::protocol::PvmVersion;
use crate::pvm::host::{
    self, Debug, HostContext, HostFunction, HostOutcome as Done, HostValue, Memory, RevealCall,
};
use crate::pvm::{Buffers, Durable, Edges, ListingOrder, PvmError};
use crate::wasm::ast::{FuncType, Num, NumType, ValueType};
use crate::wasm::config::RevealRequest;
use crate::wasm::eval::{GuestMemory, HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::init::HostImports;
use crate::wasm::instance::{Extern, FuncInst, Value};
use crate::wasm::lazy::LazyVec;

/// What kernels of a version can import.
pub(super) struct Imports(pub(super) PvmVersion);

fn types(types: &[host::ValueType]) -> LazyVec<ValueType> {
    let types = types.iter().map(|ty| match ty {
        host::ValueType::I32 => ValueType::Num(NumType::I32),
        host::ValueType::I64 => ValueType::Num(NumType::I64),
    });
    LazyVec::from_items(types.collect())
}

impl HostImports for Imports {
    fn module(&self) -> &str {
        host::MODULE
    }

    fn item(&self, name: &str) -> Option<Extern> {
        let function = HostFunction::imported(name, self.0)?;
        Some(Extern::Func(FuncInst::Host {
            ty: FuncType {
                params: types(function.parameters()),
                results: types(function.results()),
            },
            name: function.internal_name().to_owned(),
        }))
    }
}

/// What the host functions of one tick work on.
pub(super) struct Host<'a> {
    pub(super) durable: &'a mut Durable,
    pub(super) buffers: &'a mut Buffers,
    pub(super) listing: ListingOrder,
    pub(super) debug: Debug<'a>,
    pub(super) edges: &'a mut Edges,
}

/// The caller's memory; reading may load chunks, hence the cell.
struct Guest<'a>(RefCell<&'a mut dyn GuestMemory>);

fn to_pvm(fault: Fault) -> PvmError {
    match fault {
        Fault::Tree(error) => PvmError::Tree(error),
        other => PvmError::Missing(format!("guest memory: {other}")),
    }
}

pub(super) fn to_fault(error: PvmError) -> Fault {
    match error {
        PvmError::Tree(error) => Fault::Tree(error),
        other => Fault::Malformed {
            path: "state".to_owned(),
            error: other.to_string(),
        },
    }
}

impl Memory for Guest<'_> {
    fn size(&self) -> u64 {
        self.0.borrow().size_in_bytes()
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError> {
        let mut memory = self.0.borrow_mut();
        memory.read_range(address, length).map_err(to_pvm)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError> {
        let memory = self.0.get_mut();
        memory.write_range(address, bytes).map_err(to_pvm)
    }

    fn touch_end(&self, address: u64) -> Result<(), PvmError> {
        self.0.borrow_mut().touch_end(address).map_err(to_pvm)
    }
}

/// Arguments of other types than the function's: nothing type-checks a kernel.
const BAD_INPUT: &str = "Tezos_scoru_wasm.Host_funcs.Bad_input";

/// For the one function that takes no memory.
struct NoMemory;

impl Memory for NoMemory {
    fn size(&self) -> u64 {
        0
    }

    fn read(&self, _: u64, _: usize) -> Result<Vec<u8>, PvmError> {
        Err(PvmError::Missing("guest memory".to_owned()))
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), PvmError> {
        Err(PvmError::Missing("guest memory".to_owned()))
    }
}

fn raised(raw: &str) -> Fault {
    Fault::Raised(Exception::Other {
        raw: raw.to_owned(),
        explanation: None,
        interpreter: false,
    })
}

/// The arguments, if they have the types of the function.
fn arguments(function: HostFunction, values: &[Value]) -> Option<Vec<HostValue>> {
    let values: Option<Vec<_>> = values
        .iter()
        .map(|value| match value {
            Value::Num(Num::I32(value)) => Some(HostValue::I32(*value)),
            Value::Num(Num::I64(value)) => Some(HostValue::I64(*value)),
            _ => None,
        })
        .collect();
    let values = values?;
    let same = |(value, ty): (&HostValue, &host::ValueType)| {
        matches!(
            (value, ty),
            (HostValue::I32(_), host::ValueType::I32) | (HostValue::I64(_), host::ValueType::I64)
        )
    };
    let parameters = function.parameters();
    (values.len() == parameters.len() && values.iter().zip(parameters).all(same)).then_some(values)
}

fn outcome(done: Done) -> Result<HostOutcome, Fault> {
    match done {
        Done::Done { result, cost } => Ok(HostOutcome::Returned {
            results: result
                .into_iter()
                .map(|value| match value {
                    HostValue::I32(value) => Value::i32(value),
                    HostValue::I64(value) => Value::i64(value),
                })
                .collect(),
            ticks: i128::from(cost),
        }),
        Done::Reveal(RevealCall {
            request,
            destination,
            max_bytes,
        }) => Ok(HostOutcome::Reveals {
            request: RevealRequest::from_bytes(&request),
            base: destination,
            max_bytes,
        }),
        Done::Raised(raw) => Err(raised(raw)),
        Done::SecondStorage => Err(Fault::Unencodable(
            "the kernel uses the second storage, which has no tree".to_owned(),
        )),
    }
}

impl HostFunctions for Host<'_> {
    fn call(
        &mut self,
        name: &str,
        args: &[Value],
        memories: Memories<'_>,
    ) -> Result<HostOutcome, Fault> {
        let function = HostFunction::internal(name).ok_or_else(|| raised("Not_found"))?;
        if function.is_second_storage() {
            return outcome(Done::SecondStorage);
        }
        let values = arguments(function, args).ok_or_else(|| raised(BAD_INPUT));
        // All functions but one look at their arguments before they look for the memory.
        let (memories, values) = match function {
            HostFunction::WriteDebug => (Some(memories.only()?), values?),
            HostFunction::RevealMetadata => (None, values?),
            _ => {
                let values = values?;
                (Some(memories.only()?), values)
            }
        };
        let (mut none, mut guest) = (NoMemory, None);
        let memory: &mut dyn Memory = match memories {
            None => &mut none,
            Some(memory) => guest.insert(Guest(RefCell::new(memory))),
        };
        let mut context = HostContext {
            memory,
            durable: self.durable,
            buffers: self.buffers,
            listing: self.listing,
            debug: self
                .debug
                .as_mut()
                .map(|debug| &mut **debug as &mut dyn FnMut(&[u8])),
            edges: self.edges,
        };
        let done = function.call(&values, &mut context).map_err(to_fault)?;
        outcome(done)
    }
}

impl From<Fault> for PvmError {
    fn from(fault: Fault) -> Self {
        to_pvm(fault)
    }
}

/// Whether an error says that a proof lacks what was read.
pub(super) fn outside_proof(error: &TreeError) -> bool {
    matches!(error, TreeError::OutsideProof { .. })
}
