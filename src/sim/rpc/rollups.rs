//! `context/smart_rollups`, and its older form `context/sc_rollups`.
//!
//! Answers are in modern labels; the dialect's coat is put on above. Source: `lib_plugin/RPC.ml`.

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, query};
use crate::crypto::Dialect;
use crate::protocol::operation::{PvmKind, Stakers};
use crate::protocol::{Commitment, CommitmentHash, Level, Protocol, PublicKeyHash, RollupAddress};
use crate::sim::context::Context;
use crate::sim::dialect;
use crate::sim::errors::RuleError;
use crate::sim::rollup::{Rollup, StakerIndex, stored_as};
use crate::sim::rules::{cement, game, originate};
use crate::sim::weather::{Weather, WrongGames};

/// What the answers need: the state and whose leaf is asked for.
struct Asked<'a> {
    context: &'a Context,
    weather: &'a Weather,
    address: RollupAddress,
    rollup: &'a Rollup,
}

pub(super) fn answer(
    view: View<'_>,
    request: &Request<'_>,
    context: &Context,
    rest: &[&str],
) -> Reply {
    let dialect = view.chain.config().dialect;
    let one = match dialect {
        Dialect::Modern => "smart_rollup",
        Dialect::Scr1 => "sc_rollup",
    };
    match rest {
        // A node lists what its storage holds from the end.
        ["all"] => Reply::Ok(
            context
                .rollups
                .keys()
                .rev()
                .map(|address| json!(address))
                .collect(),
        ),
        ["all", "origination_proof"] if context.protocol < Protocol::Oxford => {
            origination_proof(context.protocol, request)
        }
        ["all", "inbox"] => Reply::Ok(inbox(view, context)),
        [kind, address, leaf @ ..] if *kind == one => {
            let Ok(address) = dialect::incoming_text(address, dialect).parse::<RollupAddress>()
            else {
                return Reply::bad_hash(address, "smart_rollup_address");
            };
            // Most leaves of a rollup that is not there are answered from empty tables.
            let nowhere;
            let rollup = match context.rollup(&address) {
                Ok(rollup) => rollup,
                Err(error) if needs_rollup(dialect, leaf) => return refused(context, error),
                Err(_) => {
                    nowhere = Rollup::nowhere();
                    &nowhere
                }
            };
            let asked = Asked {
                context,
                weather: view.weather,
                address,
                rollup,
            };
            let leaf: Vec<String> = leaf
                .iter()
                .map(|part| dialect::incoming_text(part, dialect))
                .collect();
            let leaf: Vec<&str> = leaf.iter().map(String::as_str).collect();
            match dialect {
                Dialect::Modern if leaf == ["ticket_balance"] => asked.ticket_balance(request),
                Dialect::Modern => asked.leaf(&leaf),
                Dialect::Scr1 => asked.older_leaf(request, &leaf),
            }
        }
        _ => Reply::not_found(),
    }
}

/// Whether a leaf is refused when there is no such rollup.
fn needs_rollup(dialect: Dialect, leaf: &[&str]) -> bool {
    let asked = [
        "kind",
        "genesis_info",
        "initial_pvm_state_hash",
        "last_cemented_commitment_hash_with_level",
    ];
    match leaf {
        _ if dialect == Dialect::Scr1 => true,
        [leaf] => asked.contains(leaf),
        ["commitment", _] => true,
        _ => false,
    }
}

fn refused(context: &Context, error: RuleError) -> Reply {
    Reply::refused(&error.into(), context.protocol)
}

/// The proof that an origination of a kernel must carry.
fn origination_proof(protocol: Protocol, request: &Request<'_>) -> Reply {
    let body: Value = match serde_json::from_slice(request.body) {
        Ok(body) => body,
        Err(problem) => return Reply::bad_request(problem),
    };
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let kernel = match hex::decode(text("kernel")) {
        Ok(kernel) if text("kind") == PvmKind::Wasm.name() => kernel,
        Ok(_) => return Reply::bad_request("Failed to parse the request body: no such kind"),
        Err(problem) => return Reply::bad_request(problem),
    };
    match originate::prove(protocol, &kernel) {
        Ok(proof) => Reply::Ok(hex::encode(proof).into()),
        Err(error) => Reply::refused(&error.into(), protocol),
    }
}

fn inbox(view: View<'_>, context: &Context) -> Value {
    let mut inbox = context.inbox.to_json(Dialect::Modern);
    view.weather.falsify_inbox(context.level, &mut inbox);
    inbox
}

impl Asked<'_> {
    fn leaf(&self, leaf: &[&str]) -> Reply {
        let (rollup, protocol) = (self.rollup, self.context.protocol);
        match leaf {
            ["kind"] => Reply::Ok(rollup.kind.name().into()),
            ["genesis_info"] => Reply::Ok(self.genesis_info()),
            ["initial_pvm_state_hash"] if protocol <= Protocol::Oxford => {
                self.tell(originate::initial_state(protocol))
            }
            ["last_cemented_commitment_hash_with_level"] => self.tell(self.last_cemented()),
            ["stakers"] if self.weather.wrong_games == Some(WrongGames::Deserted) => {
                Reply::Ok(json!([]))
            }
            ["stakers"] => Reply::Ok(json!(self.stakers())),
            ["whitelist"] if protocol >= Protocol::Oxford => Reply::Ok(self.whitelist()),
            ["last_whitelist_update"] if protocol >= Protocol::Oxford => {
                let is_private = rollup.whitelist.is_some();
                Reply::Ok(json!(is_private.then_some(rollup.last_whitelist_update)))
            }
            ["consumed_outputs", level] if protocol >= Protocol::Oxford => {
                self.consumed_outputs(level)
            }
            ["commitment", hash, rest @ ..] => self.commitment_leaf(hash, rest),
            ["inbox_level", level, "commitments"] => self.at_level(level),
            ["staker", staker, leaf] => self.staker_leaf(staker, leaf),
            ["staker1", one, "staker2", other, leaf] => self.pair_leaf(one, other, leaf),
            _ => Reply::not_found(),
        }
    }

    /// The paths of December 2022, with their arguments in the query.
    fn older_leaf(&self, request: &Request<'_>, leaf: &[&str]) -> Reply {
        let asked = |key: &str| query(request, key).unwrap_or_default().to_owned();
        match leaf {
            ["boot_sector"] => Reply::Ok(hex::encode(&self.rollup.kernel).into()),
            ["initial_pvm_state_hash"] => {
                self.tell(originate::initial_state(self.context.protocol))
            }
            ["game"] => self.single_game(&asked("staker")),
            ["conflicts"] => self.staker_leaf(&asked("staker"), "conflicts"),
            ["timeout" | "timeout_reached"] => {
                let leaf = leaf.first().copied().unwrap_or_default();
                self.pair_leaf(&asked("staker1"), &asked("staker2"), leaf)
            }
            ["can_be_cemented"] => {
                let hash = dialect::incoming_text(&asked("commitment"), Dialect::Scr1);
                self.commitment_leaf(&hash, &["can_be_cemented"])
            }
            ["stakers_commitments"] => Reply::Ok(self.stakers_commitments()),
            ["staker", staker, "staked_on_commitment"] => {
                match self.staker_leaf(staker, "staked_on_commitment") {
                    Reply::Ok(Value::Object(mut object)) => {
                        object.retain(|key, _| key == "hash");
                        Reply::Ok(object.into())
                    }
                    other => other,
                }
            }
            ["kind" | "genesis_info" | "last_cemented_commitment_hash_with_level"]
            | ["commitment", _] => self.leaf(leaf),
            _ => Reply::not_found(),
        }
    }

    /// Who stakes, in the order in which a node's storage gives it: from the end.
    fn stakers(&self) -> Vec<&PublicKeyHash> {
        let mut stakers: Vec<_> = self.rollup.staker_index.keys().collect();
        stakers.sort_by_cached_key(|staker| std::cmp::Reverse(stored_as(staker)));
        stakers
    }

    /// The list of a private rollup, likewise.
    fn whitelist(&self) -> Value {
        let Some(list) = &self.rollup.whitelist else {
            return Value::Null;
        };
        let mut list = list.clone();
        list.sort_by_cached_key(|member| std::cmp::Reverse(stored_as(member)));
        json!(list)
    }

    fn tell<T: serde::Serialize>(&self, answer: Result<T, RuleError>) -> Reply {
        match answer {
            Ok(value) => Reply::Ok(json!(value)),
            Err(error) => refused(self.context, error),
        }
    }

    fn genesis_info(&self) -> Value {
        json!({"level": self.rollup.origination_level, "commitment_hash": self.rollup.genesis})
    }

    fn last_cemented(&self) -> Result<Value, RuleError> {
        let level = self.rollup.last_cemented()?.inbox_level;
        Ok(json!({"hash": self.rollup.last_cemented, "level": level}))
    }

    fn commitment_leaf(&self, hash: &str, rest: &[&str]) -> Reply {
        let Ok(hash) = hash.parse::<CommitmentHash>() else {
            return Reply::bad_hash(hash, "smart_rollup_commitment_hash");
        };
        match rest {
            [] => self.tell(self.rollup.commitment(&hash)),
            ["stakers_indexes"] => match self.rollup.stakers_of.get(&hash) {
                Some(stakers) => {
                    let texts = stakers.iter().map(|StakerIndex(index)| index.to_string());
                    Reply::Ok(texts.collect::<Vec<_>>().into())
                }
                None => self.missing(&["commitments_stakers", &hex::encode(hash.0)]),
            },
            ["can_be_cemented"] => {
                Reply::Ok(cement::is_cementable(self.context, &self.address, &hash).into())
            }
            _ => Reply::not_found(),
        }
    }

    /// What a node answers that reads a place in the rollup's storage where nothing is.
    fn missing(&self, place: &[&str]) -> Reply {
        let rollup = hex::encode(self.address.0);
        let whole = ["smart_rollup", "index", &rollup];
        let key = whole.iter().chain(place).chain(&["len"]);
        let error = RuleError::StorageError {
            missing_key: key.map(|part| (*part).to_owned()).collect(),
            function: "get",
        };
        refused(self.context, error)
    }

    /// No rollup owns tickets here.
    fn ticket_balance(&self, request: &Request<'_>) -> Reply {
        let body: Value = match serde_json::from_slice(request.body) {
            Ok(body) => body,
            Err(problem) => return Reply::bad_request(problem),
        };
        let missing = ["ticketer", "content_type", "content"]
            .into_iter()
            .find(|key| body.get(key).is_none());
        match missing {
            Some(key) => Reply::bad_request(format!("Failed to parse the request body: no {key}")),
            None => Reply::Ok("0".into()),
        }
    }

    fn at_level(&self, level: &str) -> Reply {
        let parsed = level.parse::<i64>().ok();
        match parsed.and_then(|level| Level::try_from(level).ok()) {
            Some(level) => Reply::Ok(json!(self.rollup.per_level.get(&level))),
            None => Reply::bad_argument(level, "block_level", "Cannot parse level"),
        }
    }

    /// Messages of an outbox level that were executed, while that is remembered.
    fn consumed_outputs(&self, level: &str) -> Reply {
        let parsed = level.parse::<i64>().ok();
        let Some(of_level) = parsed.and_then(|level| Level::try_from(level).ok()) else {
            return Reply::bad_argument(level, "block_level", "Cannot parse level");
        };
        let mut levels = self.rollup.executed_outputs.values();
        let of_level = levels.find(|(of, _)| *of == of_level);
        Reply::Ok(json!(of_level.map_or_else(Vec::new, |(_, indices)| {
            indices.iter().collect::<Vec<_>>()
        })))
    }

    fn staker_leaf(&self, staker: &str, leaf: &str) -> Reply {
        let Ok(staker) = staker.parse::<PublicKeyHash>() else {
            return Reply::bad_account(staker);
        };
        match leaf {
            "index" => match self.rollup.index_of(&staker) {
                Ok(StakerIndex(index)) => Reply::Ok(index.to_string().into()),
                Err(_) => {
                    let (curve, hash) = stored_as(&staker);
                    self.missing(&["staker_index", curve, &hash])
                }
            },
            "staked_on_commitment" => self.tell(self.staked_on(&staker)),
            "games" => Reply::Ok(self.games(&staker).into()),
            "conflicts" => Reply::Ok(self.conflicts(&staker).into()),
            _ => Reply::not_found(),
        }
    }

    /// The commitment of the highest level the staker stood on; null once that level is cemented.
    fn staked_on(&self, staker: &PublicKeyHash) -> Result<Value, RuleError> {
        let index = self.rollup.index_of(staker)?;
        let level = self
            .rollup
            .highest_stake
            .get(&index)
            .copied()
            .unwrap_or(Level::ZERO);
        if !self.rollup.per_level.contains_key(&level) {
            return Ok(Value::Null);
        }
        let hash = self
            .rollup
            .stake_at(index, level)
            .ok_or(RuleError::NotStaked {})?;
        let mut object = Map::new();
        object.insert("hash".into(), json!(hash));
        if let Value::Object(fields) = json!(self.rollup.commitment(&hash)?) {
            object.extend(fields);
        }
        Ok(object.into())
    }

    fn stakers_commitments(&self) -> Value {
        let stakers = self.rollup.staker_index.keys();
        stakers
            .filter_map(|staker| {
                let staked = self.staked_on(staker).ok()?;
                let commitment = staked
                    .get("hash")
                    .cloned()
                    .unwrap_or_else(|| json!(self.rollup.last_cemented));
                Some(json!({"staker": staker, "commitment": commitment}))
            })
            .collect()
    }

    fn games(&self, staker: &PublicKeyHash) -> Vec<Value> {
        if self.weather.wrong_games == Some(WrongGames::Hidden) {
            return Vec::new();
        }
        let games = self.rollup.games.iter();
        let mut games: Vec<_> = games
            .filter_map(|(players, game)| Some((players.opponent_of(staker)?, players, game)))
            .collect();
        games.sort_by_cached_key(|(opponent, ..)| std::cmp::Reverse(stored_as(opponent)));
        games
            .into_iter()
            .map(|(_, players, game)| {
                let mut shown = self.game_json(players, game);
                if let Some(wrong) = self.weather.wrong_games {
                    let other = match players.alice() == *staker {
                        true => "bob",
                        false => "alice",
                    };
                    let claimed = self.claimed(staker, game.inbox_level);
                    wrong.falsify(&mut shown, claimed, other);
                }
                shown
            })
            .collect()
    }

    /// What a staker claims for the end of a level.
    fn claimed(&self, staker: &PublicKeyHash, level: Level) -> Option<&Commitment> {
        let index = self.rollup.index_of(staker).ok()?;
        let hash = self.rollup.stake_at(index, level)?;
        self.rollup.commitment(&hash).ok()
    }

    fn game_json(&self, players: &Stakers, game: &game::Game) -> Value {
        json!({
            "game": game.json(self.context.protocol),
            "alice": players.alice(),
            "bob": players.bob(),
        })
    }

    fn single_game(&self, staker: &str) -> Reply {
        let Ok(staker) = staker.parse::<PublicKeyHash>() else {
            return Reply::bad_account(staker);
        };
        Reply::Ok(
            self.games(&staker)
                .into_iter()
                .next()
                .unwrap_or(Value::Null),
        )
    }

    fn conflicts(&self, staker: &PublicKeyHash) -> Vec<Value> {
        let others = self.stakers().into_iter().rev();
        others
            .filter_map(|other| self.conflict(staker, other))
            .collect()
    }

    fn conflict(&self, staker: &PublicKeyHash, other: &PublicKeyHash) -> Option<Value> {
        let (ours, theirs) =
            game::first_conflict(self.context, &self.address, staker, other).ok()??;
        let ours = self.rollup.commitment(&ours).ok()?;
        let theirs = self.rollup.commitment(&theirs).ok()?;
        Some(json!({
            "other": other,
            "their_commitment": theirs,
            "our_commitment": ours,
            "parent_commitment": ours.predecessor,
        }))
    }

    fn pair_leaf(&self, one: &str, other: &str, leaf: &str) -> Reply {
        let (one, other) = match (one.parse(), other.parse()) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(_), _) => return Reply::bad_account(one),
            (_, Err(_)) => return Reply::bad_account(other),
        };
        let players = Stakers::new(one, other);
        match leaf {
            "timeout" => Reply::Ok(self.rollup.timeouts.get(&players).map_or(Value::Null, |clock| {
                json!({"alice": clock.alice, "bob": clock.bob, "last_turn_level": clock.last_turn})
            })),
            "timeout_reached" => {
                let outcome = game::timeout_outcome(self.context, (self.address, self.rollup), players);
                Reply::Ok(outcome.map_or(Value::Null, game::Outcome::json))
            }
            _ => Reply::not_found(),
        }
    }
}
