//! Files that save work done before: compiled kernels, hashes of a kernel's blocks.
//!
//! Promises: a file is loaded only when it is ours alone to write, is of the name, kind and version
//! asked for, and its content has the digest it was written with; anything else is as if it were not
//! there. Files come to be whole or not at all. Refuses to know: what is inside.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::crypto::{Hash, blake2b_concat};

/// A folder of such files.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: Option<PathBuf>,
    /// Says what the files are, and the version of their content.
    format: &'static [u8],
}

impl Folder {
    /// A folder, or none to keep nothing on disk.
    pub(super) const fn new(path: Option<PathBuf>, format: &'static [u8]) -> Self {
        Self { path, format }
    }

    fn file(&self, name: &Hash) -> Option<PathBuf> {
        self.path.as_ref().map(|path| path.join(name.to_string()))
    }

    /// What is kept under a name, if it is there and whole.
    pub(super) fn load(&self, name: &Hash) -> Option<Vec<u8>> {
        let file = self.file(name)?;
        if !is_private(&file) {
            return None;
        }
        let bytes = std::fs::read(file).ok()?;
        let (digest, content) = bytes.split_first_chunk::<32>()?;
        (self.digest_of(name, content).as_bytes() == digest).then(|| content.to_vec())
    }

    /// Keeps something. A failure only costs the work later, so it is not an error.
    pub(super) fn keep(&self, name: &Hash, content: &[u8]) {
        let Some(file) = self.file(name) else { return };
        if let Err(error) = write_private(&file, &self.digest_of(name, content), content) {
            tracing::warn!(file = %file.display(), %error, "saved work not kept");
        }
    }

    fn digest_of(&self, name: &Hash, content: &[u8]) -> Hash {
        blake2b_concat(&[self.format, name.as_bytes(), content])
    }
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

fn write_private(file: &Path, digest: &Hash, content: &[u8]) -> std::io::Result<()> {
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
    output.write_all(content)?;
    output.sync_all()?;
    std::fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::blake2b;

    #[test]
    fn a_damaged_foreign_or_renamed_file_is_not_loaded() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(scratch.path().to_owned()), b"test 1");
        let (name, other) = (blake2b(b"kernel"), blake2b(b"another"));
        assert_eq!(folder.load(&name), None);
        folder.keep(&name, b"saved work");
        assert_eq!(folder.load(&name).as_deref(), Some(&b"saved work"[..]));
        let file = folder.file(&name).unwrap();
        std::fs::copy(&file, folder.file(&other).unwrap()).unwrap();
        assert_eq!(folder.load(&other), None);
        let later = Folder::new(Some(scratch.path().to_owned()), b"test 2");
        assert_eq!(later.load(&name), None);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(folder.load(&name), None);
        folder.keep(&name, b"saved work");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o620)).unwrap();
            assert_eq!(folder.load(&name), None);
        }
    }
}
