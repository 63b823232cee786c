//! Calls in the making: one step of preparing a frame, or a host function in a single one.

use super::host::{HostOutcome, Memories};
use super::{Context, lookup};
use crate::wasm::ast::ValueType;
use crate::wasm::ast::{Num, NumType, V128};
use crate::wasm::config::{
    Admin, Code, ConcatKont, Frame, FrameStack, InvokeKont, Label, LabelStack, MapKont,
};
use crate::wasm::fault::{EvalStep, Exception, Fault};
use crate::wasm::instance::{FuncInst, ModuleKey, Ref, Value};
use crate::wasm::lazy::LazyVec;

/// What an evaluation tick on a wait for a reveal raises.
pub(crate) const REVEAL_STEP: &str = "The reveal tick cannot be evaluated as is";

fn default_value(ty: ValueType) -> Value {
    match ty {
        ValueType::Num(NumType::I32) => Value::Num(Num::I32(0)),
        ValueType::Num(NumType::I64) => Value::Num(Num::I64(0)),
        ValueType::V128 => Value::V128(V128::default()),
        ValueType::Ref(ty) => Value::Ref(Ref::Null(ty)),
    }
}

impl Context<'_> {
    /// One step of a call. `caller` is the module of the frame that calls.
    pub(super) fn invoke_step(
        &mut self,
        caller: &ModuleKey,
        kont: InvokeKont,
    ) -> Result<InvokeKont, Fault> {
        match kont {
            InvokeKont::Start { func, code } => self.begin(caller, func, code),
            InvokeKont::RevealTick { .. } => Err(Fault::Raised(Exception::EvalStep(
                EvalStep::Invoke(REVEAL_STEP),
            ))),
            InvokeKont::Stop { remaining, .. } if remaining <= 0 => Err(Fault::Raised(
                Exception::EvalStep(EvalStep::Invoke("Inv_stop cannot reduce")),
            )),
            other => frame_step(other),
        }
    }

    fn begin(
        &mut self,
        caller: &ModuleKey,
        func: FuncInst,
        code: Code,
    ) -> Result<InvokeKont, Fault> {
        let arity = func.ty().results.len();
        let (args, values) = code.values.split(func.ty().params.len())?;
        let code = Code {
            values,
            instructions: code.instructions,
        };
        match func {
            FuncInst::Native { module, func, .. } => Ok(InvokeKont::PrepareLocals {
                arity,
                args,
                code,
                module,
                kont: MapKont::new(func.locals.clone()),
                func,
            }),
            FuncInst::Host { name, .. } => self.host_call(caller, &name, args, code),
        }
    }

    fn host_call(
        &mut self,
        caller: &ModuleKey,
        name: &str,
        mut args: LazyVec<Value>,
        mut code: Code,
    ) -> Result<InvokeKont, Fault> {
        let mut args = args.to_items()?;
        args.reverse();
        let instance = lookup::module_mut(self.registry, caller)?;
        let memories = if self.init {
            Memories::DuringInit
        } else {
            Memories::OfCaller(&mut instance.memories)
        };
        match self.host.call(name, &args, memories)? {
            HostOutcome::Returned { results, ticks } => {
                code.values.prepend(results)?;
                Ok(InvokeKont::Stop {
                    code,
                    fresh_frame: None,
                    remaining: ticks,
                })
            }
            HostOutcome::Reveals {
                request,
                base,
                max_bytes,
            } => Ok(InvokeKont::RevealTick {
                reveal: request,
                base,
                max_bytes,
                code,
            }),
        }
    }
}

/// The steps that only move values.
fn frame_step(kont: InvokeKont) -> Result<InvokeKont, Fault> {
    Ok(match kont {
        InvokeKont::PrepareLocals {
            arity,
            args,
            code,
            module,
            func,
            mut kont,
        } => {
            if kont.is_complete() {
                return Ok(InvokeKont::PrepareArgs {
                    arity,
                    code,
                    module,
                    func,
                    locals: kont.destination,
                    kont: MapKont::new(args),
                });
            }
            kont.step(|_, ty| Ok(default_value(*ty)))?;
            InvokeKont::PrepareLocals {
                arity,
                args,
                code,
                module,
                func,
                kont,
            }
        }
        InvokeKont::PrepareArgs {
            arity,
            code,
            module,
            func,
            locals,
            mut kont,
        } => {
            if kont.is_complete() {
                return Ok(InvokeKont::Concat {
                    arity,
                    code,
                    module,
                    func,
                    kont: ConcatKont::new(kont.destination, locals)?,
                });
            }
            kont.step_reversed(Value::clone)?;
            InvokeKont::PrepareArgs {
                arity,
                code,
                module,
                func,
                locals,
                kont,
            }
        }
        InvokeKont::Concat {
            arity,
            code,
            module,
            func,
            mut kont,
        } => {
            if kont.is_complete() {
                return Ok(fresh_frame(arity, code, module, func.body, kont.result));
            }
            kont.step()?;
            InvokeKont::Concat {
                arity,
                code,
                module,
                func,
                kont,
            }
        }
        InvokeKont::Stop {
            code,
            fresh_frame,
            remaining,
        } => InvokeKont::Stop {
            code,
            fresh_frame,
            remaining: remaining.saturating_sub(1),
        },
        other => other,
    })
}

fn fresh_frame(
    arity: i32,
    code: Code,
    module: ModuleKey,
    body: crate::wasm::ast::BlockLabel,
    locals: LazyVec<Value>,
) -> InvokeKont {
    let top = Label {
        arity: Some(arity),
        break_to: None,
        code: Code {
            values: LazyVec::default(),
            instructions: LazyVec::singleton(Admin::FromBlock(body, 0)),
        },
    };
    InvokeKont::Stop {
        code,
        fresh_frame: Some(FrameStack {
            arity: Some(arity),
            frame: Frame { module, locals },
            labels: LabelStack {
                top,
                rest: LazyVec::default(),
            },
        }),
        remaining: 0,
    }
}
