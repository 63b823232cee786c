//! The files of a store and what each crash leaves of them.
//!
//! `current` names a generation; `nodes.N` and `roots.N` hold it; `lock` keeps other writers out.
//! A commit appends records, syncs, then appends one entry to the roots and syncs: what follows the
//! last whole entry never happened. A prune writes a new generation and then renames `current`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::crypto::{Hash, blake2b};

use super::StoreError;
use super::record::Place;

/// First bytes of both files; the digit is the version of the format.
const MAGIC: &[u8; 16] = b"watchtower tree1";
/// Where the first record lies.
pub(super) const START: u64 = MAGIC.len() as u64;
/// Bytes of one entry of the roots: hash, place, end of the records, check.
const ENTRY: usize = 32 + 8 + 8 + 8;

/// A root whose records are all there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) root: Place,
    pub(super) end: u64,
}

impl Committed {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let parts = [
            &self.root.hash.0[..],
            &self.root.at.to_le_bytes(),
            &self.end.to_le_bytes(),
        ];
        let check = blake2b(&parts.concat());
        let whole = parts.into_iter().flatten().chain(&check.0);
        for (place, byte) in bytes.iter_mut().zip(whole) {
            *place = *byte;
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk::<32>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (end, _) = rest.split_first_chunk::<8>()?;
        let entry = Self {
            root: Place {
                hash: Hash(*hash),
                at: u64::from_le_bytes(*at),
            },
            end: u64::from_le_bytes(*end),
        };
        (entry.to_bytes() == bytes).then_some(entry)
    }
}

/// The two open files of a generation.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) nodes_path: PathBuf,
    pub(super) nodes: File,
    pub(super) roots: Roots,
}

/// The list of roots.
#[derive(Debug)]
pub(super) struct Roots {
    path: PathBuf,
    file: File,
    pub(super) list: Vec<Committed>,
}

impl Roots {
    /// Where the records of the last root end.
    pub(super) fn end(&self) -> u64 {
        self.list.last().map_or(START, |last| last.end)
    }

    /// Makes a root count, once its records are on disk.
    pub(super) fn append(&mut self, entry: Committed) -> Result<(), StoreError> {
        let at = START + (self.list.len() * ENTRY) as u64;
        let written = self
            .file
            .write_all_at(&entry.to_bytes(), at)
            .and_then(|()| self.file.sync_data());
        written.map_err(|error| StoreError::io(&self.path, error))?;
        self.list.push(entry);
        Ok(())
    }
}

fn named(folder: &Path, what: &str, number: u64) -> PathBuf {
    folder.join(format!("{what}.{number}"))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    move |error| StoreError::io(path, error)
}

/// Takes the lock; it is released when the file is closed, however the process ends.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
        Err(fs::TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
    }
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_at(folder))
}

/// Makes empty files of a generation.
pub(super) fn create(folder: &Path, number: u64) -> Result<Generation, StoreError> {
    let make = |path: &Path| -> Result<File, StoreError> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)
            .map_err(io_at(path))?;
        file.write_all(MAGIC)
            .and_then(|()| file.sync_all())
            .map_err(io_at(path))?;
        Ok(file)
    };
    let (nodes_path, path) = (
        named(folder, "nodes", number),
        named(folder, "roots", number),
    );
    let (nodes, file) = (make(&nodes_path)?, make(&path)?);
    Ok(Generation {
        number,
        nodes_path,
        nodes,
        roots: Roots {
            path,
            file,
            list: Vec::new(),
        },
    })
}

/// Makes a generation the one that counts.
pub(super) fn switch(folder: &Path, number: u64) -> Result<(), StoreError> {
    sync_folder(folder)?;
    let (new, current) = (folder.join("current.new"), folder.join("current"));
    let mut file = File::create(&new).map_err(io_at(&new))?;
    file.write_all(format!("{number}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io_at(&new))?;
    fs::rename(&new, &current).map_err(io_at(&current))?;
    sync_folder(folder)
}

/// The number in `current`; nothing in a new store.
pub(super) fn current(folder: &Path) -> Result<Option<u64>, StoreError> {
    let path = folder.join("current");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(StoreError::io(&path, error)),
    };
    match text.strip_suffix('\n').map(str::parse) {
        Some(Ok(number)) => Ok(Some(number)),
        _ => Err(StoreError::Damaged {
            path,
            at: 0,
            problem: "no generation number",
        }),
    }
}

/// Removes what an interrupted prune or creation left, and generations that no longer count.
pub(super) fn sweep(folder: &Path, keep: u64) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let path = entry.map_err(io_at(folder))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name else { continue };
        let number = name
            .strip_prefix("nodes.")
            .or_else(|| name.strip_prefix("roots."))
            .and_then(|number| number.parse::<u64>().ok());
        if number.is_some_and(|number| number != keep) || name == "current.new" {
            fs::remove_file(&path).map_err(io_at(&path))?;
        }
    }
    Ok(())
}

/// Whether there are records although nothing says which of them count.
pub(super) fn holds_records(folder: &Path) -> Result<bool, StoreError> {
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let entry = entry.map_err(io_at(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let length = entry.metadata().map_err(io_at(folder))?.len();
        if name.starts_with("roots.") && length > START {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a generation and cuts off what no root covers.
pub(super) fn open(folder: &Path, number: u64) -> Result<Generation, StoreError> {
    let nodes_path = named(folder, "nodes", number);
    let path = named(folder, "roots", number);
    let (nodes, length) = opened(&nodes_path)?;
    let (mut file, _) = opened(&path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_at(&path))?;
    let mut list = Vec::new();
    let mut chunks = bytes.chunks(ENTRY).peekable();
    while let Some(chunk) = chunks.next() {
        match Committed::parse(chunk) {
            Some(entry) if entry.end <= length => list.push(entry),
            // The records of this root, and so of all later ones, are gone: they never happened.
            Some(_) => break,
            None if chunks.peek().is_none() => break,
            None => {
                return Err(StoreError::Damaged {
                    path,
                    at: START + (list.len() * ENTRY) as u64,
                    problem: "damaged entry between whole ones",
                });
            }
        }
    }
    let roots = Roots { path, file, list };
    let kept = START + (roots.list.len() * ENTRY) as u64;
    roots.file.set_len(kept).map_err(io_at(&roots.path))?;
    nodes.set_len(roots.end()).map_err(io_at(&nodes_path))?;
    Ok(Generation {
        number,
        nodes_path,
        nodes,
        roots,
    })
}

/// Opens a file and checks its first bytes.
fn opened(path: &Path) -> Result<(File, u64), StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io_at(path))?;
    let length = file.metadata().map_err(io_at(path))?.len();
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => Ok((file, length)),
        Ok(()) => Err(StoreError::Damaged {
            path: path.to_owned(),
            at: 0,
            problem: "not a file of this store",
        }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(StoreError::Damaged {
            path: path.to_owned(),
            at: length,
            problem: "cut off in its first bytes",
        }),
        Err(error) => Err(StoreError::io(path, error)),
    }
}
