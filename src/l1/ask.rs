//! How questions are put to endpoints: one after the other, beside one that is silent, or to all.
//!
//! Promises: an answer comes from an endpoint on the chain followed; what cannot be had names
//! every endpoint tried; an endpoint that leaves questions without an answer costs no more than
//! [`super::Settings::impatience`] while another answers. Refuses to know: what is asked.

use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::client::Client;
use super::endpoint::{Endpoint, json};
use super::error::{EndpointName, FailureKind, Fault, L1Error};

impl Client {
    /// Asks for `path` and reads the JSON answer into `T`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, L1Error> {
        self.ask(path, |bytes| json(bytes)).await
    }

    /// Asks endpoints in order for `path` until one answer can be read.
    pub(super) async fn ask<T>(
        &self,
        path: &str,
        read: impl Fn(&[u8]) -> Result<T, Fault> + Sync,
    ) -> Result<T, L1Error> {
        self.request(path, None, read).await
    }

    /// As [`Self::ask`], posting `body` where there is one: for questions that change nothing.
    pub(super) async fn request<T>(
        &self,
        path: &str,
        body: Option<&Value>,
        read: impl Fn(&[u8]) -> Result<T, Fault> + Sync,
    ) -> Result<T, L1Error> {
        let mut round = 1;
        loop {
            let failures = match self.ask_each(path, body, &read).await {
                Ok(answer) => return Ok(answer),
                Err(Settled(error)) => return Err(error),
                Err(Failed(failures)) => failures,
            };
            let hopeful = failures
                .iter()
                .filter(|(_, fault)| self.insists() || *fault != Fault::NotFound)
                .any(|(_, fault)| fault.kind() == FailureKind::Transient);
            if round >= self.retries().rounds || !hopeful {
                return Err(failed(path, failures));
            }
            tokio::time::sleep(self.retries().pause(round)).await;
            round = round.saturating_add(1);
        }
    }

    /// One endpoint after the other, the next one also beside those that are silent.
    async fn ask_each<T>(
        &self,
        path: &str,
        body: Option<&Value>,
        read: &(impl Fn(&[u8]) -> Result<T, Fault> + Sync),
    ) -> Result<T, Attempt> {
        let mut others = self.in_order().into_iter();
        let mut asked = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            let next = others.next();
            if let Some(endpoint) = next {
                let asking = self.ask_at(endpoint, path, body, read);
                asked.push(asking.map(move |outcome| (endpoint, outcome)));
            }
            let patience = self.patience_before(others.len());
            let Ok(answer) = tokio::time::timeout(patience, asked.next()).await else {
                if let Some(endpoint) = next {
                    endpoint.note_silence(path);
                }
                continue;
            };
            let (endpoint, fault) = match answer {
                None => return Err(Failed(failures)),
                Some((_, Ok(answer))) => return Ok(answer),
                Some((endpoint, Err(fault))) => (endpoint, fault),
            };
            tracing::debug!(endpoint = %endpoint.name, path, %fault, "a request failed");
            if fault.settles() {
                return Err(Settled(L1Error::Request {
                    endpoint: endpoint.name.clone(),
                    path: path.into(),
                    fault,
                }));
            }
            failures.push((endpoint.name.clone(), fault));
        }
    }

    /// Asks one endpoint, once, if it is on the chain followed.
    pub(super) async fn ask_at<T>(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: Option<&Value>,
        read: &(impl Fn(&[u8]) -> Result<T, Fault> + Sync),
    ) -> Result<T, Fault> {
        self.verify(endpoint).await?;
        endpoint.request(path, body, read).await
    }

    /// Asks every endpoint, at once. Whoever is silent is not waited for once another has answered
    /// well, but what was asked still reaches it, and its answer is counted when it comes.
    pub(super) async fn ask_all<T: Send + 'static>(
        &self,
        path: impl Into<String>,
        body: Option<Value>,
        read: impl Fn(&[u8]) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Vec<(EndpointName, Result<T, Fault>)> {
        let question = Arc::new((path.into(), body, read));
        let ask = |place: usize| {
            let (client, question) = (self.clone(), Arc::clone(&question));
            let asking = async move {
                let (path, body, read) = &*question;
                let endpoint = client.endpoints().get(place)?;
                Some(client.ask_at(endpoint, path, body.as_ref(), read).await)
            };
            tokio::spawn(asking).map(move |answer| (place, answer.ok().flatten()))
        };
        let mut asked: FuturesUnordered<_> = (0..self.endpoints().len()).map(ask).collect();
        let mut answers: Vec<_> = self.endpoints().iter().map(|_| None).collect();
        let deadline = Instant::now() + self.impatience();
        loop {
            let answer = match self.patience(&answers) {
                Patience::Endless => asked.next().await,
                Patience::Some => {
                    let answer = tokio::time::timeout_at(deadline, asked.next()).await;
                    answer.ok().flatten()
                }
                Patience::None => asked.next().now_or_never().flatten(),
            };
            let Some((place, answer)) = answer else { break };
            if let Some(slot) = answers.get_mut(place) {
                *slot = answer;
            }
        }
        let named = self.endpoints().iter().zip(answers);
        let named = named.map(|(endpoint, answer)| {
            let answer = answer.unwrap_or_else(|| {
                endpoint.note_silence(&question.0);
                Err(Fault::NotWaitedFor)
            });
            (endpoint.name.clone(), answer)
        });
        named.collect()
    }

    /// How long those that have not answered yet are waited for.
    fn patience<T>(&self, answers: &[Option<Result<T, Fault>>]) -> Patience {
        if !answers.iter().flatten().any(Result::is_ok) {
            return Patience::Endless;
        }
        let mut missing = self.endpoints().iter().zip(answers);
        let is_worth_it = |(endpoint, answer): (&Endpoint, &Option<_>)| {
            answer.is_none() && endpoint.health().silences == 0
        };
        match missing.any(is_worth_it) {
            true => Patience::Some,
            false => Patience::None,
        }
    }
}

enum Patience {
    /// As long as a request may take.
    Endless,
    /// Until the deadline.
    Some,
    /// What is there already counts.
    None,
}

/// How a round over all endpoints ended without an answer.
enum Attempt {
    /// One endpoint's refusal settles the question.
    Settled(L1Error),
    /// Each failed in its own way.
    Failed(Vec<(EndpointName, Fault)>),
}
use Attempt::{Failed, Settled};

/// The error of a question that every endpoint failed to answer.
fn failed(path: &str, mut failures: Vec<(EndpointName, Fault)>) -> L1Error {
    let path = path.to_owned();
    match (failures.pop(), failures.is_empty()) {
        (Some((endpoint, fault)), true) => L1Error::Request {
            endpoint,
            path,
            fault,
        },
        (Some(last), false) => {
            failures.push(last);
            L1Error::AllFailed { path, failures }
        }
        (None, _) => L1Error::NoEndpoint,
    }
}
