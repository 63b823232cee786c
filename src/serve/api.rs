//! Answers from the journal, as JSON. Shapes are described in `openapi.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::alert::{Desk, Plan};
use crate::journal::{
    JournalError, Judgement, LogFilter, LogKind, LogRow, Nature, Reader, RollupRow, VerdictRow,
};
use crate::protocol::{CommitmentHash, Dialected, RollupAddress};
use crate::tower::{ResumeError, stakes_of};

/// Which alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Open,
    All,
}

/// The rollup under watch with this address.
fn rollup(reader: &Reader, name: &str) -> Result<Option<RollupRow>, JournalError> {
    let Ok((address, _)) = RollupAddress::of_any_dialect(name) else {
        return Ok(None);
    };
    reader.rollup(&address)
}

/// The commitment tree from a level on: who stakes where, and what we think of each.
pub(super) fn commitments(
    reader: &Reader,
    name: &str,
    from: Option<i32>,
    limit: usize,
) -> Result<Option<Value>, JournalError> {
    let Some(row) = rollup(reader, name)? else {
        return Ok(None);
    };
    let stakes = match stakes_of(reader, &row) {
        Ok(stakes) => stakes,
        Err(ResumeError::Journal(error)) => return Err(error),
        // Nothing is journalled yet.
        Err(_) => {
            return Ok(Some(
                json!({"last_cemented_level": null, "commitments": []}),
            ));
        }
    };
    let verdicts: BTreeMap<CommitmentHash, VerdictRow> = reader
        .verdicts(&row.address)?
        .into_iter()
        .map(|verdict| (verdict.commitment, verdict))
        .collect();
    let own = reader.own_commitments(&row.address)?;
    let own: BTreeMap<_, _> = own.into_iter().map(|(_, c)| (c.hash(), c)).collect();
    let mut known: BTreeSet<_> = own.values().map(|c| (c.inbox_level, c.hash())).collect();
    for publication in reader.published(&row.address)? {
        let commitment = publication.commitment;
        known.insert((commitment.inbox_level, commitment.hash()));
    }
    let dialect = row.dialect;
    let from = from.unwrap_or(0);
    let mut listed: Vec<Value> = Vec::new();
    for (level, hash) in known.into_iter().rev() {
        if level.get() < from || listed.len() >= limit {
            break;
        }
        let claim = stakes.claim(&hash);
        let Some(commitment) = claim
            .map(|claim| claim.commitment)
            .or(own.get(&hash).copied())
        else {
            continue;
        };
        let stakers = claim.into_iter().flat_map(|claim| &claim.stakers);
        listed.push(json!({
            "commitment": hash.text(dialect),
            "level": level.get(),
            "predecessor": commitment.predecessor.text(dialect),
            "state": commitment.compressed_state.text(dialect),
            "ticks": commitment.number_of_ticks.to_string(),
            "published": claim.is_some(),
            "ours": own.contains_key(&hash),
            "cemented": claim.is_some_and(|claim| claim.is_cemented),
            "stakers": stakers.map(ToString::to_string).collect::<Vec<_>>(),
            "verdict": verdicts.get(&hash).map(verdict),
        }));
    }
    listed.reverse();
    let (_, cemented) = stakes.last_cemented();
    Ok(Some(json!({
        "last_cemented_level": cemented.get(),
        "commitments": listed,
    })))
}

fn verdict(row: &VerdictRow) -> Value {
    let why = match &row.judgement {
        Judgement::True => None,
        Judgement::False {
            field,
            claimed,
            computed,
        } => Some(format!("{field} is {claimed}, {computed} is true")),
        Judgement::NotJudgeable { reason, detail } => Some(format!("{reason} ({detail})")),
    };
    json!({"verdict": row.judgement.word(), "why": why})
}

/// Operations on a rollup besides publications, the newest of them.
pub(super) fn operations(
    reader: &Reader,
    name: &str,
    from: Option<i32>,
    limit: usize,
) -> Result<Option<Value>, JournalError> {
    let Some(row) = rollup(reader, name)? else {
        return Ok(None);
    };
    let rows = reader.operations(&row.address)?;
    let from = from.unwrap_or(0);
    let fitting: Vec<_> = rows.iter().filter(|row| row.level.get() >= from).collect();
    let skipped = fitting.len().saturating_sub(limit);
    let listed = fitting.into_iter().skip(skipped).map(|row| {
        let detail: Value = serde_json::from_str(&row.detail).unwrap_or(Value::Null);
        json!({
            "level": row.level.get(),
            "block": row.block.to_string(),
            "kind": row.kind,
            "source": row.source.to_string(),
            "detail": detail,
        })
    });
    Ok(Some(listed.collect()))
}

/// Alerts, oldest first.
pub(super) fn alerts(
    reader: &Reader,
    plan: Plan,
    which: Which,
    now: i64,
) -> Result<Value, JournalError> {
    let desk = Desk::from_journal(reader, plan, now)?;
    let names: BTreeMap<_, _> = reader
        .rollups()?
        .into_iter()
        .map(|row| (row.address, row.address.text(row.dialect)))
        .collect();
    let wanted = desk
        .cases()
        .filter(|case| which == Which::All || case.over.is_none());
    Ok(wanted
        .map(|case| {
            let row = &case.row;
            json!({
                "id": row.id,
                "raised_at": row.time,
                "severity": case.severity.word(),
                "rule": row.rule,
                "rollup": row.rollup.and_then(|address| names.get(&address)),
                "level": row.level.map(|level| level.get()),
                "message": row.message,
                "slack_blocks": row.slack,
                "stake_mutez": row.stake.map(|stake| stake.to_string()),
                "test": row.nature == Nature::Test,
                "acknowledged_by": case.acknowledged,
                "over_at": case.over,
                "escalations": case.escalations,
            })
        })
        .collect())
}

/// Rows of the record after one, without those that every level has.
pub(super) fn rows(reader: &Reader, after: i64, limit: u32) -> Result<Vec<LogRow>, JournalError> {
    let kinds = LogKind::ALL.into_iter();
    reader.log(&LogFilter {
        kinds: kinds.filter(|kind| !kind.is_per_level()).collect(),
        after,
        limit: Some(limit),
        ..LogFilter::default()
    })
}
