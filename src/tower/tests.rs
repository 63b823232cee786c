//! The mind against worlds made of random steps: after each one, memory is what the journal says,
//! and every verdict is the one that follows from the chain.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::event::{Decision, Effect, Event, News, SeenBlock};
use super::model::Model;
use super::stakes::{Fact, Stakes};
use crate::crypto::{Dialect, Hash, blake2b_concat};
use crate::journal::{
    Alarm, BlockRow, Entry, InboxRow, Journal, Judgement, OperationRow, PublishedRow, RollupRow,
    StateRow, UnknownRow,
};
use crate::protocol::{
    BlockHash, ChainId, Commitment, InboxHash, Level, Protocol, ProtocolHash, PublicKeyHash,
    RollupAddress, StateHash,
};

const ROLLUP: RollupAddress = RollupAddress([3; 20]);
const PERIOD: u32 = 3;
const ORIGIN: u16 = 2;
const TICKS: u64 = 1000;

fn protocol() -> ProtocolHash {
    Protocol::Tallinn.hash_text().parse().unwrap()
}

/// The true state after a block: it depends on the branch.
fn truth(block: &BlockHash) -> StateHash {
    StateHash(blake2b_concat(&[b"state", block.as_bytes()]).0)
}

/// A chain, the journal, and the mind that follows it.
struct World {
    _folder: tempfile::TempDir,
    journal: Journal,
    model: Model,
    /// Blocks in force, by level.
    chain: BTreeMap<Level, BlockRow>,
    branches: u8,
    /// Everything told since the start.
    news: Vec<News>,
    /// What happened on the chain in its order, by level, and to whom the storage bears witness.
    told: Vec<(Level, Fact)>,
    /// The reading of the storage that is under way: its block, where in `told` it belongs, its rows.
    reading: Option<(BlockHash, usize, Vec<PublishedRow>)>,
}

/// Who staked before anybody followed.
const OLD: PublicKeyHash = PublicKeyHash::Tz1([7; 20]);

fn block_row(hash: BlockHash, level: Level, predecessor: BlockHash) -> BlockRow {
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

fn inbox_row(block: BlockHash, level: Level) -> InboxRow {
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
    fn new() -> Self {
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
        entries.extend(super::genesis::first_entries(ROLLUP, &genesis, first.hash));
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

    fn tip(&self) -> BlockRow {
        self.chain.values().next_back().unwrap().clone()
    }

    /// Decides, journals, performs; then memory and journal must agree.
    fn take(&mut self, event: Event) -> Decision {
        let decision = self.model.decide(event);
        self.perform(&decision);
        if decision.effects.contains(&Effect::Reload) {
            self.restart();
        }
        self.assert_journal_agrees();
        decision
    }

    fn perform(&mut self, decision: &Decision) {
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
    fn storage(&self) -> Vec<PublishedRow> {
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
    fn twin(&self) -> Stakes {
        let mut stakes = Stakes::new(self.right(0).unwrap());
        for (_, fact) in &self.told {
            stakes.apply(fact);
        }
        stakes
    }

    /// The storage was read.
    fn answer(&mut self) {
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

    fn assert_stakes(&self) {
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

    fn load(&self) -> Model {
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

    fn restart(&mut self) {
        let mut model = self.load();
        model.epoch += 1;
        self.model = model;
        let decision = self.model.resume();
        self.perform(&decision);
        let again = self.model.resume();
        assert_eq!(again.entries, [], "resuming twice concludes nothing new");
    }

    #[track_caller]
    fn assert_journal_agrees(&self) {
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

    fn bake(&mut self, publications: Vec<(u8, Commitment)>, operations: Vec<(&str, String)>) {
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
        let operated = operations.iter().flat_map(super::facts::fact_of);
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

    fn roll_back(&mut self, depth: usize) {
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
    fn run(&mut self, count: usize) -> Decision {
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

    fn block_next(&mut self) {
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
    fn right(&self, nth: u32) -> Option<Commitment> {
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
    fn lie(&self, nth: u32, kind: u8) -> Option<Commitment> {
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
    fn assert_verdicts(&self) {
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

/// One random step of a world.
#[derive(Debug, Clone, Copy)]
enum Move {
    Bake,
    Honest(u8, u32),
    Lie(u8, u32, u8),
    Unstake(u8),
    Cement(u32),
    Run(usize),
    Block,
    RollBack(usize),
    Restart,
    Head,
    Answer,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Bake),
        2 => (1..4_u8, 1..5_u32).prop_map(|(staker, nth)| Move::Honest(staker, nth)),
        2 => (1..4_u8, 1..5_u32, 10..16_u8).prop_map(|(s, nth, kind)| Move::Lie(s, nth, kind)),
        2 => prop_oneof![1..4_u8, Just(7)].prop_map(Move::Unstake),
        1 => (1..4_u32).prop_map(Move::Cement),
        5 => (1..6_usize).prop_map(Move::Run),
        1 => Just(Move::Block),
        1 => (1..5_usize).prop_map(Move::RollBack),
        1 => Just(Move::Restart),
        3 => Just(Move::Head),
        2 => Just(Move::Answer),
    ]
}

fn step(world: &mut World, next: Move) {
    match next {
        Move::Bake => world.bake(vec![], vec![]),
        Move::Honest(staker, nth) => {
            if let Some(right) = world.right(nth) {
                world.bake(vec![(staker, right)], vec![]);
            }
        }
        Move::Lie(staker, nth, kind) => {
            if let Some(lie) = world.lie(nth, kind) {
                world.bake(vec![(staker, lie)], vec![]);
            }
        }
        Move::Unstake(staker) => {
            let mut detail = serde_json::Map::new();
            let staker = PublicKeyHash::Tz1([staker; 20]);
            super::facts::add_unstaked(&mut detail, &[staker]);
            let detail = serde_json::Value::Object(detail).to_string();
            world.bake(vec![], vec![("recover_bond", detail)]);
        }
        Move::Cement(nth) => {
            if let Some(right) = world.right(nth) {
                let hash = right.hash();
                let detail = super::facts::cement_detail(right.inbox_level, Some(&hash));
                let detail = serde_json::Value::Object(detail).to_string();
                world.bake(vec![], vec![("cement", detail)]);
            }
        }
        Move::Run(count) => {
            world.run(count);
        }
        Move::Block => world.block_next(),
        Move::RollBack(depth) => world.roll_back(depth),
        Move::Restart => {
            world.reading = None;
            for rollup in world.model.rollups.values_mut() {
                rollup.reading = None;
                rollup.is_caught_up = false;
            }
            world.restart();
        }
        Move::Head => {
            let level = world.tip().level;
            world.take(Event::Head(level));
        }
        Move::Answer => world.answer(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn memory_is_what_the_journal_says_and_verdicts_follow_from_the_chain(
        story in proptest::collection::vec(moves(), 1..40)
    ) {
        let mut world = World::new();
        for next in story {
            step(&mut world, next);
            world.assert_verdicts();
            world.assert_stakes();
        }
    }
}

#[test]
fn who_left_while_the_storage_was_read_has_left() {
    let mut world = World::new();
    for _ in 0..4 {
        world.bake(vec![], vec![]);
    }
    world.run(10);
    let (lie, right) = (world.lie(1, 12).unwrap(), world.right(1).unwrap());
    world.bake(vec![(1, lie), (2, right)], vec![]);
    world.run(10);
    step(&mut world, Move::Head);
    assert_eq!(world.reading.as_ref().unwrap().2.len(), 3);
    step(&mut world, Move::Unstake(1));
    step(&mut world, Move::Unstake(7));
    step(&mut world, Move::Answer);
    world.assert_stakes();
    let stakes = &world.model.rollups[&ROLLUP].stakes;
    assert_eq!(stakes.bonded().count(), 1);
    assert_eq!(stakes.conflicts(), []);
    // Where the block in which somebody left is gone, so is the leaving.
    world.roll_back(1);
    world.assert_stakes();
    let stakes = &world.model.rollups[&ROLLUP].stakes;
    assert!(stakes.is_bonded(&OLD));
}

fn alarms(world: &World) -> Vec<&Alarm> {
    world
        .news
        .iter()
        .filter_map(|news| match news {
            News::Alarm(alarm) => Some(alarm),
            _ => None,
        })
        .collect()
}

#[test]
fn a_lie_alarms_once_however_often_it_is_staked_on() {
    let mut world = World::new();
    for _ in 0..4 {
        world.bake(vec![], vec![]);
    }
    world.run(10);
    let lie = world.lie(1, 12).unwrap();
    let right = world.right(1).unwrap();
    world.bake(vec![(1, lie), (2, right), (3, lie)], vec![]);
    let alarms = alarms(&world);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms.first().unwrap().message.contains("is false"));
    let conflicts = world
        .news
        .iter()
        .filter(|news| matches!(news, News::Conflict(_)));
    assert_eq!(conflicts.count(), 2);
}

#[test]
fn a_false_commitment_that_is_cemented_alarms_whichever_is_known_first() {
    for run_first in [true, false] {
        let mut world = World::new();
        for _ in 0..4 {
            world.bake(vec![], vec![]);
        }
        let lie = world.lie(1, 12).unwrap();
        if run_first {
            world.run(10);
        }
        let detail = super::facts::cement_detail(lie.inbox_level, Some(&lie.hash()));
        let detail = serde_json::Value::Object(detail).to_string();
        world.bake(vec![(1, lie)], vec![]);
        world.bake(vec![], vec![("cement", detail)]);
        if !run_first {
            world.run(10);
        }
        let kinds: Vec<_> = alarms(&world).iter().map(|alarm| alarm.kind).collect();
        assert!(
            kinds.contains(&super::alarms::FALSE_CEMENTED),
            "{run_first}: {kinds:?}"
        );
    }
}

#[test]
fn work_of_another_epoch_is_ignored() {
    let mut world = World::new();
    world.bake(vec![], vec![]);
    let stale = world.model.epoch;
    world.roll_back(1);
    world.bake(vec![], vec![]);
    let reached = world.model.rollups[&ROLLUP].reached;
    let block = world.tip();
    let decision = world.take(Event::Ran {
        epoch: stale,
        rollup: ROLLUP,
        after: reached.block,
        states: vec![StateRow {
            rollup: ROLLUP,
            block: block.hash,
            level: block.level,
            hash: StateHash([9; 32]),
            ticks: 1,
            status: "collect".into(),
            edges: vec![],
        }],
    });
    assert_eq!(decision, Decision::default());
}

/// A head that goes back and forth between two branches: what was computed on the first one counts
/// as soon as its blocks do, and what follows is computed on top of it.
#[test]
fn blocks_that_come_back_bring_their_states_with_them() {
    let mut world = World::new();
    for _ in 0..5 {
        world.bake(vec![], vec![]);
    }
    world.run(5);
    let left: Vec<_> = world.chain.values().rev().take(3).rev().cloned().collect();
    world.roll_back(3);
    world.bake(vec![], vec![]);
    world.run(1);
    world.roll_back(1);
    for row in left {
        world.chain.insert(row.level, row.clone());
        world.take(Event::Block(Box::new(SeenBlock {
            inbox: inbox_row(row.hash, row.level),
            block: row,
            publications: vec![],
            operations: vec![],
            receipts: vec![],
            is_back: true,
        })));
    }
    let tip = world.tip();
    assert_eq!(world.model.rollups[&ROLLUP].reached.block, tip.hash);
    world.bake(vec![], vec![]);
    world.run(1);
    world.assert_verdicts();
    let reached = world.model.rollups[&ROLLUP].reached;
    assert_eq!(reached.block, world.tip().hash);
    assert!(world.right(2).is_some());
}

#[test]
fn an_inbox_that_the_node_contradicts_stops_verdicts_until_it_leaves_the_chain() {
    let mut world = World::new();
    for _ in 0..4 {
        world.bake(vec![], vec![]);
    }
    let tip = world.tip();
    let level = tip.level.next().unwrap();
    let hash = BlockHash([0x77; 32]);
    let block = block_row(hash, level, tip.hash);
    let mut inbox = inbox_row(hash, level);
    inbox.node_hash = Some(InboxHash([8; 32]));
    world.chain.insert(level, block.clone());
    let decision = world.take(Event::Block(Box::new(SeenBlock {
        block,
        inbox,
        publications: vec![],
        operations: vec![],
        receipts: vec![],
        is_back: false,
    })));
    let wakes = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Wake { block, .. } => Some(*block),
        _ => None,
    });
    assert_eq!(
        wakes.collect::<Vec<_>>(),
        [tip.hash],
        "nothing is run on messages that are in doubt"
    );
    assert_eq!(alarms(&world).len(), 1);
    assert!(world.model.is_blind());
    world.roll_back(1);
    assert!(!world.model.is_blind());
}

#[test]
fn a_run_with_an_end_finishes_there_and_not_before() {
    let mut world = World::new();
    world.model.until = Some(Level::new(ORIGIN + 2));
    let finishes = |decision: &Decision| decision.effects.contains(&Effect::Finish);
    let block = |world: &mut World| {
        let tip = world.tip();
        let level = tip.level.next().unwrap();
        let hash = BlockHash([level.get() as u8; 32]);
        world.chain.insert(level, block_row(hash, level, tip.hash));
        world.model.decide(Event::Block(Box::new(SeenBlock {
            block: block_row(hash, level, tip.hash),
            inbox: inbox_row(hash, level),
            publications: vec![],
            operations: vec![],
            receipts: vec![],
            is_back: false,
        })))
    };
    for _ in 0..2 {
        let decision = block(&mut world);
        assert!(!finishes(&decision));
        world.journal.write(decision.entries).unwrap();
    }
    let rollup = world.model.rollups.get_mut(&ROLLUP).unwrap();
    rollup.reached.level = Level::new(ORIGIN + 2);
    assert!(finishes(&world.model.decide(Event::Head(Level::new(9)))));
    assert!(!finishes(&world.model.decide(Event::Head(Level::new(9)))));
}
