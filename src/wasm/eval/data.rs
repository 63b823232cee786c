//! Tables, memory and segments.
//!
//! Bulk operations check their whole range first; a non-empty one becomes an administrative
//! instruction that goes byte by byte.

use super::instr::Exec;
use super::{Context, lookup};
use crate::wasm::ast::{DataLabel, Extension, Instr, MemArg, Num, NumType, PackSize, Shape, V128};
use crate::wasm::config::{Admin, Frame};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{ElemInst, MemoryInst, ModuleInst, Ref, TableInst, Value};
use crate::wasm::numeric;

/// Whether the range ends after `bound`.
fn beyond(start: i32, count: i32, bound: i64) -> bool {
    let end = i64::from(start as u32).saturating_add(i64::from(count as u32));
    end as u64 > bound as u64
}

impl Context<'_> {
    fn instance(&mut self, frame: &Frame) -> Result<&mut ModuleInst, Fault> {
        lookup::module(self.registry, &frame.module)
    }

    fn table(&mut self, frame: &Frame, index: i32) -> Result<&mut TableInst, Fault> {
        lookup::read("table", &mut self.instance(frame)?.tables, index)
    }

    fn table_mut(&mut self, frame: &Frame, index: i32) -> Result<&mut TableInst, Fault> {
        let instance = lookup::module_mut(self.registry, &frame.module)?;
        lookup::write("table", &mut instance.tables, index)
    }

    fn segment(&mut self, frame: &Frame, index: i32) -> Result<&mut ElemInst, Fault> {
        lookup::read("element segment", &mut self.instance(frame)?.elems, index)
    }

    fn memory(&mut self, frame: &Frame) -> Result<&mut MemoryInst, Fault> {
        lookup::read("memory", &mut self.instance(frame)?.memories, 0)
    }

    fn memory_mut(&mut self, frame: &Frame) -> Result<&mut MemoryInst, Fault> {
        let instance = lookup::module_mut(self.registry, &frame.module)?;
        lookup::write("memory", &mut instance.memories, 0)
    }

    fn table_beyond(
        &mut self,
        frame: &Frame,
        table: i32,
        start: i32,
        count: i32,
    ) -> Result<bool, Fault> {
        let size = self.table(frame, table)?.size();
        Ok(beyond(start, count, i64::from(size as u32)))
    }

    fn memory_beyond(&mut self, frame: &Frame, start: i32, count: i32) -> Result<bool, Fault> {
        Ok(beyond(start, count, self.memory(frame)?.bound()))
    }

    pub(super) fn table_or_memory(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        Ok(self.table_access(frame, exec, instr)?
            || self.table_bulk(frame, exec, instr)?
            || self.references(frame, exec, instr)?
            || self.memory_access(frame, exec, instr)?
            || self.lane_access(frame, exec, instr)?
            || self.memory_bulk(frame, exec, instr)?)
    }

    fn table_access(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::TableGet(x) => {
                let index = exec.pop_i32()?;
                match self.table(frame, *x)?.element(index)? {
                    Some(reference) => exec.push(Value::Ref(reference))?,
                    None => exec.table_trap()?,
                }
            }
            Instr::TableSet(x) => {
                let reference = exec.pop_ref()?;
                let index = exec.pop_i32()?;
                if !self.table_mut(frame, *x)?.set_element(index, reference)? {
                    exec.table_trap()?;
                }
            }
            Instr::TableSize(x) => {
                let size = self.table(frame, *x)?.size();
                exec.push_i32(size)?;
            }
            Instr::TableGrow(x) => {
                let delta = exec.pop_i32()?;
                let reference = exec.pop_ref()?;
                let old = self.table_mut(frame, *x)?.grow(delta, &reference)?;
                exec.push_i32(old)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn table_bulk(&mut self, frame: &Frame, exec: &mut Exec, instr: &Instr) -> Result<bool, Fault> {
        match instr {
            Instr::TableFill(x) => {
                let n = exec.pop_i32()?;
                let r = exec.pop_ref()?;
                let i = exec.pop_i32()?;
                let (idx, x) = (0, *x);
                if self.table_beyond(frame, x, i, n)? {
                    exec.table_trap()?;
                } else if n != 0 {
                    exec.then(Admin::TableFill { idx, i, n, r, x })?;
                }
            }
            Instr::TableCopy { to, from } => {
                let (n, s, d) = (exec.pop_i32()?, exec.pop_i32()?, exec.pop_i32()?);
                let to_beyond = self.table_beyond(frame, *to, d, n)?;
                let from_beyond = self.table_beyond(frame, *from, s, n)?;
                if to_beyond || from_beyond {
                    exec.table_trap()?;
                } else if n != 0 {
                    exec.then(Admin::TableCopy {
                        idx: 0,
                        d,
                        s,
                        n,
                        x: *to,
                        y: *from,
                        forward: (d as u32) <= (s as u32),
                    })?;
                }
            }
            Instr::TableInit { table, segment } => {
                let (n, s, d) = (exec.pop_i32()?, exec.pop_i32()?, exec.pop_i32()?);
                let table_beyond = self.table_beyond(frame, *table, d, n)?;
                let count = self.segment(frame, *segment)?.refs.len();
                if table_beyond || beyond(s, n, i64::from(count)) {
                    exec.table_trap()?;
                } else if n != 0 {
                    let value = self.segment(frame, *segment)?.refs.get(s)?.clone();
                    exec.then(Admin::TableInit {
                        idx: 0,
                        value,
                        d,
                        s,
                        n,
                        x: *table,
                        y: *segment,
                    })?;
                }
            }
            Instr::ElemDrop(x) => {
                let instance = lookup::module_mut(self.registry, &frame.module)?;
                *lookup::write("element segment", &mut instance.elems, *x)? = ElemInst::default();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn references(&mut self, frame: &Frame, exec: &mut Exec, instr: &Instr) -> Result<bool, Fault> {
        match instr {
            Instr::RefNull(ty) => exec.push(Value::Ref(Ref::Null(*ty)))?,
            Instr::RefIsNull => {
                let null = matches!(exec.pop_ref()?, Ref::Null(_));
                exec.push_i32(i32::from(null))?;
            }
            Instr::RefFunc(x) => {
                let instance = self.instance(frame)?;
                let func = lookup::read("function", &mut instance.funcs, *x)?.clone();
                exec.push(Value::Ref(Ref::Func(Box::new(func))))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memory_access(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::Load(ty, MemArg { offset, .. }, pack) => {
                let address = exec.pop_i32()?;
                let memory = self.memory(frame)?;
                match memory.load_num(*ty, address, *offset, *pack)? {
                    Some(num) => exec.push(Value::Num(num))?,
                    None => exec.memory_trap()?,
                }
            }
            Instr::Store(_, MemArg { offset, .. }, pack) => {
                let num = exec.pop_num()?;
                let address = exec.pop_i32()?;
                let memory = self.memory_mut(frame)?;
                if !memory.store_num(num, address, *offset, *pack)? {
                    exec.memory_trap()?;
                }
            }
            Instr::VecLoad(MemArg { offset, .. }, pack) => {
                let address = exec.pop_i32()?;
                match self.memory(frame)?.load_vec(address, *offset, *pack)? {
                    Some(vector) => exec.push(Value::V128(vector))?,
                    None => exec.memory_trap()?,
                }
            }
            Instr::VecStore(MemArg { offset, .. }) => {
                let vector = exec.pop_vec()?;
                let address = exec.pop_i32()?;
                let memory = self.memory_mut(frame)?;
                if !memory.store_vec(vector, address, *offset)? {
                    exec.memory_trap()?;
                }
            }
            Instr::MemorySize => {
                let size = self.memory(frame)?.size();
                exec.push_i32(size)?;
            }
            Instr::MemoryGrow => {
                let delta = exec.pop_i32()?;
                let old = self.memory_mut(frame)?.grow(delta)?;
                exec.push_i32(old)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn lane_access(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::VecLoadLane(MemArg { offset, .. }, pack, lane) => {
                let vector = exec.pop_vec()?;
                let address = exec.pop_i32()?;
                let (shape, ty, packed) = lane_of(*pack);
                let packed = packed.map(|size| (size, Extension::Signed));
                match self.memory(frame)?.load_num(ty, address, *offset, packed)? {
                    Some(num) => {
                        let vector = numeric::vec_replace(shape, *lane, vector, num)?;
                        exec.push(Value::V128(vector))?;
                    }
                    None => exec.memory_trap()?,
                }
            }
            Instr::VecStoreLane(MemArg { offset, .. }, pack, lane) => {
                let vector: V128 = exec.pop_vec()?;
                let address = exec.pop_i32()?;
                let (shape, _, packed) = lane_of(*pack);
                let memory = self.memory_mut(frame)?;
                let num = numeric::vec_extract(shape, *lane, Extension::Signed, vector)?;
                if !memory.store_num(num, address, *offset, packed)? {
                    exec.memory_trap()?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memory_bulk(
        &mut self,
        frame: &Frame,
        exec: &mut Exec,
        instr: &Instr,
    ) -> Result<bool, Fault> {
        match instr {
            Instr::MemoryFill => {
                let n = exec.pop_i32()?;
                let k: Num = exec.pop_num()?;
                let i = exec.pop_i32()?;
                if self.memory_beyond(frame, i, n)? {
                    exec.memory_trap()?;
                } else if n != 0 {
                    exec.then(Admin::MemoryFill { idx: 0, i, k, n })?;
                }
            }
            Instr::MemoryCopy => {
                let (n, s, d) = (exec.pop_i32()?, exec.pop_i32()?, exec.pop_i32()?);
                if self.memory_beyond(frame, s, n)? || self.memory_beyond(frame, d, n)? {
                    exec.memory_trap()?;
                } else if n != 0 {
                    exec.then(Admin::MemoryCopy {
                        idx: 0,
                        d,
                        s,
                        n,
                        forward: (d as u32) <= (s as u32),
                    })?;
                }
            }
            Instr::MemoryInit(x) => self.memory_init(frame, exec, *x)?,
            Instr::DataDrop(x) => {
                let instance = lookup::module_mut(self.registry, &frame.module)?;
                *lookup::write("data segment", &mut instance.datas, *x)? = DataLabel(0);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memory_init(&mut self, frame: &Frame, exec: &mut Exec, x: i32) -> Result<(), Fault> {
        let (n, s, d) = (exec.pop_i32()?, exec.pop_i32()?, exec.pop_i32()?);
        let memory_beyond = self.memory_beyond(frame, d, n)?;
        let instance = self.instance(frame)?;
        let DataLabel(label) = *lookup::read("data segment", &mut instance.datas, x)?;
        let bytes = instance.allocations.datas.read(label)?;
        if memory_beyond || beyond(s, n, bytes.len()) {
            return exec.memory_trap();
        }
        if n == 0 {
            return Ok(());
        }
        let b = i32::from(bytes.byte(i64::from(s))?);
        exec.then(Admin::MemoryInit {
            idx: 0,
            d,
            b,
            n,
            s,
            x,
        })
    }
}

/// Shape, scalar type and packing of an access to one lane.
fn lane_of(pack: PackSize) -> (Shape, NumType, Option<PackSize>) {
    match pack {
        PackSize::Pack8 => (Shape::I8x16, NumType::I32, Some(pack)),
        PackSize::Pack16 => (Shape::I16x8, NumType::I32, Some(pack)),
        PackSize::Pack32 => (Shape::I32x4, NumType::I32, None),
        PackSize::Pack64 => (Shape::I64x2, NumType::I64, None),
    }
}
