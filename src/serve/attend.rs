//! Everything that looks at a running tower: the picture kept up to date, alerts, what is served.
//!
//! Promises: none of it can stop the tower; what cannot work is said in one line and left out.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::http::{Limits, serve};
use super::ledger::Ledger;
use super::metrics::{Metrics, Watched};
use super::routes::{Site, now, router};
use super::view::View;
use crate::alert::{AlertError, Channels, Plan, SKEW, Service, Tokens};
use crate::config::Config;
use crate::journal::{JournalError, Reader};
use crate::protocol::Dialected;
use crate::tower::Status;

/// What attends a tower; it ends with [`Attended::end`].
#[derive(Debug)]
pub struct Attended {
    stop: CancellationToken,
    address: Option<std::net::SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Attended {
    /// Where it is served, if it is.
    #[must_use]
    pub const fn address(&self) -> Option<std::net::SocketAddr> {
        self.address
    }

    /// Stops serving and lets alerts finish their turn.
    pub async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has said so already.
            let _ = task.await;
        }
    }
}

/// Starts everything that the configuration asks for. Channels and templates are checked at once:
/// a tower must not run for weeks before it turns out that nobody can be told.
///
/// # Errors
/// [`AlertError`] when alerts cannot work as configured.
pub async fn attend(
    config: &Config,
    status: watch::Receiver<Status>,
    stop: &CancellationToken,
) -> Result<Attended, AlertError> {
    let channels = Channels::open(&config.alerts)?;
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).map_err(|error| AlertError::Data {
        path: folder.clone(),
        problem: error.to_string(),
    })?;
    let tokens = Tokens::kept(&folder.join("alert-key"))?;
    let stop = stop.child_token();
    let first = View::unknown(config.mode().name());
    let (sender, view) = watch::channel(Arc::new(first));
    let site = site(config, view, tokens.clone());
    let mut tasks = Vec::new();
    let mut address = None;
    if let Some(listener) = listen(config).await
        && let Some(site) = &site
    {
        address = listener.local_addr().ok();
        let router = router(Arc::clone(site));
        let serving = serve(
            listener,
            router,
            hosts(config),
            Limits::default(),
            stop.clone(),
        );
        tasks.push(tokio::spawn(serving));
    }
    let watching = Watching {
        config: config.clone(),
        status,
        view: sender,
        ledger: Arc::default(),
        site,
        tokens,
        stop: stop.clone(),
    };
    tasks.push(tokio::spawn(watching.run(channels)));
    Ok(Attended {
        stop,
        address,
        tasks,
    })
}

fn site(config: &Config, view: watch::Receiver<Arc<View>>, tokens: Tokens) -> Option<Arc<Site>> {
    let rollups = config.rollups.iter();
    let watched = Watched {
        rollups: rollups.map(|r| r.address.text(r.dialect)).collect(),
        endpoints: config.endpoints.iter().map(|url| bare(url)).collect(),
        channels: config
            .alerts
            .channels
            .iter()
            .map(|c| c.name.clone())
            .collect(),
    };
    match Metrics::new(&watched) {
        Ok(metrics) => Some(Arc::new(Site::new(
            view,
            config.journal_path(),
            metrics,
            tokens,
            Plan::from(&config.alerts),
        ))),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be served");
            None
        }
    }
}

/// A URL as the client names it: without an account.
fn bare(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |mut url| {
            // Both fail only for URLs that cannot carry them.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.as_str().trim_end_matches('/').to_owned()
        },
    )
}

async fn listen(config: &Config) -> Option<tokio::net::TcpListener> {
    let address = config.listen?;
    match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => {
            let address = listener.local_addr().unwrap_or(address);
            tracing::info!(%address, "serving metrics, health and API");
            Some(listener)
        }
        Err(error) => {
            tracing::warn!(%address, %error, "nothing is served: serve.listen cannot be used");
            None
        }
    }
}

/// Names that are ours: those configured, and the one in our own links.
fn hosts(config: &Config) -> Vec<String> {
    let mut hosts = config.hosts.clone();
    let public = config.alerts.public_url.as_ref();
    let public = public.and_then(|url| reqwest::Url::parse(url).ok());
    hosts.extend(public.and_then(|url| url.host_str().map(str::to_owned)));
    hosts
}

/// One line when the clock is found wrong, and when it is right again.
fn say_skew(before: &View, view: &View) {
    let seconds = view.clock_skew() / 1000;
    match (before.clock_skew() > SKEW, view.clock_skew() > SKEW) {
        (false, true) => tracing::warn!(
            seconds,
            "this machine's clock is behind the newest block: set it by NTP"
        ),
        (true, false) => tracing::info!("this machine's clock is right again"),
        _ => {}
    }
}

struct Watching {
    config: Config,
    status: watch::Receiver<Status>,
    view: watch::Sender<Arc<View>>,
    ledger: Arc<Mutex<Ledger>>,
    site: Option<Arc<Site>>,
    tokens: Tokens,
    stop: CancellationToken,
}

impl Watching {
    async fn run(mut self, channels: Channels) {
        // The first change says that the tower holds its data directory: nobody else tells people
        // about it.
        if !self.has_news().await {
            return;
        }
        let Some(service) = self.service(Arc::new(channels)).await else {
            return;
        };
        if let Some(site) = &self.site {
            site.alerts_run(service.handle());
        }
        loop {
            self.look(&service).await;
            if !self.has_news().await {
                break;
            }
        }
        // The last words of the tower, too.
        self.look(&service).await;
        // Its thread may be waiting for the disk.
        let _ = tokio::task::spawn_blocking(move || service.stop()).await;
    }

    /// Alerts, as soon as they can run: a journal that cannot be opened now may be in a while, and a
    /// tower that plays on must not be mute until its next start.
    async fn service(&mut self, channels: Arc<Channels>) -> Option<Service> {
        let mut is_told = false;
        loop {
            let started = Service::start(
                &self.config.journal_path(),
                &self.config.alerts,
                &self.tokens,
                Arc::clone(&channels),
            );
            match started {
                Ok(service) => return Some(service),
                Err(error) if !is_told => tracing::error!(%error, "alerts cannot run yet"),
                Err(_) => {}
            }
            is_told = true;
            if !self.has_news().await {
                return None;
            }
        }
    }

    async fn has_news(&mut self) -> bool {
        tokio::select! {
            changed = self.status.changed() => changed.is_ok(),
            () = self.stop.cancelled() => false,
        }
    }

    async fn look(&mut self, service: &Service) {
        let status = self.status.borrow_and_update().clone();
        let (path, folder) = (self.config.journal_path(), self.config.data_dir.clone());
        let before = Arc::clone(&self.view.borrow());
        let ledger = Arc::clone(&self.ledger);
        let rollups = self.config.rollups.iter();
        let preimages: Vec<_> = rollups.filter_map(|r| r.preimages.clone()).collect();
        let built = tokio::task::spawn_blocking(move || {
            let reader = Reader::open(&path)?;
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.read(&reader)?;
            let mut view = View::build(&status, (&reader, &ledger), &folder, &before, now())?;
            let absent = preimages.iter().filter(|folder| !folder.is_dir());
            view.absent_folders = absent.map(|folder| folder.display().to_string()).collect();
            Ok::<_, JournalError>(view)
        });
        match built.await {
            Ok(Ok(view)) => {
                say_skew(&self.view.borrow(), &view);
                service.handle().standing(view.standing());
                self.view.send_replace(Arc::new(view));
            }
            Ok(Err(error)) => tracing::warn!(%error, "the status cannot be read"),
            // Everything stops.
            Err(_) => {}
        }
    }
}
