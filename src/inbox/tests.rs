use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::codec::Micheline;
use crate::protocol::{
    BlockHash, ContractHash, HistoryCell, Inbox, InboxHash, Level, PayloadsHash, Protocol,
    PublicKeyHash, RollupAddress, Timestamp,
};

fn block(level: u16) -> BlockInput {
    BlockInput {
        level: Level::new(level),
        protocol: Protocol::Ushuaia,
        predecessor_protocol: Protocol::Ushuaia.hash_text().parse().unwrap(),
        predecessor: BlockHash([7; 32]),
        predecessor_timestamp: Timestamp(1_700_000_000),
        contributions: vec![],
        attested_slots: vec![],
        dal_parameters: BTreeMap::new(),
    }
}

fn hex_of(messages: &LevelMessages) -> Vec<String> {
    messages.messages().iter().map(hex::encode).collect()
}

/// The level of a published example of the reference node.
fn published() -> (LevelMessages, HistoryCell) {
    let messages = [
        "0001",
        "00030000000064b4f822f365312802b7c0d926b28c27c6b3ee212921cd4e92011aa59da7099c98af542f",
        "00000a00000024000000001f002501e23f94166aa518a037d11c2af05984c36b08f7cc0000000003617578b8a8b6f6910862bc7f78be2b459ea1e388f41aad0002298c03ed7d454a101eb7022bc95f7e5f41ac7860456fdcdd3fa34617540700c8e2ac135ef47327",
        "0002",
    ];
    let messages = messages
        .iter()
        .map(|text| hex::decode(text).unwrap())
        .collect();
    let messages = LevelMessages::new(messages).unwrap();
    let before: InboxHash = "srib13uhbDHZ5TGjrHokx5T9WHBjsurb2kNDijBFEBLfh3ZveLxJrD6"
        .parse()
        .unwrap();
    let cell = HistoryCell {
        index: 4,
        witness: messages.witness(),
        level: Level::new(5),
        back_pointers: vec![before, before],
    };
    (messages, cell)
}

#[test]
fn a_published_level_has_its_published_hashes() {
    let (messages, cell) = published();
    assert_eq!(
        messages.witness().to_string(),
        "srib22s9PpqeSy1GvYUrbBBhVEakbXqpVZdjksQaghniizE8s6cVQXj"
    );
    assert_eq!(
        cell.hash().to_string(),
        "srib12kCQqRh6qSX8tzN1DYxvTkK3jd25aWi7cQeix1mWi3YraaxsBZ"
    );
    for message in messages.messages() {
        assert_eq!(
            Message::parse(message).unwrap().serialize().as_ref(),
            Ok(message)
        );
    }
    let none = |_| None;
    let (proof, input) = InboxProof::produce(&cell, cell.level, 2, &messages, none).unwrap();
    assert_eq!(proof.to_bytes().len(), 360);
    assert_eq!(input.unwrap().counter, 2);
    let (proof, input) = InboxProof::produce(&cell, cell.level, 4, &messages, none).unwrap();
    assert_eq!(proof.to_bytes().len(), 183);
    assert_eq!(input, None);
}

fn transfer(status: Status, payload: Option<Micheline>) -> RollupTransfer {
    RollupTransfer {
        status,
        sender: ContractHash([4; 20]),
        destination: RollupAddress([5; 20]),
        payload,
    }
}

#[test]
fn only_what_was_applied_is_in_the_level_and_in_order() {
    let content = |status, message: &[u8], transfers| Contribution {
        source: PublicKeyHash::Tz1([3; 20]),
        status,
        messages: vec![message.to_vec()],
        transfers,
    };
    let mut block = block(9);
    block.contributions = vec![
        content(
            Status::Applied,
            b"a",
            vec![
                transfer(Status::Applied, None),
                transfer(Status::Backtracked, None),
                transfer(Status::Applied, Some(Micheline::bytes(b"z"))),
            ],
        ),
        content(Status::Failed, b"b", vec![transfer(Status::Applied, None)]),
        content(Status::Skipped, b"c", vec![]),
        content(Status::Backtracked, b"d", vec![]),
        content(Status::Applied, b"e", vec![]),
    ];
    let messages = hex_of(&messages_of(&block).unwrap());
    let around = format!(
        "{}{}{}",
        "04".repeat(20),
        "00".to_owned() + &"03".repeat(20),
        "05".repeat(20)
    );
    let info = format!("0003000000006553f100{}", "07".repeat(32));
    let expected = [
        "0001".to_owned(),
        info,
        "0161".into(),
        format!("0000030b{around}"),
        format!("00000a000000017a{around}"),
        "0165".into(),
        "0002".into(),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn the_first_block_of_a_protocol_carries_its_migration_message() {
    let mut first = block(9);
    first.predecessor_protocol = Protocol::Tallinn.hash_text().parse().unwrap();
    let messages = hex_of(&messages_of(&first).unwrap());
    assert_eq!(
        messages.get(2).map(String::as_str),
        Some("000400000008753032355f303235")
    );
    first.protocol = Protocol::Mumbai;
    assert_eq!(messages_of(&first).unwrap().messages().len(), 3);
}

#[test]
fn attested_slots_are_grouped_and_split() {
    let mut block = block(20);
    let account = |n: u16| {
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        PublicKeyHash::Tz1(hash)
    };
    // 400 publishers of 24 bytes each do not fit one message.
    for publisher in (0..400).rev() {
        for slot_index in [9, 2] {
            block.attested_slots.push(AttestedSlot {
                published_level: Level::new(12),
                publisher: account(publisher),
                slot_index,
            });
        }
    }
    block.attested_slots.push(AttestedSlot {
        published_level: Level::new(11),
        publisher: account(1),
        slot_index: 0,
    });
    assert_eq!(
        messages_of(&block),
        Err(InboxError::DalParametersMissing(Level::new(11)))
    );
    for level in [11, 12] {
        let parameters = DalParameters {
            number_of_slots: 32,
            slot_size: 126_944,
            page_size: 3967,
        };
        block.dal_parameters.insert(Level::new(level), parameters);
    }
    let level = messages_of(&block).unwrap();
    let slots: Vec<AttestedSlots> = level
        .messages()
        .iter()
        .filter_map(|message| match Message::parse(message).unwrap() {
            Message::Internal(InternalMessage::DalAttestedSlots(slots)) => Some(slots),
            _ => None,
        })
        .collect();
    let levels: Vec<_> = slots
        .iter()
        .map(|slots| slots.published_level.get())
        .collect();
    assert_eq!(levels, [11, 12, 12, 12]);
    let listed: Vec<_> = slots
        .iter()
        .skip(1)
        .flat_map(|slots| slots.slots_by_publisher.iter())
        .collect();
    assert!(listed.is_sorted_by_key(|(publisher, _)| *publisher));
    assert_eq!(listed.len(), 400);
    assert!(
        listed
            .iter()
            .all(|(_, set)| set.bit(2) && set.bit(9) && !set.bit(3))
    );
}

/// A chain of `levels` inbox levels with up to three external messages each.
fn chain(levels: u16, counts: &[u8]) -> Vec<(Inbox, LevelMessages)> {
    let (inbox, messages) = origin_inbox(
        Level::new(3),
        Protocol::Ushuaia,
        BlockHash([1; 32]),
        Timestamp(0),
    )
    .unwrap();
    let mut chain = vec![(inbox, messages)];
    for (step, count) in (0..levels).zip(counts.iter().cycle()) {
        let (last, _) = chain.last().unwrap();
        let mut block = block(step + 4);
        block.contributions.push(Contribution {
            source: PublicKeyHash::Tz2([0; 20]),
            status: Status::Applied,
            messages: (0..*count).map(|n| vec![n]).collect(),
            transfers: vec![],
        });
        let messages = messages_of(&block).unwrap();
        let inbox = next_inbox(last, block.level, messages.witness()).unwrap();
        chain.push((inbox, messages));
    }
    chain
}

/// What layer 1 accepts although it is not so: see `game::judge`. Should a protocol close this,
/// the judge must follow.
#[test]
fn layer_1_believes_what_cells_claim_of_their_positions() {
    let chain = chain(20, &[3]);
    let snapshot = &chain.last().unwrap().0.cell;
    let history = |index: u64| {
        chain
            .get(index as usize)
            .map(|(inbox, _)| inbox.cell.clone())
    };
    let (inbox, messages) = &chain[5];
    let level = inbox.level();
    let last = messages.messages().len() as u64 - 1;
    // A true proof that nothing follows the last message.
    let (end, next) = InboxProof::produce(snapshot, level, last + 1, messages, history).unwrap();
    assert_eq!(next.map(|next| next.counter), Some(0));

    // The same cell, said to be the first message: the level would end after it.
    let mut short = end.clone();
    short.payloads[0].index = 0;
    let next = short.verify(snapshot, level, 1).unwrap().unwrap();
    assert_eq!((next.level, next.counter), (level.next().unwrap(), 0));

    // Or said to be the second: the end of the level would come before its messages.
    let mut skipping = end;
    skipping.payloads[0].index = 1;
    skipping.payload = messages.messages().last().cloned();
    let next = skipping.verify(snapshot, level, 1).unwrap().unwrap();
    assert_eq!(
        (next.level, next.counter, next.payload),
        (level, 1, vec![0, 2])
    );

    // The message of another level in the same place.
    let (other_inbox, other) = &chain[9];
    let (strange, _) =
        InboxProof::produce(snapshot, other_inbox.level(), 1, other, history).unwrap();
    let next = strange.verify(snapshot, level, 1).unwrap().unwrap();
    assert_eq!((next.level, next.counter), (level, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn proofs_hold_and_only_for_what_they_prove(
        counts in proptest::collection::vec(0_u8..30, 1..5), levels in 1_u16..70,
        at: proptest::sample::Index, which: proptest::sample::Index, flip: proptest::sample::Index,
    ) {
        let chain = chain(levels, &counts);
        let snapshot = &chain.last().unwrap().0.cell;
        let place = at.index(chain.len());
        let (inbox, messages) = &chain[place];
        let counter = which.index(messages.messages().len() + 1) as u64;
        let history = |index: u64| chain.get(index as usize).map(|(inbox, _)| inbox.cell.clone());
        let (proof, input) =
            InboxProof::produce(snapshot, inbox.level(), counter, messages, history).unwrap();
        prop_assert_eq!(proof.verify(snapshot, inbox.level(), counter), Ok(input.clone()));
        let expected = match messages.messages().get(counter as usize) {
            Some(payload) => Some((inbox.level(), counter, payload.clone())),
            None => chain.get(place + 1).map(|(next, _)| (next.level(), 0, vec![0, 1])),
        };
        prop_assert_eq!(input.map(|input| (input.level, input.counter, input.payload)), expected);
        prop_assert!(proof.verify(snapshot, inbox.level(), counter + 2).is_err());
        let bytes = proof.to_bytes();
        prop_assert_eq!(InboxProof::from_bytes(&bytes), Ok(proof));
        let mut damaged = bytes.clone();
        damaged[flip.index(bytes.len())] ^= 1;
        // Some bytes (positions of cells off the path) are not covered by any hash.
        if let Ok(proof) = InboxProof::from_bytes(&damaged) {
            let _ = proof.verify(snapshot, inbox.level(), counter);
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = InboxProof::from_bytes(&bytes);
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(Message::parse(&message.serialize().unwrap()), Ok(message));
        }
    }

    #[test]
    fn proofs_of_arbitrary_cells_do_not_panic(
        cells in proptest::collection::vec((0_u64..40, 0_usize..5), 0..6), counter in 0_u64..40,
    ) {
        let inclusion: Vec<HistoryCell> = cells
            .iter()
            .map(|(index, pointers)| HistoryCell {
                index: *index,
                witness: PayloadsHash([0; 32]),
                level: Level::ZERO,
                back_pointers: vec![InboxHash([1; 32]); *pointers],
            })
            .collect();
        if let Some(snapshot) = inclusion.first().cloned() {
            let proof = InboxProof { inclusion, payloads: vec![], payload: None };
            prop_assert!(proof.verify(&snapshot, Level::ZERO, counter).is_err());
        }
    }
}
