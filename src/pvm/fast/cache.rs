//! Compiled kernels: what their files are called, and the last few in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::crypto::{Hash, blake2b, blake2b_concat};

/// Version of what our own code puts into compiled kernels: charges, limits, features.
pub(super) const FORMAT: &[u8] = b"watchtower compiled kernel 3";
/// Kernels kept ready in memory.
const IN_MEMORY: usize = 4;

/// Names one compiled kernel: kernel, compiler, processor, limits.
pub(super) fn name_of(kernel: &Hash, compiler: &str, processor: &str, limits: &str) -> Hash {
    let field = |text: &str| blake2b(text.as_bytes()).0;
    blake2b_concat(&[
        FORMAT,
        kernel.as_bytes(),
        &field(compiler),
        &field(processor),
        &field(limits),
    ])
}

/// The last few modules, ready to instantiate.
#[derive(Debug)]
pub(super) struct Recent<T>(Mutex<VecDeque<(Hash, T)>>);

impl<T: Clone> Recent<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(super) fn get(&self, name: &Hash) -> Option<T> {
        let mut modules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = modules.iter().position(|(known, _)| known == name)?;
        let entry = modules.remove(at)?;
        let module = entry.1.clone();
        modules.push_front(entry);
        Some(module)
    }

    pub(super) fn put(&self, name: Hash, module: T) {
        let mut modules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        modules.retain(|(known, _)| *known != name);
        modules.push_front((name, module));
        modules.truncate(IN_MEMORY);
    }
}
