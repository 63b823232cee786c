//! Compiled kernels on disk and in memory.
//!
//! Promises: a file is loaded only when it is ours alone to write, says which kernel, compiler and
//! processor it is for, and its content has the digest it was written with; anything else is
//! compiled again. Refuses to know: what is inside.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::crypto::{Hash, blake2b, blake2b_concat};

/// Version of what our own code puts into compiled kernels: charges, limits, features.
const FORMAT: &[u8] = b"watchtower compiled kernel 3";
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

/// Compiled kernels as files.
#[derive(Debug)]
pub(super) struct Folder {
    path: Option<PathBuf>,
}

impl Folder {
    /// A folder, or none to keep nothing on disk.
    pub(super) const fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    fn file(&self, name: &Hash) -> Option<PathBuf> {
        self.path.as_ref().map(|path| path.join(name.to_string()))
    }

    /// The native code kept under a name, if it is there and whole.
    pub(super) fn load(&self, name: &Hash) -> Option<Vec<u8>> {
        let file = self.file(name)?;
        if !is_private(&file) {
            return None;
        }
        let bytes = std::fs::read(file).ok()?;
        let (digest, code) = bytes.split_first_chunk::<32>()?;
        (digest_of(name, code).as_bytes() == digest).then(|| code.to_vec())
    }

    /// Keeps native code. A failure only costs a compilation later, so it is not an error.
    pub(super) fn keep(&self, name: &Hash, code: &[u8]) {
        let Some(file) = self.file(name) else { return };
        if let Err(error) = write_private(&file, &digest_of(name, code), code) {
            tracing::warn!(file = %file.display(), %error, "compiled kernel not kept");
        }
    }
}

fn digest_of(name: &Hash, code: &[u8]) -> Hash {
    blake2b_concat(&[FORMAT, name.as_bytes(), code])
}

#[cfg(unix)]
fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(file: &Path) -> bool {
    file.is_file()
}

fn write_private(file: &Path, digest: &Hash, code: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = file.with_extension(format!("{}.part", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut output = options.open(&unfinished)?;
    output.write_all(digest.as_bytes())?;
    output.write_all(code)?;
    output.sync_all()?;
    std::fs::rename(unfinished, file)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_foreign_or_renamed_file_is_not_loaded() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(scratch.path().to_owned()));
        let (name, other) = (blake2b(b"kernel"), blake2b(b"another"));
        assert_eq!(folder.load(&name), None);
        folder.keep(&name, b"native code");
        assert_eq!(folder.load(&name).as_deref(), Some(&b"native code"[..]));
        let file = folder.file(&name).unwrap();
        std::fs::copy(&file, folder.file(&other).unwrap()).unwrap();
        assert_eq!(folder.load(&other), None);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(folder.load(&name), None);
        folder.keep(&name, b"native code");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o620)).unwrap();
            assert_eq!(folder.load(&name), None);
        }
    }
}
