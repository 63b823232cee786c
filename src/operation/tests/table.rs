//! Closed tables: what errors mean, and the text of entries.

use std::collections::BTreeSet;

use super::super::*;
use crate::crypto::Hash;
use crate::l1::{NodeError, Status};
use crate::protocol::operation::Form;
use crate::protocol::{BlockHash, CommitmentHash, Level, OperationHash, Protocol};
use crate::signer::Turn;

fn error(id: &str) -> NodeError {
    NodeError {
        id: id.into(),
        kind: "temporary".into(),
        msg: None,
        needed_fee: None,
    }
}

fn meaning(ids: &[&str]) -> Outcome {
    of_errors(&ids.iter().map(|id| error(id)).collect::<Vec<_>>())
}

#[test]
fn every_error_is_known_once_and_under_every_protocol() {
    let ids: BTreeSet<_> = KNOWN.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), KNOWN.len());
    for (id, outcome) in KNOWN {
        assert_eq!(of_id(id), Some(*outcome), "{id}");
        for protocol in Protocol::ALL {
            let whole = format!("proto.{}.{id}", protocol.error_name());
            assert_eq!(of_id(&whole), Some(*outcome), "{whole}");
        }
    }
}

#[test]
fn the_older_spelling_means_the_same() {
    let old = "proto.alpha.Sc_rollup_not_staked";
    assert_eq!(of_id(old), Some(Outcome::Obsolete));
}

#[test]
fn the_unknown_is_a_disagreement_and_wrappers_mean_nothing() {
    let id = "proto.025-PsUshuai.smart_rollup_something_new";
    assert_eq!(meaning(&[id]), Outcome::Disagreement);
    assert_eq!(meaning(&[]), Outcome::Disagreement);
    assert_eq!(meaning(&["failure"]), Outcome::Disagreement);
    let past = "proto.025-PsUshuai.contract.counter_in_the_past";
    assert_eq!(meaning(&["failure", past]), Outcome::Retry);
    assert_eq!(meaning(&[past, id]), Outcome::Disagreement);
    let poor = [
        "proto.025-PsUshuai.contract.balance_too_low",
        "proto.025-PsUshuai.tez.subtraction_underflow",
    ];
    assert_eq!(meaning(&poor), Outcome::Stop);
    // A name is not known by being the end of another one.
    assert_eq!(
        meaning(&["proto.alpha.xcontract.counter_in_the_past"]),
        Outcome::Disagreement
    );
}

#[test]
fn receipts_by_status() {
    let wait = [error(
        "proto.025-PsUshuai.smart_rollup_commitment_too_recent",
    )];
    for (status, errors, outcome) in [
        (Status::Applied, &[][..], Outcome::Included),
        (Status::Skipped, &[], Outcome::Retry),
        (Status::Backtracked, &[], Outcome::Retry),
        (Status::Failed, &[], Outcome::Disagreement),
        (Status::Failed, &wait, Outcome::Wait),
        (Status::Backtracked, &wait, Outcome::Wait),
    ] {
        assert_eq!(of_receipt(status, errors), outcome, "{status:?} {errors:?}");
    }
}

#[test]
fn entries_read_back_the_same() {
    let (hash, block, level) = (OperationHash([1; 32]), BlockHash([2; 32]), Level::new(7));
    let forms = [Form::Modern(Protocol::Ushuaia), Form::Scr1];
    let turn = Some(Turn(Hash([3; 32])));
    let items = vec![
        Item {
            turn,
            cements: None,
            deadline: Some(level),
        },
        Item {
            turn: None,
            cements: Some(CommitmentHash([4; 32])),
            deadline: None,
        },
    ];
    let (unsigned, reason) = (vec![0, 0xff], "because".to_owned());
    for form in forms {
        for entry in [
            Entry::WouldSend {
                unsigned: unsigned.clone(),
                form,
                level,
                items: items.clone(),
            },
            Entry::Admitted {
                unsigned: unsigned.clone(),
                form,
                turns: vec![None, turn],
                at: -1,
            },
            Entry::Refused {
                unsigned: unsigned.clone(),
                level,
                reason: reason.clone(),
            },
            Entry::Signed {
                hash,
                bytes: unsigned.clone(),
                form,
                branch_level: level,
                level,
                items: items.clone(),
            },
            Entry::Injected {
                hash,
                level,
                accepted: vec!["a".into()],
                refused: vec![("b".into(), reason.clone())],
            },
            Entry::Included {
                hash,
                block,
                level,
                outcomes: vec![Outcome::Included, Outcome::Stop],
                errors: vec!["e".into()],
            },
            Entry::Undone { hash, level },
            Entry::Final { hash, level },
            Entry::Dropped {
                hash,
                level,
                reason: reason.clone(),
            },
            Entry::Held {
                what: "x".into(),
                outcome: Outcome::Wait,
                errors: Vec::new(),
                until: level,
            },
            Entry::Foreign {
                hash,
                block: None,
                level,
            },
            Entry::Foreign {
                hash,
                block: Some(block),
                level,
            },
            Entry::Resumed {
                level,
                reason: reason.clone(),
            },
        ] {
            let text = entry.to_json();
            assert!(!text.contains('\n'), "{text}");
            assert!(
                text.contains(&format!("\"entry\":\"{}\"", entry.word())),
                "{text}"
            );
            assert_eq!(Entry::from_json(&text).as_ref(), Ok(&entry), "{text}");
        }
    }
    assert!(matches!(Entry::from_json("{}"), Err(EntryError::Text(_))));
}
