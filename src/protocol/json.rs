//! Reading the node's JSON objects field by field, with errors that name the field.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Dialected, Level};
use crate::crypto::Dialect;

/// The node's JSON is not of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {field:?} {problem}")]
pub struct JsonError {
    /// The object that was being read.
    pub what: &'static str,
    /// The field at fault.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A JSON object that is being read.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    what: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `json`, which is meant to be a `what`.
    ///
    /// # Errors
    /// [`JsonError`] when it is not an object.
    pub fn new(what: &'static str, json: &'a Value) -> Result<Self, JsonError> {
        match json {
            Value::Object(map) => Ok(Self { what, map }),
            other => Err(JsonError {
                what,
                field: String::new(),
                problem: format!("is not an object but {}", shortened(other)),
            }),
        }
    }

    /// An error about `field`.
    pub fn error(&self, field: &str, problem: impl Display) -> JsonError {
        JsonError {
            what: self.what,
            field: field.into(),
            problem: problem.to_string(),
        }
    }

    /// The field, if it is there and not null.
    #[must_use]
    pub fn optional(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// The field, which must be there.
    ///
    /// # Errors
    /// [`JsonError`] (likewise for every function below).
    pub fn value(&self, field: &str) -> Result<&'a Value, JsonError> {
        self.map
            .get(field)
            .ok_or_else(|| self.error(field, "is missing"))
    }

    /// A text.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn text(&self, field: &str) -> Result<&'a str, JsonError> {
        let value = self.value(field)?;
        value
            .as_str()
            .ok_or_else(|| self.error(field, format!("is not a text but {}", shortened(value))))
    }

    /// A text of type `T`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parsed<T: FromStr<Err: Display>>(&self, field: &str) -> Result<T, JsonError> {
        self.text(field)?.parse().map_err(|e| self.error(field, e))
    }

    /// An identifier in the text of `dialect`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn labelled<T: Dialected>(&self, field: &str, dialect: Dialect) -> Result<T, JsonError> {
        T::from_text(self.text(field)?, dialect).map_err(|e| self.error(field, e))
    }

    /// Bytes as hexadecimal text.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn bytes(&self, field: &str) -> Result<Vec<u8>, JsonError> {
        hex::decode(self.text(field)?).map_err(|e| self.error(field, e))
    }

    /// A number that fits `T`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn number<T: TryFrom<i64>>(&self, field: &str) -> Result<T, JsonError> {
        let value = self.value(field)?;
        value
            .as_i64()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                self.error(
                    field,
                    format!("is not a number in range but {}", shortened(value)),
                )
            })
    }

    /// A level.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn level(&self, field: &str) -> Result<Level, JsonError> {
        self.number(field)
    }

    /// A list.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn list(&self, field: &str) -> Result<&'a [Value], JsonError> {
        let value = self.value(field)?;
        value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| self.error(field, format!("is not a list but {}", shortened(value))))
    }

    /// A list of identifiers in the text of `dialect`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn labelled_list<T: Dialected>(
        &self,
        field: &str,
        dialect: Dialect,
    ) -> Result<Vec<T>, JsonError> {
        let items = self.list(field)?.iter();
        items
            .map(|item| {
                let text = item
                    .as_str()
                    .ok_or_else(|| self.error(field, "holds something that is not a text"))?;
                T::from_text(text, dialect).map_err(|e| self.error(field, e))
            })
            .collect()
    }

    /// A list of texts of type `T`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parsed_list<T: FromStr<Err: Display>>(&self, field: &str) -> Result<Vec<T>, JsonError> {
        let items = self.list(field)?.iter();
        items
            .map(|item| {
                let text = item
                    .as_str()
                    .ok_or_else(|| self.error(field, "holds something that is not a text"))?;
                text.parse().map_err(|e| self.error(field, e))
            })
            .collect()
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        None => text,
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
    }
}
