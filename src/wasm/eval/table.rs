//! Tables (`runtime/partial_table.ml`).

use super::memory::assertion;
use crate::wasm::ast::Limits;
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{Ref, TableInst};

impl TableInst {
    /// Size in elements.
    #[must_use]
    pub const fn size(&self) -> i32 {
        self.refs.len()
    }

    /// The element at `index`, or `None` outside.
    pub(crate) fn element(&mut self, index: i32) -> Result<Option<Ref>, Fault> {
        match self.refs.get(index) {
            Ok(reference) => Ok(Some(reference.clone())),
            Err(Fault::Raised(Exception::VectorBounds)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Whether the element was stored; not outside.
    pub(crate) fn set_element(&mut self, index: i32, reference: Ref) -> Result<bool, Fault> {
        if reference.ty() != self.ty.element {
            return Err(Fault::located("type mismatch at table access"));
        }
        match self.refs.set(index, reference) {
            Ok(()) => Ok(true),
            Err(Fault::Raised(Exception::VectorBounds)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Grows by `delta` elements and returns the old size, or -1. A delta of 2^31 or more changes
    /// the declared size only, as in the original.
    pub(crate) fn grow(&mut self, delta: i32, reference: &Ref) -> Result<i32, Fault> {
        let limits = self.ty.limits;
        if limits.min != self.size() {
            return Err(assertion("partial_table.ml", 66));
        }
        let new = limits.min.wrapping_add(delta);
        if (limits.min as u32) > (new as u32) {
            return Ok(-1);
        }
        let grown = Limits { min: new, ..limits };
        if !grown.is_valid() {
            return Ok(-1);
        }
        self.refs.grow(delta, reference)?;
        self.ty.limits = grown;
        Ok(limits.min)
    }
}
