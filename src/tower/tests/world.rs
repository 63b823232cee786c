//! A chain, a journal and the mind between them, and the tree of stakes as a naive twin makes it.

use std::collections::BTreeMap;

use crate::crypto::{Dialect, Hash, blake2b_concat};
use crate::journal::{
    BlockRow, Entry, InboxRow, Journal, Judgement, OperationRow, PublishedRow, RollupRow, StateRow,
    UnknownRow,
};
use crate::protocol::{
    BlockHash, ChainId, Commitment, InboxHash, Level, Protocol, ProtocolHash, PublicKeyHash,
    RollupAddress, StateHash,
};
use crate::tower::event::{Decision, Effect, Event, News, SeenBlock};
use crate::tower::model::Model;
use crate::tower::stakes::{Fact, Stakes};

pub(super) const ROLLUP: RollupAddress = RollupAddress([3; 20]);
pub(super) const PERIOD: u32 = 3;
pub(super) const ORIGIN: u16 = 2;
pub(super) const TICKS: u64 = 1000;

pub(super) fn protocol() -> ProtocolHash {
    Protocol::Tallinn.hash_text().parse().unwrap()
}

/// The true state after a block: it depends on the branch.
pub(super) fn truth(block: &BlockHash) -> StateHash {
    StateHash(blake2b_concat(&[b"state", block.as_bytes()]).0)
}

/// A chain, the journal, and the mind that follows it.
pub(super) struct World {
    pub(super) _folder: tempfile::TempDir,
    pub(super) journal: Journal,
    pub(super) model: Model,
    /// Blocks in force, by level.
    pub(super) chain: BTreeMap<Level, BlockRow>,
    pub(super) branches: u8,
    /// Everything told since the start.
    pub(super) news: Vec<News>,
    /// What happened on the chain in its order, by level, and to whom the storage bears witness.
    pub(super) told: Vec<(Level, Fact)>,
    /// The reading of the storage that is under way: its block, where in `told` it belongs, its rows.
    pub(super) reading: Option<(BlockHash, usize, Vec<PublishedRow>)>,
}

/// Who staked before anybody followed.
pub(super) const OLD: PublicKeyHash = PublicKeyHash::Tz1([7; 20]);

pub(super) fn block_row(hash: BlockHash, level: Level, predecessor: BlockHash) -> BlockRow {
    BlockRow {
        hash,
        level,
        predecessor,
        timestamp: i64::from(level.get()),
        protocol: protocol(),
        period: PERIOD,
        opens_protocol: false,
    }
}

pub(super) fn inbox_row(block: BlockHash, level: Level) -> InboxRow {
    let hash = InboxHash(blake2b_concat(&[b"inbox", block.as_bytes()]).0);
    InboxRow {
        block,
        level,
        hash,
        cell: vec![1],
        messages: vec![vec![0, 1], vec![0, 2]],
        node_hash: Some(hash),
    }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join(Journal::FILE)).unwrap();
        let origin = Level::new(ORIGIN);
        let first = block_row(BlockHash([1; 32]), origin, BlockHash([0; 32]));
        let state = truth(&first.hash);
        let genesis = Commitment::genesis(state, origin);
        let mut entries = vec![
            Entry::Block(first.clone()),
            Entry::Inbox(inbox_row(first.hash, origin)),
            Entry::Rollup(RollupRow {
                address: ROLLUP,
                dialect: Dialect::Modern,
                chain: ChainId([1; 4]),
                origination_level: origin,
                genesis_commitment: genesis.hash(),
                genesis_state: state,
                kernel: Hash([7; 32]),
                protocol: protocol(),
            }),
        ];
        entries.extend(crate::tower::genesis::first_entries(
            ROLLUP, &genesis, first.hash,
        ));
        journal.write(entries).unwrap();
        let reader = journal.reader().unwrap();
        let model = Model::from_journal(&reader, &[ROLLUP], 0, None).unwrap();
        Self {
            _folder: folder,
            journal,
            model,
            chain: BTreeMap::from([(origin, first)]),
            branches: 1,
            news: Vec::new(),
            told: Vec::new(),
            reading: None,
        }
    }

    /// A period and a block of it, with their states.
    pub(super) fn of_a_period() -> Self {
        let mut world = Self::new();
        for _ in 0..=PERIOD {
            world.bake(vec![], vec![]);
        }
        world.run(10);
        world
    }

    pub(super) fn tip(&self) -> BlockRow {
        self.chain.values().next_back().unwrap().clone()
    }

    /// Decides, journals, performs; then memory and journal must agree.
    pub(super) fn take(&mut self, event: Event) -> Decision {
        let decision = self.model.decide(event);
        self.perform(&decision);
        if decision.effects.contains(&Effect::Reload) {
            self.restart();
        }
        self.assert_journal_agrees();
        decision
    }

    pub(super) fn perform(&mut self, decision: &Decision) {
        self.journal.write(decision.entries.clone()).unwrap();
        for effect in &decision.effects {
            match effect {
                Effect::Tell(news) => self.news.push(news.clone()),
                Effect::ReadStakes { at, .. } => {
                    self.reading = Some((*at, self.told.len(), self.storage()));
                }
                _ => {}
            }
        }
    }

    /// All stakes as the storage of the tip has them.
    pub(super) fn storage(&self) -> Vec<PublishedRow> {
        let left = Fact::Unstaked { staker: OLD };
        let has_left = self.told.iter().any(|(_, fact)| *fact == left);
        let old = self.right(0).filter(|_| !has_left).map(|genesis| {
            let commitment = Commitment {
                compressed_state: StateHash([99; 32]),
                inbox_level: Level::new(ORIGIN).plus(PERIOD).unwrap(),
                predecessor: genesis.hash(),
                number_of_ticks: TICKS,
            };
            (OLD, commitment)
        });
        let stakes = self.twin();
        let known = stakes.claims().flat_map(|(_, claim)| {
            let stakers = claim.stakers.iter();
            stakers.map(|staker| (*staker, claim.commitment))
        });
        let row = |(staker, commitment)| PublishedRow {
            rollup: ROLLUP,
            block: None,
            published_level: None,
            position: 0,
            staker,
            commitment,
        };
        known.chain(old).map(row).collect()
    }

    /// The tree as it follows from everything in the order of the chain.
    pub(super) fn twin(&self) -> Stakes {
        let mut stakes = Stakes::new(self.right(0).unwrap());
        for (_, fact) in &self.told {
            stakes.apply(fact);
        }
        stakes
    }

    /// The storage was read.
    pub(super) fn answer(&mut self) {
        let Some((at, place, rows)) = self.reading.take() else {
            return;
        };
        let facts = rows.iter().map(|row| {
            let fact = Fact::Published {
                staker: row.staker,
                commitment: row.commitment,
                at: None,
            };
            (Level::ZERO, fact)
        });
        let unknown: Vec<_> = facts
            .filter(|(_, fact)| matches!(fact, Fact::Published { staker, .. } if *staker == OLD))
            .collect();
        self.told.splice(place..place, unknown);
        self.take(Event::Stored {
            rollup: ROLLUP,
            at,
            publications: rows,
        });
    }

    pub(super) fn assert_stakes(&self) {
        let of = |stakes: &Stakes| -> BTreeMap<_, _> {
            let claims = stakes.claims();
            let staked = claims.filter(|(_, claim)| !claim.stakers.is_empty());
            staked
                .map(|(hash, claim)| (hash, claim.stakers.clone()))
                .collect()
        };
        let ours = &self.model.rollups[&ROLLUP].stakes;
        assert_eq!(of(ours), of(&self.twin()));
        let bonded: Vec<_> = ours.bonded().copied().collect();
        assert_eq!(bonded, self.twin().bonded().copied().collect::<Vec<_>>());
    }

    pub(super) fn load(&self) -> Model {
        let reader = self.journal.reader().unwrap();
        let mut model = Model::from_journal(&reader, &[ROLLUP], self.model.epoch, None).unwrap();
        model.head = self.model.head;
        for (address, rollup) in &mut model.rollups {
            let before = self.model.rollups.get(address).unwrap();
            rollup.is_caught_up = before.is_caught_up;
            rollup.reading.clone_from(&before.reading);
        }
        model
    }

    pub(super) fn restart(&mut self) {
        let mut model = self.load();
        model.epoch += 1;
        self.model = model;
        let decision = self.model.resume();
        self.perform(&decision);
        let again = self.model.resume();
        assert_eq!(again.entries, [], "resuming twice concludes nothing new");
    }

    #[track_caller]
    pub(super) fn assert_journal_agrees(&self) {
        let mut loaded = self.load();
        for (address, rollup) in &mut loaded.rollups {
            // The reason of a block that was overcome is history in the journal only.
            let live = self.model.rollups.get(address).unwrap();
            assert_eq!(rollup.blocked, live.blocked);
        }
        loaded.epoch = self.model.epoch;
        assert_eq!(
            format!("{loaded:#?}"),
            format!("{:#?}", self.model),
            "memory differs from the journal"
        );
    }

    pub(super) fn bake(
        &mut self,
        publications: Vec<(u8, Commitment)>,
        operations: Vec<(&str, String)>,
    ) {
        let tip = self.tip();
        let level = tip.level.next().unwrap();
        let mut bytes = [self.branches; 32];
        bytes[..4].copy_from_slice(&level.get().to_be_bytes());
        let hash = BlockHash(bytes);
        let block = block_row(hash, level, tip.hash);
        let mut position = 0..;
        let publications = publications
            .into_iter()
            .map(|(staker, commitment)| PublishedRow {
                rollup: ROLLUP,
                block: Some(hash),
                published_level: Some(level),
                position: position.next().unwrap(),
                staker: PublicKeyHash::Tz1([staker; 20]),
                commitment,
            })
            .collect::<Vec<_>>();
        let operations = operations
            .into_iter()
            .map(|(kind, detail)| OperationRow {
                rollup: ROLLUP,
                block: hash,
                level,
                position: position.next().unwrap(),
                kind: kind.into(),
                source: PublicKeyHash::Tz1([9; 20]),
                detail,
            })
            .collect::<Vec<_>>();
        self.chain.insert(level, block.clone());
        let published = publications
            .iter()
            .map(|row: &PublishedRow| Fact::Published {
                staker: row.staker,
                commitment: row.commitment,
                at: Some(level),
            });
        let operated = operations.iter().flat_map(crate::tower::facts::fact_of);
        let facts = published.chain(operated).map(|fact| (level, fact));
        self.told.extend(facts);
        self.take(Event::Block(Box::new(SeenBlock {
            block,
            inbox: inbox_row(hash, level),
            publications,
            operations,
            receipts: Vec::new(),
            is_back: false,
        })));
    }

    pub(super) fn roll_back(&mut self, depth: usize) {
        let depth = depth.min(self.chain.len().saturating_sub(1));
        if depth == 0 {
            return;
        }
        for _ in 0..depth {
            self.chain.pop_last();
        }
        self.branches = self.branches.wrapping_add(1);
        let fork = self.tip();
        self.told.retain(|(level, _)| *level <= fork.level);
        self.reading = None;
        self.take(Event::RolledBack {
            fork: fork.hash,
            level: fork.level,
        });
    }

    /// A worker finishes up to `count` more levels.
    pub(super) fn run(&mut self, count: usize) -> Decision {
        let reached = self.model.rollups[&ROLLUP].reached;
        let from = reached.level.next().unwrap();
        let states: Vec<_> = self
            .chain
            .range(from..)
            .take(count)
            .map(|(level, block)| StateRow {
                rollup: ROLLUP,
                block: block.hash,
                level: *level,
                hash: truth(&block.hash),
                ticks: TICKS,
                status: "collect".into(),
                edges: Vec::new(),
            })
            .collect();
        let epoch = self.model.epoch;
        self.take(Event::Ran {
            epoch,
            rollup: ROLLUP,
            after: reached.block,
            states,
        })
    }

    pub(super) fn block_next(&mut self) {
        let reached = self.model.rollups[&ROLLUP].reached;
        let next = reached.level.next().unwrap();
        let Some(block) = self.chain.get(&next) else {
            return;
        };
        let unknown = UnknownRow {
            rollup: ROLLUP,
            block: block.hash,
            level: next,
            reason: "missing preimage".into(),
            detail: "00".into(),
        };
        let epoch = self.model.epoch;
        self.take(Event::Blocked { epoch, unknown });
    }

    /// The true commitment of the `nth` period on the chain as it is; 0 is genesis.
    pub(super) fn right(&self, nth: u32) -> Option<Commitment> {
        let origin = Level::new(ORIGIN);
        let first = self.chain.get(&origin)?;
        let mut commitment = Commitment::genesis(truth(&first.hash), origin);
        for _ in 0..nth {
            let level = commitment.inbox_level.plus(PERIOD)?;
            commitment = Commitment {
                compressed_state: truth(&self.chain.get(&level)?.hash),
                inbox_level: level,
                predecessor: commitment.hash(),
                number_of_ticks: TICKS * u64::from(PERIOD),
            };
        }
        Some(commitment)
    }

    /// A lie about the `nth` period, one of several.
    pub(super) fn lie(&self, nth: u32, kind: u8) -> Option<Commitment> {
        let right = self.right(nth)?;
        Some(match kind % 3 {
            0 => Commitment {
                compressed_state: StateHash([kind; 32]),
                ..right
            },
            1 => Commitment {
                number_of_ticks: right.number_of_ticks + 1,
                ..right
            },
            _ => Commitment {
                predecessor: crate::protocol::CommitmentHash([kind; 32]),
                ..right
            },
        })
    }

    /// Every claim in force has the verdict that follows from the chain.
    pub(super) fn assert_verdicts(&self) {
        let rollup = &self.model.rollups[&ROLLUP];
        for (hash, claim) in rollup.stakes.claims() {
            let level = claim.commitment.inbox_level;
            let Some(blocks) = level.since(Level::new(ORIGIN)).filter(|blocks| *blocks > 0) else {
                continue;
            };
            let verdict = rollup.verdicts.get(&hash);
            if level > rollup.reached.level {
                assert!(
                    !matches!(verdict, Some(Judgement::True | Judgement::False { .. })),
                    "judged before its level was run"
                );
                let is_blind = rollup.blocked.as_ref().is_some_and(|b| b.level <= level);
                // What was said while blind stands until the level is run.
                assert!(verdict.is_some() || !is_blind, "{verdict:?}");
                continue;
            }
            let right = self.right(blocks / PERIOD).unwrap();
            assert_eq!(
                verdict == Some(&Judgement::True),
                hash == right.hash(),
                "{verdict:?} on {claim:?}"
            );
        }
    }
}
