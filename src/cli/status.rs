//! `watchtower status`: how each rollup stands, from the journal; and whether a tower runs on it and
//! what that tower lacks, if it serves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::StatusArgs;
use super::exit::{Exit, Failure};
use super::games::{self, Listed};
use super::output::line;
use crate::config::Config;
use crate::journal::{Judgement, Reader, RollupRow};
use crate::protocol::{Dialected, Level};
use crate::tower::{TowerError, lock};

pub(super) fn run(config: &Config, command: &StatusArgs) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let rollups = reader.rollups()?;
    let head = reader.head()?;
    let tower = Tower::find(config);
    let mut worst = Exit::Fine;
    let mut listed = Vec::new();
    let level = head.as_ref().map(|block| block.level);
    for rollup in &rollups {
        let standing = Standing::read(&reader, rollup, level)?;
        worst = standing.exit(worst);
        listed.push(standing);
    }
    if command.json {
        let rollups: Vec<_> = listed.iter().map(Standing::to_json).collect();
        let head = head.map(|block| json!({"level": block.level.get(), "block": block.hash}));
        let tower = tower.to_json();
        line(json!({"tower": tower, "head": head, "rollups": rollups}).to_string())?;
        return Ok(worst);
    }
    match head {
        Some(block) => line(format!("chain      level {} ({})", block.level, block.hash))?,
        None => line("chain      nothing seen yet")?,
    }
    line(format!("tower      {tower}"))?;
    for standing in &listed {
        standing.print()?;
    }
    Ok(worst)
}

/// Time that a running tower has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a tower runs on the data directory.
enum Tower {
    Stopped,
    /// It runs, and is not served where the configuration says.
    Unheard,
    /// It runs and says what it lacks; nothing when it is ready.
    Running(Vec<String>),
}

impl Tower {
    fn find(config: &Config) -> Self {
        match lock(&config.data_dir) {
            Err(TowerError::InUse(_)) => config
                .listen
                .and_then(reasons)
                .map_or(Self::Unheard, Self::Running),
            // Not ours to say why.
            Ok(_) | Err(_) => Self::Stopped,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Stopped => json!({"running": false}),
            Self::Unheard => json!({"running": true}),
            Self::Running(lacks) => {
                json!({"running": true, "ready": lacks.is_empty(), "lacks": lacks})
            }
        }
    }
}

impl std::fmt::Display for Tower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("not running"),
            Self::Unheard => f.write_str("running; it does not say how it is"),
            Self::Running(lacks) if lacks.is_empty() => f.write_str("running, ready"),
            Self::Running(lacks) => write!(f, "running, NOT READY: {}", lacks.join("; ")),
        }
    }
}

/// What a tower that serves here lacks.
fn reasons(address: SocketAddr) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let question = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body).ok()?;
    let reasons = body.get("reasons")?.as_array()?.iter();
    Some(
        reasons
            .filter_map(|reason| reason.as_str().map(str::to_owned))
            .collect(),
    )
}

struct Standing {
    address: String,
    state_level: Option<i32>,
    state_hash: Option<String>,
    commitment: Option<(i32, String)>,
    right: usize,
    wrong: Vec<(i32, String, String)>,
    not_judgeable: Vec<(i32, String, String)>,
    conflicts: usize,
    /// Games that are not over.
    games: Vec<Listed>,
    head: Option<Level>,
    blocked: Option<(i32, String)>,
    /// Level up to which past operations are read, and the one to reach, of a rollup that joined late.
    backfill: Option<(i32, i32)>,
}

impl Standing {
    fn read(reader: &Reader, rollup: &RollupRow, head: Option<Level>) -> Result<Self, Failure> {
        let address = &rollup.address;
        let dialect = rollup.dialect;
        let state = reader.last_state(address)?;
        let own = reader.own_commitments(address)?.pop();
        let mut standing = Self {
            address: address.text(dialect),
            state_level: state.as_ref().map(|state| state.level.get()),
            state_hash: state.as_ref().map(|state| state.hash.text(dialect)),
            commitment: own.map(|(_, commitment)| {
                (
                    commitment.inbox_level.get(),
                    commitment.hash().text(dialect),
                )
            }),
            right: 0,
            wrong: Vec::new(),
            not_judgeable: Vec::new(),
            conflicts: reader.conflicts(address)?.len(),
            games: games::all(reader)?
                .into_iter()
                .filter(|game| game.end.is_none() && game.name.rollup == *address)
                .collect(),
            head,
            blocked: None,
            backfill: reader
                .backfills()?
                .into_iter()
                .find(|row| row.rollup == *address && row.level < row.goal)
                .map(|row| (row.level.get(), row.goal.get())),
        };
        if let Some(unknown) = reader.unknown(address)? {
            let why = format!("{} ({})", unknown.reason, unknown.detail);
            standing.blocked = Some((unknown.level.get(), why));
        } else if let Some((level, _, _)) = reader.first_inbox_mismatch()? {
            standing.blocked = Some((level.get(), "inbox mismatch".into()));
        }
        for verdict in reader.verdicts(address)? {
            let (level, hash) = (verdict.level.get(), verdict.commitment.text(dialect));
            match verdict.judgement {
                Judgement::True => standing.right = standing.right.saturating_add(1),
                Judgement::False {
                    field,
                    claimed,
                    computed,
                } => standing.wrong.push((
                    level,
                    hash,
                    format!("{field} is {claimed}, {computed} is true"),
                )),
                Judgement::NotJudgeable { reason, detail } => {
                    standing
                        .not_judgeable
                        .push((level, hash, format!("{reason} ({detail})")));
                }
            }
        }
        Ok(standing)
    }

    fn exit(&self, before: Exit) -> Exit {
        if before == Exit::FalseCommitment || !self.wrong.is_empty() {
            return Exit::FalseCommitment;
        }
        if before == Exit::NotJudgeable || !self.not_judgeable.is_empty() || self.blocked.is_some()
        {
            return Exit::NotJudgeable;
        }
        Exit::Fine
    }

    fn print(&self) -> Result<(), Failure> {
        line(format!("rollup     {}", self.address))?;
        match (self.state_level, &self.state_hash) {
            (Some(level), Some(hash)) => line(format!("  state    level {level} ({hash})"))?,
            _ => line("  state    not computed yet")?,
        }
        if let Some((level, hash)) = &self.commitment {
            line(format!("  ours     level {level} ({hash})"))?;
        }
        line(format!(
            "  verdicts {} true, {} false, {} not judgeable; {} conflicts",
            self.right,
            self.wrong.len(),
            self.not_judgeable.len(),
            self.conflicts
        ))?;
        for (level, hash, why) in &self.wrong {
            line(format!("  FALSE    level {level}: {hash}: {why}"))?;
        }
        for (level, hash, why) in &self.not_judgeable {
            line(format!("  UNKNOWN  level {level}: {hash}: {why}"))?;
        }
        for game in &self.games {
            line(format!(
                "  GAME     #{} about level {}: {}",
                game.number,
                game.name.inbox_level,
                game.standing(self.head)
            ))?;
        }
        if let Some((level, goal)) = &self.backfill {
            line(format!(
                "  JOINING  past operations read up to level {level} of {goal}"
            ))?;
        }
        if let Some((level, why)) = &self.blocked {
            line(format!("  BLOCKED  at level {level}: {why}"))?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let list = |rows: &[(i32, String, String)]| {
            rows.iter()
                .map(|(level, hash, why)| json!({"level": level, "commitment": hash, "why": why}))
                .collect::<Vec<_>>()
        };
        let mut object = Map::new();
        object.insert("rollup".into(), self.address.clone().into());
        object.insert("state_level".into(), self.state_level.into());
        object.insert("state_hash".into(), self.state_hash.clone().into());
        let own = self.commitment.as_ref();
        object.insert("commitment_level".into(), own.map(|own| own.0).into());
        object.insert("commitment".into(), own.map(|own| own.1.clone()).into());
        object.insert("true".into(), self.right.into());
        object.insert("false".into(), list(&self.wrong).into());
        object.insert("not_judgeable".into(), list(&self.not_judgeable).into());
        object.insert("conflicts".into(), self.conflicts.into());
        let games: Vec<_> = self
            .games
            .iter()
            .map(|game| game.to_json(self.head))
            .collect();
        object.insert("games".into(), games.into());
        let blocked = self.blocked.as_ref();
        let backfill = self
            .backfill
            .map(|(level, goal)| json!({"level": level, "goal": goal}));
        object.insert("backfill".into(), backfill.into());
        object.insert("blocked_level".into(), blocked.map(|b| b.0).into());
        object.insert("blocked".into(), blocked.map(|b| b.1.clone()).into());
        Value::Object(object)
    }
}
