//! Against advice: a move that passed our own judge is sent although no simulation vouches for it,
//! rather than lost by silence. A node that lies about simulations costs some fees, never a game.
//!
//! Promises: only moves and timeouts, never what stakes, cements or recovers; only after refusals of
//! some blocks, fewer as the clock runs out, or of a node whose refusals the chain has shown to be
//! false; gas by our own measure. The same gate signs under the same caps. Refuses to know: whether
//! the node lies.

use super::answers::has;
use super::{Carrier, Effect, Notice, Variant};
use crate::l1::NodeError;
use crate::operation::batch::{DraftError, Measured};
use crate::operation::entry::Entry;
use crate::operation::intention::Wanted;
use crate::operation::outcome::Outcome;
use crate::protocol::operation::Kind;
use crate::protocol::{Level, OperationHash};

/// Slack at which the first refusal is one too many.
const NONE_LEFT: u32 = 2;

/// What the chain has shown of simulations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing against them.
    Usual,
    /// It took what they refused, or wanted more gas than they told.
    Gone,
}

/// Blocks for which a refusal is believed, though our own judge says otherwise; none for what is
/// never sent against advice. A game has a dozen moves of ours, which share one clock: what each of
/// them waits is a small part of what is left.
fn believed(kind: Kind, slack: Option<u32>, urgent: u32, trust: Trust) -> Option<u32> {
    if !matches!(kind, Kind::Refute | Kind::Timeout) {
        return None;
    }
    Some(match (trust, slack) {
        (Trust::Gone, _) => 0,
        (Trust::Usual, None) => urgent,
        (Trust::Usual, Some(slack)) if slack <= NONE_LEFT => 0,
        (Trust::Usual, Some(slack)) if slack <= urgent => 1,
        (Trust::Usual, Some(slack)) => (slack / 4).clamp(1, urgent.max(1)),
    })
}

/// What the node had to say, in a few words.
pub(super) fn words(errors: &[NodeError]) -> String {
    match errors {
        [] => "it gives no reason".into(),
        errors => NodeError::ids(errors),
    }
}

impl Carrier {
    /// Takes note of a refusal, and says whether the intention is sent in spite of it.
    pub(super) fn is_sent_anyway(&mut self, wanted: &Wanted, said: &str) -> bool {
        let (kind, slack) = (wanted.what.kind(), self.slack(wanted));
        let Some(blocks) = believed(kind, slack, self.settings.urgent, self.trust) else {
            return false;
        };
        let (level, key) = (self.level(), wanted.what.key());
        let since = *self.refused_since.entry(key).or_insert(level);
        if level.since(since).unwrap_or(0) < blocks {
            return false;
        }
        let left = match slack {
            Some(slack) => format!("{slack} blocks are left"),
            None => "no clock runs".into(),
        };
        let shown = match self.trust {
            Trust::Usual => "",
            Trust::Gone => ", and the chain has shown its simulations to be false",
        };
        let reason = format!(
            "no simulation vouches for it since level {since} ({said}){shown}; it passed our own checks, {left}"
        );
        self.unadvised.push((wanted.clone(), reason));
        true
    }

    /// Whether what is sent against advice has less time than these.
    pub(super) fn is_unadvised_first(&self, items: &[Wanted]) -> bool {
        let slack = |slack: Option<u32>| slack.unwrap_or(u32::MAX);
        let unadvised = self.least_slack(self.unadvised.iter().map(|(wanted, _)| wanted));
        !self.unadvised.is_empty()
            && (items.is_empty() || slack(unadvised) < slack(self.least_slack(items)))
    }

    /// Nothing that a simulation vouches for is left to send at this head.
    pub(super) fn rest(&mut self, effects: &mut Vec<Effect>) {
        if self.unadvised.is_empty() {
            self.inject_again(effects);
        } else {
            self.send_unadvised(effects);
        }
    }

    /// Has signed what is sent against advice, as much as fits: the most urgent first.
    pub(super) fn send_unadvised(&mut self, effects: &mut Vec<Effect>) {
        self.work = None;
        let mut sent = std::mem::take(&mut self.unadvised);
        sent.sort_by_key(|(wanted, _)| (wanted.deadline.is_none(), wanted.deadline));
        sent.truncate(self.batch.max(1));
        loop {
            let items: Vec<_> = sent.iter().map(|(wanted, _)| wanted.clone()).collect();
            let terms = self.terms(&items);
            let Some((plan, view)) = self.plan(items) else {
                return;
            };
            let (level, id) = (view.head.level, self.next_id);
            let limits = (view.limits.content_gas, view.limits.block_gas);
            let settled = plan.settled(id, &self.sender, &Measured::Ours, limits, &terms);
            let draft = match settled {
                Ok(draft) => draft,
                Err(error) if sent.len() > 1 && !matches!(error, DraftError::FeeCap { .. }) => {
                    sent.truncate(sent.len().div_ceil(2));
                    continue;
                }
                Err(error) => return self.too_much(plan.items, &error, effects),
            };
            self.go_on(plan, level, true);
            tell(sent, level, effects);
            return effects.push(Effect::Sign(draft));
        }
    }

    /// What a block shows of simulations.
    pub(super) fn note_trust(
        &mut self,
        level: Level,
        variant: &Variant,
        outcomes: &[(Outcome, Vec<NodeError>)],
    ) {
        let is_starved = |(_, errors): &(Outcome, Vec<_>)| has(errors, "gas_exhausted.operation");
        if outcomes.iter().any(is_starved) {
            self.trust = Trust::Gone;
            return;
        }
        if !self.sent_unadvised.remove(&variant.hash) {
            return;
        }
        let is_taken = |(outcome, _): &(Outcome, _)| *outcome == Outcome::Included;
        self.trust = match outcomes.iter().all(is_taken) {
            true => Trust::Gone,
            false => Trust::Usual,
        };
        // What failed is tried against advice again, as patiently as at first.
        for (item, (outcome, _)) in variant.items.iter().zip(outcomes) {
            match outcome {
                Outcome::Included => self.refused_since.remove(&item.what.key()),
                _ => self.refused_since.insert(item.what.key(), level),
            };
        }
    }

    /// Remembers operations that no simulation vouched for while they may turn up in a block.
    pub(super) fn keep_unadvised(&mut self) {
        let known = &self.known;
        self.sent_unadvised
            .retain(|hash: &OperationHash| known.contains_key(hash));
    }
}

/// Written down with the reason, and told, before anything is signed.
fn tell(sent: Vec<(Wanted, String)>, level: Level, effects: &mut Vec<Effect>) {
    effects.push(Effect::Write(Entry::Unadvised {
        what: sent
            .iter()
            .map(|(wanted, _)| wanted.what.key().to_string())
            .collect(),
        level,
        reasons: sent.iter().map(|(_, reason)| reason.clone()).collect(),
    }));
    let notices = sent
        .into_iter()
        .map(|(Wanted { what, .. }, reason)| Notice::Unadvised { what, reason });
    effects.extend(notices.map(Effect::Tell));
}

#[cfg(test)]
mod tests {
    use super::*;

    const URGENT: u32 = 10;

    #[test]
    fn what_stakes_is_never_sent_against_advice_and_moves_wait_less_as_time_runs_out() {
        let kinds = [Kind::Publish, Kind::Cement, Kind::RecoverBond, Kind::Reveal];
        let slacks: Vec<_> = (0..400).map(Some).chain([None]).collect();
        for trust in [Trust::Usual, Trust::Gone] {
            for slack in &slacks {
                for kind in kinds {
                    assert_eq!(believed(kind, *slack, URGENT, trust), None, "{kind:?}");
                }
            }
            for kind in [Kind::Refute, Kind::Timeout] {
                for pair in slacks.windows(2) {
                    let [less, more] = [0, 1].map(|at| believed(kind, pair[at], URGENT, trust));
                    assert!(less.unwrap() <= more.unwrap(), "{pair:?}");
                }
                for slack in 0..400_u32 {
                    let waits = believed(kind, Some(slack), URGENT, trust).unwrap();
                    assert!(
                        waits == 0 || waits < slack,
                        "no time is left to be included"
                    );
                    assert!(trust == Trust::Usual || waits == 0);
                }
            }
        }
        // A whole game against a node that refuses every move, and is believed every time.
        for clock in 200..400_u32 {
            let after_all = (0..14).fold(clock, |slack, _| {
                let waits = believed(Kind::Refute, Some(slack), URGENT, Trust::Usual).unwrap();
                slack.checked_sub(waits + 2).unwrap()
            });
            assert!(after_all > URGENT, "{clock}: {after_all}");
        }
    }
}
