//! Every alarm the tower can raise, with its words: one place, so that runbooks can name them all.

use std::time::Duration;

use crate::crypto::Dialect;
use crate::journal::{Alarm, Severity, UnknownRow};
use crate::protocol::{CommitmentHash, Dialected, InboxHash, Level, RollupAddress};

/// A published commitment differs from the truth.
pub(super) const FALSE_COMMITMENT: &str = "false commitment";
/// A commitment that differs from the truth became final.
pub(super) const FALSE_CEMENTED: &str = "false commitment cemented";
/// What is true cannot be known.
pub(super) const NOT_JUDGEABLE: &str = "not judgeable";
/// Our inbox differs from the node's.
pub(super) const INBOX_MISMATCH: &str = "inbox mismatch";
/// The chain's lattice of inbox levels is not the one computed here.
pub(super) const OFF_LATTICE: &str = "off the lattice";
/// A state store is over its limit.
pub(super) const STORE_SIZE: &str = "store size";
/// Two runs of the same inputs gave different states.
pub(super) const ENGINE_DISAGREEMENT: &str = "engine disagreement";
/// The run before this one did not end in an orderly way.
pub(super) const RESTARTED: &str = "restarted after crash";
/// The disk took nothing for a while.
pub(super) const DISK_FAILING: &str = "disk failing";
/// A node cannot be used or its answers cannot.
pub(super) const NODE: &str = "node";

/// We stand on something that is not true, or were about to say two things about one point.
pub(super) const CONTRADICTION: &str = "contradiction";
/// A false commitment can no longer be contested.
pub(super) const CURFEW_MISSED: &str = "curfew missed";
/// Our bond rests on a commitment that nobody holds up.
pub(super) const BOND_HELD_UP: &str = "bond held up";
/// A false commitment stands and we may not stake.
pub(super) const CANNOT_JUDGE: &str = "cannot judge";
/// A stake is needed and cannot be paid.
pub(super) const CANNOT_STAKE: &str = "cannot stake";
/// There is too little money for a stake, should one be needed.
pub(super) const LOW_BALANCE: &str = "balance low";
/// We have no move in a game.
pub(super) const NOT_PLAYABLE: &str = "not playable";
/// Layer 1 did not accept a proof of ours.
pub(super) const PROOF_REJECTED: &str = "proof rejected";
/// A clock of ours is nearly out.
pub(super) const CLOCK_IN_DANGER: &str = "clock in danger";
/// Something is wrong with an operation, the key or the account.
pub(super) const OPERATION: &str = "operation";
/// A game of ours began.
pub(super) const GAME_OPENED: &str = "game opened";
/// A game of ours was won.
pub(super) const GAME_WON: &str = "game won";
/// Our bond came home.
pub(super) const BOND_RECOVERED: &str = "bond recovered";
/// A game of ours was lost or drawn.
pub(super) const GAME_LOST: &str = "game lost";
/// Sending was stopped, or goes on.
pub(super) const HOLD: &str = "hold";
/// Play cannot go on for now.
pub(super) const PLAY: &str = "play";

pub(super) fn false_commitment(
    rollup: RollupAddress,
    dialect: Dialect,
    hash: &CommitmentHash,
    level: Level,
    difference: (&str, &str, &str),
) -> Alarm {
    let (field, claimed, computed) = difference;
    let text = hash.text(dialect);
    Alarm {
        rollup: Some(rollup),
        level: Some(level),
        severity: Severity::Critical,
        kind: FALSE_COMMITMENT,
        message: format!(
            "commitment {text} for level {level} is false: its {field} is {claimed}, {computed} is true"
        ),
        subject: text,
    }
}

pub(super) fn false_cemented(
    rollup: RollupAddress,
    dialect: Dialect,
    hash: &CommitmentHash,
    level: Level,
    truth: &CommitmentHash,
) -> Alarm {
    let text = hash.text(dialect);
    Alarm {
        rollup: Some(rollup),
        level: Some(level),
        severity: Severity::Critical,
        kind: FALSE_CEMENTED,
        message: format!(
            "layer 1 cemented the false commitment {text} for level {level}: {} is true",
            truth.text(dialect)
        ),
        subject: text,
    }
}

pub(super) fn not_judgeable(unknown: &UnknownRow) -> Alarm {
    Alarm {
        rollup: Some(unknown.rollup),
        level: Some(unknown.level),
        severity: Severity::Critical,
        kind: NOT_JUDGEABLE,
        subject: format!("{} {}", unknown.reason, unknown.detail),
        message: format!(
            "commitments from level {} on are not judgeable: {} ({})",
            unknown.level, unknown.reason, unknown.detail
        ),
    }
}

pub(super) fn off_lattice(
    rollup: RollupAddress,
    dialect: Dialect,
    hash: &CommitmentHash,
    level: Level,
) -> Alarm {
    let text = hash.text(dialect);
    Alarm {
        rollup: Some(rollup),
        level: Some(level),
        severity: Severity::Warning,
        kind: OFF_LATTICE,
        message: format!(
            "commitment {text} is for level {level}, which is not one of the levels computed here: not judgeable"
        ),
        subject: text,
    }
}

pub(super) fn inbox_mismatch(
    dialect: Dialect,
    level: Level,
    ours: InboxHash,
    theirs: InboxHash,
) -> Alarm {
    let theirs = theirs.text(dialect);
    Alarm {
        rollup: None,
        level: Some(level),
        severity: Severity::Critical,
        kind: INBOX_MISMATCH,
        message: format!(
            "inbox of level {level} is {} by its messages, {theirs} by the node: no verdict from there on; compare with another node, and report it if they agree",
            ours.text(dialect)
        ),
        subject: format!("{level} {theirs}"),
    }
}

pub(super) fn store_size(rollup: RollupAddress, bytes: u64, limit: u64) -> Alarm {
    Alarm {
        rollup: Some(rollup),
        level: None,
        severity: Severity::Warning,
        kind: STORE_SIZE,
        subject: format!("limit {limit}"),
        message: format!(
            "the state store has {bytes} bytes, over its limit of {limit}: raise store.limit_gib or lower store.kept_levels"
        ),
    }
}

/// Two runs of the same inputs gave different states; `detail` says which.
#[must_use]
pub fn engine_disagreement(rollup: RollupAddress, level: Level, detail: &str) -> Alarm {
    Alarm {
        rollup: Some(rollup),
        level: Some(level),
        severity: Severity::Critical,
        kind: ENGINE_DISAGREEMENT,
        subject: format!("{level} {detail}"),
        message: format!("the engines disagree about level {level}: {detail}"),
    }
}

/// The run that began in row `run` was not ended.
pub(super) fn restarted(run: i64, began: &str) -> Alarm {
    Alarm {
        rollup: None,
        level: None,
        severity: Severity::Warning,
        kind: RESTARTED,
        subject: format!("run {run}"),
        message: format!(
            "the run that began at {began} was not stopped in an orderly way (killed, crashed, or the power failed); the tower goes on from its journal"
        ),
    }
}

/// The disk takes entries again.
pub(super) fn disk_failed(waited: Duration, problem: &str) -> Alarm {
    Alarm {
        rollup: None,
        level: None,
        severity: Severity::Warning,
        kind: DISK_FAILING,
        subject: format!("{problem} {}", waited.as_millis()),
        message: format!(
            "nothing could be written for {} seconds ({problem}), and nothing was sent meanwhile; now it can",
            waited.as_secs()
        ),
    }
}

pub(super) fn node(subject: String, message: String) -> Alarm {
    Alarm {
        rollup: None,
        level: None,
        severity: Severity::Warning,
        kind: NODE,
        subject,
        message,
    }
}
