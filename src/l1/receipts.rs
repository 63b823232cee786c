//! Operations with receipts, as the node writes them, turned into [`Effects`].
//!
//! Promises: contents in order, each followed by its internal operations; only applied ones count;
//! a missing receipt is an error, never "not applied". Nothing recurses into Micheline, whose
//! depth is the sender's choice. Refuses to know: sockets. Rule: `layer1_services.ml`,
//! `inbox.ml` of the reference rollup node.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::block::{
    Contribution, Effects, GameStatus, Happening, Interest, Receipt, RollupEvent, Settlement,
    Status,
};
use super::endpoint::json;
use super::error::{Fault, MissingReceipt};
use crate::codec::Micheline;
use crate::crypto::Dialect;
use crate::protocol::operation::{
    Action, Content, DissectionChunk, Form, Kind, Origination, PvmKind,
};
use crate::protocol::{
    Commitment, CommitmentHash, Counter, Dialected, Level, Mutez, OperationHash, PublicKeyHash,
    RollupAddress, StateHash, Tick,
};

/// JSON that is read only when it is needed.
type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct RawOperation<'a> {
    hash: OperationHash,
    #[serde(borrow)]
    contents: Vec<&'a RawValue>,
    /// `"too large"` when the receipt was thrown away.
    #[serde(borrow, default)]
    metadata: Raw<'a>,
}

#[derive(Deserialize)]
struct RawContent<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    source: Option<PublicKeyHash>,
    #[serde(default)]
    counter: Option<Counter>,
    #[serde(borrow, default)]
    metadata: Option<RawMetadata<'a>>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    rollup: Raw<'a>,
}

#[derive(Deserialize)]
struct RawOrigination<'a> {
    #[serde(borrow)]
    pvm_kind: Cow<'a, str>,
    #[serde(borrow, alias = "boot_sector")]
    kernel: Cow<'a, str>,
    #[serde(borrow, default)]
    origination_proof: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parameters_ty: &'a RawValue,
    #[serde(default)]
    whitelist: Option<Vec<PublicKeyHash>>,
}

#[derive(Deserialize)]
struct RawMetadata<'a> {
    #[serde(borrow, default)]
    operation_result: Option<RawResult<'a>>,
    #[serde(borrow, default)]
    internal_operation_results: Vec<RawInternal<'a>>,
}

#[derive(Deserialize)]
struct RawInternal<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    destination: Raw<'a>,
    #[serde(borrow, default)]
    parameters: Raw<'a>,
    #[serde(borrow)]
    result: RawResult<'a>,
}

#[derive(Deserialize)]
struct RawParameters<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct RawResult<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    errors: Raw<'a>,
    #[serde(borrow, default)]
    address: Raw<'a>,
    #[serde(borrow, default)]
    genesis_commitment_hash: Raw<'a>,
    #[serde(borrow, default)]
    staked_hash: Raw<'a>,
    #[serde(borrow, default)]
    published_at_level: Raw<'a>,
    #[serde(borrow, default)]
    inbox_level: Raw<'a>,
    #[serde(borrow, default)]
    commitment_hash: Raw<'a>,
    #[serde(borrow, default)]
    game_status: Raw<'a>,
    #[serde(borrow, default)]
    balance_updates: Raw<'a>,
}

#[derive(Deserialize)]
struct RawUpdate<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    category: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    contract: Option<Cow<'a, str>>,
    #[serde(borrow)]
    change: Cow<'a, str>,
}

impl RawResult<'_> {
    fn status(&self) -> Result<Status, Fault> {
        match self.status.as_ref() {
            "applied" => Ok(Status::Applied),
            "failed" => Ok(Status::Failed),
            "skipped" => Ok(Status::Skipped),
            "backtracked" => Ok(Status::Backtracked),
            other => Err(Fault::Unexpected(format!(
                "{other:?} is not a status of a receipt"
            ))),
        }
    }
}

/// Reads the manager operations of a block (validation pass 3).
///
/// # Errors
/// [`Fault::Receipt`] when a receipt is missing, [`Fault`] when something cannot be read.
pub fn effects(bytes: &[u8], form: Form, interest: &Interest) -> Result<Effects, Fault> {
    let operations: Vec<RawOperation<'_>> = json(bytes)?;
    let mut reader = EffectsReader {
        form,
        dialect: form.dialect(),
        interest,
        found: Effects::default(),
    };
    for operation in &operations {
        reader.operation(operation).map_err(|fault| match fault {
            Fault::Unexpected(problem) => {
                Fault::Unexpected(format!("operation {}: {problem}", operation.hash))
            }
            other => other,
        })?;
    }
    Ok(reader.found)
}

/// A content with the outcome that stands beside it.
struct Ended<'a> {
    operation: OperationHash,
    by: PublicKeyHash,
    raw: &'a RawValue,
    content: &'a RawContent<'a>,
    result: &'a RawResult<'a>,
}

struct EffectsReader<'i> {
    form: Form,
    dialect: Dialect,
    interest: &'i Interest,
    found: Effects,
}

impl EffectsReader<'_> {
    fn operation(&mut self, operation: &RawOperation<'_>) -> Result<(), Fault> {
        let missing = || Fault::Receipt {
            operation: operation.hash,
            reason: match operation.metadata {
                Some(_) => MissingReceipt::TooLarge,
                None => MissingReceipt::Pruned,
            },
        };
        for (index, raw) in operation.contents.iter().enumerate() {
            let content: RawContent<'_> = read("content", raw)?;
            let metadata = content.metadata.as_ref().ok_or_else(missing)?;
            let ended = Ended {
                operation: operation.hash,
                by: content.source.ok_or_else(|| absent("source"))?,
                raw,
                content: &content,
                result: metadata.operation_result.as_ref().ok_or_else(missing)?,
            };
            self.receipt(index, &ended)?;
            if ended.result.status()? == Status::Applied {
                self.applied(&ended)?;
            }
            for internal in &metadata.internal_operation_results {
                self.internal(ended.by, internal)?;
            }
        }
        Ok(())
    }

    fn receipt(&mut self, index: usize, ended: &Ended<'_>) -> Result<(), Fault> {
        if !self.interest.accounts.contains(&ended.by) {
            return Ok(());
        }
        let errors = ended.result.errors;
        self.found.receipts.push(Receipt {
            operation: ended.operation,
            index,
            by: ended.by,
            kind: ended.content.kind.clone().into_owned(),
            counter: ended.content.counter,
            status: ended.result.status()?,
            errors: errors.map_or(Ok(Vec::new()), |raw| read("errors", raw))?,
        });
        Ok(())
    }

    fn applied(&mut self, ended: &Ended<'_>) -> Result<(), Fault> {
        let rollup = match Kind::from_name(&ended.content.kind, self.dialect) {
            None | Some(Kind::Reveal | Kind::Transaction | Kind::Delegation) => return Ok(()),
            Some(Kind::AddMessages) => return self.messages(ended.content),
            Some(Kind::Originate) => self.label("address", ended.result.address)?,
            Some(_) => self.label("rollup", ended.content.rollup)?,
        };
        if !self.interest.rollups.contains(&rollup) {
            return Ok(());
        }
        let what = self.happening(ended)?;
        self.found.events.push(RollupEvent {
            rollup,
            operation: ended.operation,
            by: ended.by,
            what,
        });
        Ok(())
    }

    fn messages(&mut self, content: &RawContent<'_>) -> Result<(), Fault> {
        let messages: Vec<Cow<'_, str>> = field("message", content.message)?;
        for message in messages {
            let bytes = unhex("message", &message)?;
            self.found.contributions.push(Contribution::External(bytes));
        }
        Ok(())
    }

    fn internal(&mut self, source: PublicKeyHash, internal: &RawInternal<'_>) -> Result<(), Fault> {
        let applied = internal.result.status()? == Status::Applied;
        if !applied || internal.kind != "transaction" {
            return Ok(());
        }
        let destination: Cow<'_, str> = field("destination", internal.destination)?;
        let sender = internal.source.as_deref().unwrap_or_default();
        let to_rollup = destination.starts_with(RollupAddress::prefix(self.dialect).text);
        if !to_rollup || !sender.starts_with("KT1") {
            return Ok(());
        }
        let payload = match internal.parameters {
            None => Micheline::unit(),
            Some(raw) => {
                let parameters: RawParameters<'_> = read("parameters", raw)?;
                micheline("parameters.value", parameters.value)?
            }
        };
        let sender = sender.parse().map_err(|e| unexpected("source", &e));
        let destination = RollupAddress::from_text(&destination, self.dialect);
        self.found.contributions.push(Contribution::Transfer {
            payload,
            sender: sender?,
            source,
            destination: destination.map_err(|e| unexpected("destination", &e))?,
        });
        Ok(())
    }

    fn happening(&self, ended: &Ended<'_>) -> Result<Happening, Fault> {
        let result = ended.result;
        if Kind::from_name(&ended.content.kind, self.dialect) == Some(Kind::Originate) {
            // A type may be nested deeper than a JSON value is allowed to be.
            return Ok(Happening::Originated {
                origination: Box::new(origination(ended.raw)?),
                genesis_commitment: self
                    .label("genesis_commitment_hash", result.genesis_commitment_hash)?,
            });
        }
        let content = Content::from_json(&without_metadata(ended.raw)?, self.form);
        let content = content.map_err(|e| Fault::Unexpected(e.to_string()))?;
        Ok(match content.action {
            Action::Publish { commitment, .. } => Happening::Published {
                commitment,
                staked_hash: self.label("staked_hash", result.staked_hash)?,
                published_at: field("published_at_level", result.published_at_level)?,
            },
            Action::Cement { commitment, .. } => Happening::Cemented {
                inbox_level: field("inbox_level", result.inbox_level)?,
                // Nairobi ignored the one in the operation, so the receipt goes first.
                commitment: match result.commitment_hash {
                    Some(raw) => Some(self.label("commitment_hash", Some(raw))?),
                    None => commitment,
                },
            },
            Action::Refute {
                opponent,
                refutation,
                ..
            } => Happening::Refuted {
                opponent,
                refutation,
                status: game_status(field("game_status", result.game_status)?)?,
                settlement: settlement(result.balance_updates)?,
            },
            Action::Timeout { stakers, .. } => Happening::TimedOut {
                stakers,
                status: game_status(field("game_status", result.game_status)?)?,
                settlement: settlement(result.balance_updates)?,
            },
            Action::RecoverBond { staker, .. } => Happening::BondRecovered { staker },
            Action::ExecuteOutboxMessage {
                cemented_commitment,
                output_proof,
                ..
            } => Happening::OutboxExecuted {
                commitment: cemented_commitment,
                proof: output_proof,
            },
            other => {
                return Err(Fault::Unexpected(format!(
                    "{} happens to no rollup",
                    other.kind()
                )));
            }
        })
    }

    /// An identifier whose label depends on the dialect.
    fn label<T: Dialected>(&self, name: &str, raw: Raw<'_>) -> Result<T, Fault> {
        let text: Cow<'_, str> = field(name, raw)?;
        T::from_text(&text, self.dialect).map_err(|e| unexpected(name, &e))
    }
}

fn origination(raw: &RawValue) -> Result<Origination, Fault> {
    let raw: RawOrigination<'_> = read("origination", raw)?;
    let proof = raw.origination_proof.as_deref();
    Ok(Origination {
        pvm: PvmKind::from_name(&raw.pvm_kind)
            .ok_or_else(|| Fault::Unexpected(format!("{:?} is not a kind of PVM", raw.pvm_kind)))?,
        kernel: unhex("kernel", &raw.kernel)?,
        origination_proof: proof
            .map(|text| unhex("origination_proof", text))
            .transpose()?,
        parameters_type: micheline("parameters_ty", raw.parameters_ty)?,
        whitelist: raw.whitelist,
    })
}

/// The content alone: what stands in receipts may be nested deeper than a JSON value may be.
fn without_metadata(raw: &RawValue) -> Result<Value, Fault> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = read("content", raw)?;
    let mut content = serde_json::Map::new();
    for (name, raw) in fields {
        if name != "metadata" {
            content.insert(name.clone().into_owned(), read(&name, raw)?);
        }
    }
    Ok(Value::Object(content))
}

#[derive(Deserialize)]
pub(super) struct RawCommitment<'a> {
    #[serde(borrow)]
    compressed_state: Cow<'a, str>,
    inbox_level: Level,
    #[serde(borrow)]
    predecessor: Cow<'a, str>,
    #[serde(borrow)]
    number_of_ticks: Cow<'a, str>,
}

/// A commitment in the labels of `dialect`.
pub(super) fn commitment_of(raw: RawCommitment<'_>, dialect: Dialect) -> Result<Commitment, Fault> {
    let ticks = raw.number_of_ticks.parse::<i64>().ok();
    Ok(Commitment {
        compressed_state: StateHash::from_text(&raw.compressed_state, dialect)
            .map_err(|e| unexpected("compressed_state", &e))?,
        inbox_level: raw.inbox_level,
        predecessor: CommitmentHash::from_text(&raw.predecessor, dialect)
            .map_err(|e| unexpected("predecessor", &e))?,
        number_of_ticks: ticks
            .and_then(|ticks| ticks.try_into().ok())
            .ok_or_else(|| {
                Fault::Unexpected(format!(
                    "number_of_ticks: {:?} is not a number of ticks",
                    raw.number_of_ticks
                ))
            })?,
    })
}

#[derive(Deserialize)]
pub(super) struct RawChunk<'a> {
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    tick: Tick,
}

/// An entry of a dissection in the labels of `dialect`.
pub(super) fn chunk_of(raw: &RawChunk<'_>, dialect: Dialect) -> Result<DissectionChunk, Fault> {
    let state = raw.state.as_deref();
    Ok(DissectionChunk {
        state: state
            .map(|text| StateHash::from_text(text, dialect))
            .transpose()
            .map_err(|e| unexpected("state", &e))?,
        tick: raw.tick,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawGameStatus {
    Word(String),
    Ended { result: RawGameResult },
}

#[derive(Deserialize)]
struct RawGameResult {
    kind: String,
    reason: Option<String>,
    player: Option<PublicKeyHash>,
}

fn game_status(raw: RawGameStatus) -> Result<GameStatus, Fault> {
    match raw {
        RawGameStatus::Word(word) if word == "ongoing" => Ok(GameStatus::Ongoing),
        RawGameStatus::Word(word) => Err(Fault::Unexpected(format!(
            "{word:?} is not a status of a game"
        ))),
        RawGameStatus::Ended { result } => match (result.kind.as_str(), result.player) {
            ("draw", _) => Ok(GameStatus::Draw),
            ("loser", Some(player)) => Ok(GameStatus::Loser {
                reason: result.reason.unwrap_or_default(),
                player,
            }),
            (other, _) => Err(Fault::Unexpected(format!(
                "{other:?} is not a result of a game"
            ))),
        },
    }
}

/// What the receipt of a move or a timeout moved; fees stand beside it, not in it. A credit of an
/// account can only be a reward, a debit of frozen bonds only a punishment.
fn settlement(raw: Raw<'_>) -> Result<Settlement, Fault> {
    let mut settlement = Settlement::default();
    let updates: Vec<RawUpdate<'_>> = match raw {
        Some(raw) => read("balance_updates", raw)?,
        None => return Ok(settlement),
    };
    for update in updates {
        let change: i64 = update
            .change
            .parse()
            .map_err(|e| unexpected("balance_updates.change", &e))?;
        let amount = Mutez(change.unsigned_abs());
        let list = match (update.kind.as_ref(), update.category.as_deref()) {
            ("contract", _) if change > 0 => &mut settlement.rewards,
            ("freezer", Some("bonds")) if change < 0 => &mut settlement.punishments,
            _ => continue,
        };
        let account = update.contract.ok_or_else(|| absent("contract"))?;
        let account = account.parse();
        list.push((account.map_err(|e| unexpected("contract", &e))?, amount));
    }
    Ok(settlement)
}

fn absent(name: &str) -> Fault {
    Fault::Unexpected(format!("{name} is missing"))
}

fn unexpected(name: &str, problem: &impl std::fmt::Display) -> Fault {
    Fault::Unexpected(format!("{name}: {problem}"))
}

fn field<'a, T: Deserialize<'a>>(name: &str, raw: Raw<'a>) -> Result<T, Fault> {
    read(name, raw.ok_or_else(|| absent(name))?)
}

fn read<'a, T: Deserialize<'a>>(name: &str, raw: &'a RawValue) -> Result<T, Fault> {
    serde_json::from_str(raw.get()).map_err(|e| unexpected(name, &e))
}

fn micheline(name: &str, raw: &RawValue) -> Result<Micheline, Fault> {
    Micheline::from_json_text(raw.get()).map_err(|e| unexpected(name, &e))
}

fn unhex(name: &str, text: &str) -> Result<Vec<u8>, Fault> {
    hex::decode(text).map_err(|e| unexpected(name, &e))
}
