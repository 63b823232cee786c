//! What a tower that only shadows would send: forged and simulated, never signed.
//!
//! Promises: holds no gate and no key, so nothing can be signed here. Writes the bytes of each
//! operation once for the same intentions.

use std::collections::BTreeSet;

use super::carrier::{Carrier, Effect, Notice, Observation, Settings};
use super::driver::{At, DriverError, Report, Scribe, simulate, view};
use super::entry::Entry;
use super::intention::{IntentionKey, Wanted};
use crate::l1::Client;
use crate::protocol::PublicKeyHash;

/// Would send for an account, and only says so.
#[derive(Debug)]
pub struct Shadow<S> {
    client: Client,
    account: PublicKeyHash,
    settings: Settings,
    scribe: S,
    said: BTreeSet<IntentionKey>,
}

impl<S: Scribe> Shadow<S> {
    /// A shadow of `account`, whose key nobody here has.
    #[must_use]
    pub const fn new(
        client: Client,
        account: PublicKeyHash,
        settings: Settings,
        scribe: S,
    ) -> Self {
        Self {
            client,
            account,
            settings,
            scribe,
            said: BTreeSet::new(),
        }
    }

    /// Whom it decides for.
    #[must_use]
    pub const fn account(&self) -> PublicKeyHash {
        self.account
    }

    /// The scribe.
    #[must_use]
    pub const fn scribe(&self) -> &S {
        &self.scribe
    }

    /// Writes down what would be sent at this head, as far as it was not said before.
    ///
    /// # Errors
    /// [`DriverError`]; the next head is a new chance.
    pub async fn head(&mut self, at: At, wanted: Vec<Wanted>) -> Result<Report, DriverError> {
        let keys: BTreeSet<_> = wanted.iter().map(|wanted| wanted.what.key()).collect();
        self.said.retain(|key| keys.contains(key));
        let news: Vec<_> = wanted
            .into_iter()
            .filter(|wanted| !self.said.contains(&wanted.what.key()))
            .collect();
        let mut report = Report::default();
        if news.is_empty() {
            return Ok(report);
        }
        let mut view = view(&self.client, self.account, at.head, self.settings.depth).await?;
        // The key is not known here, so that a reveal cannot be shown.
        view.is_revealed = true;
        view.mempools.clear();
        let mut carrier = Carrier::without_key(self.account, self.settings);
        let mut effects = carrier.step(Observation::Head(Box::new(view), news));
        while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
            let seen = match effect {
                Effect::Simulate(draft) => simulate(&self.client, &draft, Some(at)).await,
                Effect::Sign(draft) => {
                    let items = draft.noted();
                    if let Ok(unsigned) = draft.unsigned() {
                        let entry = Entry::WouldSend {
                            unsigned,
                            form: draft.form,
                            level: at.head.level,
                            items,
                        };
                        self.scribe.write(vec![entry]).await?;
                    }
                    self.said
                        .extend(draft.items.iter().map(|item| item.what.key()));
                    continue;
                }
                Effect::Write(entry) => {
                    self.scribe.write(vec![entry]).await?;
                    continue;
                }
                Effect::Tell(notice) => {
                    if let Notice::Held { what, .. } = &notice {
                        self.said.insert(what.key());
                    }
                    report.notices.push(notice);
                    continue;
                }
                // Nothing is signed, so nothing can be injected.
                Effect::Inject(..) => continue,
            };
            effects.splice(0..0, carrier.step(seen));
        }
        Ok(report)
    }
}
