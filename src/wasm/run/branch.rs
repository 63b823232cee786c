//! Compiling blocks and branches: where values go, what entering and leaving costs.
//!
//! Upstream: a block is left by copying its values and its parent's to a new vector, one a tick;
//! a branch walks out label by label, three ticks each.

use super::code::{Op, Slot};
use super::compile::{
    Compiler, Control, ControlKind, Entry, Loc, Outcome, Stub, StubUse, Unsupported,
};
use super::translate::PLAIN;
use crate::wasm::ast::{BlockLabel, BlockType, Instr, NumType};

/// A condition that was popped.
enum Condition {
    /// The comparison that computes it, taken back from the code.
    Comparison(Op),
    Register(Slot),
}

/// Where a branch goes and what it does and costs on the way.
struct Branch {
    operations: Vec<Op>,
    /// `None`: out of the function.
    label: Option<usize>,
    /// Ticks from the executed branch to the state after it.
    ticks: u32,
}

impl Compiler<'_> {
    pub(super) fn control(&mut self, instr: &Instr, index: u32) -> Outcome {
        match instr {
            Instr::Block(ty, body) => self.block(*ty, *body, index),
            Instr::Loop(ty, body) => self.enter_loop(*ty, *body, index),
            Instr::If(ty, then, otherwise) => self.conditional(*ty, *then, *otherwise, index),
            Instr::Br(depth) => {
                self.cost += PLAIN;
                let branch = self.branch(*depth)?;
                self.cost += branch.ticks;
                self.program.code.extend(branch.operations);
                if let Some(label) = branch.label {
                    let at = self.emit(Op::Jump { target: 0 });
                    self.goes_to(at, label);
                }
                self.close()?;
                self.dead = true;
                Ok(())
            }
            Instr::BrIf(depth) => self.branch_if(*depth),
            Instr::BrTable(depths, default) => self.branch_table(depths, *default),
            Instr::Return => self.return_(index),
            _ => Err(Unsupported),
        }
    }

    fn return_(&mut self, index: u32) -> Outcome {
        let results = self.controls.first().ok_or(Unsupported)?.results.clone();
        self.ends_with(&results)?;
        if self.stack.len() - results.len() != self.current()?.bottom {
            // The machine lets surplus operands through to the caller.
            return self.decline(index);
        }
        self.cost += PLAIN + 5 + results.len() as u32;
        self.leave_function(results.len())
    }

    /// Saves what the vector below the block keeps of values that the block will overwrite.
    fn save_operands(&mut self, bottom: usize) -> Outcome<Vec<(u16, Slot)>> {
        let mut positions = self.current()?.shape.stale.clone();
        positions.extend(bottom..self.stack.len());
        let mut saved = Vec::new();
        for position in positions {
            let save = self.new_save()?;
            let src = self.home(position)?;
            self.emit(Op::Copy { dst: save, src });
            saved.push((u16::try_from(position).map_err(|_| Unsupported)?, save));
        }
        Ok(saved)
    }

    /// Bottom of a block entered now with these parameters on top.
    fn bottom_of(&self, params: &[NumType]) -> Outcome<usize> {
        self.ends_with(params)?;
        Ok(self.stack.len() - params.len())
    }

    fn block(&mut self, ty: BlockType, body: BlockLabel, index: u32) -> Outcome {
        self.cost += PLAIN;
        let (params, results) = self.block_type(ty)?;
        let bottom = self.bottom_of(&params)?;
        self.settle_all()?;
        let saved = self.save_operands(bottom)?;
        let parent = self.current()?.scope;
        let scope = self.add_scope(Some((parent, index)), body, None, saved);
        let label = self.new_label();
        let shape = self.inherited(false)?;
        self.controls.push(Control {
            kind: ControlKind::Block,
            scope,
            bottom,
            params,
            results,
            label,
            shape,
        });
        self.instructions(body)?;
        self.end(index)
    }

    fn enter_loop(&mut self, ty: BlockType, body: BlockLabel, index: u32) -> Outcome {
        self.cost += PLAIN;
        let (params, results) = self.block_type(ty)?;
        let bottom = self.bottom_of(&params)?;
        self.settle_all()?;
        let saved = self.save_operands(bottom)?;
        // A loop that is entered again sees a new vector below; whether it was is remembered only
        // where that makes a difference.
        let again = if self.is_fresh()? {
            None
        } else {
            let flag = self.new_save()?;
            self.emit(Op::Const32 {
                dst: flag,
                value: 0,
            });
            Some(flag)
        };
        let shape = self.inherited(again.is_some())?;
        let parent = self.current()?.scope;
        let scope = self.add_scope(Some((parent, index)), body, again, saved);
        self.close()?;
        let label = self.new_label();
        self.bind(label);
        self.open(scope, 0);
        self.controls.push(Control {
            kind: ControlKind::Loop,
            scope,
            bottom,
            params,
            results,
            label,
            shape,
        });
        self.instructions(body)?;
        self.end(index)
    }

    /// Ends the innermost block where it is reached, and goes on after it.
    fn end(&mut self, index: u32) -> Outcome {
        if !self.dead {
            self.end_arm()?;
        }
        self.join(index)
    }

    /// Ticks from the end of the innermost block's instructions to the state after it.
    fn leaving(&self) -> Outcome<u32> {
        let below = self.controls.len().checked_sub(2).ok_or(Unsupported)?;
        let parent = self.controls.get(below).ok_or(Unsupported)?;
        let control = self.current()?;
        let others = control.bottom - parent.bottom;
        Ok(7 + control.results.len() as u32 + others as u32)
    }

    fn end_arm(&mut self) -> Outcome {
        let control = self.current()?;
        self.matches(&control.results, control.bottom)?;
        self.cost += self.leaving()?;
        self.settle_all()
    }

    fn join(&mut self, index: u32) -> Outcome {
        let control = self.controls.pop().ok_or(Unsupported)?;
        let targeted = control.kind != ControlKind::Loop && self.is_used(control.label);
        self.stack.truncate(control.bottom);
        for ty in &control.results {
            self.push(*ty, Loc::Home)?;
        }
        self.refresh()?;
        if targeted {
            self.close()?;
            self.bind(control.label);
            let scope = self.current()?.scope;
            self.open(scope, index + 1);
            self.dead = false;
        }
        Ok(())
    }

    fn conditional(
        &mut self,
        ty: BlockType,
        then: BlockLabel,
        otherwise: BlockLabel,
        index: u32,
    ) -> Outcome {
        // The condition chooses a block, whose entry is an instruction of its own.
        self.cost += PLAIN + 3;
        let condition = self.condition(false)?;
        let (params, results) = self.block_type(ty)?;
        let bottom = self.bottom_of(&params)?;
        self.settle_all()?;
        let saved = self.save_operands(bottom)?;
        let at = self.emit_condition(condition, false);
        let parent = self.current()?.scope;
        let shape = self.inherited(false)?;
        let label = self.new_label();
        let control = |scope| Control {
            kind: ControlKind::Block,
            scope,
            bottom,
            params: params.clone(),
            results: results.clone(),
            label,
            shape: shape.clone(),
        };
        let then_scope = self.add_scope(Some((parent, index)), then, None, saved.clone());
        self.controls.push(control(then_scope));
        let empty = self
            .blocks
            .get(otherwise.0 as usize)
            .ok_or(Unsupported)?
            .is_empty();
        let skip = if empty {
            if params != results {
                return Err(Unsupported);
            }
            let ticks = self.leaving()?;
            self.costs(at, ticks);
            label
        } else {
            self.costs(at, 0);
            self.new_label()
        };
        self.goes_to(at, skip);
        self.close()?;
        self.open(then_scope, 0);
        self.instructions(then)?;
        if empty {
            return self.end(index);
        }
        if !self.dead {
            self.end_arm()?;
            let at = self.emit(Op::Jump { target: 0 });
            self.goes_to(at, label);
            self.close()?;
        }
        self.controls.pop();
        self.stack.truncate(bottom);
        for ty in &params {
            self.stack.push(Entry {
                ty: *ty,
                loc: Loc::Home,
            });
        }
        let else_scope = self.add_scope(Some((parent, index)), otherwise, None, saved);
        self.controls.push(control(else_scope));
        self.bind(skip);
        self.open(else_scope, 0);
        self.dead = false;
        self.instructions(otherwise)?;
        self.end(index)
    }

    /// Pops a condition; a comparison just made is taken back to become part of the branch.
    fn condition(&mut self, holds: bool) -> Outcome<Condition> {
        let entry = self.pop(NumType::I32)?;
        let home = self.home(self.stack.len())?;
        if entry.loc == Loc::Home
            && let Some(last) = self.program.code.last().copied()
            && last.result() == Some(home)
            && last.into_branch(holds).is_some()
        {
            self.program.code.pop();
            return Ok(Condition::Comparison(last));
        }
        Ok(Condition::Register(self.register(entry)?))
    }

    fn emit_condition(&mut self, condition: Condition, holds: bool) -> usize {
        let (delta, target) = (0, 0);
        let op = match condition {
            Condition::Comparison(op) => op.into_branch(holds),
            Condition::Register(condition) if holds => Some(Op::JumpIf {
                condition,
                delta,
                target,
            }),
            Condition::Register(condition) => Some(Op::JumpIfZero {
                condition,
                delta,
                target,
            }),
        };
        self.emit(op.expect("a comparison is taken back only if it can become a branch"))
    }

    /// What a branch to the label at `depth` does with the operands as they are now.
    fn branch(&mut self, depth: i32) -> Outcome<Branch> {
        let depth = usize::try_from(depth).map_err(|_| Unsupported)?;
        let at = self
            .controls
            .len()
            .checked_sub(depth + 1)
            .ok_or(Unsupported)?;
        let target = self.controls.get(at).ok_or(Unsupported)?;
        let (kind, bottom, label, scope) = (target.kind, target.bottom, target.label, target.scope);
        let carried = target.carried().to_vec();
        self.ends_with(&carried)?;
        let from = self.stack.len() - carried.len();
        let count = carried.len() as u32;
        let hops = 3 * u32::try_from(depth).map_err(|_| Unsupported)?;
        let mut operations = Vec::new();
        let to = if kind == ControlKind::Function {
            from
        } else {
            bottom
        };
        for offset in 0..carried.len() {
            let entry = *self.stack.get(from + offset).ok_or(Unsupported)?;
            let dst = self.home(to + offset)?;
            operations.extend(self.transfer(entry, from + offset, dst)?);
        }
        if kind == ControlKind::Function {
            operations.push(Op::Return {
                src: self.home(from)?,
                count: count as Slot,
            });
            return Ok(Branch {
                operations,
                label: None,
                ticks: hops + 5 + count,
            });
        }
        let parent = self.controls.get(at.wrapping_sub(1)).ok_or(Unsupported)?;
        let others = (bottom - parent.bottom) as u32;
        let mut ticks = hops + 4 + count + others;
        if kind == ControlKind::Loop {
            ticks += 3;
            let scope = self.program.scopes.get(scope as usize).ok_or(Unsupported)?;
            let (again, saved) = (scope.again, scope.saved.clone());
            for (position, save) in saved {
                if usize::from(position) >= bottom && usize::from(position) < bottom + carried.len()
                {
                    let src = self.home(usize::from(position))?;
                    operations.push(Op::Copy { dst: save, src });
                }
            }
            operations.extend(again.map(|dst| Op::Const32 { dst, value: 1 }));
        }
        Ok(Branch {
            operations,
            label: Some(label),
            ticks,
        })
    }

    fn branch_if(&mut self, depth: i32) -> Outcome {
        self.cost += PLAIN;
        let condition = self.condition(true)?;
        let mut branch = self.branch(depth)?;
        let at = self.emit_condition(condition, true);
        // The branch itself is an instruction of its own.
        let ticks = branch.ticks + 3;
        match branch.label {
            Some(label) if branch.operations.is_empty() && ticks < 16_000 => {
                self.costs(at, ticks);
                self.goes_to(at, label);
            }
            label => {
                self.costs(at, 0);
                self.reserve(ticks);
                if let Some(label) = label {
                    self.use_label(label);
                }
                branch.operations.insert(0, Op::Spend(ticks));
                self.stubs.push(Stub {
                    from: StubUse::Branch(at),
                    operations: branch.operations,
                    label,
                });
            }
        }
        Ok(())
    }

    fn branch_table(&mut self, depths: &[i32], default: i32) -> Outcome {
        self.cost += PLAIN;
        let entry = self.pop(NumType::I32)?;
        let index = self.register(entry)?;
        let all: Vec<i32> = depths.iter().copied().chain([default]).collect();
        let table = self.program.jumps.len();
        self.program.jumps.push(vec![0; all.len()]);
        let mut distinct = all.clone();
        distinct.sort_unstable();
        distinct.dedup();
        for depth in distinct {
            let mut branch = self.branch(depth)?;
            let ticks = branch.ticks + 3;
            self.reserve(ticks);
            if let Some(label) = branch.label {
                self.use_label(label);
            }
            branch.operations.insert(0, Op::Spend(ticks));
            let entries = (0..all.len()).filter(|at| all.get(*at) == Some(&depth));
            self.stubs.push(Stub {
                from: StubUse::Table(table, entries.collect()),
                operations: branch.operations,
                label: branch.label,
            });
        }
        let at = self.emit(Op::JumpTable {
            index,
            delta: 0,
            table: table as u32,
        });
        self.costs(at, 0);
        self.close()?;
        self.dead = true;
        Ok(())
    }
}
