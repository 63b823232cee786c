//! `watchtower alerts`: what people were told, answers to it, proof that messages arrive.

use serde_json::json;

use super::args::AlertsCommand;
use super::exit::{Exit, Failure};
use super::output::{line, runtime};
use crate::alert::{AlertError, Case, Channels, Desk, Message, Occasion, Plan, Told};
use crate::config::Config;
use crate::journal::{Journal, Nature, Reader, Severity};
use crate::protocol::Dialected;

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        let exit = match &error {
            AlertError::File { .. } | AlertError::Channel { .. } | AlertError::Template { .. } => {
                Exit::Configuration
            }
            AlertError::Data { .. } | AlertError::Journal(_) => Exit::Data,
            AlertError::Thread(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

pub(super) fn run(config: &Config, command: &AlertsCommand) -> Result<Exit, Failure> {
    match command {
        AlertsCommand::List { all, json } => {
            let which = if *all { Which::All } else { Which::Open };
            let form = if *json { Form::Json } else { Form::Human };
            list(config, which, form)
        }
        AlertsCommand::Ack { id, by } => acknowledge(config, *id, by.as_deref()),
        AlertsCommand::Test { channel } => test(config, channel.as_deref()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Open,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Human,
    Json,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| millis.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn list(config: &Config, which: Which, form: Form) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let desk = Desk::from_journal(&reader, Plan::from(&config.alerts), now())?;
    let names: Vec<_> = reader
        .rollups()?
        .into_iter()
        .map(|row| (row.address, row.address.text(row.dialect)))
        .collect();
    let wanted = |case: &&Case| which == Which::All || case.over.is_none();
    if form == Form::Human && desk.cases().all(|case| !wanted(&case)) {
        line(match which {
            Which::Open => "no alert is open; --all lists those that are over, too",
            Which::All => "nobody had to be told anything yet",
        })?;
    }
    for case in desk.cases().filter(wanted) {
        let rollup = names
            .iter()
            .find(|(address, _)| Some(*address) == case.row.rollup);
        let rollup = rollup.map(|(_, name)| name.as_str());
        match form {
            Form::Json => line(
                json!({
                    "id": case.row.id,
                    "raised_at": case.row.time,
                    "severity": case.severity.word(),
                    "rule": case.row.rule,
                    "rollup": rollup,
                    "level": case.row.level.map(|level| level.get()),
                    "message": case.row.message,
                    "acknowledged_by": case.acknowledged,
                    "over_at": case.over,
                    "escalations": case.escalations,
                })
                .to_string(),
            )?,
            Form::Human => line(human(case, rollup))?,
        }
    }
    Ok(Exit::Fine)
}

fn human(case: &Case, rollup: Option<&str>) -> String {
    let state = match (&case.acknowledged, case.over) {
        (_, Some(_)) if case.row.nature == Nature::Test => "test".to_owned(),
        (_, Some(at)) if case.row.nature == Nature::Condition => format!("over since {}", time(at)),
        (Some(by), _) => format!("acknowledged by {by}"),
        (None, Some(_)) => "told".to_owned(),
        (None, None) => "OPEN".to_owned(),
    };
    let place = rollup.map_or_else(String::new, |rollup| format!("  {rollup}"));
    format!(
        "{:>5}  {}  {:<8}  {}{place}  {}  [{state}]",
        case.row.id,
        time(case.row.time),
        case.severity.word(),
        case.row.rule,
        case.row.message
    )
}

fn acknowledge(config: &Config, id: u64, by: Option<&str>) -> Result<Exit, Failure> {
    let path = config.journal_path();
    let reader = Reader::open(&path)?;
    let mut desk = Desk::from_journal(&reader, Plan::from(&config.alerts), now())?;
    let Some(case) = desk.case(id) else {
        let message = format!("there is no alert {id}; `watchtower alerts list` shows them");
        return Err(Failure::said(Exit::Configuration, message));
    };
    if let Some(by) = &case.acknowledged {
        line(format!("alert {id} was acknowledged by {by} already"))?;
        return Ok(Exit::Fine);
    }
    let user = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let by = by.map(str::to_owned).or(user);
    let by = by.unwrap_or_else(|| "the command line".into());
    let mut entries = Vec::new();
    desk.acknowledge(id, &by, now(), &mut entries);
    // A running tower reads it there at its next turn.
    Journal::open(&path)?.write(entries)?;
    line(format!("alert {id} is acknowledged by {by}"))?;
    Ok(Exit::Fine)
}

fn test(config: &Config, only: Option<&str>) -> Result<Exit, Failure> {
    let channels = Channels::open(&config.alerts)?;
    let wanted: Vec<String> = channels
        .names()
        .filter(|name| only.is_none_or(|only| only == *name))
        .map(str::to_owned)
        .collect();
    if wanted.is_empty() {
        let message = match only {
            Some(name) => format!("no channel is named {name:?}"),
            None => "no channel is configured: add a [[channel]] table".into(),
        };
        return Err(Failure::said(Exit::Configuration, message));
    }
    let message = Message {
        notification: now().unsigned_abs(),
        occasion: Occasion::Test,
        note: String::new(),
        alerts: vec![Told {
            id: 0,
            rule: "test".into(),
            severity: Severity::Notice,
            rollup: None,
            level: None,
            message: "this only proves that alerts arrive; nothing is wrong".into(),
            time: now(),
            slack: None,
            stake: None,
            link: None,
        }],
    };
    let mut exit = Exit::Fine;
    let runtime = runtime()?;
    for name in wanted {
        match runtime.block_on(channels.deliver(&name, &message)) {
            Ok(answer) => line(format!("{name:<16} delivered ({})", answer.0))?,
            Err(problem) => {
                exit = Exit::Unwell;
                line(format!("{name:<16} FAILED: {problem}"))?;
            }
        }
    }
    Ok(exit)
}
