//! `watchtower init`: a few questions, a commented configuration file, and a look at everything.
//!
//! Promises: every setting stands in the file with its meaning, those that were answered in force,
//! the others as comments with their defaults; an existing file is never touched.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Write as _};

use super::args::{Cli, InitArgs};
use super::exit::{Exit, Failure};
use super::output::line;
use super::{doctor, output};
use crate::config::{Config, Given, Origin, SETTINGS, Setting};

/// Questions, in order: the setting, what is asked, and whether an answer is needed.
const QUESTIONS: &[(&str, &str, Answer)] = &[
    (
        "node.endpoints",
        "Layer-1 nodes, separated by commas (two or more are safer)",
        Answer::Needed,
    ),
    (
        "rollups",
        "Addresses of the rollups to guard, separated by commas",
        Answer::Needed,
    ),
    (
        "preimages",
        "Directory of preimages, as a rollup node keeps them (empty: none)",
        Answer::Optional,
    ),
    (
        "data_dir",
        "Where journal and states are kept (empty: the default)",
        Answer::Optional,
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Needed,
    Optional,
}

pub(super) fn run(cli: &Cli, command: &InitArgs) -> Result<Exit, Failure> {
    if command.output.exists() {
        return Err(Failure::said(
            Exit::Configuration,
            format!(
                "{} exists: choose another file with --output, or edit it",
                command.output.display()
            ),
        ));
    }
    let mut given = command.rollup.given();
    given.extend(command.node.given());
    given.extend(cli.base.given());
    if !command.yes {
        ask(&mut given)?;
    }
    // What would be refused later is refused now, before there is a file.
    let config = Config::load(None, &[], given.clone())?;
    config.needs_endpoints()?;
    config.needs_rollups()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&command.output)?;
    file.write_all(text(&given)?.as_bytes())?;
    file.sync_all()?;
    line(format!("{} is written\n", command.output.display()))?;
    let exit = doctor::run(&config)?;
    line(format!(
        "\nNext: watchtower follow --config {}",
        command.output.display()
    ))?;
    Ok(exit)
}

fn ask(given: &mut Vec<Given>) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() && !output::is_terminal() {
        return Err(Failure::said(
            Exit::Configuration,
            "nobody is there to answer: give --yes with --node and the rollup's address",
        ));
    }
    for (key, question, needed) in QUESTIONS {
        if given.iter().any(|known| known.key == *key) {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == *key) else {
            continue;
        };
        if let Some(answer) = answer(given, setting, question, *needed)? {
            given.push(answer);
        }
    }
    Ok(())
}

/// Asks until the answer is understood; nothing for an empty one that is not needed.
fn answer(
    so_far: &[Given],
    setting: &Setting,
    question: &str,
    needed: Answer,
) -> Result<Option<Given>, Failure> {
    loop {
        let mut out = std::io::stdout().lock();
        write!(out, "{question}: ")?;
        out.flush()?;
        let mut typed = String::new();
        if std::io::stdin().lock().read_line(&mut typed)? == 0 {
            return Err(Failure::said(Exit::Configuration, "no answer"));
        }
        let values = setting.values(typed.trim());
        if values.iter().all(String::is_empty) {
            if needed == Answer::Optional {
                return Ok(None);
            }
            continue;
        }
        let answer = Given {
            key: setting.key.into(),
            values,
            origin: Origin::Flag("answer"),
        };
        let mut tried = so_far.to_vec();
        tried.push(answer.clone());
        match Config::load(None, &[], tried) {
            Ok(_) => return Ok(Some(answer)),
            Err(error) => writeln!(out, "  {error}")?,
        }
    }
}

/// The file: top-level settings, sections in the order of the table, rollups last.
fn text(given: &[Given]) -> Result<String, Failure> {
    let mut text = String::from(
        "# Configuration of watchtower. A line that begins with # says what is so by default.\n",
    );
    let mut section = "";
    // Keys without a table must stand before the first table.
    let in_files = || SETTINGS.iter().filter(|setting| setting.is_in_files());
    let (above, below) = (
        in_files().filter(|setting| !setting.key.contains('.')),
        in_files().filter(|setting| setting.key.contains('.')),
    );
    for setting in above.chain(below) {
        let (table, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if table != section {
            section = table;
            write!(text, "\n[{table}]\n").map_err(unwritable)?;
        }
        let answered = given.iter().find(|known| known.key == setting.key);
        let shown = match answered {
            Some(answer) => format!("{key} = {}", toml_value(setting, &answer.values)),
            None => format!("# {key} = {}", setting.default),
        };
        write!(text, "\n# {}\n{shown}\n", setting.help).map_err(unwritable)?;
    }
    let values = |key: &str| {
        given
            .iter()
            .find(|known| known.key == key)
            .map(|known| known.values.clone())
            .unwrap_or_default()
    };
    for address in values("rollups") {
        write!(text, "\n[[rollup]]\naddress = {}\n", quoted(&address)).map_err(unwritable)?;
        for key in ["kernel", "preimages"] {
            match values(key).first() {
                Some(value) => writeln!(text, "{key} = {}", quoted(value)),
                None => writeln!(text, "# {key} = \"\""),
            }
            .map_err(unwritable)?;
        }
        let endpoints: Vec<_> = values("preimage_endpoints")
            .iter()
            .map(|url| quoted(url))
            .collect();
        writeln!(
            text,
            "{}preimage_endpoints = [{}]",
            if endpoints.is_empty() { "# " } else { "" },
            endpoints.join(", ")
        )
        .map_err(unwritable)?;
    }
    text.push_str(CHANNELS);
    Ok(text)
}

/// Ways to reach people, to be filled in: none of them works without an account of the operator's.
const CHANNELS: &str = "
# Who is told when something is wrong, one [[channel]] table for each way; until there is one, nobody.
# `watchtower alerts test` proves that messages arrive.

# [[channel]]
# name = \"phones\"
# kind = \"ntfy\"
# url = \"https://ntfy.sh/a-topic-of-your-own\"

# [[channel]]
# name = \"team\"
# kind = \"email\"
# server = \"smtp.example.org\"
# security = \"starttls\"
# username = \"tower@example.org\"
# password_file = \"/etc/watchtower/smtp-password\"
# from = \"Watchtower <tower@example.org>\"
# to = [\"you@example.org\"]
# severity = \"notice\"

# kind may also be slack, discord, telegram, pagerduty or webhook; every key is in contrib/alerts.toml.
";

fn unwritable(error: std::fmt::Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn toml_value(setting: &Setting, values: &[String]) -> String {
    if setting.list {
        let items: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        return format!("[{}]", items.join(", "));
    }
    values
        .first()
        .map_or_else(String::new, |value| quoted(value))
}

/// A TOML string: JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
