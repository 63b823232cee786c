//! The endless answers: heads, applied blocks, the mempool.
//!
//! Promises: every head and every block in order, each once; a mempool stream tells classifications
//! in order and ends at the next head, as on a node. Refuses to know paths: `server` opens them.
//! Sources: `monitor_directory.ml`, `prevalidator.ml`.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::block::Block;
use super::dialect;
use super::mempool::Wanted;
use super::rpc::{self, View};
use super::server::{Progress, Served, current};
use super::weather::Weather;

/// Which blocks a client wants: those applied by, and leading to, these protocols. None means all.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Texts of protocol hashes.
    pub protocols: Vec<String>,
    /// Texts of the hashes of next protocols.
    pub next_protocols: Vec<String>,
}

impl Filter {
    fn has(&self, block: &Block) -> bool {
        let among = |list: &[String], hash: &str| list.is_empty() || list.iter().any(|h| h == hash);
        among(&self.protocols, block.protocol.hash_text())
            && among(&self.next_protocols, block.next_protocol.hash_text())
    }
}

/// What a stream tells, and how far it is.
#[derive(Debug)]
pub(super) enum Told {
    /// New heads; so many of the chain's record are taken over.
    Heads(Filter, usize),
    /// Applied blocks; likewise.
    Applied(Filter, usize),
    /// Classifications since the head of this number; likewise.
    Mempool(Wanted, u64, usize),
}

impl Told {
    /// What is told at once, when the stream opens.
    fn opening(&self, view: View<'_>) -> Option<Value> {
        match self {
            Self::Heads(filter, _) => {
                let head = view.head();
                filter.has(head).then(|| rpc::stream_item(view, head))
            }
            Self::Applied(..) => None,
            Self::Mempool(wanted, ..) => Some(rpc::mempool_items(
                view,
                view.chain.mempool().waiting().iter(),
                wanted,
            )),
        }
    }

    /// Takes over what is new; nothing when the stream is at its end.
    fn news(&mut self, view: View<'_>) -> Option<Vec<Value>> {
        let (chain, lag) = (view.chain, view.weather.lag);
        match self {
            Self::Heads(filter, seen) => {
                let new = chain.heads().get(*seen..).unwrap_or_default();
                *seen = chain.heads().len();
                // A lagging endpoint shows the block that far behind each.
                let shown = new.iter().filter_map(|head| match lag {
                    0 => Some(head),
                    _ => chain.at(head.header.level.minus(lag)?),
                });
                let wanted = shown.filter(|block| filter.has(block));
                let times = if view.weather.repeats_heads { 2 } else { 1 };
                let items = wanted.map(|block| rpc::stream_item(view, block));
                Some(items.flat_map(|item| vec![item; times]).collect())
            }
            Self::Applied(filter, seen) => {
                let new = chain.applied().get(*seen..).unwrap_or_default();
                *seen = chain.applied().len();
                let wanted = new.iter().filter(|block| filter.has(block));
                Some(wanted.map(|block| rpc::applied_item(view, block)).collect())
            }
            Self::Mempool(wanted, flush, seen) => {
                let (now, _) = chain.mempool().progress();
                if now != *flush {
                    return None;
                }
                let new = chain.mempool().told().get(*seen..).unwrap_or_default();
                *seen = chain.mempool().told().len();
                let items = new.iter().filter(|waiting| wanted.has(waiting));
                Some(
                    items
                        .map(|waiting| rpc::mempool_items(view, std::iter::once(waiting), wanted))
                        .collect(),
                )
            }
        }
    }
}

/// An open stream.
struct Open {
    served: Served,
    moved: watch::Receiver<Progress>,
    told: Told,
    ready: VecDeque<Value>,
    sent: u32,
    ended: bool,
}

/// The body of a stream that tells what `told` makes of the chain as it stands.
pub(super) fn body(served: Served, told: impl FnOnce(View<'_>) -> Told) -> Body {
    let moved = served.shared.subscribe();
    let weather = current(&served.weather);
    let (told, ready) = served.shared.with_chain(|chain| {
        let view = View {
            chain,
            weather: &weather,
        };
        let told = told(view);
        let opening = told.opening(view);
        (told, VecDeque::from_iter(opening))
    });
    let open = Open {
        served,
        moved,
        told,
        ready,
        sent: 0,
        ended: false,
    };
    Body::from_stream(stream::unfold(open, |mut open| async move {
        let mut text = open.next().await?.to_string();
        text.push('\n');
        Some((Ok::<_, std::io::Error>(Bytes::from(text)), open))
    }))
}

impl Open {
    async fn next(&mut self) -> Option<Value> {
        loop {
            let weather = current(&self.served.weather);
            let is_cut = weather
                .cut_stream_after
                .is_some_and(|most| self.sent >= most);
            if is_cut || weather.status.is_some() {
                return None;
            }
            if !weather.silent_stream
                && let Some(item) = self.ready.pop_front()
            {
                self.sent = self.sent.saturating_add(1);
                return Some(item);
            }
            if self.ended {
                return None;
            }
            if self.take_over(&weather) {
                continue;
            }
            tokio::select! {
                () = self.served.stopped() => return None,
                moved = self.moved.changed() => moved.ok()?,
            }
        }
    }

    /// Moves what is new into the queue; answers whether anything happened.
    fn take_over(&mut self, weather: &Weather) -> bool {
        let told = &mut self.told;
        let (news, dialect) = self.served.shared.with_chain(|chain| {
            let dialect = chain.config().dialect;
            (told.news(View { chain, weather }), dialect)
        });
        match news {
            None => {
                self.ended = true;
                true
            }
            Some(news) => {
                let any = !news.is_empty();
                let told = news
                    .into_iter()
                    .map(|item| dialect::outgoing(item, dialect));
                self.ready.extend(told);
                any
            }
        }
    }
}

/// What `monitor/active_chains` shows first.
#[must_use]
pub(super) fn active_chains(view: View<'_>) -> Value {
    json!([{"chain_id": view.chain.id()}])
}
