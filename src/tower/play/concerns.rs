//! Concerns of the policy, in the words of alarms.

use std::collections::BTreeSet;

use super::observe::Unanswered;
use crate::crypto::Dialect;
use crate::journal::{Alarm, Severity};
use crate::l1::NodeError;
use crate::operation::Notice;
use crate::protocol::{Dialected, Level, PublicKeyHash, RollupAddress};
use crate::tower::alarms;
use crate::tower::policy::{Concern, Situation};

/// The alarm of a concern.
pub(super) fn alarm(rollup: RollupAddress, dialect: Dialect, concern: &Concern) -> Alarm {
    let (severity, kind, level, subject, message) = match concern {
        Concern::FalseFinality { level } => (
            Severity::Critical,
            alarms::FALSE_CEMENTED,
            Some(*level),
            format!("finality at {level}"),
            format!(
                "what layer 1 made final at level {level} is false: nothing true can be published on top of it"
            ),
        ),
        Concern::Contradiction { level, staked, own } => (
            Severity::Critical,
            alarms::CONTRADICTION,
            Some(*level),
            staked.text(dialect),
            format!(
                "our account stands on {} at level {level}, the true commitment is {}: sending for this rollup is stopped",
                staked.text(dialect),
                own.text(dialect)
            ),
        ),
        Concern::CurfewMissed { commitment, level } => (
            Severity::Critical,
            alarms::CURFEW_MISSED,
            Some(*level),
            commitment.text(dialect),
            format!(
                "the false commitment {} at level {level} can no longer be contested by publishing: the challenge window is over",
                commitment.text(dialect)
            ),
        ),
        Concern::BondHeldUp {
            commitment,
            level,
            bond,
            until,
        } => {
            let what = match until {
                Some(until) => format!(
                    "only a publication of ours frees it, which this mode does not make: start the tower in defend before level {until}"
                ),
                None => "the challenge window there is over, so layer 1 takes no publication that would free it: the bond stays".to_owned(),
            };
            (
                Severity::Critical,
                alarms::BOND_HELD_UP,
                Some(*level),
                format!("{} {}", commitment.text(dialect), until.is_some()),
                format!(
                    "our bond at level {bond} rests on the commitment {} at level {level}, which no honest staker defends; {what}",
                    commitment.text(dialect)
                ),
            )
        }
        Concern::Abstained {
            commitment,
            level,
            reason,
        } => (
            Severity::Critical,
            alarms::CANNOT_JUDGE,
            Some(*level),
            commitment.text(dialect),
            format!(
                "the commitment {} at level {level} is to be contested, and we may not stake: {reason}",
                commitment.text(dialect)
            ),
        ),
        Concern::CannotStake { balance, needed } => (
            Severity::Critical,
            alarms::CANNOT_STAKE,
            None,
            format!("{needed}"),
            format!(
                "a stake is needed now and the account has {balance} mutez of {needed}: send money to it"
            ),
        ),
        Concern::LowBalance { balance, needed } => (
            Severity::Warning,
            alarms::LOW_BALANCE,
            None,
            format!("{needed}"),
            format!(
                "the account has {balance} mutez, {needed} are needed should it come to a game"
            ),
        ),
        Concern::NotPlayable {
            opponent,
            start,
            reason,
        } => (
            Severity::Critical,
            alarms::NOT_PLAYABLE,
            Some(*start),
            format!("{opponent} {start}"),
            format!("we have no move in the game against {opponent}: {reason}"),
        ),
        Concern::Indefensible {
            opponent,
            start,
            clock_ends,
            reason,
        } => (
            Severity::Critical,
            alarms::NOT_PLAYABLE,
            Some(*start),
            format!("{opponent} {start}"),
            format!(
                "no move wins the game against {opponent}: {reason}; both stakes are lost when our clock ends after level {clock_ends}, unless the opponent loses its own in another game before: whoever can play it should"
            ),
        ),
        Concern::ProofRejected { opponent, start } => (
            Severity::Critical,
            alarms::PROOF_REJECTED,
            Some(*start),
            format!("{opponent} {start}"),
            format!(
                "layer 1 did not accept our proof in the game against {opponent}: report this; a timeout would cost both stakes and is not sent"
            ),
        ),
        Concern::ClockInDanger {
            opponent,
            start,
            blocks_left,
        } => (
            Severity::Critical,
            alarms::CLOCK_IN_DANGER,
            Some(*start),
            format!("{opponent} {start}"),
            format!(
                "{blocks_left} blocks are left on our clock in the game against {opponent}, fewer than our moves need"
            ),
        ),
    };
    Alarm {
        rollup: Some(rollup),
        level,
        severity,
        kind,
        subject,
        message,
    }
}

/// The alarm of a node that counts other opponents of ours than follow from what was published. The
/// games to open follow from the latter alone.
pub(super) fn of_conflicts(
    situation: &Situation<'_>,
    told: Option<&BTreeSet<PublicKeyHash>>,
) -> Option<Alarm> {
    let me = situation.account.address;
    let conflicts = situation.stakes.conflicts().into_iter();
    let ours: BTreeSet<_> = conflicts
        .filter_map(|conflict| match (conflict.staker, conflict.other_staker) {
            (one, other) if one == me => Some(other),
            (one, other) if other == me => Some(one),
            _ => None,
        })
        .collect();
    let differ: Vec<_> = told?
        .symmetric_difference(&ours)
        .map(ToString::to_string)
        .collect();
    if differ.is_empty() {
        return None;
    }
    let differ = differ.join(", ");
    Some(Alarm {
        rollup: Some(situation.rollup),
        level: Some(situation.head),
        severity: Severity::Warning,
        kind: alarms::NODE,
        subject: format!("conflicts {differ}"),
        message: format!(
            "the node and the published commitments are not at one on whether our account is in conflict with {differ}: what was published counts"
        ),
    })
}

/// Heads in a row without an answer that people hear of: one that is late is no news.
const MUTE: u32 = 3;

/// Since when a node leaves questions about games and bonds without an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Silence(Option<Level>);

impl Silence {
    /// Takes note of a head; the alarm of a node that has been silent for a while. The blocks tell
    /// the same, as long as this tower goes on from its own journal.
    pub(super) fn at(
        &mut self,
        rollup: RollupAddress,
        head: Level,
        unanswered: &BTreeSet<Unanswered>,
    ) -> Option<Alarm> {
        if unanswered.is_empty() {
            self.0 = None;
            return None;
        }
        let since = *self.0.get_or_insert(head);
        if head.since(since).is_none_or(|blocks| blocks < MUTE) {
            return None;
        }
        let words: Vec<_> = unanswered.iter().map(|what| what.words()).collect();
        let words = words.join(", ");
        Some(Alarm {
            rollup: Some(rollup),
            level: Some(head),
            severity: Severity::Warning,
            kind: alarms::NODE,
            subject: format!("silence since {since}: {words}"),
            message: format!(
                "since level {since} no node says {words}: what the operations in the blocks tell counts; a tower that had to begin anew would need these answers"
            ),
        })
    }
}

/// The alarm of what happened to an operation, if it deserves one.
pub(super) fn of_notice(notice: &Notice) -> Option<Alarm> {
    if !notice.is_alarm() {
        return None;
    }
    let (severity, subject, message) = match notice {
        Notice::Foreign { operation, .. } => (
            Severity::Critical,
            format!("foreign {operation}"),
            format!(
                "operation {operation} of our account was not made here: another program has the key; this tower stands by"
            ),
        ),
        Notice::Resumed { reason } => (
            Severity::Warning,
            format!("resumed {reason}"),
            format!("no longer standing by: {reason}"),
        ),
        Notice::Refused { reason, .. } => (
            Severity::Critical,
            format!("refused {reason}"),
            format!("the signing gate refuses: {reason}"),
        ),
        Notice::NoSignature { reason } => (
            Severity::Critical,
            format!("key {reason}"),
            format!("the key cannot be used: {reason}"),
        ),
        Notice::Unadvised { what, reason } => (
            Severity::Critical,
            format!("unadvised {}", what.key()),
            format!("{} is sent against the node's advice: {reason}", what.key()),
        ),
        Notice::Impossible { what, reason } => (
            Severity::Critical,
            format!("impossible {}", what.key()),
            format!("{} cannot be an operation: {reason}", what.key()),
        ),
        Notice::FeeCap { cap } => (
            Severity::Critical,
            format!("fee cap {cap}"),
            format!("fees are over the cap of {cap} mutez for one operation: raise it to go on"),
        ),
        Notice::Included {
            what,
            outcome,
            errors,
            operation,
            ..
        } => (
            Severity::Critical,
            format!("included {operation}"),
            format!(
                "{} failed on the chain ({}): {}",
                what.key(),
                outcome.word(),
                NodeError::ids(errors)
            ),
        ),
        Notice::Held {
            what,
            outcome,
            errors,
            ..
        } => (
            Severity::Critical,
            format!("held {}", what.key()),
            format!(
                "{} is refused ({}): {}",
                what.key(),
                outcome.word(),
                NodeError::ids(errors)
            ),
        ),
        Notice::Undone { .. }
        | Notice::Final { .. }
        | Notice::Dropped { .. }
        | Notice::NotTaken { .. } => return None,
    };
    Some(Alarm {
        rollup: None,
        level: None,
        severity,
        kind: alarms::OPERATION,
        subject,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_stays_silent_is_told_once_and_one_that_stumbles_is_not() {
        let mut silence = Silence::default();
        let rollup = RollupAddress([1; 20]);
        let mute = BTreeSet::from([Unanswered::Games]);
        let fine = BTreeSet::new();
        let mut at = |level: u16, unanswered| silence.at(rollup, Level::new(level), unanswered);
        for level in [1, 2, 3] {
            assert_eq!(at(level, &mute), None);
        }
        assert_eq!(at(4, &fine), None);
        for level in [5, 6, 7] {
            assert_eq!(at(level, &mute), None);
        }
        let [first, again] = [8, 30].map(|level| at(level, &mute).unwrap());
        assert_eq!(first.subject, again.subject, "one alarm, however long");
        assert!(first.message.contains("since level 5"), "{first:?}");
    }
}
