//! The node client against the simulated chain, over HTTP, in both dialects.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use watchtower::codec::Micheline;
use watchtower::crypto::Dialect;
use watchtower::inbox::{messages_of, next_inbox};
use watchtower::l1::{
    Block, BlockId, Branch, ChainEvent, Client, Condition, Follower, Happening, Interest, Keep,
    L1Error, Needs, Retries, Settings,
};
use watchtower::protocol::operation::PvmKind;
use watchtower::protocol::{
    BlockHash, Commitment, Dialected, HistoryCell, Inbox, Level, Protocol, RollupAddress,
    StateHash, Timestamp,
};
use watchtower::sim::{Abandoned, Act, Deed, Endpoint, Options, Scenario, Setup, Shared, serve};

const KERNEL: &[u8] = b"\0asm\x01\0\0\0";

struct World {
    shared: Shared,
    endpoint: Endpoint,
    client: Client,
    rollup: RollupAddress,
    origin: Level,
}

fn settings(endpoint: &Endpoint) -> Settings {
    Settings {
        retries: Retries {
            first_pause: std::time::Duration::ZERO,
            ..Retries::default()
        },
        ..Settings::new([endpoint.url()])
    }
}

/// A chain with a rollup, messages of every sort at many levels, and a node that serves it.
async fn world(setup: Setup) -> World {
    let mut scenario = Scenario::new(setup).unwrap();
    let rollup = scenario.originate(0, KERNEL).unwrap();
    let origin = scenario.chain().level();
    for level in 3_u16..40 {
        let text = format!("message of level {level}");
        if level % 2 == 0 {
            scenario.plan(Level::new(level), Act::messages(1, &[text.as_bytes(), b""]));
        }
        if level % 3 == 0 {
            let value = Micheline::bytes(text.as_bytes());
            scenario.plan(Level::new(level), Act::transfer(2, &rollup, &value));
        }
    }
    let shared = Shared::new(scenario);
    let endpoint = serve(shared.clone(), Options::local()).await.unwrap();
    let client = Client::new(&settings(&endpoint)).unwrap();
    World {
        shared,
        endpoint,
        client,
        rollup,
        origin,
    }
}

impl World {
    fn grow_to(&self, level: u16) -> BlockHash {
        self.shared
            .with(|scenario| scenario.advance_to(Level::new(level)).unwrap());
        self.head()
    }

    fn head(&self) -> BlockHash {
        self.shared.with(|scenario| scenario.chain().head().hash)
    }

    fn interest(&self) -> Interest {
        Interest {
            rollups: BTreeSet::from([self.rollup]),
            accounts: BTreeSet::new(),
        }
    }

    fn follower(&self) -> Follower {
        let first = self.origin.next().unwrap();
        let branch = Branch::starting_at(first);
        Follower::new(self.client.clone(), branch, self.interest(), 4)
    }
}

/// Follows until `head`, with the branch as the events tell it.
async fn until(follower: &mut Follower, blocks: &mut Vec<Block>, head: BlockHash) {
    loop {
        match follower.next().await.unwrap() {
            ChainEvent::RolledBack {
                keep: Keep::Nothing,
            } => blocks.clear(),
            ChainEvent::RolledBack {
                keep: Keep::UpTo(kept),
            } => blocks.retain(|block| block.header.level <= kept.level),
            ChainEvent::Applied(block) => blocks.push(*block),
            ChainEvent::Reached { head: reached } if reached.hash == head => return,
            ChainEvent::Reached { .. } => {}
        }
    }
}

async fn inbox(client: &Client, block: BlockId) -> Inbox {
    let cell = client.inbox(block).await.unwrap();
    Inbox {
        cell: HistoryCell {
            index: cell.index,
            witness: cell.witness,
            level: cell.level,
            back_pointers: cell.back_pointers,
        },
    }
}

/// The inbox rebuilt from the blocks is the node's, level by level.
async fn same_inbox(world: &World, blocks: &[Block]) {
    let mut rebuilt = inbox(&world.client, BlockId::Level(world.origin)).await;
    for block in blocks {
        let messages = messages_of(&block.inbox_input()).unwrap();
        rebuilt = next_inbox(&rebuilt, block.header.level, messages.witness()).unwrap();
        let told = inbox(&world.client, BlockId::Hash(block.header.hash)).await;
        assert_eq!(rebuilt, told, "level {}", block.header.level);
    }
}

fn setups() -> [Setup; 3] {
    [
        Setup::small(Protocol::Ushuaia, 10),
        Setup::small(Protocol::Mumbai, 10),
        Setup::of_the_first_manual(Protocol::Ushuaia),
    ]
}

#[tokio::test]
async fn a_chain_is_followed_with_its_inbox_over_reorganisations_in_both_dialects() {
    for setup in setups() {
        let dialect = setup.dialect;
        let world = world(setup).await;
        let (mut follower, mut blocks) = (world.follower(), Vec::new());
        let head = world.grow_to(30);
        until(&mut follower, &mut blocks, head).await;
        for (depth, length) in [(1, 2), (12, 15), (27, 29)] {
            world.shared.with_chain(|chain| {
                chain
                    .reorganise(depth, length, Abandoned::Returned)
                    .unwrap()
            });
            let head = world.head();
            until(&mut follower, &mut blocks, head).await;
            let levels: Vec<_> = blocks
                .iter()
                .map(|block| block.header.level.get())
                .collect();
            let top = i32::try_from(blocks.len()).unwrap() + world.origin.get();
            assert_eq!(levels, (world.origin.get() + 1..=top).collect::<Vec<_>>());
            assert_eq!(
                blocks.last().unwrap().header.hash,
                head,
                "{dialect:?} {depth}"
            );
            same_inbox(&world, &blocks).await;
        }
    }
}

#[tokio::test]
async fn a_rollup_and_what_happens_to_it_are_read_in_both_dialects() {
    for setup in setups() {
        let (dialect, period) = match setup.dialect {
            Dialect::Modern => (Dialect::Modern, 10),
            Dialect::Scr1 => (Dialect::Scr1, 30),
        };
        let world = world(setup).await;
        world.grow_to(36);
        let at = world
            .client
            .rollup(world.rollup, BlockId::Head)
            .await
            .unwrap();
        assert_eq!(at.dialect(), dialect);
        assert_eq!(at.kind().await, Ok(PvmKind::Wasm));
        let genesis = at.genesis().await.unwrap();
        assert_eq!(genesis.level, world.origin);
        assert_eq!(at.origination().await.unwrap().kernel, KERNEL);
        assert_eq!(at.last_cemented().await.unwrap().hash, genesis.commitment);
        assert_eq!(
            world.client.rollups(BlockId::Head).await,
            Ok(vec![world.rollup])
        );

        let claim = Commitment {
            compressed_state: StateHash([5; 32]),
            inbox_level: world.origin.plus(period).unwrap(),
            predecessor: genesis.commitment,
            number_of_ticks: 7,
        };
        let deed = Deed::Publish {
            rollup: world.rollup,
            commitment: claim,
        };
        world.shared.with(|scenario| {
            scenario.act(&Act::one(3, deed)).unwrap();
            scenario.advance().unwrap();
        });
        let block = world
            .client
            .block(BlockId::Head, &world.interest())
            .await
            .unwrap();
        let staker = block.effects.events[0].by;
        assert_eq!(
            block.effects.events[0].what,
            Happening::Published {
                commitment: claim,
                staked_hash: claim.hash(),
                published_at: block.header.level,
            }
        );
        let at = world
            .client
            .rollup(world.rollup, BlockId::Head)
            .await
            .unwrap();
        assert_eq!(at.stakers().await, Ok(vec![staker]));
        assert_eq!(at.commitment(&claim.hash()).await, Ok(Some(claim)));
        let stakes = at.stakes_at(claim.inbox_level).await.unwrap();
        assert_eq!(stakes[&claim.hash()], BTreeSet::from([staker]));
        assert_eq!(
            at.staked_on(&staker).await.unwrap().unwrap().hash,
            claim.hash()
        );
        assert_eq!(at.games(&staker).await, Ok(Vec::new()));
        assert_eq!(at.conflicts(&staker).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn an_address_of_the_other_era_is_given_back_in_the_form_of_the_chain() {
    let world = world(Setup::of_the_first_manual(Protocol::Ushuaia)).await;
    let error = world
        .client
        .accept_label(&world.rollup, Dialect::Modern)
        .await
        .unwrap_err();
    assert!(matches!(error, L1Error::OtherDialect { .. }));
    assert!(
        error
            .to_string()
            .contains(&world.rollup.text(Dialect::Scr1)),
        "{error}"
    );
}

#[tokio::test]
async fn receipts_too_large_are_recomputed_and_pruned_ones_explained() {
    let world = world(Setup::small(Protocol::Ushuaia, 10)).await;
    world.grow_to(12);
    let (ask, interest) = (BlockId::Level(Level::new(6)), world.interest());
    let whole = world.client.block(ask, &interest).await.unwrap();
    world
        .endpoint
        .change_weather(|weather| weather.too_large_at = Some(Level::new(6)));
    assert_eq!(world.client.block(ask, &interest).await, Ok(whole));
    world
        .endpoint
        .change_weather(|weather| weather.pruned_receipts_up_to = Some(Level::new(8)));
    let error = world.client.block(ask, &interest).await.unwrap_err();
    assert!(error.to_string().contains("archive mode"), "{error}");
    world
        .endpoint
        .change_weather(|weather| weather.gone_up_to = Some(Level::new(8)));
    let error = world.client.block(ask, &interest).await.unwrap_err();
    assert!(error.to_string().contains("--history-mode"), "{error}");
}

#[tokio::test]
async fn a_simulated_node_is_fit() {
    let world = world(Setup::small(Protocol::Ushuaia, 10)).await;
    world.grow_to(12);
    let header = world.client.header(BlockId::Head).await.unwrap();
    let needs = Needs {
        rollup: Some((world.rollup, Dialect::Modern)),
        from: None,
        now: Timestamp(header.timestamp),
    };
    let findings = world.client.examine(&needs).await;
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| finding.condition == Condition::Bad)
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
