//! Compiling one instruction: operands, results, ticks.
//!
//! Every instruction fetched from a block costs six ticks; calls, bulk operations and the host cost
//! what the small-step rules say.

use super::code::{self, Op, Slot};
use super::compile::{Compiler, Entry, Loc, Outcome, Unsupported};
use super::program::{Kind, Site};
use crate::wasm::ast::{
    BinOp, CvtOp, Extension, Instr, MemArg, Num, NumType, PackSize, RelOp, UnOp,
};

use NumType::{I32, I64};

/// Ticks of fetching an instruction and executing it.
pub(super) const PLAIN: u32 = 6;

impl Compiler<'_> {
    pub(super) fn instruction(&mut self, instr: &Instr, index: u32) -> Outcome {
        match instr {
            Instr::Nop => self.cost += PLAIN,
            Instr::Unreachable => {
                self.cost += PLAIN;
                self.may_trap();
                self.emit(Op::Unreachable);
                self.close()?;
                self.dead = true;
            }
            Instr::Drop => {
                self.cost += PLAIN;
                self.pop_any()?;
            }
            Instr::Select(_) => self.select()?,
            Instr::Const(num) => {
                self.cost += PLAIN;
                let (ty, value) = match num {
                    Num::I32(value) => (I32, i64::from(*value)),
                    Num::I64(value) => (I64, *value),
                };
                self.push(ty, Loc::Const(value))?;
            }
            Instr::Test(ty, _) => self.unary(*ty, I32, |dst, a| match ty {
                I32 => Op::I32Eqz { dst, a },
                I64 => Op::I64Eqz { dst, a },
            })?,
            Instr::Compare(ty, op) => self.compare(*ty, *op)?,
            Instr::Unary(ty, op) => {
                let (ty, op) = (*ty, *op);
                let operation = unary(ty, op).ok_or(Unsupported)?;
                self.unary(ty, ty, operation)?;
            }
            Instr::Binary(ty, op) => self.binary(*ty, *op)?,
            Instr::Convert(ty, op) => self.convert(*ty, *op)?,
            Instr::LocalGet(_) | Instr::LocalSet(_) | Instr::LocalTee(_) => self.local(instr)?,
            Instr::GlobalGet(_) | Instr::GlobalSet(_) => self.global(instr, index)?,
            Instr::Load(..) | Instr::Store(..) => self.memory_access(instr)?,
            Instr::MemorySize | Instr::MemoryGrow => self.memory_size(instr)?,
            Instr::MemoryFill | Instr::MemoryCopy | Instr::MemoryInit(_) => {
                self.bulk(instr, index)?;
            }
            Instr::DataDrop(segment) => {
                self.cost += PLAIN;
                if *segment as usize >= self.view.segments {
                    return Err(Unsupported);
                }
                self.emit(Op::DataDrop {
                    segment: *segment as u32,
                });
            }
            Instr::Call(function) => self.call(*function as u32, index)?,
            Instr::CallIndirect { table, type_index } => {
                self.call_indirect(*table, *type_index, index)?;
            }
            Instr::Block(..)
            | Instr::Loop(..)
            | Instr::If(..)
            | Instr::Br(_)
            | Instr::BrIf(_)
            | Instr::BrTable(..)
            | Instr::Return => self.control(instr, index)?,
            _ => self.decline(index)?,
        }
        Ok(())
    }

    /// The register of an operand that was just popped; a constant goes to its own.
    pub(super) fn register(&mut self, entry: Entry) -> Outcome<Slot> {
        self.register_at(entry, self.stack.len())
    }

    pub(super) fn register_at(&mut self, entry: Entry, position: usize) -> Outcome<Slot> {
        match entry.loc {
            Loc::Home => self.home(position),
            Loc::Local(local) => Ok(local),
            Loc::Const(_) => {
                let home = self.home(position)?;
                if let Some(op) = self.transfer(entry, position, home)? {
                    self.emit(op);
                }
                Ok(home)
            }
        }
    }

    fn unary(&mut self, from: NumType, to: NumType, op: impl FnOnce(Slot, Slot) -> Op) -> Outcome {
        self.cost += PLAIN;
        let entry = self.pop(from)?;
        let a = self.register(entry)?;
        let dst = self.home(self.stack.len())?;
        self.emit(op(dst, a));
        self.push(to, Loc::Home)
    }

    fn convert(&mut self, ty: NumType, op: CvtOp) -> Outcome {
        match (ty, op) {
            (I32, CvtOp::WrapI64) => self.unary(I64, I32, |dst, a| Op::Wrap { dst, a }),
            (I64, CvtOp::ExtendUI32) => self.unary(I32, I64, |dst, a| Op::ExtendU { dst, a }),
            (I64, CvtOp::ExtendSI32) => self.unary(I32, I64, |dst, a| Op::I64Extend32 { dst, a }),
            _ => Err(Unsupported),
        }
    }

    fn select(&mut self) -> Outcome {
        self.cost += PLAIN;
        let condition = self.pop(I32)?;
        let condition_at = self.stack.len();
        let b = self.pop_any()?;
        let b_at = self.stack.len();
        let a = self.pop(b.ty)?;
        let condition = self.register_at(condition, condition_at)?;
        let b_slot = self.register_at(b, b_at)?;
        let a = self.register(a)?;
        let dst = self.home(self.stack.len())?;
        self.emit(Op::Select {
            dst,
            condition,
            a,
            b: b_slot,
        });
        self.push(b.ty, Loc::Home)
    }

    fn binary(&mut self, ty: NumType, op: BinOp) -> Outcome {
        self.cost += PLAIN;
        let (mut b, b_at) = (self.pop(ty)?, self.stack.len());
        let mut a = self.pop(ty)?;
        let swaps = matches!(
            op,
            BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
        );
        let mut a_at = self.stack.len();
        let mut b_at = b_at;
        if swaps && matches!(a.loc, Loc::Const(_)) && !matches!(b.loc, Loc::Const(_)) {
            std::mem::swap(&mut a, &mut b);
            std::mem::swap(&mut a_at, &mut b_at);
        }
        let dst = self.home(self.stack.len())?;
        let a_slot = self.register_at(a, a_at)?;
        let immediate = match b.loc {
            Loc::Const(value) => i32::try_from(value).ok(),
            _ => None,
        };
        let short = immediate.and_then(|imm| code::binary_immediate(ty, op, dst, a_slot, imm));
        let operation = match short {
            Some(operation) => operation,
            None => {
                let b_slot = self.register_at(b, b_at)?;
                code::binary(ty, op, dst, a_slot, b_slot)
            }
        };
        if matches!(op, BinOp::DivS | BinOp::DivU | BinOp::RemS | BinOp::RemU) {
            self.may_trap();
        }
        self.emit(operation);
        self.push(ty, Loc::Home)
    }

    fn compare(&mut self, ty: NumType, op: RelOp) -> Outcome {
        self.cost += PLAIN;
        let (b, b_at) = (self.pop(ty)?, self.stack.len());
        let a = self.pop(ty)?;
        let a = self.register(a)?;
        let dst = self.home(self.stack.len())?;
        let immediate = match b.loc {
            Loc::Const(value) => i32::try_from(value).ok(),
            _ => None,
        };
        let operation = match immediate {
            Some(imm) => code::compare_immediate(ty, op, dst, a, imm),
            None => {
                let b = self.register_at(b, b_at)?;
                code::compare(ty, op, dst, a, b)
            }
        };
        self.emit(operation);
        self.push(I32, Loc::Home)
    }

    fn local(&mut self, instr: &Instr) -> Outcome {
        self.cost += PLAIN;
        match instr {
            Instr::LocalGet(local) => {
                let (slot, ty) = self.local_of(*local)?;
                self.push(ty, Loc::Local(slot))
            }
            Instr::LocalSet(local) => {
                let (slot, ty) = self.local_of(*local)?;
                let entry = self.pop(ty)?;
                self.set_local(slot, entry)
            }
            Instr::LocalTee(local) => {
                let (slot, ty) = self.local_of(*local)?;
                let entry = self.pop(ty)?;
                self.set_local(slot, entry)?;
                self.push(ty, Loc::Local(slot))
            }
            _ => Err(Unsupported),
        }
    }

    fn local_of(&self, local: i32) -> Outcome<(Slot, NumType)> {
        let ty = self.types.get(local as u32 as usize).ok_or(Unsupported)?;
        Ok((Slot::try_from(local).map_err(|_| Unsupported)?, *ty))
    }

    /// Sets a local to the value just popped; operands that are the local get their own register.
    fn set_local(&mut self, slot: Slot, entry: Entry) -> Outcome {
        let position = self.stack.len();
        let aliased: Vec<usize> = (0..position)
            .filter(|at| {
                self.stack
                    .get(*at)
                    .is_some_and(|e| e.loc == Loc::Local(slot))
            })
            .collect();
        if entry.loc == Loc::Home && aliased.is_empty() {
            let home = self.home(position)?;
            if let Some(last) = self.program.code.last_mut()
                && last.result() == Some(home)
                && let Some(moved) = last.with_result(slot)
            {
                *last = moved;
                return Ok(());
            }
        }
        for at in aliased {
            self.settle(at)?;
        }
        if let Some(op) = self.transfer(entry, position, slot)? {
            self.emit(op);
        }
        Ok(())
    }

    fn global(&mut self, instr: &Instr, index: u32) -> Outcome {
        match instr {
            Instr::GlobalGet(global) => {
                let Some(ty) = self
                    .view
                    .global_types
                    .get(*global as usize)
                    .copied()
                    .flatten()
                else {
                    return self.decline(index);
                };
                self.cost += PLAIN;
                let dst = self.home(self.stack.len())?;
                self.emit(Op::GlobalGet {
                    dst,
                    index: *global as u32,
                });
                self.push(ty, Loc::Home)
            }
            Instr::GlobalSet(global) => {
                let at = *global as usize;
                let ty = self.view.global_types.get(at).copied().flatten();
                let (Some(ty), Some(true)) = (ty, self.view.mutable.get(at)) else {
                    return self.decline(index);
                };
                self.cost += PLAIN;
                let entry = self.pop(ty)?;
                let src = self.register(entry)?;
                self.emit(Op::GlobalSet {
                    src,
                    index: *global as u32,
                });
                Ok(())
            }
            _ => Err(Unsupported),
        }
    }

    fn memory_access(&mut self, instr: &Instr) -> Outcome {
        if !self.view.has_memory {
            return Err(Unsupported);
        }
        self.cost += PLAIN;
        match instr {
            Instr::Load(ty, MemArg { offset, .. }, pack) => {
                let entry = self.pop(I32)?;
                let address = self.register(entry)?;
                let dst = self.home(self.stack.len())?;
                let operation = load(*ty, *pack, dst, address, *offset as u32);
                self.may_trap();
                self.emit(operation.ok_or(Unsupported)?);
                self.push(*ty, Loc::Home)
            }
            Instr::Store(ty, MemArg { offset, .. }, pack) => {
                let (value, value_at) = (self.pop(*ty)?, self.stack.len());
                let entry = self.pop(I32)?;
                let address = self.register(entry)?;
                let src = self.register_at(value, value_at)?;
                let offset = *offset as u32;
                self.may_trap();
                self.emit(match (ty, pack) {
                    (_, Some(PackSize::Pack8)) => Op::Store8 {
                        address,
                        src,
                        offset,
                    },
                    (_, Some(PackSize::Pack16)) => Op::Store16 {
                        address,
                        src,
                        offset,
                    },
                    (_, Some(PackSize::Pack32)) | (I32, None) => Op::Store32 {
                        address,
                        src,
                        offset,
                    },
                    (_, Some(PackSize::Pack64)) | (I64, None) => Op::Store64 {
                        address,
                        src,
                        offset,
                    },
                });
                Ok(())
            }
            _ => Err(Unsupported),
        }
    }

    fn memory_size(&mut self, instr: &Instr) -> Outcome {
        if !self.view.has_memory {
            return Err(Unsupported);
        }
        self.cost += PLAIN;
        if *instr == Instr::MemorySize {
            let dst = self.home(self.stack.len())?;
            self.emit(Op::MemorySize { dst });
        } else {
            let entry = self.pop(I32)?;
            let src = self.register(entry)?;
            let dst = self.home(self.stack.len())?;
            self.emit(Op::MemoryGrow { dst, src });
        }
        self.push(I32, Loc::Home)
    }

    /// A bulk operation is a place to stop, since its cost depends on its operands.
    fn bulk(&mut self, instr: &Instr, index: u32) -> Outcome {
        if !self.view.has_memory {
            return Err(Unsupported);
        }
        self.ends_with(&[I32, I32, I32])?;
        self.settle_all()?;
        self.close()?;
        let base = self.home(self.stack.len() - 3)?;
        self.place(index)?;
        self.emit(match instr {
            Instr::MemoryFill => Op::MemoryFill { base },
            Instr::MemoryCopy => Op::MemoryCopy { base },
            Instr::MemoryInit(segment) if (*segment as usize) < self.view.segments => {
                Op::MemoryInit {
                    base,
                    segment: *segment as u32,
                }
            }
            _ => return Err(Unsupported),
        });
        for _ in 0..3 {
            self.pop(I32)?;
        }
        let scope = self.current()?.scope;
        self.open(scope, index + 1);
        Ok(())
    }

    /// Pops arguments and pushes results of a call that was emitted.
    fn called(&mut self, params: &[NumType], results: &[NumType], index: u32) -> Outcome {
        for ty in params.iter().rev() {
            self.pop(*ty)?;
        }
        for ty in results {
            self.push(*ty, Loc::Home)?;
        }
        self.close()?;
        let scope = self.current()?.scope;
        self.open(scope, index + 1);
        Ok(())
    }

    fn call(&mut self, function: u32, index: u32) -> Outcome {
        let callee = self.program.functions.get(function as usize);
        let callee = callee.ok_or(Unsupported)?.clone();
        self.ends_with(&callee.params)?;
        let base = self.stack.len() - callee.params.len();
        let rest = Slot::try_from(base - self.current()?.bottom).map_err(|_| Unsupported)?;
        match &callee.kind {
            Kind::Declined => return self.decline(index),
            Kind::Host(_) => {
                self.settle_all()?;
                self.cost += PLAIN + 5;
                self.place(index)?;
                let base_slot = self.home(base)?;
                self.emit(Op::HostCall {
                    base: base_slot,
                    func: function,
                });
                let stale = base..self.stack.len();
                self.called(&callee.params, &[], index)?;
                self.current_mut()?.shape.stale.extend(stale);
                for ty in &callee.results {
                    self.push(*ty, Loc::Home)?;
                }
            }
            Kind::Native => {
                self.settle_all()?;
                self.cost += PLAIN + callee.ticks;
                self.reserve(u32::from(rest));
                self.place(index)?;
                let base_slot = self.home(base)?;
                self.emit(Op::Call {
                    base: base_slot,
                    rest,
                    size: 0,
                    func: function,
                });
                self.called(&callee.params, &callee.results, index)?;
                self.refresh()?;
            }
        }
        Ok(())
    }

    fn call_indirect(&mut self, table: i32, type_index: i32, index: u32) -> Outcome {
        let types = self
            .view
            .types
            .get(type_index as u32 as usize)
            .ok_or(Unsupported)?;
        let Some((params, results)) = types.clone() else {
            return self.decline(index);
        };
        let signature = self.view.signatures.get(type_index as u32 as usize);
        let signature = *signature.ok_or(Unsupported)?;
        if table as u32 as usize >= self.view.table_count {
            return Err(Unsupported);
        }
        self.settle_all()?;
        self.close()?;
        self.pop(I32)?;
        let index_slot = self.home(self.stack.len())?;
        self.ends_with(&params)?;
        let base = self.stack.len() - params.len();
        let rest = Slot::try_from(base - self.current()?.bottom).map_err(|_| Unsupported)?;
        self.reserve(u32::from(rest));
        self.program.sites.push(Site {
            table: table as u32,
            signature,
            index: index_slot,
            frame: 0,
        });
        self.place(index)?;
        let base = self.home(base)?;
        let site = self.program.sites.len() as u32 - 1;
        self.emit(Op::CallIndirect { base, rest, site });
        self.called(&params, &results, index)?;
        self.refresh()
    }
}

fn unary(ty: NumType, op: UnOp) -> Option<fn(Slot, Slot) -> Op> {
    Some(match (ty, op) {
        (I32, UnOp::Clz) => |dst, a| Op::I32Clz { dst, a },
        (I32, UnOp::Ctz) => |dst, a| Op::I32Ctz { dst, a },
        (I32, UnOp::Popcnt) => |dst, a| Op::I32Popcnt { dst, a },
        (I32, UnOp::ExtendS(PackSize::Pack8)) => |dst, a| Op::I32Extend8 { dst, a },
        (I32, UnOp::ExtendS(PackSize::Pack16)) => |dst, a| Op::I32Extend16 { dst, a },
        (I64, UnOp::Clz) => |dst, a| Op::I64Clz { dst, a },
        (I64, UnOp::Ctz) => |dst, a| Op::I64Ctz { dst, a },
        (I64, UnOp::Popcnt) => |dst, a| Op::I64Popcnt { dst, a },
        (I64, UnOp::ExtendS(PackSize::Pack8)) => |dst, a| Op::I64Extend8 { dst, a },
        (I64, UnOp::ExtendS(PackSize::Pack16)) => |dst, a| Op::I64Extend16 { dst, a },
        (I64, UnOp::ExtendS(PackSize::Pack32)) => |dst, a| Op::I64Extend32 { dst, a },
        _ => return None,
    })
}

fn load(
    ty: NumType,
    pack: Option<(PackSize, Extension)>,
    dst: Slot,
    address: Slot,
    offset: u32,
) -> Option<Op> {
    use Extension::{Signed, Unsigned};
    use PackSize::{Pack8, Pack16, Pack32};
    Some(match (ty, pack) {
        (I32, None) | (I64, Some((Pack32, Unsigned))) => Op::Load32U {
            dst,
            address,
            offset,
        },
        (I64, None) => Op::Load64 {
            dst,
            address,
            offset,
        },
        (_, Some((Pack8, Unsigned))) => Op::Load8U {
            dst,
            address,
            offset,
        },
        (_, Some((Pack16, Unsigned))) => Op::Load16U {
            dst,
            address,
            offset,
        },
        (I32, Some((Pack8, Signed))) => Op::Load8S32 {
            dst,
            address,
            offset,
        },
        (I32, Some((Pack16, Signed))) => Op::Load16S32 {
            dst,
            address,
            offset,
        },
        (I64, Some((Pack8, Signed))) => Op::Load8S64 {
            dst,
            address,
            offset,
        },
        (I64, Some((Pack16, Signed))) => Op::Load16S64 {
            dst,
            address,
            offset,
        },
        (I64, Some((Pack32, Signed))) => Op::Load32S64 {
            dst,
            address,
            offset,
        },
        _ => return None,
    })
}
