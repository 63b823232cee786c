//! The configuration file: TOML, every value with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::channels::CHANNEL_KEYS;
use super::settings::{ROLLUP_KEYS, SETTINGS, unknown};
use super::{ConfigError, Given, Origin};

/// What a file says.
pub(super) struct Parsed {
    pub(super) settings: Vec<Given>,
    pub(super) rollups: Vec<Table>,
    pub(super) channels: Vec<Table>,
}

/// One table of a list, such as a `[[rollup]]`.
pub(super) struct Table {
    pub(super) settings: Vec<Given>,
    pub(super) origin: Origin,
}

/// Settings that only make sense beside addresses on a command line.
pub(super) const NOT_IN_FILES: &[&str] = &["rollups", "kernel", "preimages", "preimage_endpoints"];

struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
        }
    }

    fn wrong(&self, offset: usize, problem: impl Into<String>) -> ConfigError {
        ConfigError::Wrong {
            origin: self.origin(offset),
            problem: problem.into(),
        }
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Parsed, ConfigError> {
    let place = Place { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        place.wrong(offset, error.message())
    })?;
    let mut parsed = Parsed {
        settings: Vec::new(),
        rollups: Vec::new(),
        channels: Vec::new(),
    };
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("rollup", DeValue::Array(tables)) => {
                for table in tables.iter() {
                    parsed
                        .rollups
                        .push(listed(&place, table, "rollup", ROLLUP_KEYS)?);
                }
            }
            ("channel", DeValue::Array(tables)) => {
                for table in tables.iter() {
                    parsed
                        .channels
                        .push(listed(&place, table, "channel", CHANNEL_KEYS)?);
                }
            }
            ("channel", _) => {
                return Err(place.wrong(
                    key.span().start,
                    "channels are written as [[channel]], with two brackets, one table for each",
                ));
            }
            ("rollup", _) => {
                return Err(place.wrong(
                    key.span().start,
                    "rollups are written as [[rollup]], with two brackets, one table for each",
                ));
            }
            (name, DeValue::Table(section)) => {
                for (inner, value) in section {
                    let key = format!("{name}.{}", inner.get_ref());
                    parsed.settings.push(setting(&place, key, inner, value)?);
                }
            }
            (name, _) => {
                parsed
                    .settings
                    .push(setting(&place, name.to_owned(), key, value)?);
            }
        }
    }
    Ok(parsed)
}

fn setting(
    place: &Place<'_>,
    key: String,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Given, ConfigError> {
    let known = SETTINGS
        .iter()
        .filter(|setting| setting.is_in_files())
        .map(|setting| setting.key);
    if !known.clone().any(|known| known == key) {
        return Err(place.wrong(name.span().start, unknown("key", &key, known)));
    }
    given(place, key, name, value)
}

fn listed(
    place: &Place<'_>,
    table: &Spanned<DeValue<'_>>,
    what: &str,
    known: &[&str],
) -> Result<Table, ConfigError> {
    let DeValue::Table(keys) = table.get_ref() else {
        return Err(place.wrong(
            table.span().start,
            format!("{what}s are written as [[{what}]] tables"),
        ));
    };
    let mut settings = Vec::new();
    for (name, value) in keys {
        let key = name.get_ref().as_ref();
        if !known.contains(&key) {
            let problem = unknown("key", key, known.iter().copied());
            return Err(place.wrong(name.span().start, format!("{problem} (in [[{what}]])")));
        }
        settings.push(given(place, key.to_owned(), name, value)?);
    }
    Ok(Table {
        settings,
        origin: place.origin(table.span().start),
    })
}

fn given(
    place: &Place<'_>,
    key: String,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Given, ConfigError> {
    let values = match value.get_ref() {
        DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
        single => scalar(single).map(|text| vec![text]),
    };
    let Some(values) = values else {
        return Err(place.wrong(
            value.span().start,
            format!("{key}: a text, a number or a list of texts is expected here"),
        ));
    };
    Ok(Given {
        key,
        values,
        origin: place.origin(name.span().start),
    })
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}
