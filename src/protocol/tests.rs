//! Decoders of games, cells and outbox messages: any bytes are read or refused, and what is read
//! is written back.

use proptest::prelude::*;

use super::*;
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Dialect;

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

/// What was read, with the bytes it took.
fn read_whole<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Option<(T, &[u8])> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader).ok()?;
    let used = reader.offset();
    Some((value, &bytes[..used]))
}

/// Bytes that get past the first fields of what is read.
fn cell_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pointers = proptest::collection::vec(any::<[u8; 32]>(), 0..3);
    (
        0_u8..6,
        proptest::collection::vec(any::<u8>(), 90),
        pointers,
    )
        .prop_map(|(tag, mut content, pointers)| {
            // A level that is not negative, an implicit publisher and its truth value, version 0.
            for byte in content.iter_mut() {
                *byte &= 0x7f;
            }
            let mut bytes = vec![5, tag];
            bytes.extend(content);
            bytes.extend(((pointers.len() * 32) as u32).to_be_bytes());
            bytes.extend(pointers.concat());
            bytes
        })
}

proptest! {
    #[test]
    fn dal_cells_are_written_back(bytes in cell_bytes(), noise: Vec<u8>) {
        for bytes in [&bytes, &noise] {
            if let Some((cell, used)) = read_whole(bytes, DalCell::read) {
                prop_assert_eq!(written(|writer| cell.write(writer)), used);
                prop_assert_eq!(DalCell::from_json(&cell.to_json()), Ok(cell));
            }
        }
    }

    #[test]
    fn dal_contents_round_trip(
        level in 0_i32..i32::MAX, index: u8, lag: Option<u8>, account: [u8; 20], seal: [u8; 24], is_attested: bool, shards: (u16, u16), kind in 0..4,
    ) {
        let slot = DalSlot { level: level.try_into().unwrap(), index };
        let commitment = DalCommitment([seal, seal].concat().try_into().unwrap());
        let content = match kind {
            0 => DalContent::Unattested(slot),
            1 => DalContent::Attested(slot, commitment),
            2 => DalContent::Unpublished { slot, attestation_lag: lag },
            _ => DalContent::Published {
                slot,
                commitment,
                publisher: operation::Contract::Originated(ContractHash(account)),
                is_attested,
                attested_shards: shards.0,
                total_shards: shards.1,
                attestation_lag: lag,
            },
        };
        let bytes = written(|writer| content.write(writer));
        prop_assert_eq!(DalContent::read(&mut Reader::new(&bytes)), Ok(content));
        prop_assert_eq!(DalContent::from_json(&content.to_json()), Ok(content));
    }

    #[test]
    fn games_are_written_back(
        turn in 0_u8..2, state in 0_u8..2, levels: (u16, u16), chunks in proptest::collection::vec((any::<Option<[u8; 32]>>(), any::<u64>()), 2..6), noise: Vec<u8>,
    ) {
        let chunks: Vec<_> = chunks
            .into_iter()
            .map(|(state, tick)| operation::DissectionChunk { state: state.map(StateHash), tick: Tick(tick.into()) })
            .collect();
        let cell = HistoryCell {
            index: 3,
            witness: PayloadsHash([1; 32]),
            level: Level::new(levels.0),
            back_pointers: vec![InboxHash([2; 32])],
        };
        let game = Game {
            turn: if turn == 0 { Player::Alice } else { Player::Bob },
            inbox_snapshot: cell,
            dal_snapshot: DalSnapshot::empty(),
            start_level: Level::new(levels.0),
            inbox_level: Level::new(levels.1),
            state: if state == 0 {
                GameState::Dissecting { dissection: chunks, default_number_of_sections: 32 }
            } else {
                GameState::FinalMove { agreed_start: chunks[0], refuted_stop: chunks[1] }
            },
        };
        let bytes = written(|writer| game.write(writer));
        prop_assert_eq!(Game::read(&mut Reader::new(&bytes)), Ok(game.clone()));
        for dialect in [Dialect::Modern, Dialect::Scr1] {
            prop_assert_eq!(Game::from_json(&game.to_json(dialect), dialect), Ok(game.clone()));
        }
        let _ = Game::read(&mut Reader::new(&noise));
        let _ = GameResult::read(&mut Reader::new(&noise));
        let _ = Inbox::read(&mut Reader::new(&noise));
    }

    #[test]
    fn outbox_messages_are_written_back(tag in 0_u8..5, rest: Vec<u8>) {
        let mut sized = vec![tag];
        sized.extend((rest.len() as u32).to_be_bytes());
        sized.extend(&rest);
        let mut plain = vec![tag];
        plain.extend(&rest);
        for bytes in [sized, plain] {
            if let Ok(message) = OutboxMessage::parse(&bytes) {
                prop_assert_eq!(OutboxMessage::parse(&message.serialize()), Ok(message));
            }
        }
    }
}
