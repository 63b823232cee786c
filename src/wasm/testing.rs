//! Kernels for the tests of this module, and a host that is small and has memory effects.

use crate::merkle::Tree;
use crate::wasm::ast::{FuncType, NumType, ValueType};
use crate::wasm::config::{Admin, Code, Config, RevealRequest};
use crate::wasm::decode::DecodeKont;
use crate::wasm::encoding::{Stored, Style, Target};
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::Fault;
use crate::wasm::init::{EvalState, HostImports, InitKont, InitState, LinkState};
use crate::wasm::instance::{Extern, FuncInst, ModuleKey, Name, Value};
use crate::wasm::lazy::LazyVec;

/// `add` adds three numbers and costs ticks, `poke` writes memory, `ask` reveals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TestHost {
    /// Calls so far.
    pub(crate) calls: u32,
}

/// splitmix64: what seeds of random kernels lead to must not change with a dependency.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

const I32: ValueType = ValueType::Num(NumType::I32);

pub(crate) struct TestImports;

impl HostImports for TestImports {
    fn module(&self) -> &str {
        "host"
    }

    fn item(&self, name: &str) -> Option<Extern> {
        let (params, results) = match name {
            "add" => (3, 1),
            "poke" => (2, 0),
            "ask" => (2, 1),
            _ => return None,
        };
        Some(Extern::Func(FuncInst::Host {
            ty: FuncType {
                params: LazyVec::from_items(vec![I32; params]),
                results: LazyVec::from_items(vec![I32; results]),
            },
            name: name.to_owned(),
        }))
    }
}

fn int(value: Option<&Value>) -> i32 {
    match value {
        Some(Value::Num(crate::wasm::ast::Num::I32(value))) => *value,
        other => panic!("{other:?} is not a 32-bit integer"),
    }
}

impl HostFunctions for TestHost {
    fn call(
        &mut self,
        name: &str,
        args: &[Value],
        memories: Memories<'_>,
    ) -> Result<HostOutcome, Fault> {
        self.calls += 1;
        let (a, b) = (int(args.first()), int(args.get(1)));
        let memory = memories.only()?;
        match name {
            "add" => {
                let sum = a.wrapping_add(b).wrapping_add(int(args.get(2)));
                Ok(HostOutcome::Returned {
                    results: vec![Value::i32(sum)],
                    ticks: i128::from(sum.unsigned_abs() % 50),
                })
            }
            "poke" => {
                let address = u64::from(a as u32);
                if address + 4 > memory.size_in_bytes() {
                    return Err(Fault::located("poked outside"));
                }
                memory.write_range(address, &b.to_le_bytes())?;
                Ok(HostOutcome::Returned {
                    results: Vec::new(),
                    ticks: 7,
                })
            }
            _ => Ok(HostOutcome::Reveals {
                request: RevealRequest::Metadata,
                base: a,
                max_bytes: b,
            }),
        }
    }
}

/// The binary of a module in text form.
pub(crate) fn binary(text: &str) -> Vec<u8> {
    let buffer = wast::parser::ParseBuffer::new(text).unwrap();
    wast::parser::parse::<wast::Wat<'_>>(&buffer)
        .unwrap()
        .encode()
        .unwrap()
}

/// The state in which `kernel_run` of a module is about to be called.
pub(crate) fn evaluation(binary: &[u8]) -> Result<EvalState, Fault> {
    let mut parser = DecodeKont::new("main");
    let module = loop {
        if let Some(module) = parser.module() {
            break module.clone();
        }
        let mut bytes = binary;
        parser.step(&mut bytes)?;
    };
    let mut link = LinkState {
        module,
        externs: LazyVec::default(),
        offset: 0,
    };
    while !link.is_complete() {
        link.step(&TestImports)?;
    }
    let mut init = InitState::new(ModuleKey("main".into()), link);
    while !matches!(init.kont, InitKont::Stop) {
        init.step(&mut TestHost::default(), 300)?;
    }
    let instance = init.registry.read(&init.self_key)?;
    let entry = instance.exports.get(&Name("kernel_run".into()))?.clone();
    let Extern::Func(entry) = entry else {
        panic!("kernel_run is not a function");
    };
    let code = Code {
        values: LazyVec::default(),
        instructions: LazyVec::singleton(Admin::Invoke(Box::new(entry))),
    };
    Ok(EvalState {
        config: Config::new(300, init.self_key, code),
        registry: init.registry,
    })
}

/// The tree of a state.
pub(crate) fn tree_of(state: &EvalState) -> Tree {
    let mut tree = Tree::empty();
    let mut state = state.clone();
    state
        .store(&mut Target::new(&mut tree, Style::Changed))
        .unwrap();
    tree
}

/// Leaves of a tree, to find the first difference.
pub(crate) fn leaves(tree: &Tree, at: &str, found: &mut Vec<String>) {
    for (name, child) in tree.list(&[], 0, None).unwrap() {
        let path = format!("{at}/{name}");
        match child.find(&[]).unwrap() {
            Some(bytes) => found.push(format!("{path} = {}", hex::encode(&bytes))),
            None => leaves(&child, &path, found),
        }
    }
}
