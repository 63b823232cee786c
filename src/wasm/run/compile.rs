//! From the blocks of a module to compact code: the straight runs and what ends them.
//!
//! Promises: a kernel that passes here is typed as the standard wants, so the shapes of its stacks
//! are known everywhere and the exact state can be rebuilt at every place to stop. What does not
//! pass is left to the exact machine, function by function or instruction by instruction.

use std::collections::BTreeSet;

use super::code::{Op, Slot};
use super::program::{Function, Kind, Place, Program, Scope};
use crate::wasm::ast::{BlockLabel, BlockType, Instr, NumType, ValueType};

/// The function has something that only the exact machine does.
#[derive(Debug)]
pub(super) struct Unsupported;

pub(super) type Outcome<T = ()> = Result<T, Unsupported>;

/// Registers from here on are numbered after the operand slots once those are counted.
pub(super) const SAVED: Slot = 0x8000;

/// A straight run is cut when it costs more, so that refunds fit their field.
const LONGEST_RUN: u32 = 8_000;

/// Blocks nested deeper are left to the exact machine.
const DEEPEST: usize = 256;

/// Where an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loc {
    /// In the register of its position.
    Home,
    /// Equal to a local that has not changed since.
    Local(Slot),
    Const(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) ty: NumType,
    pub(super) loc: Loc,
}

/// What the reference's vector of a label's operands looks like, as far as known when compiling:
/// the key of a position is `offset - position`.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Unknown where it depends on how often a loop went round.
    offset: Option<i64>,
    floor: i64,
    /// Positions above the top whose old values the vector still holds.
    pub(super) stale: BTreeSet<usize>,
}

impl Shape {
    /// After all values were copied to a new vector.
    fn fresh(bottom: usize, height: usize) -> Self {
        Self {
            offset: Some(height as i64 - 1),
            floor: bottom as i64,
            stale: BTreeSet::new(),
        }
    }

    fn is_fresh(&self, bottom: usize, height: usize) -> bool {
        self.offset == Some(height as i64 - 1)
            && self.floor == bottom as i64
            && self.stale.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ControlKind {
    Function,
    Block,
    Loop,
}

/// An open block.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) kind: ControlKind,
    pub(super) scope: u32,
    /// Position of its first value.
    pub(super) bottom: usize,
    pub(super) params: Vec<NumType>,
    pub(super) results: Vec<NumType>,
    /// Jump label of a branch to it.
    pub(super) label: usize,
    pub(super) shape: Shape,
}

impl Control {
    pub(super) fn carried(&self) -> &[NumType] {
        match self.kind {
            ControlKind::Loop => &self.params,
            _ => &self.results,
        }
    }
}

/// Operations out of line, done when a branch with something to do is taken.
#[derive(Debug)]
pub(super) struct Stub {
    pub(super) from: StubUse,
    pub(super) operations: Vec<Op>,
    /// Jump label to go on at; otherwise the operations end in a return.
    pub(super) label: Option<usize>,
}

#[derive(Debug)]
pub(super) enum StubUse {
    Branch(usize),
    Table(usize, Vec<usize>),
}

/// What compiling a function, and finding the exact state again, needs of the module besides blocks.
#[derive(Debug, PartialEq)]
pub(super) struct View {
    /// Types with only integers; `None` for others.
    pub(super) types: Vec<Option<(Vec<NumType>, Vec<NumType>)>>,
    pub(super) signatures: Vec<u32>,
    pub(super) mutable: Vec<bool>,
    pub(super) global_types: Vec<Option<NumType>>,
    pub(super) has_memory: bool,
    pub(super) table_count: usize,
    pub(super) segments: usize,
}

pub(super) fn integer(ty: ValueType) -> Option<NumType> {
    match ty {
        ValueType::Num(ty) => Some(ty),
        _ => None,
    }
}

/// A function being compiled.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub(super) program: &'a mut Program,
    pub(super) view: &'a View,
    pub(super) blocks: &'a [Vec<Instr>],
    pub(super) function: u32,
    pub(super) types: Vec<NumType>,
    pub(super) stack: Vec<Entry>,
    pub(super) controls: Vec<Control>,
    /// Code after a branch is never reached.
    pub(super) dead: bool,
    pub(super) cost: u32,
    highest: usize,
    saves: u16,
    charge: Option<usize>,
    deltas: Vec<(usize, u32, u32)>,
    first_refund: usize,
    labels: Vec<Option<u32>>,
    uses: Vec<usize>,
    jumps: Vec<(usize, usize)>,
    pub(super) stubs: Vec<Stub>,
    first_site: usize,
}

/// Compiles function `index` at the end of the code, or leaves a single operation that declines.
pub(super) fn compile_function(
    program: &mut Program,
    view: &View,
    blocks: &[Vec<Instr>],
    index: u32,
) {
    let Some(function) = program.functions.get(index as usize).cloned() else {
        return;
    };
    if function.kind != Kind::Native {
        return;
    }
    let marks = (
        program.code.len(),
        program.scopes.len(),
        program.places.len(),
        program.refunds.len(),
    );
    let body = function.body;
    if let Some(slot) = program.functions.get_mut(index as usize) {
        slot.entry = marks.0 as u32;
    }
    let mut compiler = Compiler::new(program, (view, blocks), index, &function);
    if compiler.whole(body, &function).is_ok() {
        return;
    }
    program.code.truncate(marks.0);
    program.scopes.truncate(marks.1);
    program.places.truncate(marks.2);
    program.refunds.truncate(marks.3);
    program.places.push(Place {
        pc: marks.0 as u32,
        scope: marks.1 as u32,
        index: 0,
    });
    program.scopes.push(Scope {
        parent: None,
        body,
        again: None,
        saved: Vec::new(),
        function: index,
    });
    program.code.push(Op::Decline);
}

impl<'a> Compiler<'a> {
    fn new(
        program: &'a mut Program,
        (view, blocks): (&'a View, &'a [Vec<Instr>]),
        index: u32,
        function: &Function,
    ) -> Self {
        Self {
            first_site: program.sites.len(),
            first_refund: program.refunds.len(),
            program,
            view,
            blocks,
            function: index,
            types: function.types.clone(),
            stack: Vec::new(),
            controls: Vec::new(),
            dead: false,
            cost: 0,
            highest: 0,
            saves: 0,
            charge: None,
            deltas: Vec::new(),
            labels: Vec::new(),
            uses: Vec::new(),
            jumps: Vec::new(),
            stubs: Vec::new(),
        }
    }

    fn whole(&mut self, body: BlockLabel, function: &Function) -> Outcome {
        let scope = self.add_scope(None, body, None, Vec::new());
        let label = self.new_label();
        self.controls.push(Control {
            kind: ControlKind::Function,
            scope,
            bottom: 0,
            params: Vec::new(),
            results: function.results.clone(),
            label,
            shape: Shape::fresh(0, 0),
        });
        self.open(scope, 0);
        self.instructions(body)?;
        if !self.dead {
            self.matches(&function.results.clone(), 0)?;
            let count = function.results.len();
            self.cost += 8 + count as u32;
            self.leave_function(count)?;
        }
        self.close()?;
        self.emit_stubs()?;
        self.finish()
    }

    /// The instructions of a block, until code is dead.
    pub(super) fn instructions(&mut self, body: BlockLabel) -> Outcome {
        if self.controls.len() > DEEPEST {
            return Err(Unsupported);
        }
        let blocks = self.blocks;
        let block = blocks.get(body.0 as usize).ok_or(Unsupported)?;
        for (index, instr) in block.iter().enumerate() {
            if self.dead {
                return Ok(());
            }
            if self.cost > LONGEST_RUN {
                self.new_run(index as u32)?;
            }
            self.instruction(instr, index as u32)?;
        }
        Ok(())
    }

    // Emission.

    pub(super) fn emit(&mut self, op: Op) -> usize {
        self.program.code.push(op);
        self.program.code.len() - 1
    }

    pub(super) fn locals(&self) -> usize {
        self.types.len()
    }

    /// The register of an operand position.
    pub(super) fn home(&self, position: usize) -> Outcome<Slot> {
        let slot = self.locals() + position;
        Slot::try_from(slot)
            .ok()
            .filter(|slot| *slot < SAVED)
            .ok_or(Unsupported)
    }

    pub(super) fn new_save(&mut self) -> Outcome<Slot> {
        let slot = SAVED.checked_add(self.saves).ok_or(Unsupported)?;
        self.saves += 1;
        Ok(slot)
    }

    pub(super) fn constant(ty: NumType, dst: Slot, value: i64, pool: &mut Vec<u64>) -> Op {
        match (ty, i32::try_from(value)) {
            (NumType::I32, _) => Op::Const32 {
                dst,
                value: value as u32,
            },
            (NumType::I64, Ok(value)) => Op::Const64 { dst, value },
            (NumType::I64, Err(_)) => {
                pool.push(value as u64);
                Op::ConstPool {
                    dst,
                    index: pool.len() as u32 - 1,
                }
            }
        }
    }

    /// The operation that puts an operand into a register, unless it is there.
    pub(super) fn transfer(
        &mut self,
        entry: Entry,
        position: usize,
        dst: Slot,
    ) -> Outcome<Option<Op>> {
        let src = match entry.loc {
            Loc::Const(value) => {
                let op = Self::constant(entry.ty, dst, value, &mut self.program.pool);
                return Ok(Some(op));
            }
            Loc::Local(local) => local,
            Loc::Home => self.home(position)?,
        };
        Ok((src != dst).then_some(Op::Copy { dst, src }))
    }

    /// Puts the operand at a position into its register.
    pub(super) fn settle(&mut self, position: usize) -> Outcome {
        let entry = *self.stack.get(position).ok_or(Unsupported)?;
        if entry.loc == Loc::Home {
            return Ok(());
        }
        let home = self.home(position)?;
        if let Some(op) = self.transfer(entry, position, home)? {
            self.emit(op);
        }
        if let Some(entry) = self.stack.get_mut(position) {
            entry.loc = Loc::Home;
        }
        Ok(())
    }

    pub(super) fn settle_all(&mut self) -> Outcome {
        for position in 0..self.stack.len() {
            self.settle(position)?;
        }
        Ok(())
    }

    // Operands.

    pub(super) fn current(&self) -> Outcome<&Control> {
        self.controls.last().ok_or(Unsupported)
    }

    pub(super) fn current_mut(&mut self) -> Outcome<&mut Control> {
        self.controls.last_mut().ok_or(Unsupported)
    }

    pub(super) fn push(&mut self, ty: NumType, loc: Loc) -> Outcome {
        let position = self.stack.len();
        self.current_mut()?.shape.stale.remove(&position);
        self.stack.push(Entry { ty, loc });
        self.highest = self.highest.max(self.stack.len());
        Ok(())
    }

    pub(super) fn pop_any(&mut self) -> Outcome<Entry> {
        if self.stack.len() <= self.current()?.bottom {
            return Err(Unsupported);
        }
        self.stack.pop().ok_or(Unsupported)
    }

    pub(super) fn pop(&mut self, ty: NumType) -> Outcome<Entry> {
        let entry = self.pop_any()?;
        if entry.ty == ty {
            Ok(entry)
        } else {
            Err(Unsupported)
        }
    }

    /// Whether exactly these types stand above `bottom`.
    pub(super) fn matches(&self, types: &[NumType], bottom: usize) -> Outcome {
        let above = self.stack.get(bottom..).ok_or(Unsupported)?;
        let same = above.len() == types.len()
            && above.iter().zip(types).all(|(entry, ty)| entry.ty == *ty);
        if same { Ok(()) } else { Err(Unsupported) }
    }

    /// Whether the top of the current label's values has these types.
    pub(super) fn ends_with(&self, types: &[NumType]) -> Outcome {
        let from = self
            .stack
            .len()
            .checked_sub(types.len())
            .ok_or(Unsupported)?;
        if from < self.current()?.bottom {
            return Err(Unsupported);
        }
        self.matches(types, from)
    }

    /// All values of the current label move to a new vector.
    pub(super) fn refresh(&mut self) -> Outcome {
        let height = self.stack.len();
        let control = self.current_mut()?;
        control.shape = Shape::fresh(control.bottom, height);
        Ok(())
    }

    pub(super) fn is_fresh(&self) -> Outcome<bool> {
        let control = self.current()?;
        Ok(control.shape.is_fresh(control.bottom, self.stack.len()))
    }

    /// The shape inside a block entered now. A loop may see another one when it goes round.
    pub(super) fn inherited(&self, again: bool) -> Outcome<Shape> {
        let mut shape = self.current()?.shape.clone();
        if again {
            shape.offset = None;
        }
        Ok(shape)
    }

    // Straight runs.

    pub(super) fn place(&mut self, index: u32) -> Outcome {
        let scope = self.current()?.scope;
        let pc = self.program.code.len() as u32;
        self.program.places.push(Place { pc, scope, index });
        Ok(())
    }

    pub(super) fn open(&mut self, scope: u32, index: u32) {
        let pc = self.program.code.len();
        self.program.places.push(Place {
            pc: pc as u32,
            scope,
            index,
        });
        self.charge = Some(self.emit(Op::Charge(0)));
        self.cost = 0;
    }

    /// Ends the straight run: its cost is known, and what branches and traps in it give back.
    pub(super) fn close(&mut self) -> Outcome {
        let Some(charge) = self.charge.take() else {
            return Ok(());
        };
        let cost = self.cost;
        if let Some(op) = self.program.code.get_mut(charge) {
            *op = Op::Charge(cost);
        }
        for (at, spent, extra) in self.deltas.drain(..) {
            let delta = i64::from(extra) - i64::from(cost - spent);
            let field = self.program.code.get_mut(at).and_then(Op::delta_mut);
            *field.ok_or(Unsupported)? = i16::try_from(delta).map_err(|_| Unsupported)?;
        }
        let refunds = self.program.refunds.get_mut(self.first_refund..);
        for (_, spent) in refunds.unwrap_or_default() {
            *spent = cost - *spent;
        }
        self.first_refund = self.program.refunds.len();
        self.cost = 0;
        Ok(())
    }

    /// Ends the straight run before instruction `index` and begins the next one.
    pub(super) fn new_run(&mut self, index: u32) -> Outcome {
        self.settle_all()?;
        self.close()?;
        let scope = self.current()?.scope;
        self.open(scope, index);
        Ok(())
    }

    /// The next emitted operation may trap; its ticks are already in the cost.
    pub(super) fn may_trap(&mut self) {
        let pc = self.program.code.len() as u32;
        self.program.refunds.push((pc, self.cost));
    }

    /// Leaves the rest to the exact machine.
    pub(super) fn decline(&mut self, index: u32) -> Outcome {
        self.settle_all()?;
        self.close()?;
        self.place(index)?;
        self.emit(Op::Decline);
        self.dead = true;
        Ok(())
    }

    // Jumps.

    pub(super) fn new_label(&mut self) -> usize {
        self.labels.push(None);
        self.uses.push(0);
        self.labels.len() - 1
    }

    pub(super) fn bind(&mut self, label: usize) {
        let pc = self.program.code.len() as u32;
        if let Some(slot) = self.labels.get_mut(label) {
            *slot = Some(pc);
        }
    }

    pub(super) fn is_used(&self, label: usize) -> bool {
        self.uses.get(label).is_some_and(|uses| *uses > 0)
    }

    pub(super) fn use_label(&mut self, label: usize) {
        if let Some(uses) = self.uses.get_mut(label) {
            *uses += 1;
        }
    }

    /// The jump at `at` goes to `label`.
    pub(super) fn goes_to(&mut self, at: usize, label: usize) {
        self.use_label(label);
        self.jumps.push((at, label));
    }

    /// The branch at `at` costs `extra` ticks more when taken.
    pub(super) fn costs(&mut self, at: usize, extra: u32) {
        self.deltas.push((at, self.cost, extra));
        self.reserve(extra);
    }

    pub(super) fn reserve(&mut self, ticks: u32) {
        self.program.reserve = self.program.reserve.max(i64::from(ticks));
    }

    pub(super) fn add_scope(
        &mut self,
        parent: Option<(u32, u32)>,
        body: BlockLabel,
        again: Option<Slot>,
        saved: Vec<(u16, Slot)>,
    ) -> u32 {
        self.program.scopes.push(Scope {
            parent,
            body,
            again,
            saved,
            function: self.function,
        });
        self.program.scopes.len() as u32 - 1
    }

    pub(super) fn block_type(&self, ty: BlockType) -> Outcome<(Vec<NumType>, Vec<NumType>)> {
        match ty {
            BlockType::Value(None) => Ok((Vec::new(), Vec::new())),
            BlockType::Value(Some(ty)) => Ok((Vec::new(), vec![integer(ty).ok_or(Unsupported)?])),
            BlockType::Index(index) => self
                .view
                .types
                .get(index as usize)
                .and_then(Clone::clone)
                .ok_or(Unsupported),
        }
    }

    /// Returns the top `count` values, which are in their registers.
    pub(super) fn leave_function(&mut self, count: usize) -> Outcome {
        let from = self.stack.len() - count;
        for position in from..self.stack.len() {
            self.settle(position)?;
        }
        let src = self.home(from)?;
        self.emit(Op::Return {
            src,
            count: count as Slot,
        });
        self.close()?;
        self.dead = true;
        Ok(())
    }

    fn emit_stubs(&mut self) -> Outcome {
        for stub in std::mem::take(&mut self.stubs) {
            let pc = self.program.code.len() as u32;
            match stub.from {
                StubUse::Branch(at) => {
                    let field = self.program.code.get_mut(at).and_then(Op::target_mut);
                    *field.ok_or(Unsupported)? = pc;
                }
                StubUse::Table(table, entries) => {
                    let table = self.program.jumps.get_mut(table).ok_or(Unsupported)?;
                    for entry in entries {
                        *table.get_mut(entry).ok_or(Unsupported)? = pc;
                    }
                }
            }
            self.program.code.extend(stub.operations);
            if let Some(label) = stub.label {
                let at = self.emit(Op::Jump { target: 0 });
                self.jumps.push((at, label));
            }
        }
        Ok(())
    }

    /// Fills in jump targets, frame sizes and the numbers of saved registers.
    fn finish(&mut self) -> Outcome {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self
                .labels
                .get(label)
                .copied()
                .flatten()
                .ok_or(Unsupported)?;
            let field = self.program.code.get_mut(at).and_then(Op::target_mut);
            *field.ok_or(Unsupported)? = target;
        }
        let first_saved = self.home(self.highest)?;
        let size = first_saved
            .checked_add(self.saves)
            .filter(|size| *size < SAVED)
            .ok_or(Unsupported)?;
        let saved = |slot: Slot| {
            if slot >= SAVED {
                first_saved + (slot - SAVED)
            } else {
                slot
            }
        };
        let entry = self.program.functions.get(self.function as usize);
        let entry = entry.map_or(0, |function| function.entry as usize);
        for op in self.program.code.iter_mut().skip(entry) {
            match op {
                Op::Copy { dst, .. } | Op::Const32 { dst, .. } => *dst = saved(*dst),
                Op::Call { size: slot, .. } => *slot = size,
                _ => {}
            }
        }
        for site in self.program.sites.iter_mut().skip(self.first_site) {
            site.frame = size;
        }
        let function = self.function;
        let own = self.program.scopes.iter_mut().rev();
        for scope in own.take_while(|scope| scope.function == function) {
            scope.again = scope.again.map(saved);
            for (_, slot) in &mut scope.saved {
                *slot = saved(*slot);
            }
        }
        Ok(())
    }
}
