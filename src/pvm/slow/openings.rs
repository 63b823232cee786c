//! Openings that runs share: in this process's memory, and on disk for the next one.
//!
//! Promises: the same answers with and without what is on disk; a file that is damaged, of another
//! kernel or version, or does not fit the kernel is as if it were not there, and is written again.
//! Refuses to know: how an opening is computed.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use super::opening::{Opening, locked};
use crate::crypto::{Hash, blake2b_concat};
use crate::protocol::PvmVersion;
use crate::pvm::folder::Folder;
use crate::pvm::{Key, PvmError, State};

/// Openings kept for other runs.
const KEPT: usize = 4;
/// Version of the files with hashes of blocks, and of what is hashed.
const FORMAT: &[u8] = b"watchtower hashes of blocks 1";

type Named = (Hash, PvmVersion);
type Table = Mutex<Vec<(Named, Arc<Opening>)>>;

/// The openings of this process.
static SHARED: LazyLock<Arc<Table>> = LazyLock::new(Arc::default);

/// Openings that runs share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Openings {
    table: Arc<Table>,
    folder: Folder,
}

impl Default for Openings {
    fn default() -> Self {
        Self {
            table: Arc::clone(&SHARED),
            folder: Folder::new(None, FORMAT),
        }
    }
}

impl Openings {
    /// The openings of this process; what is worth it is kept in a folder for the next one.
    #[must_use]
    pub fn kept_in(folder: PathBuf) -> Self {
        Self {
            folder: Folder::new(Some(folder), FORMAT),
            ..Self::default()
        }
    }

    /// The same, but with nothing in memory yet, as in a new process.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            table: Arc::default(),
            folder: self.folder.clone(),
        }
    }

    /// The opening of a state's kernel, from memory if it was there before; none when there is no
    /// kernel.
    pub(super) fn of(&self, state: &mut State) -> Result<Option<Arc<Opening>>, PvmError> {
        let key = Key::KERNEL.key();
        let version = state.version()?;
        let Some(hash) = state.durable.value_hash(&key)? else {
            return Ok(None);
        };
        let name = (hash, version);
        let mut kept = locked(&self.table);
        if let Some(at) = kept.iter().position(|(known, _)| *known == name) {
            let found = kept.remove(at);
            let opening = Arc::clone(&found.1);
            kept.push(found);
            return Ok(Some(opening));
        }
        let Some(kernel) = state.durable.get(&key)? else {
            return Ok(None);
        };
        let file = blake2b_concat(&[FORMAT, hash.as_bytes(), version.text().as_bytes()]);
        let opening = Opening::new(kernel, version, self.folder.clone(), file);
        let opening = Arc::new(opening);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((name, Arc::clone(&opening)));
        Ok(Some(opening))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::protocol::Level;
    use crate::pvm::slow::verify;
    use crate::pvm::standin::{Shape, kernel};
    use crate::pvm::{Environment, MetadataAlone, Origination, Timeline};

    const PERIOD: u128 = 50_000_000_000_000;

    fn timeline(version: PvmVersion, openings: &Openings) -> Timeline {
        let origination = Origination {
            version,
            ticks_per_snapshot: PERIOD as u64,
            outbox_validity_period: 10,
            outbox_message_limit: 100,
        };
        let environment = Environment {
            openings: openings.clone(),
            ..Environment::without_fast(Arc::new(MetadataAlone([7; 24])))
        };
        let start = State::originate(&origination, &kernel(Shape::SLICE)).unwrap();
        let messages = vec![vec![0, 1], vec![0, 2]];
        let levels = vec![(Level::new(5), messages.into())];
        Timeline::new(start, levels, environment).unwrap()
    }

    /// Hashes in parsing, in initialisation and in evaluation.
    fn answers(version: PvmVersion, openings: &Openings) -> Vec<Option<Hash>> {
        let ticks = [20_000, 60_000, 120_000].map(|tick| PERIOD + tick);
        let hashes = timeline(version, openings).hashes(&ticks).unwrap();
        assert!(hashes.iter().all(Option::is_some));
        hashes
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_new_process_answers_alike_whatever_is_on_disk() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Openings::kept_in(scratch.path().to_owned());
        let version = PvmVersion::V5;
        let expected = answers(version, &Openings::default().afresh());
        assert_eq!(answers(version, &kept.afresh()), expected);
        let [file] = files(scratch.path()).try_into().unwrap();
        let whole = std::fs::read(&file).unwrap();
        assert_eq!(answers(version, &kept.afresh()), expected, "from the file");
        let proved = timeline(version, &kept.afresh())
            .prove(PERIOD + 120_000)
            .unwrap();
        verify(&proved.proof, &proved.input).unwrap();
        // Damaged, it is written again.
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for bytes in [&damaged[..], &whole[..whole.len() - 32]] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(answers(version, &kept.afresh()), expected, "damaged");
            assert_eq!(std::fs::read(&file).unwrap(), whole);
        }
        // Whole, but of other blocks.
        let name = hex::decode(file.file_name().unwrap().to_str().unwrap()).unwrap();
        let name = Hash::try_from(name.as_slice()).unwrap();
        let other: Vec<u8> = whole[32..].iter().rev().copied().collect();
        kept.folder.keep(&name, &other);
        assert_eq!(answers(version, &kept.afresh()), expected, "of others");
        assert_eq!(std::fs::read(&file).unwrap(), whole);
        // Another version is another file.
        answers(PvmVersion::V4, &kept.afresh());
        assert_eq!(files(scratch.path()).len(), 2);
    }
}
