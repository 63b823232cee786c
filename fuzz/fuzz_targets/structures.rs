//! What the protocol stores and hashes in binary: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::codec::{DecodeError, Reader, Writer};
use watchtower::inbox::PayloadCell;
use watchtower::protocol::operation::{Form, Proof, Refutation};
use watchtower::protocol::{
    Commitment, DalCell, DalContent, Game, GameResult, HistoryCell, Inbox, OutboxMessage, Protocol,
};

fn as_it_was<T>(
    bytes: &[u8],
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    write: impl Fn(&T, &mut Writer),
) {
    let mut reader = Reader::new(bytes);
    let Ok(value) = read(&mut reader) else {
        return;
    };
    let mut writer = Writer::new();
    write(&value, &mut writer);
    assert_eq!(writer.into_bytes(), bytes[..reader.offset()]);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    match which % 11 {
        0 => as_it_was(bytes, Commitment::read, Commitment::write),
        1 => as_it_was(bytes, HistoryCell::read, HistoryCell::write),
        2 => as_it_was(bytes, Inbox::read, Inbox::write),
        3 => as_it_was(bytes, PayloadCell::read, PayloadCell::write),
        4 => as_it_was(bytes, DalContent::read, DalContent::write),
        5 => as_it_was(bytes, DalCell::read, DalCell::write),
        6 => as_it_was(bytes, Game::read, Game::write),
        7 => as_it_was(bytes, GameResult::read, GameResult::write),
        8 => as_it_was(bytes, Proof::read, Proof::write),
        9 => {
            for form in [Form::Scr1, Form::Modern(Protocol::Ushuaia)] {
                let write = |value: &Refutation, out: &mut Writer| {
                    value.write(form, out).expect("what was read has this form");
                };
                as_it_was(bytes, |reader| Refutation::read(form, reader), write);
            }
        }
        _ => {
            let _ = OutboxMessage::parse(bytes);
        }
    }
});
