//! What can go wrong inside a tick, kept in two kinds that must never mix.
//!
//! An [`Exception`] is an outcome of the machine: its text ends in a Stuck state and so in the
//! state hash, which is why the names of the original implementation's exceptions appear here.
//! Every other [`Fault`] means that the tick has no result at all: the tree could not answer (a
//! proof that lacks a node) or the next state has no encoding.

use crate::codec::DecodeError;
use crate::merkle::TreeError;

/// The parser's steps that a well-formed continuation never takes; the number is part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DecodeStep {
    ByteVector,
    Instr,
    InstrBlock,
    Block,
    Name,
    FuncType,
    Import,
    Export,
    Code,
    Elem,
    Data,
    Module,
}

impl DecodeStep {
    const fn name(self) -> &'static str {
        match self {
            Self::ByteVector => "Byte_vector_step",
            Self::Instr => "Instr_step",
            Self::InstrBlock => "Instr_block_step",
            Self::Block => "Block_step",
            Self::Name => "Name_step",
            Self::FuncType => "Func_type_step",
            Self::Import => "Import_step",
            Self::Export => "Export_step",
            Self::Code => "Code_step",
            Self::Elem => "Elem_step",
            Self::Data => "Data_step",
            Self::Module => "Module_step",
        }
    }
}

/// Initialisation steps that a well-formed continuation never takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InitStep {
    Init,
    Map,
    MapConcat,
    Join,
    Section,
    EvalConst,
    CreateGlobal,
    RunData,
}

impl InitStep {
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "Init_step",
            Self::Map => "Map_step",
            Self::MapConcat => "Map_concat_step",
            Self::Join => "Join_step",
            Self::Section => "Section_step",
            Self::EvalConst => "Eval_const",
            Self::CreateGlobal => "Create_global_step",
            Self::RunData => "Run_data_step",
        }
    }
}

/// Evaluation steps that a well-formed continuation never takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EvalStep {
    Invoke(&'static str),
    Label,
    Frame,
    Eval,
}

/// An outcome of a tick that leaves a Stuck state, with the text the protocol's machine gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// Malformed binary, forbidden float, trap, crash, link or exhaustion: all print alike.
    Located(String),
    /// Access outside a vector.
    VectorBounds,
    /// A vector would outgrow its key type.
    VectorOverflow,
    /// Access outside a byte vector.
    BytesBounds,
    /// The binary ends outside a guarded read.
    EndOfInput,
    /// A malformed character after its first byte.
    Utf8,
    /// A binding that no tree and no write provides.
    KeyNotFound,
    /// An operation of the parser that cannot happen.
    DecodeStep(DecodeStep),
    /// An operation of initialisation that cannot happen.
    InitStep(InitStep),
    /// An operation of evaluation that cannot happen.
    EvalStep(EvalStep),
    /// Memory 0 is not exported.
    MissingMemoryExport,
    /// A table whose limits or element are wrong.
    TableType,
    /// A memory whose limits are wrong.
    MemoryType,
    /// A global whose initial value has another type.
    GlobalType,
    /// Anything of a layer above: its printed form, its explanation, and whether it counts as an
    /// error of the interpreter.
    Other {
        /// The printed exception.
        raw: String,
        /// The explanation kept beside it.
        explanation: Option<String>,
        /// Whether it becomes an error of the current phase, and not an unknown error.
        interpreter: bool,
    },
}

/// Text between double quotes as the original prints it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x08 => out.push_str("\\b"),
            0x20..=0x7e => out.push(char::from(byte)),
            other => out.push_str(&format!("\\{other:03}")),
        }
    }
    out.push('"');
    out
}

impl Exception {
    /// The printed exception, before it is cut to its stored length.
    #[must_use]
    pub fn raw(&self) -> String {
        const INTERPRETER: &str = "Tezos_webassembly_interpreter";
        match self {
            Self::Located(message) => format!("Error(_, {})", quoted(message)),
            Self::VectorBounds => "Tezos_lazy_containers.Lazy_vector.Bounds".into(),
            Self::VectorOverflow => "Tezos_lazy_containers.Lazy_vector.SizeOverflow".into(),
            Self::BytesBounds => {
                "Tezos_lazy_containers.Immutable_chunked_byte_vector.Bounds".into()
            }
            Self::EndOfInput => format!("{INTERPRETER}.Binary_exn.EOS"),
            Self::Utf8 => format!("{INTERPRETER}.Binary_exn.Utf8"),
            Self::KeyNotFound => "Tezos_tree_encoding__Decoding.Key_not_found(_)".into(),
            Self::DecodeStep(step) => {
                format!("{INTERPRETER}.Decode.Step_error({})", *step as u8)
            }
            Self::InitStep(step) => {
                format!("{INTERPRETER}.Eval.Init_step_error({})", *step as u8)
            }
            Self::EvalStep(step) => {
                let argument = match step {
                    EvalStep::Invoke(_) => "_",
                    EvalStep::Label => "0",
                    EvalStep::Frame => "1",
                    EvalStep::Eval => "2",
                };
                format!("{INTERPRETER}.Eval.Evaluation_step_error({argument})")
            }
            Self::MissingMemoryExport => format!("{INTERPRETER}.Eval.Missing_memory_0_export"),
            Self::TableType => format!("{INTERPRETER}.Partial_table.Type"),
            Self::MemoryType => format!("{INTERPRETER}.Partial_memory.Type"),
            Self::GlobalType => format!("{INTERPRETER}.Global.Type"),
            Self::Other { raw, .. } => raw.clone(),
        }
    }

    /// The explanation stored beside the printed exception.
    #[must_use]
    pub fn explanation(&self) -> Option<String> {
        match self {
            Self::Located(message) => Some(message.clone()),
            Self::DecodeStep(step) => Some(step.name().into()),
            Self::InitStep(step) => Some(step.name().into()),
            Self::EvalStep(EvalStep::Invoke(text)) => Some(format!("Invoke_step: {text}")),
            Self::EvalStep(EvalStep::Label) => Some("Label_step".into()),
            Self::EvalStep(EvalStep::Frame) => Some("Frame_step".into()),
            Self::EvalStep(EvalStep::Eval) => Some("Eval_step".into()),
            Self::MissingMemoryExport => Some("Module must export memory 0".into()),
            Self::Other { explanation, .. } => explanation.clone(),
            _ => None,
        }
    }

    /// Whether it becomes an error of the current phase; otherwise it is an unknown error.
    #[must_use]
    pub const fn is_interpreter(&self) -> bool {
        match self {
            Self::KeyNotFound => false,
            Self::Other { interpreter, .. } => *interpreter,
            _ => true,
        }
    }
}

/// Why a tick, or the access of one container, gave no value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// An outcome of the machine.
    #[error("{}", .0.raw())]
    Raised(Exception),
    /// The tree could not answer: a damaged store, or a proof that lacks what the tick reads.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A leaf of the tree does not have the form of its place.
    #[error("{path}: {error}")]
    Malformed {
        /// Where in the tree.
        path: String,
        /// What is wrong there.
        error: String,
    },
    /// The state has no encoding, so the tick has no result and no proof.
    #[error("the state has no encoding: {0}")]
    Unencodable(String),
}

impl Fault {
    /// An exception with a message of the interpreter.
    pub fn located(message: impl Into<String>) -> Self {
        Self::Raised(Exception::Located(message.into()))
    }

    /// Why something is not made when it is read.
    pub(in crate::wasm) fn into_tree_error(self) -> TreeError {
        match self {
            Self::Tree(error) => error,
            other => TreeError::unknown(other.to_string()),
        }
    }

    pub(crate) fn malformed(path: String, error: &DecodeError) -> Self {
        Self::Malformed {
            path,
            error: error.to_string(),
        }
    }
}

impl From<Exception> for Fault {
    fn from(exception: Exception) -> Self {
        Self::Raised(exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_the_original_prints_them() {
        assert_eq!(
            Exception::Located("a \"b\"\n\u{e9}".into()).raw(),
            "Error(_, \"a \\\"b\\\"\\n\\195\\169\")"
        );
        assert_eq!(
            Exception::DecodeStep(DecodeStep::Module).raw(),
            "Tezos_webassembly_interpreter.Decode.Step_error(11)"
        );
    }
}
