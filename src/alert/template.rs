//! The words of messages: files in `alerts/templates`, each of which the operator can replace.
//!
//! `{name}` stands for a value, and a line whose values are all empty is left out: that is all a
//! message needs, and nothing in a value can be taken for a template. Values in `.html` files are
//! escaped. Promises: a template that names an unknown value is refused when it is read.

use std::path::Path;

use super::AlertError;
use super::message::{Message, Occasion, Told};
use super::runbook::advice;
use crate::journal::Severity;

/// The templates of the program, with the values each may use.
const BUILT_IN: [(&str, &str); 6] = [
    (
        "subject.txt",
        include_str!("../../alerts/templates/subject.txt"),
    ),
    ("body.txt", include_str!("../../alerts/templates/body.txt")),
    ("item.txt", include_str!("../../alerts/templates/item.txt")),
    (
        "body.html",
        include_str!("../../alerts/templates/body.html"),
    ),
    (
        "item.html",
        include_str!("../../alerts/templates/item.html"),
    ),
    ("chat.txt", include_str!("../../alerts/templates/chat.txt")),
];

const MESSAGE_VALUES: &[&str] = &[
    "tower", "occasion", "heading", "severity", "loud", "count", "first", "items", "note", "colour",
];
const ITEM_VALUES: &[&str] = &[
    "id",
    "severity",
    "loud",
    "rule",
    "message",
    "rollup",
    "level",
    "time",
    "slack",
    "stake",
    "advice",
    "runbook",
    "link",
    "acknowledge",
    "colour",
];

/// Templates in force.
#[derive(Debug, Clone)]
pub struct Templates {
    files: Vec<(&'static str, String)>,
    tower: String,
    runbook: Option<String>,
}

type Values = Vec<(&'static str, String)>;

impl Templates {
    /// The built-in templates, each replaced by the file of its name in `folder` if there is one.
    ///
    /// # Errors
    /// [`AlertError`] when a file cannot be read or names an unknown value.
    pub fn load(
        folder: Option<&Path>,
        tower: &str,
        runbook: Option<String>,
    ) -> Result<Self, AlertError> {
        let mut files = Vec::new();
        for (name, built_in) in BUILT_IN {
            let path = folder.map(|folder| folder.join(name));
            let text = match path.filter(|path| path.exists()) {
                Some(path) => std::fs::read_to_string(&path).map_err(|error| AlertError::File {
                    path: path.clone(),
                    problem: error.to_string(),
                })?,
                None => built_in.to_owned(),
            };
            let known = if name.starts_with("item") || name.starts_with("chat") {
                ITEM_VALUES
            } else {
                MESSAGE_VALUES
            };
            check(name, &text, known)?;
            files.push((name, text));
        }
        Ok(Self {
            files,
            tower: tower.to_owned(),
            runbook,
        })
    }

    fn file(&self, name: &str) -> &str {
        let file = self.files.iter().find(|(known, _)| *known == name);
        file.map_or("", |(_, text)| text)
    }

    /// The subject of a mail, and the title of what has one.
    #[must_use]
    pub fn subject(&self, message: &Message) -> String {
        let text = fill(
            self.file("subject.txt"),
            &self.values(message, String::new()),
            plain,
        );
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A message as plain text.
    #[must_use]
    pub fn text(&self, message: &Message) -> String {
        let items = self.items(message, "item.txt", plain);
        fill(self.file("body.txt"), &self.values(message, items), plain)
    }

    /// A message as HTML.
    #[must_use]
    pub fn html(&self, message: &Message) -> String {
        let items = self.items(message, "item.html", escaped);
        let values = self.values(message, String::new());
        let frame = fill(self.file("body.html"), &keep_items(values), escaped);
        // The items are escaped already.
        frame.replace(ITEMS, &items)
    }

    /// A message for a chat: short.
    #[must_use]
    pub fn chat(&self, message: &Message) -> String {
        let mut text = message.occasion.heading().to_owned();
        text.push_str(&self.items(message, "chat.txt", plain));
        if !message.note.is_empty() {
            text.push_str(&message.note);
        }
        text.trim_end().to_owned()
    }

    fn items(&self, message: &Message, name: &str, escape: fn(&str) -> String) -> String {
        let items = message.alerts.iter().map(|told| {
            let mut text = fill(self.file(name), &self.item(told), escape);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        });
        items.collect()
    }

    fn values(&self, message: &Message, items: String) -> Values {
        let severity = message.severity();
        let first = message.alerts.first();
        let rest = message.alerts.len().saturating_sub(1);
        let mut summary = first.map(|told| told.message.clone()).unwrap_or_default();
        if rest > 0 {
            summary.push_str(&format!(" (and {rest} more)"));
        }
        vec![
            ("tower", self.tower.clone()),
            ("occasion", message.occasion.word().into()),
            ("heading", message.occasion.heading().into()),
            ("severity", severity.word().into()),
            ("loud", loud(severity, message.occasion)),
            ("count", message.alerts.len().to_string()),
            ("first", summary),
            ("items", items),
            ("note", message.note.clone()),
            ("colour", colour(severity).into()),
        ]
    }

    fn item(&self, told: &Told) -> Values {
        let number = |value: Option<String>| value.unwrap_or_default();
        let runbook = self.runbook.as_ref();
        vec![
            ("id", told.id.to_string()),
            ("severity", told.severity.word().into()),
            ("loud", loud(told.severity, Occasion::Raised)),
            ("rule", told.rule.clone()),
            ("message", told.message.clone()),
            ("rollup", number(told.rollup.clone())),
            ("level", number(told.level.map(|level| level.to_string()))),
            ("time", time(told.time)),
            (
                "slack",
                number(told.slack.map(|blocks| format!("{blocks} blocks"))),
            ),
            (
                "stake",
                number(told.stake.filter(|stake| *stake > 0).map(tez)),
            ),
            ("advice", advice(&told.rule)),
            (
                "runbook",
                number(runbook.map(|url| format!("{url}#{}", told.rule))),
            ),
            ("link", told.link.clone().unwrap_or_default()),
            ("acknowledge", format!("watchtower alerts ack {}", told.id)),
            ("colour", colour(told.severity).into()),
        ]
    }
}

/// Stands for the items while the frame around them is escaped.
const ITEMS: &str = "\u{1}";

fn keep_items(mut values: Values) -> Values {
    for (name, value) in &mut values {
        if *name == "items" {
            *value = ITEMS.into();
        }
    }
    values
}

fn loud(severity: Severity, occasion: Occasion) -> String {
    match occasion {
        Occasion::Recovered => "OVER".into(),
        Occasion::Test => "TEST".into(),
        _ => severity.word().to_uppercase(),
    }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "#4a6785",
        Severity::Warning => "#9a6700",
        Severity::Critical => "#b42318",
    }
}

/// Time as people write it, in UTC.
fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| millis.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

fn tez(mutez: u64) -> String {
    let (whole, part) = (mutez / 1_000_000, mutez % 1_000_000);
    if part == 0 {
        format!("{whole} tez")
    } else {
        format!("{whole}.{part:06} tez")
    }
}

fn plain(text: &str) -> String {
    text.to_owned()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Pieces of a line: text, or the name of a value.
fn pieces(line: &str) -> Vec<Result<&str, &str>> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let name = after
            .split_once('}')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()));
        match name {
            Some((name, behind)) => {
                found.push(Ok(before));
                found.push(Err(name));
                rest = behind;
            }
            None => {
                let cut = before.len().saturating_add(1);
                found.push(Ok(rest.get(..cut).unwrap_or(rest)));
                rest = after;
            }
        }
    }
    found.push(Ok(rest));
    found
}

fn check(file: &str, text: &str, known: &[&str]) -> Result<(), AlertError> {
    for (number, line) in (1..).zip(text.lines()) {
        for piece in pieces(line) {
            if let Err(name) = piece
                && !known.contains(&name)
            {
                return Err(AlertError::Template {
                    file: file.to_owned(),
                    problem: format!("line {number}: {{{name}}} is none of {}", known.join(", ")),
                });
            }
        }
    }
    Ok(())
}

fn fill(template: &str, values: &Values, escape: fn(&str) -> String) -> String {
    let mut out = String::new();
    for line in template.lines() {
        let (mut has_values, mut is_empty) = (false, true);
        let mut text = String::new();
        for piece in pieces(line) {
            match piece {
                Ok(words) => text.push_str(words),
                Err(name) => {
                    let value = values.iter().find(|(known, _)| *known == name);
                    let value = value.map_or("", |(_, value)| value);
                    has_values = true;
                    is_empty &= value.is_empty();
                    text.push_str(&escape(value));
                }
            }
        }
        if !has_values || !is_empty {
            out.push_str(&text);
            out.push('\n');
        }
    }
    out
}
