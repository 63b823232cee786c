//! The state of evaluation: frames, labels, administrative instructions and the continuation that
//! says which tick comes next (`lib_webassembly/exec/eval.ml`).

use crate::wasm::ast::{BlockLabel, Func, Instr, Num, ValueType};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{FuncInst, ModuleKey, Ref, Value};
use crate::wasm::lazy::LazyVec;

/// A map over a vector, one element a tick.
#[derive(Debug, Clone)]
pub struct MapKont<A, B> {
    /// Mapped elements.
    pub origin: A,
    /// Results so far.
    pub destination: B,
    /// Next element.
    pub offset: i32,
}

impl<A: Stored, B: Stored> MapKont<LazyVec<A>, LazyVec<B>> {
    /// A map that has not begun.
    #[must_use]
    pub fn new(origin: LazyVec<A>) -> Self {
        let destination = LazyVec::unbound(origin.len());
        Self {
            origin,
            destination,
            offset: 0,
        }
    }

    /// Whether every element is mapped.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.offset == self.origin.len()
    }

    /// Maps the next element to the same place.
    ///
    /// # Errors
    /// Those of the containers and of `map`.
    pub fn step(&mut self, map: impl FnOnce(i32, &mut A) -> Result<B, Fault>) -> Result<(), Fault> {
        let mapped = map(self.offset, self.origin.read(self.offset)?)?;
        self.destination.set(self.offset, mapped)?;
        self.offset = self.offset.wrapping_add(1);
        Ok(())
    }

    /// Maps the next element to the place counted from the end.
    ///
    /// # Errors
    /// Those of the containers.
    pub fn step_reversed(&mut self, map: impl FnOnce(&A) -> B) -> Result<(), Fault> {
        let mapped = map(self.origin.get(self.offset)?);
        let last = self.origin.len().wrapping_sub(1);
        self.destination
            .set(last.wrapping_sub(self.offset), mapped)?;
        self.offset = self.offset.wrapping_add(1);
        Ok(())
    }
}

/// Concatenation of two vectors, one element a tick.
#[derive(Debug, Clone)]
pub struct ConcatKont<T> {
    /// Left operand.
    pub left: LazyVec<T>,
    /// Right operand.
    pub right: LazyVec<T>,
    /// Result so far.
    pub result: LazyVec<T>,
    /// Next element.
    pub offset: i32,
}

impl<T: Stored> ConcatKont<T> {
    /// A concatenation that has not begun.
    ///
    /// # Errors
    /// [`Exception::VectorOverflow`].
    pub fn new(left: LazyVec<T>, right: LazyVec<T>) -> Result<Self, Fault> {
        let length = (left.len() as u32)
            .checked_add(right.len() as u32)
            .ok_or(Fault::Raised(Exception::VectorOverflow))?;
        Ok(Self {
            left,
            right,
            result: LazyVec::unbound(length as i32),
            offset: 0,
        })
    }

    /// Whether every element is there. The comparison is signed, as the original's.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.left.len().wrapping_add(self.right.len()) <= self.offset
    }

    /// Copies the next element.
    ///
    /// # Errors
    /// Those of the containers.
    pub fn step(&mut self) -> Result<(), Fault> {
        let split = self.left.len();
        let value = if self.offset < split {
            self.left.get(self.offset)?.clone()
        } else {
            self.right.get(self.offset.wrapping_sub(split))?.clone()
        };
        self.result.set(self.offset, value)?;
        self.offset = self.offset.wrapping_add(1);
        Ok(())
    }
}

/// Administrative instructions. Bulk operations unfold into ordinary instructions, one a tick:
/// their fields are named as in the original, `idx` being the next of them.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Admin {
    FromBlock(BlockLabel, i32),
    Plain(Instr),
    Refer(Ref),
    Invoke(Box<FuncInst>),
    Trapping(String),
    Returning(LazyVec<Value>),
    Breaking(i32, LazyVec<Value>),
    TableInit {
        idx: i32,
        value: Ref,
        d: i32,
        s: i32,
        n: i32,
        x: i32,
        y: i32,
    },
    TableFill {
        idx: i32,
        i: i32,
        n: i32,
        r: Ref,
        x: i32,
    },
    TableCopy {
        idx: i32,
        d: i32,
        s: i32,
        n: i32,
        x: i32,
        y: i32,
        forward: bool,
    },
    MemoryInit {
        idx: i32,
        d: i32,
        b: i32,
        n: i32,
        s: i32,
        x: i32,
    },
    MemoryFill {
        idx: i32,
        i: i32,
        k: Num,
        n: i32,
    },
    MemoryCopy {
        idx: i32,
        d: i32,
        s: i32,
        n: i32,
        forward: bool,
    },
}

/// Operands and what remains to be done.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Operands, top first.
    pub values: LazyVec<Value>,
    /// Instructions, next first.
    pub instructions: LazyVec<Admin>,
}

/// A label.
#[derive(Debug, Clone)]
pub struct Label {
    /// Values taken along by a branch to it.
    pub arity: Option<i32>,
    /// Instruction resumed by a branch to it.
    pub break_to: Option<Instr>,
    /// Its code.
    pub code: Code,
}

/// Labels of a frame that still runs.
#[derive(Debug, Clone)]
pub struct LabelStack {
    /// The innermost.
    pub top: Label,
    /// The others, inner first.
    pub rest: LazyVec<Label>,
}

/// Labels of a frame.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum LabelKont {
    /// It runs.
    Stack(LabelStack),
    /// It has returned.
    Result(LazyVec<Value>),
    /// It has trapped.
    Trapped(String),
}

/// What belongs to one call.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Module of the function.
    pub module: ModuleKey,
    /// Parameters and locals.
    pub locals: LazyVec<Value>,
}

/// A call on the stack of calls; `L` is [`LabelStack`] for all but perhaps the top one.
#[derive(Debug, Clone)]
pub struct FrameStack<L> {
    /// Number of results.
    pub arity: Option<i32>,
    /// What belongs to the call.
    pub frame: Frame,
    /// Its labels.
    pub labels: L,
}

/// A call that still runs.
pub type Ongoing = FrameStack<LabelStack>;

/// A call that may have ended.
pub type AnyFrame = FrameStack<LabelKont>;

/// A reveal request, in the cases the tree tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevealRequest {
    /// First byte 0: what follows it.
    RawData(Vec<u8>),
    /// Exactly the byte 1.
    Metadata,
    /// Anything else, whole.
    Raw(Vec<u8>),
}

impl RevealRequest {
    /// The case of a request's bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [0, hash @ ..] => Self::RawData(hash.to_vec()),
            [1] => Self::Metadata,
            other => Self::Raw(other.to_vec()),
        }
    }

    /// The request's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::RawData(hash) => [&[0], hash.as_slice()].concat(),
            Self::Metadata => vec![1],
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// A call in the making.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum InvokeKont {
    Start {
        func: FuncInst,
        code: Code,
    },
    PrepareLocals {
        arity: i32,
        args: LazyVec<Value>,
        code: Code,
        module: ModuleKey,
        func: Func,
        kont: MapKont<LazyVec<ValueType>, LazyVec<Value>>,
    },
    PrepareArgs {
        arity: i32,
        code: Code,
        module: ModuleKey,
        func: Func,
        locals: LazyVec<Value>,
        kont: MapKont<LazyVec<Value>, LazyVec<Value>>,
    },
    Concat {
        arity: i32,
        code: Code,
        module: ModuleKey,
        func: Func,
        kont: ConcatKont<Value>,
    },
    RevealTick {
        reveal: RevealRequest,
        base: i32,
        max_bytes: i32,
        code: Code,
    },
    Stop {
        code: Code,
        fresh_frame: Option<Ongoing>,
        /// Ticks still to be spent.
        remaining: i128,
    },
}

/// What the top frame does next.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum LabelStep {
    Start(LabelStack),
    CraftFrame(LabelStack, InvokeKont),
    PushFrame(LabelStack, Ongoing),
    ConsolidateTop {
        label: Label,
        kont: ConcatKont<Value>,
        instructions: LazyVec<Admin>,
        rest: LazyVec<Label>,
    },
    ModifyTop(LabelKont),
}

/// What evaluation does next.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum StepKont {
    Start {
        top: AnyFrame,
        rest: LazyVec<Ongoing>,
    },
    Next {
        top: AnyFrame,
        rest: LazyVec<Ongoing>,
        step: LabelStep,
    },
    ConsolidateLabelResult {
        top_frame: Ongoing,
        frames: LazyVec<Ongoing>,
        top_label: Label,
        kont: ConcatKont<Value>,
        instructions: LazyVec<Admin>,
        labels: LazyVec<Label>,
    },
    Result(LazyVec<Value>),
    Trapped(String),
}

/// An evaluation.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it does next.
    pub step: StepKont,
    /// Depth of calls at which it fails.
    pub stack_size_limit: i32,
}

impl Config {
    /// The evaluation of `code` in a frame of `module` without locals.
    #[must_use]
    pub fn new(stack_size_limit: i32, module: ModuleKey, code: Code) -> Self {
        let label = Label {
            arity: None,
            break_to: None,
            code,
        };
        let top = FrameStack {
            arity: None,
            frame: Frame {
                module,
                locals: LazyVec::default(),
            },
            labels: LabelKont::Stack(LabelStack {
                top: label,
                rest: LazyVec::default(),
            }),
        };
        Self {
            step: StepKont::Start {
                top,
                rest: LazyVec::default(),
            },
            stack_size_limit,
        }
    }

    /// Whether the next tick makes the first call of this evaluation, and nothing else is left to do.
    #[must_use]
    pub fn makes_first_call(&self) -> bool {
        let StepKont::Start { top, rest } = &self.step else {
            return false;
        };
        let LabelKont::Stack(labels) = &top.labels else {
            return false;
        };
        let instructions = &labels.top.code.instructions;
        rest.is_empty()
            && labels.rest.is_empty()
            && instructions.len() == 1
            && matches!(instructions.peek(0), Some(Admin::Invoke(_)))
    }

    /// The request of an evaluation that waits for a reveal.
    #[must_use]
    pub const fn reveal_request(&self) -> Option<&RevealRequest> {
        match &self.step {
            StepKont::Next {
                step: LabelStep::CraftFrame(_, InvokeKont::RevealTick { reveal, .. }),
                ..
            } => Some(reveal),
            _ => None,
        }
    }
}
