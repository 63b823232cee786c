//! Media types of requests and answers (`resto/src/server.ml`, `resto/src/media_type.ml`).
//!
//! Promises: the answers of a node that is told to serve JSON alone (`--media-type json`), by the same
//! rules and in the same order; binary bodies are taken where an operation is injected. Refuses to
//! give out bytes in a form that was not asked for.

use axum::http::{HeaderMap, StatusCode, header};

/// Form of a body that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// Text: what a body is taken for that does not say.
    #[default]
    Json,
    /// Bytes behind their length.
    Binary,
}

/// The one form of answers.
pub(super) const SERVED: &str = "application/json";

/// Why a request is refused before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The body is in no form that is read here.
    Unsupported,
    /// No form of answers is one that the client takes.
    NotAcceptable,
}

impl Refusal {
    /// Status and text of the answer.
    pub(super) const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, ""),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, SERVED),
        }
    }
}

/// The form of the body, when a body of that form may come and its answer be given.
pub(super) fn agreed(headers: &HeaderMap, takes_binary: bool) -> Result<Form, Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let form = match text(header::CONTENT_TYPE) {
        None | Some(SERVED) => Form::Json,
        Some("application/octet-stream") if takes_binary => Form::Binary,
        Some(_) => return Err(Refusal::Unsupported),
    };
    match text(header::ACCEPT) {
        Some(accepted) if !accepted.split(',').any(has_json) => Err(Refusal::NotAcceptable),
        _ => Ok(form),
    }
}

/// Whether a range of types, with its parameters, covers JSON.
fn has_json(range: &str) -> bool {
    let name = range.split(';').next().unwrap_or_default().trim();
    matches!(name, "*/*" | "application/*" | SERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        pairs: &[(header::HeaderName, &'static str)],
        takes_binary: bool,
    ) -> Result<Form, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name, value.parse().unwrap());
        }
        agreed(&headers, takes_binary)
    }

    #[test]
    fn only_json_is_given_out() {
        let accept = |text| asked(&[(header::ACCEPT, text)], false);
        // The usual header of the node's own client.
        let client =
            "application/json;q=1.000,application/bson;q=0.100,application/octet-stream;q=0.200";
        for taken in [client, "*/*", "text/html, application/*;q=0.1", SERVED] {
            assert_eq!(accept(taken), Ok(Form::Json), "{taken}");
        }
        for refused in [
            "application/octet-stream",
            "application/bson",
            "text/html",
            "",
        ] {
            assert_eq!(accept(refused), Err(Refusal::NotAcceptable), "{refused}");
        }
        assert_eq!(asked(&[], false), Ok(Form::Json));
    }

    #[test]
    fn a_body_says_its_form() {
        let sent = |text, takes_binary| asked(&[(header::CONTENT_TYPE, text)], takes_binary);
        assert_eq!(sent(SERVED, false), Ok(Form::Json));
        assert_eq!(sent("application/octet-stream", true), Ok(Form::Binary));
        let refused = Err(Refusal::Unsupported);
        assert_eq!(sent("application/octet-stream", false), refused);
        // A node compares the whole text, parameters included.
        assert_eq!(sent("application/json; charset=utf-8", true), refused);
        assert_eq!(sent("application/x-www-form-urlencoded", true), refused);
    }
}
