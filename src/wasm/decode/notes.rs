//! What is noted of each function while a kernel is parsed for the first time.
//!
//! Why: nearly all ticks of parsing read the expressions of functions, and later look at them again
//! for a use of data segments. Where these ticks begin and end, and how many blocks they make, is
//! all that the rest of parsing depends on. Refuses to know: what is done with it.

use std::ops::Range;

use super::{BlockKont, CodeKont, DecodeKont, Element, ModuleKont};

/// The expression of a function of the code section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    /// Label of its first block, the others follow.
    pub(super) label: i32,
    /// Number of its blocks.
    pub(super) blocks: i32,
    /// Where it starts in the binary.
    pub(super) start: i32,
    /// Where its closing byte is.
    pub(super) end: i32,
    /// Ticks that read it.
    pub(super) ticks: u64,
    /// Ticks that join it with its type and look for a use of data segments.
    pub(super) looked: u64,
}

impl Function {
    /// Labels of its blocks.
    pub(super) const fn labels(&self) -> Range<i32> {
        self.label..self.label.saturating_add(self.blocks)
    }
}

/// What a parsed module's functions are like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    pub(super) functions: Vec<Function>,
    /// The first function that uses data segments.
    pub(super) uses_data: Option<u32>,
}

/// Takes the notes, from the parser's first tick to its last.
#[derive(Debug, Default)]
pub struct Notes {
    noted: Noted,
    /// The expression that is being read: tick of its start, and what is known of it.
    open: Option<(u64, Function)>,
    /// Tick at which the function now being joined was begun.
    joined: u64,
}

impl Notes {
    /// Looks at the parser after so many ticks. Every state with an expression's start, an
    /// expression's end, or between two functions joined has to be shown.
    pub(super) fn see(&mut self, kont: &DecodeKont, tick: u64) {
        match &kont.kont {
            ModuleKont::Code(Element {
                kont: CodeKont::Body { block, .. },
                ..
            }) => self.see_body(kont, block, tick),
            ModuleKont::ElaborateFunc {
                done,
                scan: None,
                no_datas,
                ..
            } => {
                let before = (done.offset as u32).checked_sub(1);
                let function = before.and_then(|at| self.noted.functions.get_mut(at as usize));
                if let Some(function) = function {
                    function.looked = tick - self.joined;
                }
                self.joined = tick;
                if !no_datas && self.noted.uses_data.is_none() {
                    self.noted.uses_data = before;
                }
            }
            _ => {}
        }
    }

    fn see_body(&mut self, kont: &DecodeKont, block: &BlockKont, tick: u64) {
        let blocks = kont.allocations.blocks.len();
        match block {
            BlockKont::Start => {
                let function = Function {
                    label: blocks,
                    blocks: 0,
                    start: kont.stream_pos,
                    end: 0,
                    ticks: 0,
                    looked: 0,
                };
                self.open = Some((tick, function));
            }
            BlockKont::Stop(_) => {
                if let Some((began, function)) = self.open.take() {
                    self.noted.functions.push(Function {
                        blocks: blocks.wrapping_sub(function.label),
                        end: kont.stream_pos,
                        ticks: tick - began,
                        ..function
                    });
                }
            }
            BlockKont::Parse(_) => {}
        }
    }

    /// What was noted.
    #[must_use]
    pub fn finish(self) -> Noted {
        self.noted
    }
}
