//! The state of evaluation.

use crate::wasm::config::{
    Admin, AnyFrame, Code, ConcatKont, Config, Frame, InvokeKont, Label, LabelKont, LabelStack,
    LabelStep, MapKont, Ongoing, RevealRequest, StepKont,
};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{FuncInst, Value};
use crate::wasm::lazy::LazyVec;

impl<A: Stored, B: Stored> Stored for MapKont<A, B> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("origin", &mut self.origin)?;
        target.store("destination", &mut self.destination)?;
        target.leaf("offset", &self.offset)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            origin: source.load("origin")?,
            destination: source.load("destination")?,
            offset: source.leaf("offset")?,
        })
    }
}

impl<T: Stored> Stored for ConcatKont<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("lv", &mut self.left)?;
        target.store("rv", &mut self.right)?;
        target.store("res", &mut self.result)?;
        target.leaf("offset", &self.offset)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            left: source.load("lv")?,
            right: source.load("rv")?,
            result: source.load("res")?,
            offset: source.leaf("offset")?,
        })
    }
}

/// Writes fields at `1`, `2`, …: one leaf each.
fn numbered(target: &mut Target<'_>, from: usize, fields: &[i32]) -> Result<(), Fault> {
    for (position, field) in (from..).zip(fields) {
        target.leaf(&position.to_string(), field)?;
    }
    Ok(())
}

impl Stored for Admin {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::FromBlock(block, index) => target.tagged("From_block", |target| {
                target.leaf("1", block)?;
                target.leaf("2", index)
            }),
            Self::Plain(instr) => target.tagged("Plain", |target| instr.store(target)),
            Self::Refer(reference) => target.tagged("Refer", |target| reference.store(target)),
            Self::Invoke(func) => target.tagged("Invoke", |target| func.store(target)),
            Self::Trapping(message) => target.tagged("Trapping", |target| target.leaf("", message)),
            Self::Returning(values) => target.tagged("Returning", |target| values.store(target)),
            Self::Breaking(depth, values) => target.tagged("Breaking", |target| {
                target.leaf("1", depth)?;
                target.store("2", values)
            }),
            meta => meta.store_meta(target),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let tag = source.tag()?;
        let at = source.payload();
        Ok(match tag.as_str() {
            "From_block" => Self::FromBlock(at.leaf("1")?, at.leaf("2")?),
            "Plain" => Self::Plain(Stored::load(&at)?),
            "Refer" => Self::Refer(Stored::load(&at)?),
            "Invoke" => Self::Invoke(Box::new(FuncInst::load(&at)?)),
            "Trapping" => Self::Trapping(at.leaf("")?),
            "Returning" => Self::Returning(Stored::load(&at)?),
            "Breaking" => Self::Breaking(at.leaf("1")?, at.load("2")?),
            _ => return Self::load_meta(&tag, source, &at),
        })
    }
}

impl Admin {
    fn store_meta(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::TableInit {
                idx,
                value,
                d,
                s,
                n,
                x,
                y,
            } => target.tagged("Table_init_meta", |target| {
                target.leaf("1", idx)?;
                target.store("2", value)?;
                numbered(target, 3, &[*d, *s, *n, *x, *y])
            }),
            Self::TableFill { idx, i, n, r, x } => target.tagged("Table_fill_meta", |target| {
                numbered(target, 1, &[*idx, *i, *n])?;
                target.store("4", r)?;
                target.leaf("5", x)
            }),
            Self::TableCopy {
                idx,
                d,
                s,
                n,
                x,
                y,
                forward,
            } => target.tagged("Table_copy_meta", |target| {
                numbered(target, 1, &[*idx, *d, *s, *n, *x, *y])?;
                target.leaf("7", forward)
            }),
            Self::MemoryInit { idx, d, b, n, s, x } => target
                .tagged("Memory_init_meta", |target| {
                    numbered(target, 1, &[*idx, *d, *b, *n, *s, *x])
                }),
            Self::MemoryFill { idx, i, k, n } => target.tagged("Memory_fill_meta", |target| {
                numbered(target, 1, &[*idx, *i])?;
                target.leaf("3", k)?;
                target.leaf("4", n)
            }),
            Self::MemoryCopy {
                idx,
                d,
                s,
                n,
                forward,
            } => target.tagged("Memory_copy_meta", |target| {
                numbered(target, 1, &[*idx, *d, *s, *n])?;
                target.leaf("5", forward)
            }),
            other => Err(Fault::Unencodable(format!("{other:?}"))),
        }
    }

    fn load_meta(tag: &str, source: &Source, at: &Source) -> Result<Self, Fault> {
        Ok(match tag {
            "Table_init_meta" => Self::TableInit {
                idx: at.leaf("1")?,
                value: at.load("2")?,
                d: at.leaf("3")?,
                s: at.leaf("4")?,
                n: at.leaf("5")?,
                x: at.leaf("6")?,
                y: at.leaf("7")?,
            },
            "Table_fill_meta" => Self::TableFill {
                idx: at.leaf("1")?,
                i: at.leaf("2")?,
                n: at.leaf("3")?,
                r: at.load("4")?,
                x: at.leaf("5")?,
            },
            "Table_copy_meta" => Self::TableCopy {
                idx: at.leaf("1")?,
                d: at.leaf("2")?,
                s: at.leaf("3")?,
                n: at.leaf("4")?,
                x: at.leaf("5")?,
                y: at.leaf("6")?,
                forward: at.leaf("7")?,
            },
            "Memory_init_meta" => Self::MemoryInit {
                idx: at.leaf("1")?,
                d: at.leaf("2")?,
                b: at.leaf("3")?,
                n: at.leaf("4")?,
                s: at.leaf("5")?,
                x: at.leaf("6")?,
            },
            "Memory_fill_meta" => Self::MemoryFill {
                idx: at.leaf("1")?,
                i: at.leaf("2")?,
                k: at.leaf("3")?,
                n: at.leaf("4")?,
            },
            "Memory_copy_meta" => Self::MemoryCopy {
                idx: at.leaf("1")?,
                d: at.leaf("2")?,
                s: at.leaf("3")?,
                n: at.leaf("4")?,
                forward: at.leaf("5")?,
            },
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for Code {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("values", &mut self.values)?;
        target.store("instructions", &mut self.instructions)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            values: source.load("values")?,
            instructions: source.load("instructions")?,
        })
    }
}

impl Stored for Label {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf_option("arity", self.arity.as_ref())?;
        target.store("label_break", &mut self.break_to)?;
        self.code.store(target)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            arity: source.leaf_option("arity")?,
            break_to: source.load("label_break")?,
            code: Code::load(source)?,
        })
    }
}

impl Stored for LabelStack {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.tagged("Label_stack", |target| {
            target.store("top", &mut self.top)?;
            target.store("rst", &mut self.rest)
        })
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        match source.tag()?.as_str() {
            "Label_stack" => Self::load_payload(&source.payload()),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl LabelStack {
    fn load_payload(at: &Source) -> Result<Self, Fault> {
        Ok(Self {
            top: at.load("top")?,
            rest: at.load("rst")?,
        })
    }
}

impl Stored for LabelKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Stack(stack) => stack.store(target),
            Self::Result(values) => target.tagged("Label_result", |target| values.store(target)),
            Self::Trapped(message) => {
                target.tagged("Label_trapped", |target| target.leaf("", message))
            }
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "Label_stack" => LabelStack::load_payload(&at).map(Self::Stack),
            "Label_result" => LazyVec::load(&at).map(Self::Result),
            "Label_trapped" => at.leaf("").map(Self::Trapped),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl Stored for Frame {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("module", &self.module)?;
        target.store("locals", &mut self.locals)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            module: source.leaf("module")?,
            locals: source.load("locals")?,
        })
    }
}

impl<L: Stored> Stored for crate::wasm::config::FrameStack<L> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf_option("arity", self.arity.as_ref())?;
        target.store("frame", &mut self.frame)?;
        target.store("label_kont", &mut self.labels)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            arity: source.leaf_option("arity")?,
            frame: source.load("frame")?,
            labels: source.load("label_kont")?,
        })
    }
}

impl Stored for RevealRequest {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::RawData(hash) => target.tagged("Reveal_raw_data", |target| target.leaf("", hash)),
            Self::Metadata => target.tagged("Reveal_metadata", Target::unit),
            Self::Raw(bytes) => target.tagged("Reveal_raw", |target| target.leaf("", bytes)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "Reveal_raw_data" => at.leaf("").map(Self::RawData),
            "Reveal_metadata" => at.bytes("").map(|_| Self::Metadata),
            "Reveal_raw" => at.leaf("").map(Self::Raw),
            other => Err(source.unknown_tag(other)),
        }
    }
}

/// Containers with an extra step in the tree.
fn store_below<T: Stored>(
    target: &mut Target<'_>,
    step: &'static str,
    inner: &'static str,
    value: &mut T,
) -> Result<(), Fault> {
    target.at(step, |target| target.store(inner, value))
}

fn store_map<A: Stored, B: Stored>(
    target: &mut Target<'_>,
    (origin, destination): (&'static str, &'static str),
    kont: &mut MapKont<A, B>,
) -> Result<(), Fault> {
    store_below(target, "origin", origin, &mut kont.origin)?;
    store_below(target, "destination", destination, &mut kont.destination)?;
    target.leaf("offset", &kont.offset)
}

fn load_map<A: Stored, B: Stored>(
    at: &Source,
    (origin, destination): (&'static str, &'static str),
) -> Result<MapKont<A, B>, Fault> {
    Ok(MapKont {
        origin: at.at("origin").load(origin)?,
        destination: at.at("destination").load(destination)?,
        offset: at.leaf("offset")?,
    })
}

fn store_concat(target: &mut Target<'_>, kont: &mut ConcatKont<Value>) -> Result<(), Fault> {
    store_below(target, "lv", "2", &mut kont.left)?;
    store_below(target, "rv", "2", &mut kont.right)?;
    store_below(target, "res", "2", &mut kont.result)?;
    target.leaf("offset", &kont.offset)
}

fn load_concat(at: &Source) -> Result<ConcatKont<Value>, Fault> {
    Ok(ConcatKont {
        left: at.at("lv").load("2")?,
        right: at.at("rv").load("2")?,
        result: at.at("res").load("2")?,
        offset: at.leaf("offset")?,
    })
}

impl Stored for InvokeKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start { func, code } => target.tagged("Inv_start", |target| {
                target.store("func", func)?;
                code.store(target)
            }),
            Self::PrepareLocals {
                arity,
                args,
                code,
                module,
                func,
                kont,
            } => target.tagged("Inv_prepare_locals", |target| {
                target.leaf("arity", arity)?;
                target.store("args", args)?;
                code.store(target)?;
                target.leaf("inst", module)?;
                target.store("func", func)?;
                target.at("kont", |target| store_map(target, ("x", "y"), kont))
            }),
            Self::PrepareArgs {
                arity,
                code,
                module,
                func,
                locals,
                kont,
            } => target.tagged("Inv_prepare_args", |target| {
                target.leaf("arity", arity)?;
                code.store(target)?;
                target.leaf("inst", module)?;
                target.store("func", func)?;
                target.store("locals", locals)?;
                target.at("kont", |target| store_map(target, ("1", "2"), kont))
            }),
            Self::Concat {
                arity,
                code,
                module,
                func,
                kont,
            } => target.tagged("Inv_concat", |target| {
                target.leaf("arity", arity)?;
                code.store(target)?;
                target.leaf("inst", module)?;
                target.store("func", func)?;
                target.at("kont", |target| store_concat(target, kont))
            }),
            Self::RevealTick {
                reveal,
                base,
                max_bytes,
                code,
            } => target.tagged("Inv_reveal_tick", |target| {
                target.store("reveal", reveal)?;
                target.leaf("base_destination", base)?;
                target.leaf("max_bytes", max_bytes)?;
                code.store(target)
            }),
            Self::Stop {
                code,
                fresh_frame,
                remaining,
            } => target.tagged("Inv_stop", |target| {
                code.store(target)?;
                target.store("fresh_frame", fresh_frame)?;
                target.leaf("remaining_ticks", remaining)
            }),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "Inv_start" => Self::Start {
                func: at.load("func")?,
                code: Code::load(&at)?,
            },
            "Inv_prepare_locals" => Self::PrepareLocals {
                arity: at.leaf("arity")?,
                args: at.load("args")?,
                code: Code::load(&at)?,
                module: at.leaf("inst")?,
                func: at.load("func")?,
                kont: load_map(&at.at("kont"), ("x", "y"))?,
            },
            "Inv_prepare_args" => Self::PrepareArgs {
                arity: at.leaf("arity")?,
                code: Code::load(&at)?,
                module: at.leaf("inst")?,
                func: at.load("func")?,
                locals: at.load("locals")?,
                kont: load_map(&at.at("kont"), ("1", "2"))?,
            },
            "Inv_concat" => Self::Concat {
                arity: at.leaf("arity")?,
                code: Code::load(&at)?,
                module: at.leaf("inst")?,
                func: at.load("func")?,
                kont: load_concat(&at.at("kont"))?,
            },
            "Inv_reveal_tick" => Self::RevealTick {
                reveal: at.load("reveal")?,
                base: at.leaf("base_destination")?,
                max_bytes: at.leaf("max_bytes")?,
                code: Code::load(&at)?,
            },
            "Inv_stop" => Self::Stop {
                code: Code::load(&at)?,
                fresh_frame: at.load("fresh_frame")?,
                remaining: at.leaf("remaining_ticks")?,
            },
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for LabelStep {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start(labels) => target.tagged("LS_Start", |target| labels.store(target)),
            Self::CraftFrame(labels, invoke) => target.tagged("LS_Craft_frame", |target| {
                target.store("label_kont", labels)?;
                target.store("invoke_kont", invoke)
            }),
            Self::PushFrame(labels, frame) => target.tagged("LS_Push_frame", |target| {
                target.store("label_kont", labels)?;
                target.store("fresh_frame", frame)
            }),
            Self::ConsolidateTop {
                label,
                kont,
                instructions,
                rest,
            } => target.tagged("LS_Consolidate_top", |target| {
                target.store("label", label)?;
                target.store("kont", kont)?;
                target.store("instructions", instructions)?;
                target.store("labels-stack", rest)
            }),
            Self::ModifyTop(labels) => {
                target.tagged("LS_Modify_top", |target| labels.store(target))
            }
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "LS_Start" => Self::Start(LabelStack::load(&at)?),
            "LS_Craft_frame" => Self::CraftFrame(at.load("label_kont")?, at.load("invoke_kont")?),
            "LS_Push_frame" => Self::PushFrame(at.load("label_kont")?, at.load("fresh_frame")?),
            "LS_Consolidate_top" => Self::ConsolidateTop {
                label: at.load("label")?,
                kont: at.load("kont")?,
                instructions: at.load("instructions")?,
                rest: at.load("labels-stack")?,
            },
            "LS_Modify_top" => Self::ModifyTop(LabelKont::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for StepKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start { top, rest } => target.tagged("SK_Start", |target| {
                target.store("top", top)?;
                target.store("rst", rest)
            }),
            Self::Next { top, rest, step } => target.tagged("SK_Next", |target| {
                target.store("top", top)?;
                target.store("rst", rest)?;
                target.store("kont", step)
            }),
            Self::ConsolidateLabelResult {
                top_frame,
                frames,
                top_label,
                kont,
                instructions,
                labels,
            } => target.tagged("SK_Consolidate_label_result", |target| {
                target.store("top-frame", top_frame)?;
                target.store("frames-stack", frames)?;
                target.store("top-label", top_label)?;
                target.store("kont", kont)?;
                target.store("instructions", instructions)?;
                target.store("labels-stack", labels)
            }),
            Self::Result(values) => target.tagged("SK_Result", |target| values.store(target)),
            Self::Trapped(message) => {
                target.tagged("SK_Trapped", |target| target.leaf("", message))
            }
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "SK_Start" => Self::Start {
                top: at.load::<AnyFrame>("top")?,
                rest: at.load::<LazyVec<Ongoing>>("rst")?,
            },
            "SK_Next" => Self::Next {
                top: at.load("top")?,
                rest: at.load("rst")?,
                step: at.load("kont")?,
            },
            "SK_Consolidate_label_result" => Self::ConsolidateLabelResult {
                top_frame: at.load("top-frame")?,
                frames: at.load("frames-stack")?,
                top_label: at.load("top-label")?,
                kont: at.load("kont")?,
                instructions: at.load("instructions")?,
                labels: at.load("labels-stack")?,
            },
            "SK_Result" => Self::Result(LazyVec::load(&at)?),
            "SK_Trapped" => Self::Trapped(at.leaf("")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for Config {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("step_kont", &mut self.step)?;
        target.leaf("stack_size_limit", &self.stack_size_limit)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            step: source.load("step_kont")?,
            stack_size_limit: source.leaf("stack_size_limit")?,
        })
    }
}
