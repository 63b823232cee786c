//! What carrying an operation asks of nodes: the account, a simulation, injection, the mempool.
//!
//! Promises: questions go to one endpoint, operations to every endpoint, at once; a refusal is kept apart
//! from an endpoint that could not be reached. Refuses to know: what is sent and why.
//! Source: `lib_plugin/RPC.ml`, `src/lib_shell_services`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::block::Status;
use super::client::{BlockId, Client};
use super::endpoint::json;
use super::error::{EndpointName, Fault, L1Error, NodeError};
use crate::crypto::{PublicKey, Signature};
use crate::protocol::operation::{Form, Operation};
use crate::protocol::{Counter, Mutez, OperationHash, PublicKeyHash};

/// An account at a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Replay number of its last operation.
    pub counter: Counter,
    /// Its key, once revealed.
    pub key: Option<PublicKey>,
    /// What it can spend; bonds are not in it.
    pub balance: Mutez,
    /// What is frozen in bonds.
    pub bonds: Mutez,
}

/// How one content fared in a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub errors: Vec<NodeError>,
    /// Gas it and its internal operations used, in thousandths.
    pub milligas: u64,
    /// Bytes of storage it would be charged for.
    pub storage: u64,
}

/// What a node thinks of a waiting operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitingClass {
    /// May enter the next block.
    Validated,
    /// May enter a later one.
    BranchDelayed,
    /// Has no place on this branch.
    BranchRefused,
    /// Never has a place.
    Refused,
    /// Had one once.
    Outdated,
    /// Not looked at yet.
    Unprocessed,
}

/// An operation that waits in a mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its hash.
    pub hash: OperationHash,
    /// What the node thinks of it.
    pub class: WaitingClass,
    /// Replay number of its first content.
    pub counter: Option<Counter>,
    /// Why it is not validated.
    pub errors: Vec<NodeError>,
}

#[derive(Deserialize)]
struct RawSimulated<'a> {
    #[serde(borrow)]
    contents: Vec<RawContent<'a>>,
}

#[derive(Deserialize)]
struct RawContent<'a> {
    #[serde(borrow)]
    metadata: RawMetadata<'a>,
}

#[derive(Deserialize)]
struct RawMetadata<'a> {
    #[serde(borrow)]
    operation_result: RawResult<'a>,
    #[serde(borrow, default)]
    internal_operation_results: Vec<RawInternal<'a>>,
}

#[derive(Deserialize)]
struct RawInternal<'a> {
    #[serde(borrow)]
    result: RawResult<'a>,
}

#[derive(Deserialize)]
struct RawResult<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    consumed_milligas: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    paid_storage_size_diff: Option<Cow<'a, str>>,
    #[serde(default)]
    errors: Vec<NodeError>,
}

impl RawResult<'_> {
    fn milligas(&self) -> Result<u64, Fault> {
        amount(self.consumed_milligas.as_deref())
    }

    fn storage(&self) -> Result<u64, Fault> {
        amount(self.paid_storage_size_diff.as_deref())
    }
}

fn amount(text: Option<&str>) -> Result<u64, Fault> {
    text.map_or(Ok(0), |text| {
        text.parse()
            .map_err(|e| Fault::Unexpected(format!("{text:?} is not an amount: {e}")))
    })
}

impl RawContent<'_> {
    fn simulated(self) -> Result<Simulated, Fault> {
        let result = self.metadata.operation_result;
        let mut simulated = Simulated {
            status: status(&result.status)?,
            milligas: result.milligas()?,
            storage: result.storage()?,
            errors: Vec::new(),
        };
        simulated.errors = result.errors;
        for internal in self.metadata.internal_operation_results {
            let (milligas, storage) = (internal.result.milligas()?, internal.result.storage()?);
            simulated.milligas = simulated.milligas.saturating_add(milligas);
            simulated.storage = simulated.storage.saturating_add(storage);
            // An internal failure is why the content is backtracked.
            simulated.errors.extend(internal.result.errors);
        }
        Ok(simulated)
    }
}

fn status(text: &str) -> Result<Status, Fault> {
    match text {
        "applied" => Ok(Status::Applied),
        "failed" => Ok(Status::Failed),
        "skipped" => Ok(Status::Skipped),
        "backtracked" => Ok(Status::Backtracked),
        other => Err(Fault::Unexpected(format!(
            "{other:?} is not a status of a receipt"
        ))),
    }
}

impl Client {
    /// An account at a block.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint can tell (likewise for every question below).
    pub async fn account(
        &self,
        account: &PublicKeyHash,
        block: BlockId,
    ) -> Result<Account, L1Error> {
        let base = format!("/chains/main/blocks/{block}/context/contracts/{account}");
        let key = |bytes: &[u8]| {
            let text: Option<Cow<'_, str>> = json(bytes)?;
            text.map(|text| text.parse())
                .transpose()
                .map_err(|e: crate::crypto::KeyTextError| Fault::Unexpected(e.to_string()))
        };
        Ok(Account {
            counter: self.get(&format!("{base}/counter")).await?,
            key: self.ask(&format!("{base}/manager_key"), key).await?,
            balance: self.get(&format!("{base}/balance")).await?,
            bonds: self.get(&format!("{base}/frozen_bonds")).await?,
        })
    }

    /// What would become of an operation in the block after `block`, content by content.
    ///
    /// # Errors
    /// [`L1Error`]; a refusal before anything is applied is in [`L1Error::node_errors`].
    pub async fn simulate(
        &self,
        block: BlockId,
        operation: &Operation,
        form: Form,
    ) -> Result<Vec<Simulated>, L1Error> {
        let path = format!(
            "/chains/main/blocks/{block}/helpers/scripts/simulate_operation?successor_level=true"
        );
        let mut signed = operation
            .to_json(form)
            .map_err(|error| self.settled(path.clone(), Fault::Unexpected(error.to_string())))?;
        if let Value::Object(fields) = &mut signed {
            fields.insert("signature".into(), Signature::ABSENT.to_string().into());
        }
        let chain = self.chain_id().await?;
        let body = json!({ "operation": signed, "chain_id": chain.to_string() });
        let count = operation.contents.len();
        let read = |bytes: &[u8]| {
            let raw: RawSimulated<'_> = json(bytes)?;
            if raw.contents.len() != count {
                return Err(Fault::Unexpected(format!(
                    "{} results for {count} contents",
                    raw.contents.len()
                )));
            }
            let contents = raw.contents.into_iter();
            contents.map(RawContent::simulated).collect()
        };
        self.request(&path, Some(&body), read).await
    }

    /// Injects at every endpoint at once; what each made of it.
    pub async fn inject(&self, bytes: &[u8]) -> Vec<(EndpointName, Result<OperationHash, Fault>)> {
        let body = Value::from(hex::encode(bytes));
        let path = "/injection/operation?chain=main";
        self.ask_all(path, Some(body), |bytes: &[u8]| json(bytes))
            .await
    }

    /// The operations of `account` that wait at each endpoint.
    pub async fn waiting(
        &self,
        account: &PublicKeyHash,
    ) -> Vec<(EndpointName, Result<Vec<Waiting>, Fault>)> {
        // Older nodes ignore the source, so it is looked at here too.
        let path =
            format!("/chains/main/mempool/pending_operations?validation_pass=3&source={account}");
        let account = *account;
        self.ask_all(path, None, move |bytes: &[u8]| waiting(bytes, &account))
            .await
    }
}

#[derive(Deserialize)]
struct RawPending<'a> {
    /// `applied` in the older versions of the answer.
    #[serde(borrow, default, alias = "applied")]
    validated: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    branch_delayed: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    branch_refused: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    refused: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    outdated: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    unprocessed: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawWaiting<'a> {
    hash: Option<OperationHash>,
    #[serde(borrow, default)]
    contents: Vec<&'a RawValue>,
    #[serde(default)]
    error: Vec<NodeError>,
}

#[derive(Deserialize)]
struct RawSource {
    #[serde(default)]
    source: Option<PublicKeyHash>,
    #[serde(default)]
    counter: Option<Counter>,
}

fn waiting(bytes: &[u8], account: &PublicKeyHash) -> Result<Vec<Waiting>, Fault> {
    let raw: RawPending<'_> = json(bytes)?;
    let lists = [
        (WaitingClass::Validated, raw.validated),
        (WaitingClass::BranchDelayed, raw.branch_delayed),
        (WaitingClass::BranchRefused, raw.branch_refused),
        (WaitingClass::Refused, raw.refused),
        (WaitingClass::Outdated, raw.outdated),
        (WaitingClass::Unprocessed, raw.unprocessed),
    ];
    let mut found = Vec::new();
    for (class, list) in lists {
        for raw in list {
            found.extend(one_waiting(raw, class, account)?);
        }
    }
    Ok(found)
}

/// An object, or in older versions a pair of hash and object.
fn one_waiting(
    raw: &RawValue,
    class: WaitingClass,
    account: &PublicKeyHash,
) -> Result<Option<Waiting>, Fault> {
    let wrong = |e: serde_json::Error| Fault::Unexpected(format!("waiting operation: {e}"));
    let text = raw.get();
    let (hash, raw): (Option<OperationHash>, RawWaiting<'_>) = if text.starts_with('[') {
        let (hash, raw) = serde_json::from_str(text).map_err(wrong)?;
        (Some(hash), raw)
    } else {
        let raw: RawWaiting<'_> = serde_json::from_str(text).map_err(wrong)?;
        (raw.hash, raw)
    };
    // Operations of other passes have contents of other shapes: they have no such source.
    let first = raw
        .contents
        .first()
        .and_then(|content| serde_json::from_str::<RawSource>(content.get()).ok());
    let Some(RawSource {
        source: Some(source),
        counter,
    }) = first
    else {
        return Ok(None);
    };
    if source != *account {
        return Ok(None);
    }
    let hash = hash.ok_or_else(|| Fault::Unexpected("a waiting operation without hash".into()))?;
    Ok(Some(Waiting {
        hash,
        class,
        counter,
        errors: raw.error,
    }))
}
