//! What can be wrong with an endpoint: plain data, applied to its answers.
//!
//! Promises: the chain behind stays as it is; two endpoints of one chain can have different weather,
//! which is how two nodes disagree. Everything is deterministic: faults hit the n-th request of a
//! kind, never at random. Refuses to know what a client makes of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::protocol::{Commitment, InboxHash, Level, StateHash};

/// State of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weather {
    /// The endpoint's head is this many blocks behind the chain's.
    pub lag: u32,
    /// Every request is answered with this status and no body.
    pub status: Option<u16>,
    /// Requests whose path contains one of these texts are answered with a status and no body.
    pub failing: Vec<Failing>,
    /// Among block requests, fail one in this many with a 502.
    pub bad_gateway_every: Option<u32>,
    /// Among block requests, cut the body of one in this many in its middle.
    pub half_body_every: Option<u32>,
    /// Among block requests, leave one in this many without any answer.
    pub stalls_every: Option<u32>,
    /// End a head stream after this many heads.
    pub cut_stream_after: Option<u32>,
    /// Never send a head on a stream, but keep it open.
    pub silent_stream: bool,
    /// Every head comes twice on a stream.
    pub repeats_heads: bool,
    /// Games are shown otherwise than they are.
    pub wrong_games: Option<WrongGames>,
    /// The inbox of this level is answered with another hash.
    pub wrong_inbox_at: Option<Level>,
    /// Blocks from this level on have another hash here: an endpoint of another branch.
    pub disagree_from: Option<Level>,
    /// Receipts of this level's operations are "too large", unless asked for with `metadata=always`.
    pub too_large_at: Option<Level>,
    /// Receipts of levels up to this one are pruned: no metadata at all.
    pub pruned_receipts_up_to: Option<Level>,
    /// Blocks and contexts up to this level are gone (status 410), as on a rolling node.
    pub gone_up_to: Option<Level>,
    /// The endpoint says that it is not synchronised.
    pub unsynced: bool,
    /// Injections answer a hash but the operation is lost.
    pub loses_operations: bool,
    /// Simulations say that no refutation would be taken.
    pub refuses_refutations: bool,
    /// Simulations of refutations are answered with a 503.
    pub simulates_no_refutations: bool,
    /// Simulations tell this much gas of each content, in thousandths.
    pub gas_told: Option<u64>,
}

/// A part of a node that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    /// What the paths contain.
    pub path: String,
    /// What they are answered with.
    pub status: u16,
}

/// How a malicious endpoint shows the games of a staker, and what they rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrongGames {
    /// No section is disputed: there is one, and it ends as the staker itself claims.
    Undisputed,
    /// The dissection starts in a state that the players do not share.
    Contradictory,
    /// Nobody plays.
    Hidden,
    /// Nobody has a bond any more.
    Deserted,
    /// Only the final move is left, and it is the other player's.
    Final,
}

/// How the network carries operations to bakers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Carriage {
    /// One operation in this many is lost on its way.
    pub loses_every: Option<u32>,
    /// Blocks for which every operation waits.
    pub delay: u32,
    /// The newest operation comes first.
    pub reversed: bool,
    /// Every operation comes again after its block.
    pub duplicates: bool,
    /// Fees that bakers want, in usual thresholds; nothing is once.
    pub price: u32,
}

impl Carriage {
    /// Whether the `nth` operation (from 1) is lost.
    #[must_use]
    pub fn loses(&self, nth: u32) -> bool {
        self.loses_every
            .is_some_and(|every| every > 0 && nth.is_multiple_of(every))
    }
}

/// What the weather does to one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This status and no body.
    Status(u16),
    /// The right headers and half of the body.
    HalfBody,
    /// Nothing is ever said.
    Silence,
}

impl Weather {
    /// The status that a path is answered with whatever it asks.
    #[must_use]
    pub fn status_of(&self, path: &str) -> Option<u16> {
        let mut failing = self.failing.iter();
        let hit = failing.find(|failing| path.contains(&failing.path));
        self.status.or(hit.map(|failing| failing.status))
    }

    /// The fault of the `nth` request (from 1) to a block path.
    #[must_use]
    pub fn fault(&self, nth: u32) -> Fault {
        let hits =
            |every: Option<u32>| every.is_some_and(|every| every > 0 && nth.is_multiple_of(every));
        if hits(self.bad_gateway_every) {
            Fault::Status(502)
        } else if hits(self.half_body_every) {
            Fault::HalfBody
        } else if hits(self.stalls_every) {
            Fault::Silence
        } else {
            Fault::None
        }
    }

    /// Whether data of `level` is gone here.
    #[must_use]
    pub fn is_gone(&self, level: Level) -> bool {
        self.gone_up_to.is_some_and(|gone| level <= gone)
    }

    /// Falsifies the inbox answer of `level` when told to.
    pub fn falsify_inbox(&self, level: Level, inbox: &mut Value) {
        if self.wrong_inbox_at != Some(level) {
            return;
        }
        if let Some(pointers) = inbox
            .pointer_mut("/old_levels_messages/back_pointers")
            .and_then(Value::as_array_mut)
        {
            pointers.push(InboxHash([0x5a; 32]).to_string().into());
        }
        if let Some(witness) = inbox.pointer_mut("/old_levels_messages/content/hash") {
            *witness = crate::protocol::PayloadsHash([0x5a; 32]).to_string().into();
        }
    }
}

impl WrongGames {
    /// Falsifies a game in the node's JSON; `claimed` is what the staker asked about claims, whom
    /// `other` plays against.
    pub fn falsify(self, game: &mut Value, claimed: Option<&Commitment>, other: &str) {
        if self == Self::Final {
            let chunk = |nth: usize| {
                let at = format!("/game/game_state/dissection/{nth}");
                game.pointer(&at).cloned().unwrap_or_default()
            };
            let last = json!({
                "kind": "Final_move",
                "agreed_start_chunk": chunk(0),
                "refuted_stop_chunk": chunk(1),
            });
            if let Some(shown) = game.get_mut("game").and_then(Value::as_object_mut) {
                shown.insert("game_state".into(), last);
                shown.insert("turn".into(), other.into());
            }
            return;
        }
        let dissection = game.pointer_mut("/game/game_state/dissection");
        let Some(chunks) = dissection.and_then(Value::as_array_mut) else {
            return;
        };
        match (self, claimed) {
            (Self::Undisputed, Some(claimed)) => {
                chunks.truncate(1);
                chunks.push(json!({
                    "state": claimed.compressed_state,
                    "tick": claimed.number_of_ticks.to_string(),
                }));
            }
            (Self::Undisputed, None) | (Self::Hidden | Self::Deserted | Self::Final, _) => {}
            (Self::Contradictory, _) => {
                if let Some(state) = chunks.first_mut().and_then(|chunk| chunk.get_mut("state")) {
                    *state = StateHash([0x5a; 32]).to_string().into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hit_every_nth_request() {
        let weather = Weather {
            bad_gateway_every: Some(3),
            ..Weather::default()
        };
        let told: Vec<_> = (1..=6).map(|nth| weather.fault(nth)).collect();
        assert_eq!(told[2], Fault::Status(502));
        assert_eq!(told[5], Fault::Status(502));
        assert_eq!(
            told.iter().filter(|fault| **fault == Fault::None).count(),
            4
        );
    }
}
