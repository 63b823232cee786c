use super::*;
use crate::wasm::ast::{BinOp, Block, BlockLabel, BlockType, Func, Instr, Num, NumType};
use crate::wasm::config::Admin;
use crate::wasm::instance::{FuncInst, InstFuncType, ModuleInst, ModuleKey};

struct NoHost;

impl HostFunctions for NoHost {
    fn call(&mut self, _: &str, _: &[Value], _: Memories<'_>) -> Result<HostOutcome, Fault> {
        unreachable!("these functions import nothing")
    }
}

fn constant(value: i32) -> Instr {
    Instr::Const(Num::I32(value))
}

/// Ticks until the end of a function without parameters made of `blocks`, and its values.
fn run(blocks: Vec<Vec<Instr>>, locals: Vec<crate::wasm::ast::ValueType>) -> (u64, Vec<String>) {
    let mut instance = ModuleInst::default();
    for instructions in blocks {
        let block = Block::of(LazyVec::from_items(instructions));
        instance.allocations.blocks.append(block).unwrap();
    }
    let func = FuncInst::Native {
        ty: InstFuncType::default(),
        module: ModuleKey("main".into()),
        func: Func {
            ftype: 0,
            locals: LazyVec::from_items(locals),
            body: BlockLabel(1),
        },
    };
    let mut registry = Registry::default();
    registry.set(ModuleKey("main".into()), instance);
    let code = Code {
        values: LazyVec::default(),
        instructions: LazyVec::singleton(Admin::Invoke(Box::new(func))),
    };
    let mut config = Config::new(300, ModuleKey("main".into()), code);
    let mut ticks = 0;
    loop {
        match &mut config.step {
            StepKont::Result(values) => {
                let values = values.to_items().unwrap();
                return (
                    ticks,
                    values.iter().map(|value| format!("{value:?}")).collect(),
                );
            }
            StepKont::Trapped(message) => return (ticks, vec![message.clone()]),
            _ => {
                step(&mut config, &mut registry, &mut NoHost, Moment::Run).unwrap();
                ticks += 1;
            }
        }
    }
}

#[test]
fn the_ticks_of_one_nop_are_those_of_the_golden_run() {
    // From the first tick of evaluation to its result, as in `link_reveal`.
    assert_eq!(run(vec![vec![]], vec![]).0, 20);
    assert_eq!(run(vec![vec![Instr::Nop]], vec![]).0, 26);
}

#[test]
fn a_block_costs_its_entry_its_end_and_its_values() {
    let i32_block = BlockType::Value(Some(crate::wasm::ast::ValueType::Num(NumType::I32)));
    let body = vec![
        Instr::Block(i32_block, BlockLabel(2)),
        constant(1),
        Instr::Binary(NumType::I32, BinOp::Add),
    ];
    let (ticks, values) = run(vec![body, vec![constant(2)]], vec![]);
    // 20 of the empty call, one value out, 4 instructions, the block's end with its value.
    assert_eq!(ticks, 20 + 1 + 4 * 6 + 3 + 4 + 1);
    assert_eq!(values, ["Num(I32(3))"]);
}

#[test]
fn a_division_by_zero_traps_five_ticks_after_its_execution() {
    let body = vec![
        constant(1),
        constant(0),
        Instr::Binary(NumType::I32, BinOp::DivS),
    ];
    let (ticks, values) = run(vec![body], vec![]);
    assert_eq!(values, ["integer divide by zero"]);
    assert_eq!(ticks, 8 + 3 * 6 + 4);
}
