//! Whole JSON values out of a stream that is cut anywhere.
//!
//! Promises: values come out in order, whatever the boundaries of the chunks. Refuses to know:
//! what the values mean.

use serde::de::DeserializeOwned;

use super::error::Fault;

/// A head notice is below a kilobyte; whatever grows past this is no head stream.
const LONGEST_VALUE: usize = 1024 * 1024;

/// Collects chunks and gives out the values they make up.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The next whole value, if there is one.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        let mut values = serde_json::Deserializer::from_slice(&self.pending).into_iter::<T>();
        let outcome = values.next();
        let used = values.byte_offset();
        match outcome {
            None => {
                self.pending.clear();
                Ok(None)
            }
            Some(Ok(value)) => {
                self.pending.drain(..used);
                Ok(Some(value))
            }
            Some(Err(e)) if e.is_eof() && self.pending.len() <= LONGEST_VALUE => Ok(None),
            Some(Err(e)) if e.is_eof() => Err(Fault::Oversized(LONGEST_VALUE)),
            Some(Err(e)) if e.is_data() => Err(Fault::Unexpected(e.to_string())),
            Some(Err(e)) => Err(Fault::NotJson(e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(cuts in proptest::collection::vec(0_usize..200, 0..8)) {
            let values = [json!({"level": 1, "hash": "a}{\"é"}), json!({"level": 2}), json!({"x": [1, {"y": null}]})];
            let text: String = values.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut splitter, mut found) = (Splitter::default(), Vec::new());
            for cut in cuts.windows(2) {
                splitter.push(&text.as_bytes()[cut[0]..cut[1]]);
                while let Some(value) = splitter.next::<Value>().unwrap() {
                    found.push(value);
                }
            }
            prop_assert_eq!(found, values);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut splitter = Splitter::default();
            splitter.push(&bytes);
            for _ in 0..bytes.len() {
                if !matches!(splitter.next::<Value>(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
