//! Whether we may stake on a commitment of ours: the machine's part of the answer.
//!
//! Promises: no stake where the reference machine, which runs every kernel of the period itself, does
//! not end where the fast engine did, where an edge was touched, or where a rehearsed game is not
//! won; a long repetition makes way for games and goes on where it was. Refuses to know: finality,
//! endpoints and money, which the policy looks at. Rule: the first of the safety rules.

use std::time::{Duration, Instant};

use super::brief::Period;
use super::desk::{AnswerError, Desk, DeskError, locked};
use crate::config::EdgePolicy;
use crate::game::Facts;
use crate::journal::Reader;
use crate::protocol::{Level, StateHash};
use crate::pvm::State;
use crate::tower::policy::Consent;
use crate::tower::runner::RunnerError;

/// Time after which a repetition looks whether something more urgent waits.
const TURN: Duration = Duration::from_secs(10);
/// Repetitions begun that are remembered.
const BEGUN: usize = 4;

/// Whether we may stake on a period's commitment.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) consent: Consent,
    /// What was compared, or why not.
    pub(super) detail: String,
    /// Whether the two engines gave different states.
    pub(super) engines_differ: bool,
}

impl Opinion {
    fn refused(reason: String) -> Self {
        Self {
            consent: Consent::Refused(reason.clone()),
            detail: reason,
            engines_differ: false,
        }
    }
}

/// A period as far as the reference machine has repeated it.
#[derive(Debug)]
pub(super) struct Repeat {
    level: Level,
    state: State,
    ticks: u64,
}

impl Desk {
    /// Whether we may stake: no edge touched, both engines at one, rehearsed games won. Gives way
    /// when `is_late` says so.
    pub(super) fn consent(
        &self,
        period: &Period,
        facts: &Facts,
        edges: EdgePolicy,
        is_late: &dyn Fn() -> bool,
    ) -> Result<Opinion, AnswerError> {
        if edges == EdgePolicy::Refuse
            && let Some(reason) = self.edges(period)?
        {
            return Ok(Opinion::refused(reason));
        }
        let ticks = match self.repeat(period, is_late)? {
            Ok(ticks) => ticks,
            Err(reason) => {
                return Ok(Opinion {
                    engines_differ: true,
                    ..Opinion::refused(reason)
                });
            }
        };
        let rehearsed = super::rehearsal::before_staking(self, period, facts)?;
        Ok(match rehearsed {
            Ok(summary) => Opinion {
                consent: Consent::Given,
                detail: format!("both engines agree on {ticks} ticks; {summary}"),
                engines_differ: false,
            },
            Err(reason) => Opinion::refused(reason),
        })
    }

    /// Runs the period on the reference machine alone: its ticks, or where it ends otherwise than
    /// what was followed.
    fn repeat(
        &self,
        period: &Period,
        is_late: &dyn Fn() -> bool,
    ) -> Result<Result<u64, String>, AnswerError> {
        let name = Self::name(period);
        let mut runner = self.runner()?;
        let begun = locked(&self.repeats).remove(&name);
        let mut repeat = match begun {
            Some(repeat) => repeat,
            None => Repeat {
                level: period.parent.commitment.inbox_level,
                state: self.agreed_state(&mut runner, period)?,
                ticks: 0,
            },
        };
        let own = period.own.commitment;
        let reader = Reader::open(&self.journal).map_err(DeskError::from)?;
        let next = repeat.level.next().unwrap_or(own.inbox_level);
        let began = Instant::now();
        for block in reader.blocks_between(next, own.inbox_level)? {
            if began.elapsed() > TURN && is_late() {
                let mut repeats = locked(&self.repeats);
                if repeats.len() >= BEGUN {
                    repeats.pop_first();
                }
                repeats.insert(name, repeat);
                return Err(AnswerError::Later);
            }
            let (state, row) = match runner.run_by_reference(&repeat.state, &block) {
                Ok(ran) => ran,
                Err(error @ RunnerError::Different { .. }) => {
                    return Ok(Err(format!("on the reference machine {error}")));
                }
                Err(error) => return Err(DeskError::from(error).into()),
            };
            repeat = Repeat {
                level: block.level,
                state,
                ticks: repeat.ticks.saturating_add(row.ticks),
            };
        }
        let Repeat {
            mut state, ticks, ..
        } = repeat;
        let end = state.hash().map_err(RunnerError::from);
        let end = StateHash::from(end.map_err(DeskError::from)?);
        if ticks == own.number_of_ticks && end == own.compressed_state {
            return Ok(Ok(ticks));
        }
        Ok(Err(format!(
            "the reference machine ends level {} in {end} after {ticks} ticks, the fast one in {} after {}",
            own.inbox_level, own.compressed_state, own.number_of_ticks
        )))
    }

    fn edges(&self, period: &Period) -> Result<Option<String>, DeskError> {
        let reader = Reader::open(&self.journal)?;
        let to = period.own.commitment.inbox_level;
        let from = period.parent.commitment.inbox_level.next().unwrap_or(to);
        let states = reader.states_between(&self.rollup.address, from, to)?;
        let touched = states.into_iter().find(|state| !state.edges.is_empty());
        Ok(touched.map(|state| {
            format!(
                "level {} passes where the engines are known to be able to differ: {}",
                state.level,
                state.edges.join(", ")
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::Dialect;
    use crate::crypto::Hash;
    use crate::journal::{BlockRow, Entry, InboxRow, Journal, RollupRow, StateRow};
    use crate::protocol::{
        BlockHash, ChainId, Commitment, InboxHash, Protocol, ProtocolHash, RollupAddress,
    };
    use crate::pvm::{
        Declined, Engine, Environment, Key, Period as PvmPeriod, Quiet, RunError, run_level,
    };
    use crate::tower::chain_facts::ChainFacts;
    use crate::tower::genesis::first_state;
    use crate::tower::model::Own;

    const ROLLUP: RollupAddress = RollupAddress([3; 20]);

    fn protocol() -> ProtocolHash {
        Protocol::Ushuaia.hash_text().parse().unwrap()
    }

    fn block(level: u16) -> BlockHash {
        BlockHash([u8::try_from(level).unwrap(); 32])
    }

    fn rollup(genesis: &Commitment) -> RollupRow {
        RollupRow {
            address: ROLLUP,
            dialect: Dialect::Modern,
            chain: ChainId([1; 4]),
            origination_level: Level::new(1),
            genesis_commitment: genesis.hash(),
            genesis_state: genesis.compressed_state,
            kernel: Hash([5; 32]),
            protocol: protocol(),
        }
    }

    fn block_row(level: u16, period: u32) -> Entry {
        Entry::Block(BlockRow {
            hash: block(level),
            level: Level::new(level),
            predecessor: block(level - 1),
            timestamp: level.into(),
            protocol: protocol(),
            period,
            opens_protocol: false,
        })
    }

    fn own(level: u16, before: Option<&Own>) -> Own {
        let commitment = Commitment {
            compressed_state: StateHash([9; 32]),
            inbox_level: Level::new(level),
            predecessor: before.map_or(
                Commitment::genesis(StateHash([0; 32]), Level::new(1)).hash(),
                |b| b.hash,
            ),
            number_of_ticks: 10,
        };
        Own {
            commitment,
            hash: commitment.hash(),
            block: block(level),
        }
    }

    struct NoReveals;

    impl crate::pvm::Reveals for NoReveals {
        fn preimage(&self, _: &[u8; 33]) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Err(crate::pvm::RevealError::NoParameters("a test".into()))
        }
        fn metadata(&self) -> [u8; 24] {
            [0; 24]
        }
        fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Err(crate::pvm::RevealError::NoParameters("a test".into()))
        }
        fn dal_page(&self, _: &crate::pvm::PageId) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Ok(Vec::new())
        }
        fn activation(&self) -> crate::pvm::Activation {
            ChainFacts::default().activation()
        }
    }

    /// Levels 1 to 6, of which one touched an edge.
    #[test]
    fn a_period_that_touches_an_edge_is_not_staked_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = Journal::open(&path).unwrap();
        let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(1));
        let row = rollup(&genesis);
        let mut entries = vec![Entry::Rollup(row.clone())];
        for level in 1..=6_u16 {
            entries.push(block_row(level, 2));
            entries.push(Entry::State(StateRow {
                rollup: ROLLUP,
                block: block(level),
                level: Level::new(level),
                hash: StateHash([u8::try_from(level).unwrap(); 32]),
                ticks: 5,
                status: "collect".into(),
                edges: if level == 4 {
                    vec!["store_list_size at the end of memory".into()]
                } else {
                    Vec::new()
                },
            }));
        }
        journal.write(entries).unwrap();
        let environment = Environment::without_fast(Arc::new(NoReveals));
        let desk = Desk::new(row, path, None, Vec::new(), environment);
        let facts = Facts::wasm(Protocol::Ushuaia, ROLLUP, Level::new(1));
        let first = own(2, None);
        let second = own(4, Some(&first));
        let third = own(6, Some(&second));
        for (parent, own, is_marked) in [(first, second, true), (second, third, false)] {
            let period = Period { parent, own };
            let found = desk.edges(&period).unwrap();
            assert_eq!(found.is_some(), is_marked);
            if is_marked {
                // The machine, which could not run here, is not even asked.
                let opinion = desk
                    .consent(&period, &facts, EdgePolicy::Refuse, &|| false)
                    .unwrap();
                let reason = &opinion.detail;
                assert!(matches!(opinion.consent, Consent::Refused(_)), "{reason}");
                assert!(reason.contains("store_list_size"), "{reason}");
                assert!(!opinion.engines_differ, "they were not asked");
            } else {
                let outcome = desk.consent(&period, &facts, EdgePolicy::Refuse, &|| false);
                assert!(outcome.is_err(), "no machine, no consent");
            }
        }
    }

    /// Three levels of a kernel that writes, as an engine of our choice has run them.
    fn followed(engine: Option<Arc<dyn Engine>>) -> (tempfile::TempDir, Desk, Period) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let kernel = include_bytes!("../../../tests/data/kernels/commander.wasm").to_vec();
        let mut state = first_state(Protocol::Ushuaia, &kernel).unwrap();
        let genesis = Commitment::genesis(StateHash::from(state.hash().unwrap()), Level::new(1));
        let row = rollup(&genesis);
        let environment = Environment {
            fast: engine,
            ..Environment::without_fast(Arc::new(NoReveals))
        };
        let mut entries = vec![Entry::Rollup(row.clone())];
        let mut ticks = 0;
        for level in 1..=4_u16 {
            entries.push(block_row(level, 3));
            if level == 1 {
                continue;
            }
            let written = format!("\x01W\x05/data{level}").into_bytes();
            let messages = vec![vec![0, 1], written, vec![0, 2]];
            let given = messages.iter().map(Vec::as_slice);
            let ran = run_level(&state, Level::new(level), given, &environment, &mut Quiet);
            let ran = ran.unwrap();
            state = ran.state;
            ticks += u64::try_from(ran.ticks).unwrap();
            entries.push(Entry::Inbox(InboxRow {
                block: block(level),
                level: Level::new(level),
                hash: InboxHash([1; 32]),
                cell: Vec::new(),
                messages,
                node_hash: None,
            }));
        }
        Journal::open(&path).unwrap().write(entries).unwrap();
        let commitment = Commitment {
            compressed_state: StateHash::from(state.hash().unwrap()),
            inbox_level: Level::new(4),
            predecessor: genesis.hash(),
            number_of_ticks: ticks,
        };
        let of = |commitment: Commitment, level| Own {
            commitment,
            hash: commitment.hash(),
            block: block(level),
        };
        let period = Period {
            parent: of(genesis, 1),
            own: of(commitment, 4),
        };
        (
            folder,
            Desk::new(row, path, None, kernel, environment),
            period,
        )
    }

    /// Runs as the reference does, and on the third level writes what no kernel asked for.
    struct Errs;

    impl Engine for Errs {
        fn run(&self, state: &State, environment: &Environment) -> Result<PvmPeriod, RunError> {
            let reference = &environment.reference;
            let mut ran = reference.run(state, &Declined::NotBuilt, environment)?;
            if state
                .last_input
                .is_some_and(|info| info.level == Level::new(3))
            {
                ran.state
                    .durable
                    .write(&Key::parse(b"/err").unwrap(), 0, b"x")?;
            }
            Ok(ran)
        }
    }

    #[test]
    fn nothing_is_staked_on_what_the_reference_machine_does_not_find() {
        let facts = Facts::wasm(Protocol::Ushuaia, ROLLUP, Level::new(1));
        let (_folder, desk, period) = followed(None);
        let ticks = period.own.commitment.number_of_ticks;
        let repeated = desk.repeat(&period, &|| false).unwrap();
        assert_eq!(repeated, Ok(ticks), "the same machine");
        let (_folder, desk, period) = followed(Some(Arc::new(Errs)));
        let opinion = desk
            .consent(&period, &facts, EdgePolicy::Refuse, &|| false)
            .unwrap();
        assert!(opinion.engines_differ);
        assert!(matches!(opinion.consent, Consent::Refused(_)));
        let own = period.own.commitment.compressed_state.to_string();
        assert!(opinion.detail.contains(&own), "{}", opinion.detail);
        // What the engine did is not hidden by an operator who allows edges either.
        let opinion = desk.consent(&period, &facts, EdgePolicy::Allow, &|| false);
        assert!(opinion.unwrap().engines_differ);
    }
}
