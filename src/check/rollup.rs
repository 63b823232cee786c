//! A rollup made from what a vector file says of it: kernel, levels, revealed data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::facts::{bytes, malformed, understood};
use super::machine::{Recorded, environment};
use super::{CheckError, same};
use crate::crypto::blake2b;
use crate::game::{Facts, InboxArchive, Truth, Unplayable, Witness};
use crate::inbox::{InboxProof, LevelMessages};
use crate::protocol::operation::{InputProof, RevealProof, Step};
use crate::protocol::{HistoryCell, Level, Protocol, RollupAddress, StateHash, Tick};
use crate::pvm::{Activation, NotJudgeable, Origination, RevealError, RunError, State, Timeline};

/// Outbox messages a level may have.
const OUTBOX_LIMIT: u32 = 100;
/// Parameters of the data-availability layer on the chains the vectors were made on: 32 slots, a
/// lag of 5 blocks, slots of 380,832 and pages of 3,967 bytes.
const DAL_PARAMETERS: [u64; 4] = [32, 5, 380_832, 3_967];

/// The messages of a level.
#[derive(Deserialize)]
pub(super) struct SetupLevel {
    level: Level,
    messages: Vec<String>,
}

/// The chain's facts of such a rollup.
pub(super) fn facts(protocol: Protocol, address: RollupAddress, origination: Level) -> Facts {
    let mut parameters = [0; 32];
    for (place, number) in parameters.chunks_exact_mut(8).zip(DAL_PARAMETERS) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    Facts {
        activation: Activation::ALL,
        dal_parameters: BTreeMap::from([(Level::ZERO, parameters)]),
        ..Facts::wasm(protocol, address, origination)
    }
}

/// What the proofs of a file show of data that the setup does not hold.
#[derive(Default)]
pub(super) struct Given {
    preimages: BTreeMap<[u8; 33], Vec<u8>>,
    cells: BTreeMap<u64, HistoryCell>,
}

impl Given {
    /// Everything that these steps show.
    pub(super) fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let mut given = Self::default();
        let proofs = steps.filter_map(|step| match step {
            Step::Proof(proof) => proof.input_proof.as_ref(),
            Step::Dissection(_) => None,
        });
        for proof in proofs {
            match proof {
                InputProof::Reveal(RevealProof::RawData(data)) => given.keep(data.clone()),
                InputProof::Inbox {
                    serialized_proof, ..
                } => {
                    if let Ok(proof) = InboxProof::from_bytes(serialized_proof) {
                        let cells = proof.inclusion.into_iter();
                        given.cells.extend(cells.map(|cell| (cell.index, cell)));
                    }
                }
                InputProof::Reveal(_) | InputProof::FirstInput => {}
            }
        }
        given
    }

    /// Keeps a preimage under its own hash.
    pub(super) fn keep(&mut self, data: Vec<u8>) {
        let mut hash = [0; 33];
        hash[1..].copy_from_slice(blake2b(&data).as_bytes());
        self.preimages.insert(hash, data);
    }
}

/// The inbox of the levels of the setup.
struct Archive {
    cells: BTreeMap<u64, HistoryCell>,
    levels: BTreeMap<Level, LevelMessages>,
}

impl InboxArchive for Archive {
    fn cell(&self, index: u64) -> Option<HistoryCell> {
        self.cells.get(&index).cloned()
    }

    fn messages(&self, level: Level) -> Option<LevelMessages> {
        self.levels.get(&level).cloned()
    }
}

/// A rollup and its states from its origination on.
pub(super) struct Rollup {
    timeline: Timeline,
    archive: Archive,
}

impl Rollup {
    pub(super) fn originate(
        line: usize,
        protocol: Protocol,
        facts: &Facts,
        kernel: &[u8],
        levels: &[SetupLevel],
        given: Given,
    ) -> Result<Self, CheckError> {
        let origination = Origination {
            version: protocol.originated_version(),
            ticks_per_snapshot: protocol.ticks_per_snapshot(),
            outbox_validity_period: protocol.outbox_validity_period(),
            outbox_message_limit: OUTBOX_LIMIT,
        };
        let state = State::originate(&origination, kernel);
        let state = understood(line, "origination", state)?;
        let mut inputs = Vec::new();
        let mut archived = BTreeMap::new();
        for (place, level) in (0..).zip(levels) {
            let expected = levels.first().and_then(|first| first.level.plus(place));
            let expected = expected.unwrap_or(level.level);
            same(
                line,
                || "level of the setup".into(),
                &level.level,
                &expected,
            )?;
            let messages = level.messages.iter().map(|text| bytes(line, text));
            let messages: Vec<Vec<u8>> = messages.collect::<Result<_, _>>()?;
            inputs.push((level.level, Arc::from(messages.clone())));
            let messages = LevelMessages::new(messages);
            let messages = messages.ok_or_else(|| malformed(line, "a level without messages"))?;
            archived.insert(level.level, messages);
        }
        let parameters = facts.dal_parameters_at(Level::ZERO).map(|all| all.to_vec());
        let recorded = Recorded {
            responses: parameters.map(|all| (vec![3], all)).into_iter().collect(),
            preimages: given.preimages,
            metadata: Some(facts.metadata()),
            verbatim: false,
        };
        let timeline = Timeline::new(state, inputs, environment(recorded));
        Ok(Self {
            timeline: understood(line, "machine", timeline)?,
            archive: Archive {
                cells: given.cells,
                levels: archived,
            },
        })
    }

    /// Its states, for a player.
    pub(super) fn witness<'a>(&'a mut self, facts: &'a Facts) -> impl Truth + 'a {
        Witness::new(facts, &mut self.timeline, &self.archive)
    }

    /// The state that waits for the first message after the levels.
    pub(super) fn last_state(&mut self, line: usize) -> Result<State, CheckError> {
        let length = understood(line, "length of the levels", self.timeline.length())?;
        understood(line, "state", self.timeline.state(length))
    }

    pub(super) fn length(&mut self) -> Result<Tick, Unplayable> {
        Ok(Tick(self.timeline.length()?))
    }

    pub(super) fn state_at(&mut self, tick: Tick) -> Result<Option<StateHash>, Unplayable> {
        let hashes = self.timeline.hashes(&[tick.0])?;
        Ok(hashes.first().copied().flatten().map(StateHash::from))
    }
}

/// Whether the file lacks the data of a reveal.
pub(super) fn lacks_data(error: &Unplayable) -> bool {
    matches!(
        error,
        Unplayable::Machine(RunError::NotJudgeable(NotJudgeable::Reveal(
            RevealError::NoPreimage { .. }
        )))
    )
}
