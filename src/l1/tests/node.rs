//! A node that answers exactly what a test wrote down, over real HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, Uri};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::{Client, EndpointSettings, Retries, Settings};

pub(super) const CHAIN: &str = "NetXdQprcVkpaWU";
pub(super) const OTHER_CHAIN: &str = "NetXynUjJNZm7wi";

/// One answer.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Json(Value),
    Text(u16, String),
    /// Nothing, ever.
    Stall,
    /// The start of a JSON value, then the connection breaks.
    Cut,
}

/// Chunks of an endless answer; the stream ends when the sender goes.
type Chunks = mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>;
type ChunkSender = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

type Answers = dyn Fn(&str) -> Option<Reply> + Send + Sync;

#[derive(Default)]
struct Script {
    /// Per path: answers in turn, the last one for ever.
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// Asked when the script has nothing.
    otherwise: Option<Arc<Answers>>,
    streams: VecDeque<Chunks>,
    asked: Vec<String>,
}

/// A scripted node; it ends with the value.
pub(super) struct Node {
    pub(super) url: String,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// A node on the usual chain that knows nothing else.
    pub(super) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let handler = move |uri: Uri| answer(Arc::clone(&shared), uri.to_string());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(handler);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let node = Self { url, script, task };
        node.says("/chains/main/chain_id", json!(CHAIN));
        node
    }

    /// From now on `path` gets these answers, the last one for ever.
    pub(super) fn plays(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies = replies.into_iter().collect();
        self.script
            .lock()
            .unwrap()
            .replies
            .insert(path.into(), replies);
    }

    pub(super) fn says(&self, path: &str, value: Value) {
        self.plays(path, [Reply::Json(value)]);
    }

    /// What the script does not know is answered by `answers`.
    pub(super) fn otherwise(
        &self,
        answers: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.script.lock().unwrap().otherwise = Some(Arc::new(answers));
    }

    /// The next opening of the head stream gets what is sent here.
    pub(super) fn stream(&self) -> ChunkSender {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.script.lock().unwrap().streams.push_back(receiver);
        sender
    }

    /// How often `path` was asked for.
    pub(super) fn asked(&self, path: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.asked.iter().filter(|asked| *asked == path).count()
    }
}

async fn answer(script: Arc<Mutex<Script>>, path: String) -> Response<Body> {
    let (reply, otherwise) = {
        let mut script = script.lock().unwrap();
        script.asked.push(path.clone());
        if path.starts_with("/monitor/heads/main") {
            return match script.streams.pop_front() {
                Some(chunks) => Response::new(endless(chunks)),
                None => text(503, "no stream"),
            };
        }
        let reply = script.replies.get_mut(&path).and_then(|replies| {
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                replies.front().cloned()
            }
        });
        (reply, script.otherwise.clone())
    };
    let reply = reply.or_else(|| otherwise.and_then(|answers| answers(&path)));
    match reply {
        None => text(404, ""),
        Some(Reply::Json(value)) => text(200, &value.to_string()),
        Some(Reply::Text(status, body)) => text(status, &body),
        Some(Reply::Stall) => std::future::pending().await,
        Some(Reply::Cut) => {
            let parts = [
                Ok(Bytes::from_static(b"{\"half\":")),
                Err(std::io::Error::other("cut")),
            ];
            Response::new(Body::from_stream(stream::iter(parts)))
        }
    }
}

fn endless(chunks: Chunks) -> Body {
    Body::from_stream(stream::unfold(chunks, async |mut chunks| {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    }))
}

fn text(status: u16, body: &str) -> Response<Body> {
    let builder = Response::builder().status(status);
    builder.body(Body::from(body.to_owned())).unwrap()
}

/// A client over scripted nodes that loses no time between retries.
pub(super) fn client(nodes: &[&Node]) -> Client {
    Client::new(&settings(nodes)).unwrap()
}

pub(super) fn settings(nodes: &[&Node]) -> Settings {
    let endpoints = nodes.iter().map(|node| EndpointSettings::new(&node.url));
    Settings {
        endpoints: endpoints.collect(),
        chain: None,
        retries: Retries {
            rounds: 3,
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
        },
        impatience: Duration::from_secs(60),
    }
}
