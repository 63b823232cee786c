//! Openings that runs share: in this process's memory, and on disk for the next one.
//!
//! On disk are, for each kernel and version, what parsing came to, and the module as run mode compiles
//! it with the native state that its runs begin with: a run needs nothing else until a state of it is
//! asked for. The stand-in of mainnet's largest kernel takes some tens of megabytes;
//! of sixteen files those not used for longest make room.
//!
//! Promises: the same answers with and without what is on disk; a file that is damaged, of another
//! kernel or version, or does not fit the kernel is as if it were not there, and is written again.
//! Refuses to know: how an opening is computed.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use super::opening::{Opening, locked};
use crate::crypto::Hash;
use crate::protocol::PvmVersion;
use crate::pvm::folder::Folder;
use crate::pvm::{Key, PvmError, State};
use crate::wasm::run;

/// Openings kept for other runs.
const KEPT: usize = 4;
/// Version of the files that say what parsing came to, and of what they say.
const FORMAT: &[u8] = b"watchtower parsed kernels 2";
/// Files on disk: two for each kernel.
const FILES: usize = 16;

type Named = (Hash, PvmVersion);
type Table = Mutex<Vec<(Named, Arc<Opening>)>>;

/// The openings of this process.
static SHARED: LazyLock<Arc<Table>> = LazyLock::new(Arc::default);

/// Openings that runs share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Openings {
    table: Arc<Table>,
    decoded: Folder,
    runs: Folder,
}

impl Default for Openings {
    fn default() -> Self {
        Self::over(Arc::clone(&SHARED), None)
    }
}

impl Openings {
    /// The openings of this process; what is worth it is kept in a folder for the next one.
    #[must_use]
    pub fn kept_in(folder: PathBuf) -> Self {
        Self::over(Arc::clone(&SHARED), Some(folder))
    }

    fn over(table: Arc<Table>, folder: Option<PathBuf>) -> Self {
        let of_format = |format| Folder::new(folder.clone(), format).of_at_most(FILES);
        Self {
            table,
            decoded: of_format(FORMAT),
            runs: of_format(run::FORMAT.as_bytes()),
        }
    }

    /// Waits until what is being written to disk is there.
    pub fn settle(&self) {
        let openings: Vec<_> = {
            let kept = locked(&self.table);
            kept.iter()
                .map(|(_, opening)| Arc::clone(opening))
                .collect()
        };
        for opening in openings {
            opening.settle();
        }
    }

    /// The same, but with nothing in memory yet, as in a new process.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            table: Arc::default(),
            ..self.clone()
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
        let [decoded, run] =
            [&self.decoded, &self.runs].map(|files| files.of_kernel(&hash, version));
        let opening = Arc::new(Opening::new(kernel, version, decoded, run));
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
    use crate::crypto::blake2b;
    use crate::protocol::Level;
    use crate::pvm::slow::verify;
    use crate::pvm::standin::{Shape, kernel};
    use crate::pvm::{Doing, Environment, MetadataAlone, Origination, Timeline};

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

    /// What a run file of the slice says. When it changes, what run mode compiles has changed: then
    /// [`run::FORMAT`] gets another number, so that no process takes what another version compiled.
    const COMPILED: &str = "933efe914eb8c73db6ff2b74c5ba53d14b822ad2599e6b72e747d1305c58feeb watchtower compiled run mode 2";

    /// What a file of the slice's parsing says: with other hashes of blocks, or more said, [`FORMAT`]
    /// gets another number.
    const PARSED: &str = "161f8ad9d0875f44e370337793cf4bf1e432e42d34743bfdde195848b7ff0c12 watchtower parsed kernels 2";

    #[test]
    fn the_formats_name_what_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Openings::kept_in(scratch.path().to_owned()).afresh();
        answers(PvmVersion::V5, &kept);
        kept.settle();
        let kernel = kernel(Shape::SLICE);
        let hash = locked(&kept.table)[0].0.0;
        let content = |folder: &Folder| {
            let content = folder.of_kernel(&hash, PvmVersion::V5).load();
            content.unwrap()
        };
        let (parsed, compiled) = (content(&kept.decoded), content(&kept.runs));
        assert!(compiled.len() > kernel.len());
        let named = |content: &[u8], format: &str| format!("{} {format}", blake2b(content));
        assert_eq!(
            named(&parsed, std::str::from_utf8(FORMAT).unwrap()),
            PARSED,
            "raise FORMAT and note the digest"
        );
        assert_eq!(
            named(&compiled, run::FORMAT),
            COMPILED,
            "raise run::FORMAT and note the digest"
        );
    }

    #[test]
    fn a_new_process_knows_what_each_tick_does() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Openings::kept_in(scratch.path().to_owned());
        let stretches = || {
            let new = kept.afresh();
            let found = timeline(PvmVersion::V5, &new).stretches(PERIOD + PERIOD / 2);
            new.settle();
            found.unwrap()
        };
        let expected = stretches();
        assert_eq!(files(scratch.path()).len(), 2, "how runs begin is there");
        assert_eq!(stretches(), expected);
    }

    /// What is on disk says which hash the table of all blocks has: ticks that read blocks make it.
    #[test]
    fn a_new_process_proves_alike_around_the_end_of_parsing() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Openings::kept_in(scratch.path().to_owned());
        let version = PvmVersion::V5;
        let new = kept.afresh();
        let mut first = timeline(version, &new);
        let stretches = first.stretches(PERIOD + 1).unwrap();
        let init = stretches
            .iter()
            .find(|stretch| stretch.doing == Doing::Init);
        let linked = init.unwrap().first;
        first.hashes(&[linked]).unwrap();
        new.settle();
        assert_eq!(
            files(scratch.path()).len(),
            2,
            "what parsing came to is there"
        );
        let mut next = timeline(version, &kept.afresh());
        let mut other = timeline(version, &Openings::default().afresh());
        for tick in (linked - 1_500..linked + 900).step_by(13) {
            let [one, twin] = [&mut next, &mut other].map(|line| line.prove(tick).unwrap());
            assert_eq!(one.proof, twin.proof, "{tick}");
            verify(&one.proof, &one.input).unwrap();
        }
    }

    #[test]
    fn a_new_process_answers_alike_whatever_is_on_disk() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Openings::kept_in(scratch.path().to_owned());
        let version = PvmVersion::V5;
        let in_new_process = |version, what: &str, expected: &[Option<Hash>]| {
            let new = kept.afresh();
            assert_eq!(answers(version, &new), expected, "{what}");
            new.settle();
        };
        let expected = answers(version, &Openings::default().afresh());
        in_new_process(version, "nothing there", &expected);
        let there = files(scratch.path());
        assert_eq!(there.len(), 2, "what parsing came to, and how runs begin");
        in_new_process(version, "from the files", &expected);
        let proved = timeline(version, &kept.afresh())
            .prove(PERIOD + 120_000)
            .unwrap();
        verify(&proved.proof, &proved.input).unwrap();
        for file in &there {
            let whole = std::fs::read(file).unwrap();
            // Damaged, it is written again.
            let mut damaged = whole.clone();
            damaged[whole.len() / 2] ^= 1;
            for bytes in [&damaged[..], &whole[..whole.len() - 32]] {
                std::fs::write(file, bytes).unwrap();
                in_new_process(version, "damaged", &expected);
                assert!(std::fs::read(file).unwrap() == whole);
            }
            // Whole, but of something else.
            let name = hex::decode(file.file_name().unwrap().to_str().unwrap()).unwrap();
            let name = Hash::try_from(name.as_slice()).unwrap();
            let other: Vec<u8> = whole[32..].iter().rev().copied().collect();
            for folder in [&kept.decoded, &kept.runs] {
                folder.keep(&name, &other);
                in_new_process(version, "of others", &expected);
                assert!(std::fs::read(file).unwrap() == whole);
            }
            // Alone.
            let rest = there.iter().find(|rest| *rest != file).unwrap();
            std::fs::remove_file(rest).unwrap();
            in_new_process(version, "the other is gone", &expected);
            assert_eq!(files(scratch.path()), there);
        }
        // Another version has other files.
        let new = kept.afresh();
        answers(PvmVersion::V4, &new);
        new.settle();
        assert_eq!(files(scratch.path()).len(), 4);
    }
}
