//! The tower's node client against the simulated chain: whatever the chain did, the client reads
//! from its JSON, in every protocol and in both dialects, and the inbox it implies is the chain's.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::BTreeSet;

use serde_json::json;
use watchtower::crypto::{Dialect, blake2b_concat};
use watchtower::inbox::{Info, InternalMessage, LevelMessages, Message, Transfer};
use watchtower::l1::{Block, BlockId, Client, Contribution, Happening, Interest, Settings};
use watchtower::protocol::{Level, Protocol, RollupAddress, StateHash, Timestamp};
use watchtower::sim::{
    Act, Actor, Chain, Deed, From, Options, Parameters, Period, Scenario, Setup, Shared, Strategy,
    Truth, serve,
};

/// States that follow from the level alone: this test is about what is read, not about kernels.
#[derive(Debug)]
struct Invented;

impl Truth for Invented {
    fn period(&mut self, _: &Chain, _: &RollupAddress, from: Level, to: Level) -> Option<Period> {
        let state = blake2b_concat(&[b"state", &to.get().to_be_bytes()]);
        let ticks = u64::from(to.since(from)?);
        Some(Period {
            state: StateHash::from(state),
            ticks,
        })
    }
}

/// Messages, transfers (nested and failing ones too), an honest staker and a liar, up to level 20.
fn eventful(setup: Setup) -> (Scenario, RollupAddress) {
    let mut scenario = Scenario::new(setup).unwrap();
    let rollup = scenario.originate(0, b"\0asm\x01\0\0\0").unwrap();
    let (to, relay) = (rollup.to_string(), scenario.relay().to_string());
    let nested = json!([{"prim": "Pair", "args": [{"string": to}, {"bytes": "aa"}]}]);
    let relayed = |transfers: Vec<(String, serde_json::Value)>| Deed::Relay { transfers };
    scenario.plan(Level::new(4), Act::messages(1, &[b"one", b"two"]));
    scenario.plan(
        Level::new(4),
        Act::one(
            2,
            relayed(vec![
                (relay.clone(), nested),
                (to.clone(), json!({"bytes": ""})),
            ]),
        ),
    );
    let failing = vec![
        (to, json!({"bytes": "01"})),
        (relay, json!({"string": "fail"})),
    ];
    let undone = Deed::Messages {
        messages: vec!["00".into()],
    };
    scenario.plan(
        Level::new(5),
        Act {
            by: 3,
            deeds: vec![undone, relayed(failing)],
        },
    );
    scenario.plan(Level::new(5), Act::messages(4, &[b"three"]));
    let lie = From::level(Level::new(1));
    scenario.employ(
        [
            Actor::new(5, rollup, Strategy::Honest),
            Actor::new(6, rollup, Strategy::WrongState(lie)),
        ],
        Box::new(Invented),
    );
    scenario.advance_to(Level::new(20)).unwrap();
    assert_eq!(scenario.refusals(), []);
    (scenario, rollup)
}

/// The inbox messages that what the client read implies.
fn implied(block: &Block) -> Vec<Vec<u8>> {
    let mut messages = vec![Message::Internal(InternalMessage::InfoPerLevel(Info {
        predecessor_timestamp: Timestamp(block.previous.timestamp),
        predecessor: block.previous.hash,
    }))];
    if block.is_first_of_protocol && block.protocol >= Protocol::Nairobi {
        let version = block.protocol.version_text().into();
        messages.push(Message::Internal(InternalMessage::ProtocolMigration(
            version,
        )));
    }
    messages.extend(block.effects.contributions.iter().map(|one| match one {
        Contribution::External(bytes) => Message::External(bytes.clone()),
        Contribution::Transfer {
            payload,
            sender,
            source,
            destination,
        } => Message::Internal(InternalMessage::Transfer(Transfer {
            payload: payload.clone(),
            sender: *sender,
            source: *source,
            destination: *destination,
        })),
    }));
    let mut bytes = vec![Message::START_OF_LEVEL.to_vec()];
    bytes.extend(messages.iter().map(|message| message.serialize().unwrap()));
    bytes.push(Message::END_OF_LEVEL.to_vec());
    bytes
}

async fn read_back(setup: Setup) {
    let (scenario, rollup) = eventful(setup);
    let dialect = scenario.chain().config().dialect;
    let shared = Shared::new(scenario);
    let endpoint = serve(shared.clone(), Options::local()).await.unwrap();
    let client = Client::new(&Settings::new([endpoint.url()])).unwrap();
    assert_eq!(client.dialect().await.unwrap(), dialect);
    let interest = Interest {
        rollups: BTreeSet::from([rollup]),
        accounts: BTreeSet::new(),
    };
    let (mut originated, mut published) = (0, 0);
    for level in 2..=20 {
        let block = client
            .block(BlockId::Level(Level::new(level)), &interest)
            .await
            .unwrap();
        let (hash, messages, cell) = shared.with_chain(|chain| {
            let block = chain.at(Level::new(level)).unwrap();
            let messages: LevelMessages = block.messages.as_deref().cloned().unwrap();
            (
                block.hash,
                messages,
                block.context.clone().unwrap().inbox.cell,
            )
        });
        assert_eq!(block.header.hash, hash);
        assert_eq!(implied(&block), messages.messages(), "level {level}");
        let inbox = client.inbox(hash.into()).await.unwrap();
        assert_eq!(
            (inbox.witness, inbox.index),
            (messages.witness(), cell.index)
        );
        assert_eq!(inbox.back_pointers, cell.back_pointers);
        for event in &block.effects.events {
            match &event.what {
                Happening::Originated { .. } => originated += 1,
                Happening::Published { .. } => published += 1,
                other => panic!("level {level}: {other:?}"),
            }
        }
    }
    assert_eq!((originated, published), (1, 2));
    let view = client.rollup(rollup, BlockId::Head).await.unwrap();
    let genesis = view.genesis().await.unwrap();
    assert_eq!(view.last_cemented().await.unwrap().hash, genesis.commitment);
    assert_eq!(view.stakers().await.unwrap().len(), 2);
    let stakes = view.stakes_at(Level::new(12)).await.unwrap();
    assert_eq!(stakes.len(), 2);
    let one = *stakes.values().next().and_then(BTreeSet::first).unwrap();
    assert_eq!(view.conflicts(&one).await.unwrap().len(), 1);
    assert_eq!(view.games(&one).await.unwrap(), []);
}

fn short(protocol: Protocol) -> Setup {
    Setup::of(
        protocol,
        Parameters::mainnet(protocol).with_lengths(10, 40, 20),
    )
}

#[tokio::test]
async fn every_protocol_is_read_back() {
    for protocol in Protocol::ALL {
        read_back(short(protocol)).await;
    }
}

#[tokio::test]
async fn a_switch_of_protocol_is_read_back() {
    for (old, new) in [
        (Protocol::Mumbai, Protocol::Nairobi),
        (Protocol::ParisC, Protocol::Quebec),
        (Protocol::Tallinn, Protocol::Ushuaia),
    ] {
        let parameters = Parameters::mainnet(new).with_lengths(10, 40, 20);
        read_back(short(old).migrating(Level::new(7), new, parameters)).await;
    }
}

#[tokio::test]
async fn the_older_dialect_is_read_back() {
    let mut setup = short(Protocol::Ushuaia);
    setup.dialect = Dialect::Scr1;
    read_back(setup).await;
}
