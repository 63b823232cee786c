//! Linking: one import a tick, host functions only.

use super::LinkState;
use crate::wasm::fault::Fault;
use crate::wasm::instance::Extern;

/// What kernels can import.
pub trait HostImports {
    /// The only module there is.
    fn module(&self) -> &str;

    /// The item of that module with this name, if there is one.
    fn item(&self, name: &str) -> Option<Extern>;
}

/// What one tick of linking did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// One more import is resolved.
    Import,
    /// The module is known, the item is not.
    UnknownItem {
        /// The module.
        module: String,
        /// The item.
        item: String,
    },
    /// The module is unknown.
    UnknownModule(String),
}

impl LinkState {
    /// Whether every import is resolved.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.offset >= self.module.imports.len()
    }

    /// One tick of linking.
    ///
    /// # Errors
    /// [`Fault`] of the containers.
    pub fn step(&mut self, host: &dyn HostImports) -> Result<Linked, Fault> {
        let import = self.module.imports.get(self.offset)?;
        if import.module != host.module() {
            return Ok(Linked::UnknownModule(import.module.clone()));
        }
        let Some(item) = host.item(&import.item) else {
            return Ok(Linked::UnknownItem {
                module: import.module.clone(),
                item: import.item.clone(),
            });
        };
        self.externs.append(item)?;
        self.offset = self.offset.wrapping_add(1);
        Ok(Linked::Import)
    }
}
