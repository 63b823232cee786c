//! Every setting once: its key, what it means, how its text is understood.

use std::path::PathBuf;
use std::time::Duration;

use super::{Config, ConfigError, EdgePolicy, Given, LogFormat, RollupConfig};
use crate::alert::{Heartbeat, Located};
use crate::protocol::{Mutez, RollupAddress};

/// One setting of the tower.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file, such as `node.endpoints`.
    pub key: &'static str,
    /// What it decides.
    pub help: &'static str,
    /// What it is when not given, as the file would write it.
    pub default: &'static str,
    /// Whether it takes several values (in the environment: separated by commas).
    pub list: bool,
    /// Puts it into the configuration.
    pub(super) apply: fn(&mut Config, &[String]) -> Result<(), String>,
}

impl Setting {
    /// Its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "WATCHTOWER_{}",
            self.key.to_uppercase().replace(['.', '-'], "_")
        )
    }

    /// Whether it may stand in a file; the others only make sense beside addresses on a command
    /// line, and belong into `[[rollup]]` tables there.
    #[must_use]
    pub fn is_in_files(&self) -> bool {
        !super::file::NOT_IN_FILES.contains(&self.key)
    }

    /// The values in a text, as the environment writes them.
    #[must_use]
    pub fn values(&self, value: &str) -> Vec<String> {
        if !self.list {
            return vec![value.to_owned()];
        }
        value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// The table of settings.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        help: "where journal, states and compiled kernels live",
        default: "\"~/.local/share/watchtower\"",
        list: false,
        apply: |config, values| {
            config.data_dir = PathBuf::from(filled(values)?);
            Ok(())
        },
    },
    Setting {
        key: "node.endpoints",
        help: "layer-1 nodes, preferred ones first",
        default: "[]",
        list: true,
        apply: |config, values| {
            config.endpoints = values
                .iter()
                .map(|url| http_url(url))
                .collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        key: "node.chain",
        help: "chain the nodes must be on (Net…)",
        default: "\"\"",
        list: false,
        apply: |config, values| {
            let text = filled(values)?;
            config.chain = Some(text.parse().map_err(|error| format!("{error}"))?);
            Ok(())
        },
    },
    Setting {
        key: "node.timeout_seconds",
        help: "longest wait for one answer of a node",
        default: "30",
        list: false,
        apply: |config, values| {
            config.node_timeout = Duration::from_secs(number(values, 1, 3600)?);
            Ok(())
        },
    },
    Setting {
        key: "node.parallel_requests",
        help: "requests to one node at a time while catching up",
        default: "8",
        list: false,
        apply: |config, values| {
            config.node_parallel = number(values, 1, 256)? as usize;
            Ok(())
        },
    },
    Setting {
        key: "rollups",
        help: "addresses of the rollups to watch (sr1… or scr1…)",
        default: "[]",
        list: true,
        apply: |config, values| {
            let named: Vec<RollupConfig> = values
                .iter()
                .map(|text| address(text))
                .collect::<Result<_, _>>()?;
            // A rollup that the file describes keeps what the file says of it.
            let described = std::mem::take(&mut config.rollups);
            config.rollups = named
                .into_iter()
                .map(|new| {
                    described
                        .iter()
                        .find(|old| old.address == new.address)
                        .cloned()
                        .unwrap_or(new)
                })
                .collect();
            distinct(&config.rollups)
        },
    },
    Setting {
        key: "kernel",
        help: "kernel file of the only rollup, for nodes that no longer have its origination",
        default: "\"\"",
        list: false,
        apply: |config, values| {
            let path = PathBuf::from(filled(values)?);
            match config.rollups.as_mut_slice() {
                [rollup] => {
                    rollup.kernel = Some(path);
                    Ok(())
                }
                others => Err(format!(
                    "a kernel belongs to one rollup, {} are named: use [[rollup]] tables",
                    others.len()
                )),
            }
        },
    },
    Setting {
        key: "preimages",
        help: "directory of preimages, for every rollup named",
        default: "\"\"",
        list: false,
        apply: |config, values| {
            let path = PathBuf::from(filled(values)?);
            for rollup in &mut config.rollups {
                rollup.preimages = Some(path.clone());
            }
            Ok(())
        },
    },
    Setting {
        key: "preimage_endpoints",
        help: "HTTP endpoints that serve preimages under /<hash>, for every rollup named",
        default: "[]",
        list: true,
        apply: |config, values| {
            let urls: Vec<String> = values
                .iter()
                .map(|url| http_url(url))
                .collect::<Result<_, _>>()?;
            for rollup in &mut config.rollups {
                rollup.preimage_endpoints.clone_from(&urls);
            }
            Ok(())
        },
    },
    Setting {
        key: "engine.deadline_seconds",
        help: "longest time one kernel run may take before the engine is stopped",
        default: "300",
        list: false,
        apply: |config, values| {
            config.run_deadline = Duration::from_secs(number(values, 1, 86_400)?);
            Ok(())
        },
    },
    Setting {
        key: "engine.max_ticks",
        help: "most ticks of one kernel run: a longer one is not judgeable",
        default: "5000000000000",
        list: false,
        apply: |config, values| {
            config.max_ticks = number(values, 1_000_000, 50_000_000_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "store.kept_levels",
        help: "levels below the head whose states are all kept",
        default: "240",
        list: false,
        apply: |config, values| {
            config.kept_levels =
                u32::try_from(number(values, 2, 1_000_000)?).map_err(|error| error.to_string())?;
            Ok(())
        },
    },
    Setting {
        key: "store.cache_mib",
        help: "memory for nodes read from the state store, for each rollup",
        default: "128",
        list: false,
        apply: |config, values| {
            config.store_cache = number(values, 1, 1 << 20)? << 20;
            Ok(())
        },
    },
    Setting {
        key: "store.limit_gib",
        help: "size of a state store above which an alarm is raised",
        default: "200",
        list: false,
        apply: |config, values| {
            config.store_limit = number(values, 1, 1 << 20)? << 30;
            Ok(())
        },
    },
    Setting {
        key: "mode",
        help: "how far the tower goes: observe, shadow, defend (when there is a signer), operate or bailout",
        default: "\"\"",
        list: false,
        apply: |config, values| {
            let mode = filled(values)?.parse();
            config.chosen_mode = Some(mode.map_err(|error| format!("{error}"))?);
            Ok(())
        },
    },
    Setting {
        key: "signer.remote",
        help: "remote signer, as http(s)://host:port/path or with the account at the end",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            let url = http_url(filled(values)?)?;
            config.signer.take_remote(&url);
            Ok(())
        },
    },
    Setting {
        key: "signer.account",
        help: "account of the remote signer's key, and of what shadow would send",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            let account = filled(values)?.parse();
            config.signer.account = Some(account.map_err(|e| format!("{e}"))?);
            Ok(())
        },
    },
    Setting {
        key: "signer.key",
        help: "name or account of the local key that signs",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.signer.key = Some(filled(values)?.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "signer.key_file",
        help: "file of encrypted local keys; keys.json in the data directory when not given",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.signer.key_file = Some(filled(values)?.into());
            Ok(())
        },
    },
    Setting {
        key: "signer.passphrase_file",
        help: "file whose first line opens local keys; asked for when not given",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.signer.passphrase_file = Some(filled(values)?.into());
            Ok(())
        },
    },
    Setting {
        key: "signer.authentication",
        help: "name or account of the local key that authenticates requests to the remote signer",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.signer.authentication = Some(filled(values)?.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "signer.stake_cap_tez",
        help: "most tez in bonds or lost with them; one bond for each rollup when not given",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            let tez = number(values, 0, 1_000_000_000)?;
            config.signer.stake_cap = Some(Mutez(tez.saturating_mul(1_000_000)));
            Ok(())
        },
    },
    Setting {
        key: "signer.fee_cap_mutez",
        help: "most mutez in fees of one operation",
        list: false,
        default: "5000000",
        apply: |config, values| {
            config.signer.fee_cap = Mutez(number(values, 0, 1_000_000_000_000)?);
            Ok(())
        },
    },
    Setting {
        key: "signer.daily_fee_cap_mutez",
        help: "most mutez in fees of 24 hours",
        list: false,
        default: "100000000",
        apply: |config, values| {
            config.signer.daily_fee_cap = Mutez(number(values, 0, 1_000_000_000_000)?);
            Ok(())
        },
    },
    Setting {
        key: "signer.signatures_per_hour",
        help: "most operations signed in an hour",
        list: false,
        default: "900",
        apply: |config, values| {
            let cap = number(values, 1, 1_000_000)?;
            config.signer.hourly_cap = u32::try_from(cap).unwrap_or(u32::MAX);
            Ok(())
        },
    },
    Setting {
        key: "play.end_strangers_games",
        help: "end expired games of others too, where that harms nobody who is right: yes or no",
        default: "false",
        list: false,
        apply: |config, values| {
            config.play.ends_strangers_games = yes_or_no(values)?;
            Ok(())
        },
    },
    Setting {
        key: "play.fee_reserve_tez",
        help: "money kept for fees, below which an alarm is raised",
        default: "50",
        list: false,
        apply: |config, values| {
            let tez = number(values, 0, 1_000_000)?;
            config.play.fee_reserve = Mutez(tez.saturating_mul(1_000_000));
            Ok(())
        },
    },
    Setting {
        key: "play.threads",
        help: "threads that compute moves",
        default: "2",
        list: false,
        apply: |config, values| {
            config.play.threads = number(values, 1, 64)? as usize;
            Ok(())
        },
    },
    Setting {
        key: "play.edges",
        help: "periods in which the engines are known to be able to differ: refuse or allow to stake on them",
        default: "\"refuse\"",
        list: false,
        apply: |config, values| {
            config.play.edges = match filled(values)? {
                "refuse" => EdgePolicy::Refuse,
                "allow" => EdgePolicy::Allow,
                other => return Err(format!("{other:?} is neither refuse nor allow")),
            };
            Ok(())
        },
    },
    Setting {
        key: "log.level",
        help: "what to log: error, warn, info, debug, trace, or directives such as info,watchtower::l1=debug",
        default: "\"info\"",
        list: false,
        apply: |config, values| {
            let text = filled(values)?;
            // A mistyped level would be taken for the name of a module, and nothing be logged.
            let is_known = |directive: &str| {
                LOG_LEVELS.contains(&directive.to_ascii_lowercase().as_str())
                    || directive.contains(['=', ':', '['])
            };
            if let Some(odd) = text
                .split(',')
                .find(|directive| !is_known(directive.trim()))
            {
                return Err(format!("{odd:?} is not one of {}", LOG_LEVELS.join(", ")));
            }
            config.log = text.to_owned();
            Ok(())
        },
    },
    Setting {
        key: "log.format",
        help: "human or json",
        default: "\"human\"",
        list: false,
        apply: |config, values| {
            config.log_format = match filled(values)? {
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                other => return Err(format!("{other:?} is neither human nor json")),
            };
            Ok(())
        },
    },
    Setting {
        key: "alerts.name",
        help: "what the tower calls itself in messages",
        list: false,
        default: "\"watchtower\"",
        apply: |config, values| {
            config.alerts.name = filled(values)?.to_owned();
            Ok(())
        },
    },
    Setting {
        key: "alerts.templates",
        help: "directory whose files stand in for the message templates of the program",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.alerts.templates = Some(PathBuf::from(filled(values)?));
            Ok(())
        },
    },
    Setting {
        key: "alerts.public_url",
        help: "where people reach the tower's pages, for the links in messages",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.alerts.public_url = Some(http_url(filled(values)?)?);
            Ok(())
        },
    },
    Setting {
        key: "alerts.runbook_url",
        help: "where people read the runbook, for the links in messages",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            config.alerts.runbook_url = Some(http_url(filled(values)?)?);
            Ok(())
        },
    },
    Setting {
        key: "alerts.heartbeat_url",
        help: "URL that hears from the tower while it is alive, and raises the alarm when it does not",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            let url = Located::Here(http_url(filled(values)?)?);
            heartbeat(config).url = url;
            Ok(())
        },
    },
    Setting {
        key: "alerts.heartbeat_url_file",
        help: "file with that URL, when it is a secret",
        list: false,
        default: "\"\"",
        apply: |config, values| {
            let url = Located::File(filled(values)?.into());
            heartbeat(config).url = url;
            Ok(())
        },
    },
    Setting {
        key: "alerts.heartbeat_seconds",
        help: "time between heartbeats",
        list: false,
        default: "60",
        apply: |config, values| {
            config.heartbeat_every = Duration::from_secs(number(values, 5, 86_400)?);
            if let Some(heartbeat) = &mut config.alerts.heartbeat {
                heartbeat.every = config.heartbeat_every;
            }
            Ok(())
        },
    },
    Setting {
        key: "alerts.test_hours",
        help: "time between alerts that only prove delivery; 0 for none",
        list: false,
        default: "24",
        apply: |config, values| {
            let hours = number(values, 0, 24 * 365)?;
            config.alerts.test_every =
                (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3600)));
            Ok(())
        },
    },
    Setting {
        key: "alerts.escalate_minutes",
        help: "time until a critical alert that nobody acknowledged is told again",
        list: false,
        default: "15",
        apply: |config, values| {
            let minutes = number(values, 1, 24 * 60)?;
            config.alerts.escalate_after = Duration::from_secs(minutes.saturating_mul(60));
            Ok(())
        },
    },
    Setting {
        key: "alerts.per_hour",
        help: "alerts told in an hour, before the others wait for a digest",
        list: false,
        default: "20",
        apply: |config, values| {
            config.alerts.per_hour =
                u32::try_from(number(values, 1, 1000)?).map_err(|error| error.to_string())?;
            Ok(())
        },
    },
    Setting {
        key: "serve.listen",
        help: "address and port of metrics, health and API; none to serve nothing",
        list: false,
        default: "\"127.0.0.1:9732\"",
        apply: |config, values| {
            config.listen = match filled(values)? {
                "none" => None,
                text => Some(text.parse().map_err(|_| {
                    format!("{text:?} is not an address with a port, such as 127.0.0.1:9732")
                })?),
            };
            Ok(())
        },
    },
    Setting {
        key: "serve.hosts",
        help: "names under which people reach it, besides its address and localhost",
        list: true,
        default: "[]",
        apply: |config, values| {
            config.hosts = values.to_vec();
            Ok(())
        },
    },
];

/// The heartbeat being configured, whichever of its keys comes first.
fn heartbeat(config: &mut Config) -> &mut Heartbeat {
    let every = config.heartbeat_every;
    config.alerts.heartbeat.get_or_insert_with(|| Heartbeat {
        url: Located::Here(String::new()),
        every,
    })
}

/// Keys of a `[[rollup]]` table.
pub(super) const ROLLUP_KEYS: &[&str] = &["address", "kernel", "preimages", "preimage_endpoints"];

/// One `[[rollup]]` table of the file, understood.
pub(super) fn rollup(table: super::file::Table) -> Result<RollupConfig, ConfigError> {
    let wrong = |given: &Given, problem: String| ConfigError::Wrong {
        origin: given.origin.clone(),
        problem: format!("rollup.{}: {problem}", given.key),
    };
    let Some(named) = table.settings.iter().find(|given| given.key == "address") else {
        return Err(ConfigError::Wrong {
            origin: table.origin,
            problem: "this [[rollup]] has no address".into(),
        });
    };
    let mut rollup = filled(&named.values)
        .and_then(address)
        .map_err(|problem| wrong(named, problem))?;
    for given in &table.settings {
        let outcome = match given.key.as_str() {
            "kernel" => filled(&given.values).map(|path| rollup.kernel = Some(path.into())),
            "preimages" => filled(&given.values).map(|path| rollup.preimages = Some(path.into())),
            "preimage_endpoints" => given
                .values
                .iter()
                .map(|url| http_url(url))
                .collect::<Result<_, _>>()
                .map(|urls| rollup.preimage_endpoints = urls),
            _ => Ok(()),
        };
        outcome.map_err(|problem| wrong(given, problem))?;
    }
    Ok(rollup)
}

fn address(text: &str) -> Result<RollupConfig, String> {
    let (address, dialect) =
        RollupAddress::of_any_dialect(text).map_err(|error| error.to_string())?;
    Ok(RollupConfig {
        address,
        dialect,
        kernel: None,
        preimages: None,
        preimage_endpoints: Vec::new(),
    })
}

fn distinct(rollups: &[RollupConfig]) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    if rollups.iter().all(|rollup| seen.insert(rollup.address)) {
        Ok(())
    } else {
        Err("the same rollup is named twice".into())
    }
}

/// What may be logged, from nothing to everything.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn filled(values: &[String]) -> Result<&str, String> {
    match values {
        [value] if value.trim().is_empty() => Err("empty".into()),
        [value] => Ok(value),
        others => Err(format!("one value expected, found {}", others.len())),
    }
}

pub(super) fn number(values: &[String], least: u64, most: u64) -> Result<u64, String> {
    let text = filled(values)?;
    text.replace('_', "")
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}"))
}

fn yes_or_no(values: &[String]) -> Result<bool, String> {
    match filled(values)? {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

pub(super) fn http_url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| format!("{text:?} is not an http:// or https:// URL"))?;
    if host.trim_start_matches('/').is_empty() {
        return Err(format!("{text:?} names no host"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// What to say of an unknown name: with the nearest known one, if one is near.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3 + 1);
    match nearest {
        Some((_, candidate)) => format!("unknown {what} {name:?}: did you mean {candidate:?}?"),
        None => format!("unknown {what} {name:?}"),
    }
}

/// Single-character edits between two names.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(right.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            before = replaced.min(diagonal + 1).min(before + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}
