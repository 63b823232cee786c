//! The driver over HTTP against the simulated chain.

use std::collections::BTreeSet;

use super::super::*;
use crate::crypto::{Curve, SecretKey};
use crate::l1::{BlockId, BlockRef, Client, Interest, Retries, Settings as ClientSettings};
use crate::protocol::{
    Commitment, CommitmentHash, Level, Mutez, Protocol, PublicKeyHash, RollupAddress, StateHash,
    Timestamp,
};
use crate::signer::{Authority, Brake, Gate, Key, Memory, Policy};
use crate::sim::{
    Abandoned, Act, Deed, Endpoint, Options, Parameters, Scenario, Setup, Shared, serve,
};

/// Entries in memory, in the form they are kept in.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rows: Vec<String>,
    /// The tower is killed once a row of this kind is on disk.
    pub(super) killed_after: Option<&'static str>,
}

impl Scribe for Kept {
    async fn write(&mut self, entries: Vec<Entry>) -> Result<(), ScribeError> {
        self.rows.extend(entries.iter().map(Entry::to_json));
        match self.killed_after {
            Some(word) if entries.iter().any(|entry| entry.word() == word) => {
                Err(ScribeError(format!("killed after {word}")))
            }
            _ => Ok(()),
        }
    }
}

pub(super) struct Rig {
    pub(super) shared: Shared,
    pub(super) endpoints: Vec<Endpoint>,
    client: Client,
    pub(super) driver: Driver<Kept>,
    rollup: RollupAddress,
    interest: Interest,
    given: Vec<BlockRef>,
    notices: Vec<Notice>,
}

fn chain(protocol: Protocol, ttl: u32) -> Scenario {
    let mut parameters = Parameters::mainnet(protocol).with_lengths(10, 40, 20);
    parameters.rollup.operation_ttl = ttl;
    Scenario::new(Setup::of(protocol, parameters)).unwrap()
}

fn bytes_of(scenario: &Scenario, person: u32) -> SecretKey {
    scenario
        .person(person)
        .unwrap()
        .secret_text()
        .parse()
        .unwrap()
}

fn policy(rollup: RollupAddress) -> Policy {
    Policy {
        authority: Authority::Defend,
        rollups: BTreeSet::from([rollup]),
        stake_cap: Mutez(10_000_000_000),
        fee_cap: Mutez(5_000_000),
        daily_fee_cap: Mutez(50_000_000),
        hourly_cap: 1000,
    }
}

impl Rig {
    async fn new(mut scenario: Scenario, key: SecretKey, settings: Settings) -> Self {
        let rollup = scenario.originate(0, b"\0asm\x01\0\0\0").unwrap();
        scenario.advance_to(Level::new(14)).unwrap();
        let shared = Shared::new(scenario);
        let mut endpoints = Vec::new();
        for _ in 0..2 {
            endpoints.push(serve(shared.clone(), Options::local()).await.unwrap());
        }
        let client = Client::new(&ClientSettings {
            retries: Retries {
                rounds: 1,
                ..Retries::default()
            },
            ..ClientSettings::new(endpoints.iter().map(Endpoint::url))
        })
        .unwrap();
        let account = PublicKeyHash::of_key(key.public());
        let gate = Gate::new(
            Key::local(key),
            policy(rollup),
            Memory::default(),
            Brake::default(),
        );
        let driver = Driver::resume(client.clone(), gate, settings, &[], Kept::default());
        Self {
            driver: driver.await.unwrap(),
            interest: Interest {
                rollups: BTreeSet::from([rollup]),
                accounts: BTreeSet::from([account]),
            },
            shared,
            endpoints,
            client,
            rollup,
            given: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The first commitment of the rollup, with a state of one's choice.
    pub(super) async fn claim(&self, state: u8) -> Intention {
        let there = self
            .client
            .rollup(self.rollup, BlockId::Head)
            .await
            .unwrap();
        let genesis = there.genesis().await.unwrap();
        Intention::Publish {
            rollup: self.rollup,
            commitment: Commitment {
                compressed_state: StateHash([state; 32]),
                inbox_level: genesis.level.plus(10).unwrap(),
                predecessor: genesis.commitment,
                number_of_ticks: 11_000_000_000,
            },
        }
    }

    pub(super) fn bake(&self, count: u32) {
        self.shared
            .with_chain(|chain| chain.bake_many(count))
            .unwrap();
    }

    /// Gives the driver all blocks up to the head, and what is wanted there.
    pub(super) async fn tell(&mut self, wanted: &[Intention]) {
        self.told(wanted).await.unwrap();
    }

    /// The same, where the tower may be killed meanwhile.
    pub(super) async fn told(&mut self, wanted: &[Intention]) -> Result<(), DriverError> {
        let chain: Vec<_> = self.shared.with_chain(|chain| {
            let levels = 1..=chain.level().get();
            let blocks = levels.map(|level| chain.at(level.try_into().unwrap()).unwrap());
            blocks
                .map(|block| BlockRef {
                    level: block.header.level,
                    hash: block.hash,
                })
                .collect()
        });
        if self.given.is_empty() {
            self.given = chain.clone();
        }
        let common = self
            .given
            .iter()
            .zip(&chain)
            .take_while(|(a, b)| a == b)
            .count();
        if common < self.given.len() {
            self.given.truncate(common);
            let keep = self.given.last().unwrap().level;
            let report = self.driver.rolled_back(keep).await.unwrap();
            self.notices.extend(report.notices);
        }
        for place in &chain[common..] {
            let block = self
                .client
                .block(BlockId::Hash(place.hash), &self.interest)
                .await
                .unwrap();
            let report = self.driver.applied(&block).await.unwrap();
            self.notices.extend(report.notices);
            self.given.push(*place);
        }
        let at = At {
            head: *chain.last().unwrap(),
            now: Timestamp(0),
            lost: Mutez(0),
        };
        let wanted = wanted.iter().map(|what| Wanted {
            what: what.clone(),
            deadline: None,
        });
        let report = self.driver.head(at, wanted.collect()).await?;
        self.notices.extend(report.notices);
        Ok(())
    }

    /// A new tower on the same disk.
    pub(super) async fn restart(&mut self) {
        let entries = self.entries();
        let mut memory = Memory::default();
        for entry in &entries {
            entry.remember(&mut memory).unwrap();
        }
        let key = self.shared.with(|scenario| bytes_of(scenario, 5));
        let gate = Gate::new(
            Key::local(key),
            policy(self.rollup),
            memory,
            Brake::default(),
        );
        let kept = Kept {
            rows: entries.iter().map(Entry::to_json).collect(),
            killed_after: None,
        };
        let client = self.client.clone();
        let driver = Driver::resume(client, gate, Settings::default(), &entries, kept).await;
        self.driver = driver.unwrap();
    }

    pub(super) fn words(&self) -> Vec<&'static str> {
        self.entries().iter().map(Entry::word).collect()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let texts = self.driver.scribe().rows.iter();
        texts.map(|text| Entry::from_json(text).unwrap()).collect()
    }

    /// How the operations that were included ended, as told.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |notice: &Notice| match notice {
            Notice::Included { outcome, .. } => Some(*outcome),
            _ => None,
        };
        self.notices.iter().filter_map(outcome).collect()
    }

    fn weather(&self, loses: bool) {
        for endpoint in &self.endpoints {
            endpoint.change_weather(|weather| weather.loses_operations = loses);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.shared
            .with_chain(|chain| chain.mempool().waiting().len())
    }
}

pub(super) async fn rig(settings: Settings) -> Rig {
    let scenario = chain(Protocol::Ushuaia, 600);
    let key = bytes_of(&scenario, 5);
    Rig::new(scenario, key, settings).await
}

#[tokio::test]
async fn a_publication_is_written_down_signed_included_and_final() {
    let mut rig = rig(Settings::default()).await;
    let claim = rig.claim(1).await;
    rig.tell(std::slice::from_ref(&claim)).await;
    assert_eq!(rig.waiting(), 1);
    rig.bake(1);
    for _ in 0..3 {
        rig.tell(&[]).await;
        rig.bake(1);
    }
    let expected = ["admitted", "signed", "injected", "included", "final"];
    assert_eq!(rig.words(), expected);
    assert_eq!(rig.outcomes(), [Outcome::Included]);
    let there = rig.client.rollup(rig.rollup, BlockId::Head).await.unwrap();
    let account = rig.driver.gate().account();
    let staked = there.staked_on(&account).await.unwrap().unwrap();
    assert_eq!(claim.key(), IntentionKey::Publish(rig.rollup, staked.hash));
    // Both endpoints took it.
    let injected = rig.entries().into_iter().find_map(|entry| match entry {
        Entry::Injected { accepted, .. } => Some(accepted.len()),
        _ => None,
    });
    assert_eq!(injected, Some(2));
}

#[tokio::test]
async fn a_fresh_account_reveals_its_key_first() {
    for (curve, protocol) in [
        (Curve::Ed25519, Protocol::Mumbai),
        (Curve::Secp256k1, Protocol::Oxford),
        (Curve::P256, Protocol::Rio),
        (Curve::Bls, Protocol::Rio),
        (Curve::Bls, Protocol::Seoul),
        (Curve::Bls, Protocol::Ushuaia),
    ] {
        let mut bytes = [3; 32];
        bytes[31] = 1;
        let key = SecretKey::from_bytes(curve, &bytes).unwrap();
        let account = PublicKeyHash::of_key(key.public());
        let mut scenario = chain(protocol, 240);
        let pay = Deed::Pay {
            to: account.to_string(),
            mutez: 20_000_000_000,
        };
        scenario.act(&Act::one(1, pay)).unwrap();
        let mut rig = Rig::new(scenario, key, Settings::default()).await;
        let claim = rig.claim(1).await;
        rig.tell(&[claim]).await;
        rig.bake(1);
        rig.tell(&[]).await;
        assert_eq!(
            rig.outcomes(),
            [Outcome::Included],
            "{curve:?} under {protocol}: {:?}",
            rig.notices
        );
        let there = rig.client.account(&account, BlockId::Head).await.unwrap();
        assert!(there.key.is_some());
        assert_eq!(there.bonds, Mutez(10_000_000_000));
    }
}

#[tokio::test]
async fn a_lost_operation_is_sent_again_dearer_when_it_stays_lost() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.weather(true);
    for _ in 0..9 {
        rig.tell(&claim).await;
        rig.bake(1);
    }
    assert_eq!(rig.waiting(), 0);
    let fees: Vec<_> = rig
        .entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Signed { bytes, form, .. } => {
                let signed =
                    crate::protocol::operation::SignedOperation::from_bytes(form, &bytes).unwrap();
                Some(signed.operation.contents[0].fee.0)
            }
            _ => None,
        })
        .collect();
    assert!(
        matches!(fees.as_slice(), [first, second] if second * 20 >= first * 21),
        "{fees:?}"
    );
    rig.weather(false);
    rig.tell(&claim).await;
    assert_eq!(rig.waiting(), 1);
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn one_endpoint_is_enough() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.endpoints[0].change_weather(|weather| weather.status = Some(503));
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn a_reorganisation_sends_the_same_operation_again() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    rig.shared
        .with_chain(|chain| chain.reorganise(1, 2, Abandoned::Lost))
        .unwrap();
    assert_eq!(rig.waiting(), 0);
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included, Outcome::Included]);
    let signed = rig
        .words()
        .into_iter()
        .filter(|word| *word == "signed")
        .count();
    assert_eq!(signed, 1, "{:?}", rig.words());
    assert!(rig.words().contains(&"undone"));
}

#[tokio::test]
async fn an_expired_operation_is_made_anew() {
    let scenario = chain(Protocol::Ushuaia, 6);
    let key = bytes_of(&scenario, 5);
    let mut rig = Rig::new(scenario, key, Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.weather(true);
    for _ in 0..10 {
        rig.tell(&claim).await;
        rig.bake(1);
    }
    rig.weather(false);
    assert!(rig.words().contains(&"dropped"), "{:?}", rig.words());
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn somebody_else_at_our_key_makes_us_stand_by_and_go_on_later() {
    let mut rig = rig(Settings {
        stand_by: 3,
        ..Settings::default()
    })
    .await;
    let claim = [rig.claim(1).await];
    rig.tell(&[]).await;
    rig.shared
        .with(|scenario| scenario.act(&Act::messages(5, &[b"mine"])))
        .unwrap();
    // It waits already: nothing is sent beside it.
    rig.tell(&claim).await;
    assert_eq!(rig.waiting(), 1);
    rig.bake(1);
    rig.tell(&claim).await;
    assert!(rig.driver.carrier().is_standing_by());
    assert_eq!(rig.waiting(), 0);
    let foreign = rig
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Foreign { .. }));
    assert_eq!(foreign.count(), 2, "{:?}", rig.notices);
    rig.bake(3);
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn a_crash_between_injection_and_inclusion_loses_nothing() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.tell(&claim).await;
    rig.restart().await;
    rig.tell(&claim).await;
    let signed = rig
        .words()
        .into_iter()
        .filter(|word| *word == "signed")
        .count();
    assert_eq!(signed, 1);
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
    // Another claim for that level comes to nothing.
    let other = [rig.claim(2).await];
    rig.tell(&other).await;
    assert!(rig.words().contains(&"held"), "{:?}", rig.words());
    assert_eq!(
        rig.words()
            .into_iter()
            .filter(|word| *word == "signed")
            .count(),
        1
    );
}

#[tokio::test]
async fn the_chains_refusals_are_told_and_do_not_stop_the_rest() {
    let mut rig = rig(Settings::default()).await;
    let claim = rig.claim(1).await;
    let absent = Intention::Cement {
        rollup: rig.rollup,
        commitment: CommitmentHash([1; 32]),
    };
    let account = rig.driver.gate().account();
    let bond = Intention::RecoverBond {
        rollup: rig.rollup,
        staker: account,
    };
    rig.tell(&[absent.clone(), bond, claim]).await;
    let held: Vec<_> = rig
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Held { what, outcome, .. } => Some((what.kind(), *outcome)),
            _ => None,
        })
        .collect();
    let kinds: Vec<_> = held.iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.contains(&absent.kind()), "{held:?}");
    assert!(
        held.iter()
            .all(|(_, outcome)| matches!(outcome, Outcome::Wait | Outcome::Obsolete)),
        "{held:?}"
    );
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn brake_and_freeze_stop_sending() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.driver.gate().brake().pull("by hand");
    rig.tell(&claim).await;
    assert_eq!(rig.waiting(), 0);
    rig.driver.gate().brake().release();
    rig.driver.gate().brake().freeze(rig.rollup, "odd");
    rig.tell(&claim).await;
    assert_eq!(rig.waiting(), 0);
    assert_eq!(
        rig.words(),
        ["refused", "held"],
        "what was refused is written once, however often it is wanted"
    );
    rig.driver.gate().brake().thaw(&rig.rollup);
    rig.tell(&claim).await;
    assert_eq!(
        rig.waiting(),
        1,
        "sent at the head at which it may be again"
    );
    rig.bake(1);
    rig.tell(&claim).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn what_a_brake_held_back_is_in_the_very_next_block_after_it() {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.driver.gate().brake().pull("by hand");
    for _ in 0..3 {
        rig.tell(&claim).await;
        rig.bake(1);
    }
    assert_eq!(rig.waiting(), 0);
    rig.driver.gate().brake().release();
    rig.tell(&claim).await;
    rig.bake(1);
    rig.tell(&[]).await;
    assert_eq!(rig.outcomes(), [Outcome::Included]);
}

#[tokio::test]
async fn a_shadow_writes_what_it_would_send_and_sends_nothing() {
    let rig = rig(Settings::default()).await;
    let claim = rig.claim(1).await;
    let account = rig.driver.gate().account();
    let mut shadow = Shadow::new(
        rig.client.clone(),
        account,
        Settings::default(),
        Kept::default(),
    );
    let head = rig.shared.with_chain(|chain| BlockRef {
        level: chain.level(),
        hash: chain.head().hash,
    });
    let at = At {
        head,
        now: Timestamp(0),
        lost: Mutez(0),
    };
    for _ in 0..2 {
        let wanted = vec![Wanted {
            what: claim.clone(),
            deadline: None,
        }];
        shadow.head(at, wanted).await.unwrap();
    }
    let entries: Vec<_> = shadow
        .scribe()
        .rows
        .iter()
        .map(|text| Entry::from_json(text).unwrap())
        .collect();
    assert!(
        matches!(entries.as_slice(), [Entry::WouldSend { .. }]),
        "{entries:?}"
    );
    assert_eq!(rig.waiting(), 0);
}
