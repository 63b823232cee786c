//! Files that save work done before: compiled kernels, hashes of a kernel's blocks, how runs begin.
//!
//! Promises: a file is loaded only when it is ours alone to write, is of the name, kind and version
//! asked for, and its content has the digest it was written with; anything else is as if it were not
//! there. Files come to be whole or not at all. Where a number of files is set, those not used for the
//! longest time go first. Refuses to know: what is inside.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::crypto::{Hash, blake2b_concat};
use crate::protocol::PvmVersion;

/// A folder of such files.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: Option<PathBuf>,
    /// Says what the files are, and the version of their content.
    format: &'static [u8],
    /// Files that stay, of every format together.
    most: usize,
}

/// One file of a folder.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    pub(super) folder: Folder,
    pub(super) name: Hash,
}

impl Saved {
    /// What is kept, if it is there and whole.
    pub(super) fn load(&self) -> Option<Vec<u8>> {
        self.folder.load(&self.name)
    }

    /// Whether there is a disk to keep it on.
    pub(super) const fn is_on_disk(&self) -> bool {
        self.folder.path.is_some()
    }

    /// Keeps something.
    pub(super) fn keep(&self, content: &[u8]) {
        self.folder.keep(&self.name, content);
    }
}

impl Folder {
    /// A folder, or none to keep nothing on disk.
    pub(super) const fn new(path: Option<PathBuf>, format: &'static [u8]) -> Self {
        Self {
            path,
            format,
            most: usize::MAX,
        }
    }

    /// The same folder, but of at most so many files.
    pub(super) const fn of_at_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The file of a kernel in a version of the machine.
    pub(super) fn of_kernel(&self, kernel: &Hash, version: PvmVersion) -> Saved {
        let parts = [self.format, kernel.as_bytes(), version.text().as_bytes()];
        Saved {
            folder: self.clone(),
            name: blake2b_concat(&parts),
        }
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
        let mut whole = std::fs::File::open(&file).ok()?;
        let mut digest = [0; 32];
        whole.read_exact(&mut digest).ok()?;
        let mut content = Vec::new();
        whole.read_to_end(&mut content).ok()?;
        if self.digest_of(name, &content).as_bytes() != &digest {
            return None;
        }
        if self.most < usize::MAX {
            let opened = std::fs::File::options().append(true).open(&file);
            let used = opened.and_then(|file| file.set_modified(SystemTime::now()));
            if let Err(error) = used {
                tracing::debug!(file = %file.display(), %error, "use of saved work not noted");
            }
        }
        Some(content)
    }

    /// Keeps something. A failure only costs the work later, so it is not an error.
    pub(super) fn keep(&self, name: &Hash, content: &[u8]) {
        let Some(file) = self.file(name) else { return };
        if let Err(error) = write_private(&file, &self.digest_of(name, content), content) {
            tracing::warn!(file = %file.display(), %error, "saved work not kept");
        }
        if let Err(error) = self.make_room() {
            tracing::warn!(file = %file.display(), %error, "older saved work not removed");
        }
    }

    /// Removes the files beyond the number, what broken writings left among them.
    fn make_room(&self) -> std::io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.most < usize::MAX) else {
            return Ok(());
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((metadata.modified()?, entry.path()));
            }
        }
        files.sort();
        let beyond = files.len().saturating_sub(self.most);
        files
            .into_iter()
            .take(beyond)
            .try_for_each(|(_, file)| std::fs::remove_file(file))
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
    fn the_file_not_used_for_longest_makes_room() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(scratch.path().to_owned()), b"test 1").of_at_most(2);
        let names = [b"1", b"2", b"3"].map(|text| blake2b(text));
        let set = |name: &Hash, seconds: u64| {
            let mut options = std::fs::File::options();
            let file = options.append(true).open(folder.file(name).unwrap());
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.unwrap().set_modified(time).unwrap();
        };
        folder.keep(&names[0], b"first");
        folder.keep(&names[1], b"second");
        set(&names[0], 1);
        set(&names[1], 2);
        assert!(folder.load(&names[0]).is_some(), "now it was used last");
        folder.keep(&names[2], b"third");
        let there = names.map(|name| folder.load(&name).is_some());
        assert_eq!(there, [true, false, true]);
    }

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
