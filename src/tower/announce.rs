//! Telling people: one log line for each piece of news, in the words of the glossary.

use super::event::News;
use super::play::PlayNews;
use crate::crypto::Dialect;
use crate::journal::{Judgement, Severity};
use crate::protocol::Dialected;

/// Writes news to the log.
pub(super) fn log(news: &News, dialect: Dialect) {
    match news {
        News::Own { rollup, commitment } => tracing::info!(
            rollup = %rollup.text(dialect),
            level = %commitment.inbox_level,
            commitment = %commitment.hash().text(dialect),
            state = %commitment.compressed_state.text(dialect),
            ticks = commitment.number_of_ticks,
            "commitment computed"
        ),
        News::Published(row) => tracing::info!(
            rollup = %row.rollup.text(dialect),
            level = %row.commitment.inbox_level,
            commitment = %row.commitment.hash().text(dialect),
            staker = %row.staker,
            "commitment published"
        ),
        News::Operation(row) => tracing::info!(
            rollup = %row.rollup.text(dialect),
            level = %row.level,
            kind = row.kind,
            source = %row.source,
            detail = row.detail,
            "rollup operation"
        ),
        News::Verdict(row) => {
            let rollup = row.rollup.text(dialect);
            let commitment = row.commitment.text(dialect);
            let level = row.level;
            match &row.judgement {
                Judgement::True => {
                    tracing::info!(%rollup, %level, commitment, verdict = "true", "verdict");
                }
                Judgement::False {
                    field,
                    claimed,
                    computed,
                } => tracing::error!(
                    %rollup, %level, commitment, verdict = "false", field, claimed, computed,
                    "verdict"
                ),
                Judgement::NotJudgeable { reason, detail } => tracing::warn!(
                    %rollup, %level, commitment, verdict = "not judgeable", reason, detail,
                    "verdict"
                ),
            }
        }
        News::Conflict(row) => tracing::warn!(
            rollup = %row.rollup.text(dialect),
            level = %row.level,
            staker = %row.staker,
            commitment = %row.commitment.text(dialect),
            other_staker = %row.other_staker,
            other_commitment = %row.other_commitment.text(dialect),
            "conflict"
        ),
        News::Alarm(alarm) => {
            let rollup = alarm.rollup.map(|rollup| rollup.text(dialect));
            let (kind, message) = (alarm.kind, &alarm.message);
            match alarm.severity {
                Severity::Critical => tracing::error!(rollup, kind, message, "alarm"),
                Severity::Warning => tracing::warn!(rollup, kind, message, "alarm"),
                Severity::Notice => tracing::info!(rollup, kind, message, "alarm"),
            }
        }
        News::Play(news) => play(news),
        News::RolledBack { level, depth } => {
            tracing::warn!(%level, depth, "blocks left the chain");
        }
        News::CaughtUp { rollup, level } => {
            tracing::info!(rollup = %rollup.text(dialect), %level, "caught up with the chain");
        }
    }
}

fn play(news: &PlayNews) {
    match news {
        PlayNews::Wanted {
            what, why, hold, ..
        } => tracing::info!(what, why, hold, "wanted"),
        PlayNews::Consent {
            level,
            is_given,
            detail,
            ..
        } => tracing::info!(%level, is_given, detail, "consent"),
        PlayNews::Position {
            opponent,
            turn,
            width,
            ours_left,
            theirs_left,
            ..
        } => tracing::info!(%opponent, ?turn, width, ours_left, theirs_left, "position"),
        PlayNews::Found {
            kind, milliseconds, ..
        } => tracing::info!(kind, milliseconds, "move found"),
        PlayNews::Included {
            what,
            level,
            outcome,
        } => tracing::info!(what, %level, outcome, "operation included"),
        PlayNews::Ended {
            opponent,
            ending,
            reason,
            ..
        } => tracing::warn!(%opponent, ?ending, reason, "game over"),
        PlayNews::Finished => tracing::info!("nothing is staked any more: done"),
    }
}
