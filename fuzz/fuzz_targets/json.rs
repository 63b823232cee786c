//! What nodes answer in JSON about the chain and its rollups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use watchtower::codec::Micheline;
use watchtower::crypto::Dialect;
use watchtower::l1::ChainConstants;
use watchtower::protocol::operation::{DissectionChunk, Form, Operation, SignedOperation};
use watchtower::protocol::{
    Commitment, Constants, DalCell, DalContent, DalSnapshot, Game, GameResult, GameStatus,
    HistoryCell, Inbox, Protocol,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for dialect in [Dialect::Modern, Dialect::Scr1] {
        let _ = Commitment::from_json(&json, dialect);
        let _ = Constants::from_json(&json, dialect);
        let _ = DissectionChunk::from_json(&json, dialect);
        let _ = Game::from_json(&json, dialect);
        let _ = HistoryCell::from_json(&json, dialect);
        let _ = Inbox::from_json(&json, dialect);
    }
    for form in [Form::Scr1, Form::Modern(Protocol::Ushuaia)] {
        let _ = Operation::from_json(&json, form);
        let _ = SignedOperation::from_json(&json, form);
    }
    for protocol in Protocol::ALL {
        let _ = ChainConstants::from_json(&json, protocol);
    }
    let _ = DalCell::from_json(&json);
    let _ = DalContent::from_json(&json);
    let _ = DalSnapshot::from_json(&json);
    let _ = GameResult::from_json(&json);
    let _ = GameStatus::from_json(&json);
    if let Ok(value) = Micheline::from_json(&json) {
        let again = Micheline::from_json(&value.to_json());
        assert_eq!(again.ok().as_ref(), Some(&value));
    }
});
