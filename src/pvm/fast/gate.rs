//! What may be compiled at all.
//!
//! Why: the compiler cannot refuse floats, and it accepts or refuses other things than the
//! reference parser, linker and initialiser do. Promises: a kernel that passes means the same to
//! both; everything else is declined, never judged. Refuses to know: how to run.
//! Upstream rule: `decode.ml` (floats, names), `wasm_vm.ml` (imports, exports, memory 0).

use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, Validator, WasmFeatures};

use super::plan::{Plan, PlanBuilder};
use crate::pvm::Declined;

/// Longest name of an import or export.
const NAME_LIMIT: usize = 512;

/// Pages of the largest memory.
const MAX_PAGES: u64 = 65_536;

/// What the machine has: WebAssembly 1.0 and mutable globals, sign extension, bulk memory,
/// reference types, SIMD; no floats, no multi-value.
const FEATURES: WasmFeatures = WasmFeatures::WASM1
    .difference(WasmFeatures::FLOATS)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::SIMD);

fn refused(problem: impl std::fmt::Display) -> Declined {
    Declined::Kernel(problem.to_string())
}

/// Checks a kernel and measures what its functions may cost.
pub(super) fn admit(kernel: &[u8]) -> Result<Plan, Declined> {
    Validator::new_with_features(FEATURES)
        .validate_all(kernel)
        .map_err(refused)?;
    let mut shape = Shape::default();
    let mut plan = PlanBuilder::default();
    for payload in Parser::new(0).parse_all(kernel) {
        shape.see(&payload.map_err(refused)?, &mut plan)?;
    }
    shape.check()?;
    Ok(plan.finish())
}

/// What matters of a module besides its code.
#[derive(Default)]
struct Shape {
    types: Vec<FuncType>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    imported: usize,
    memories: usize,
    exports_memory: bool,
    kernel_run: Option<u32>,
}

impl Shape {
    fn see(&mut self, payload: &Payload<'_>, plan: &mut PlanBuilder) -> Result<(), Declined> {
        match payload {
            Payload::TypeSection(types) => {
                for ty in types.clone().into_iter_err_on_gc_types() {
                    self.types.push(ty.map_err(refused)?);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    let import = import.map_err(refused)?;
                    name_length(import.module)?;
                    name_length(import.name)?;
                    let TypeRef::Func(ty) = import.ty else {
                        return Err(Declined::Import {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                        });
                    };
                    self.functions.push(ty);
                    self.imported += 1;
                }
                plan.imports(self.imported);
            }
            Payload::FunctionSection(functions) => {
                for ty in functions.clone() {
                    self.functions.push(ty.map_err(refused)?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    let maximum = table.map_err(refused)?.ty.maximum;
                    let elements = maximum.unwrap_or(u64::from(u32::MAX));
                    plan.limits.elements.push(elements);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    let maximum = memory.map_err(refused)?.maximum;
                    plan.limits.pages = maximum.unwrap_or(MAX_PAGES).min(MAX_PAGES);
                    self.memories += 1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export.map_err(refused)?;
                    name_length(export.name)?;
                    match export.kind {
                        ExternalKind::Memory => self.exports_memory = true,
                        ExternalKind::Func if export.name == "kernel_run" => {
                            self.kernel_run = Some(export.index);
                        }
                        _ => {}
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let parameters = self.parameters_of(plan.next_function());
                plan.function(body, parameters).map_err(refused)?;
            }
            Payload::CustomSection(section) => name_length(section.name())?,
            _ => {}
        }
        Ok(())
    }

    fn parameters_of(&self, function: usize) -> usize {
        self.function_type(function)
            .map_or(0, |ty| ty.params().len())
    }

    fn function_type(&self, function: usize) -> Option<&FuncType> {
        let ty = self.functions.get(function)?;
        self.types.get(usize::try_from(*ty).ok()?)
    }

    fn check(&self) -> Result<(), Declined> {
        if self.memories != 1 || !self.exports_memory {
            return Err(refused("it does not export its one memory"));
        }
        let ty = self
            .kernel_run
            .and_then(|index| self.function_type(usize::try_from(index).ok()?));
        match ty {
            Some(ty) if ty.params().is_empty() && ty.results().is_empty() => Ok(()),
            Some(_) => Err(refused("kernel_run has arguments or results")),
            None => Err(refused("it exports no function kernel_run")),
        }
    }
}

fn name_length(name: &str) -> Result<(), Declined> {
    if name.len() <= NAME_LIMIT {
        return Ok(());
    }
    Err(refused(format!("a name of {} bytes", name.len())))
}
