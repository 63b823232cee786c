//! What the operator wants: file, environment and flags merged into one checked [`Config`].
//!
//! Promises: flags win over the environment, the environment over the file, the file over the
//! defaults; every error names the place a value came from (`config.toml line 12`, `--node`,
//! `WATCHTOWER_NODE_ENDPOINTS`); an unknown key is refused with the nearest known one. Refuses to
//! know: how flags are spelled (the command line does) and what the values are used for.

mod channels;
mod file;
mod play;
mod settings;
mod signer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::crypto::Dialect;
use crate::protocol::{ChainId, Dialected, RollupAddress};
use crate::pvm::LONGEST_RUN;

pub use play::{EdgePolicy, Mode, ModeError, PlayConfig};
pub use settings::{SETTINGS, Setting};
pub use signer::SignerConfig;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag or argument.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Why there is no usable configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A value, a key or the file's form is wrong.
    #[error("{origin}: {problem}")]
    Wrong {
        /// Where.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// Something needed was given nowhere.
    #[error("{0}")]
    Missing(String),
    /// Rollups of both dialects cannot be on one chain.
    #[error(
        "{0} and {1} are addresses of different dialects: one tower follows one chain; run another for the other"
    )]
    MixedDialects(String, String),
}

/// A value as it was given, before it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its setting, such as `node.endpoints`.
    pub key: String,
    /// The texts: one, or the items of a list.
    pub values: Vec<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// A rollup to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupConfig {
    /// Its address.
    pub address: RollupAddress,
    /// The dialect its address was written in.
    pub dialect: Dialect,
    /// Kernel file to use where the origination operation cannot be had.
    pub kernel: Option<PathBuf>,
    /// Directory of preimages (`<hash>` or `wasm_2_0_0/<hash>` inside).
    pub preimages: Option<PathBuf>,
    /// HTTP endpoints that serve preimages under `/<hash>`.
    pub preimage_endpoints: Vec<String>,
}

/// How text logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Everything the operator decides, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where journal, states and compiled kernels live.
    pub data_dir: PathBuf,
    /// Layer-1 nodes, preferred ones first.
    pub endpoints: Vec<String>,
    /// The chain the nodes must be on; any when not given.
    pub chain: Option<ChainId>,
    /// Longest wait for one answer of a node.
    pub node_timeout: Duration,
    /// Requests to one node at a time.
    pub node_parallel: usize,
    /// The rollups.
    pub rollups: Vec<RollupConfig>,
    /// Longest time one kernel run may take before the engine is stopped.
    pub run_deadline: Duration,
    /// Most ticks of one kernel run: a longer one is not judgeable.
    pub max_ticks: u64,
    /// Levels below the head whose states are all kept.
    pub kept_levels: u32,
    /// Memory for nodes read from the state store, in bytes, for each rollup.
    pub store_cache: u64,
    /// Size of a state store above which an alarm is raised, in bytes.
    pub store_limit: u64,
    /// Who is told of what, and how.
    pub alerts: crate::alert::Settings,
    /// Time between heartbeats, wherever they go.
    pub heartbeat_every: Duration,
    /// Where metrics, health and API are served, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Names under which people reach them.
    pub hosts: Vec<String>,
    /// How far the tower goes, where it was said: [`Config::mode`] says how far it goes.
    pub chosen_mode: Option<Mode>,
    /// How it plays.
    pub play: PlayConfig,
    /// The key that signs, and its caps.
    pub signer: SignerConfig,
    /// What to log, in the directives of `tracing`.
    pub log: String,
    /// How logs look.
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(),
            endpoints: Vec::new(),
            chain: None,
            node_timeout: Duration::from_secs(30),
            node_parallel: 8,
            rollups: Vec::new(),
            run_deadline: Duration::from_secs(300),
            max_ticks: LONGEST_RUN,
            kept_levels: 240,
            store_cache: 128 << 20,
            store_limit: 200 << 30,
            alerts: crate::alert::Settings::default(),
            heartbeat_every: Duration::from_secs(60),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9732))),
            hosts: Vec::new(),
            chosen_mode: None,
            play: PlayConfig::default(),
            signer: SignerConfig::default(),
            log: "info".into(),
            log_format: LogFormat::Human,
        }
    }
}

/// `$XDG_DATA_HOME/watchtower`, else `~/.local/share/watchtower`, else here.
fn default_data_dir() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .map_or_else(
            || PathBuf::from("watchtower-data"),
            |base| base.join("watchtower"),
        )
}

impl Config {
    /// The configuration file of this environment: the one named by the flag or by
    /// `WATCHTOWER_CONFIG`, else `watchtower.toml` here if there is one.
    #[must_use]
    pub fn file(flag: Option<PathBuf>, environment: &[(String, String)]) -> Option<PathBuf> {
        let named = || {
            environment
                .iter()
                .find(|(name, _)| name == "WATCHTOWER_CONFIG")
                .map(|(_, value)| PathBuf::from(value))
        };
        flag.or_else(named).or_else(|| {
            let here = PathBuf::from("watchtower.toml");
            here.is_file().then_some(here)
        })
    }

    /// Merges and checks. `environment` is every variable of the process; only those of ours count.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong, with its place.
    pub fn load(
        file: Option<PathBuf>,
        environment: &[(String, String)],
        flags: Vec<Given>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = file {
            let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::Unreadable {
                path: path.clone(),
                problem: error.to_string(),
            })?;
            config.take_file(&path, &text)?;
        }
        for setting in SETTINGS {
            let name = setting.variable();
            if let Some((_, value)) = environment.iter().find(|(key, _)| *key == name) {
                config.take(Given {
                    key: setting.key.into(),
                    values: setting.values(value),
                    origin: Origin::Environment(name),
                })?;
            }
        }
        for given in flags {
            config.take(given)?;
        }
        config.one_dialect()?;
        Ok(config)
    }

    fn take_file(&mut self, path: &std::path::Path, text: &str) -> Result<(), ConfigError> {
        let parsed = file::parse(path, text)?;
        for given in parsed.settings {
            self.take(given)?;
        }
        for rollup in parsed.rollups {
            self.rollups.push(settings::rollup(rollup)?);
        }
        for channel in parsed.channels {
            let channel = channels::channel(channel)?;
            self.alerts.channels.push(channel);
        }
        Ok(())
    }

    fn take(&mut self, given: Given) -> Result<(), ConfigError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == given.key) else {
            return Err(ConfigError::Wrong {
                problem: settings::unknown("setting", &given.key, SETTINGS.iter().map(|s| s.key)),
                origin: given.origin,
            });
        };
        (setting.apply)(self, &given.values).map_err(|problem| ConfigError::Wrong {
            origin: given.origin,
            problem: format!("{}: {problem}", setting.key),
        })
    }

    fn one_dialect(&self) -> Result<(), ConfigError> {
        let mut rollups = self.rollups.iter();
        let Some(first) = rollups.next() else {
            return Ok(());
        };
        match rollups.find(|other| other.dialect != first.dialect) {
            None => Ok(()),
            Some(other) => Err(ConfigError::MixedDialects(
                first.address.text(first.dialect),
                other.address.text(other.dialect),
            )),
        }
    }

    /// The nodes, of which there must be at least one.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn needs_endpoints(&self) -> Result<&[String], ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::Missing(
                "no node given: use --node http://127.0.0.1:8732, WATCHTOWER_NODE_ENDPOINTS, or endpoints in [node] of the configuration file".into(),
            ));
        }
        Ok(&self.endpoints)
    }

    /// The rollups, of which there must be at least one.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn needs_rollups(&self) -> Result<&[RollupConfig], ConfigError> {
        if self.rollups.is_empty() {
            return Err(ConfigError::Missing(
                "no rollup given: name its address (sr1… or scr1…), or add a [[rollup]] table to the configuration file".into(),
            ));
        }
        Ok(&self.rollups)
    }

    /// The key file.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        let inside = || self.data_dir.join("keys.json");
        self.signer.key_file.clone().unwrap_or_else(inside)
    }

    /// How far the tower goes: with a signer it defends unless something else was said.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let by_default = if self.signer.is_given() {
            Mode::Defend
        } else {
            Mode::Observe
        };
        self.chosen_mode.unwrap_or(by_default)
    }

    /// The journal's file.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.data_dir.join("journal.sqlite")
    }
}
