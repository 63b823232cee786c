//! The operator's brake: a file in the data directory, so that it works beside a running tower, by
//! hand too, and outlives any crash.
//!
//! Promises: the brake is on exactly while the file is there. Refuses to know: who else holds.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Name of the file whose presence stops all sending.
pub const BRAKE: &str = "brake";
/// Name of the file that ends every hold once the tower sees it.
const RELEASE: &str = "release";

/// The brake, put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its file.
    pub path: PathBuf,
    /// Why it had been on already, if it had: that reason stays.
    pub before: Option<String>,
}

/// Puts the brake on.
///
/// # Errors
/// [`std::io::Error`] when the file cannot be written.
pub fn pull(data_dir: &Path, reason: &str) -> std::io::Result<Pulled> {
    let path = data_dir.join(BRAKE);
    let made = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let before = Some(pulled(data_dir).unwrap_or_default());
            return Ok(Pulled { path, before });
        }
        Err(error) => return Err(error),
    };
    writeln!(file, "{reason}")?;
    file.sync_all()?;
    Ok(Pulled { path, before: None })
}

/// Takes the brake off, and asks a tower that holds for another reason to go on.
///
/// # Errors
/// [`std::io::Error`] when the files cannot be changed.
pub fn release(data_dir: &Path) -> std::io::Result<()> {
    remove(&data_dir.join(BRAKE))?;
    std::fs::File::create(data_dir.join(RELEASE))?.sync_all()
}

/// The reason given when the brake was put on, if it is. A file that cannot be read brakes too.
pub(super) fn pulled(data_dir: &Path) -> Option<String> {
    match std::fs::read_to_string(data_dir.join(BRAKE)) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Whether somebody asked to go on, once.
pub(super) fn take_release(data_dir: &Path) -> bool {
    remove(&data_dir.join(RELEASE)).unwrap_or(false)
}

fn remove(path: &Path) -> std::io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brake_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert_eq!(pulled(data), None);
        pull(data, "maintenance").unwrap();
        assert_eq!(pulled(data).as_deref(), Some("maintenance"));
        assert!(!take_release(data));
        release(data).unwrap();
        assert_eq!(pulled(data), None);
        assert!(take_release(data));
        assert!(!take_release(data), "a release counts once");
        // By hand, with nothing in it.
        std::fs::write(data.join(BRAKE), "").unwrap();
        assert_eq!(pulled(data).as_deref(), Some(""));
    }
}
