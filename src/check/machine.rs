//! What the checkers of the machine share: the header of a run and an environment to run it in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::CheckError;
use crate::protocol::{Level, PvmVersion};
use crate::pvm::{
    Activation, Engine, Environment, InputInfo, Origination, PageId, RevealError, Reveals, State,
};

/// One line of a vector file, with its number for messages.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) json: Value,
}

impl Line {
    pub(super) fn parse((number, text): (usize, &str)) -> Result<Self, CheckError> {
        let json = serde_json::from_str(text).map_err(|error| CheckError::Malformed {
            line: number,
            problem: error.to_string(),
        })?;
        Ok(Self { number, json })
    }

    pub(super) fn malformed(&self, problem: impl Into<String>) -> CheckError {
        CheckError::Malformed {
            line: self.number,
            problem: problem.into(),
        }
    }

    pub(super) fn field(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, CheckError> {
        self.field(key)
            .and_then(Value::as_str)
            .ok_or_else(|| self.malformed(format!("no text {key:?}")))
    }

    pub(super) fn bytes(&self, key: &str) -> Result<Vec<u8>, CheckError> {
        hex::decode(self.text(key)?).map_err(|error| self.malformed(format!("{key}: {error}")))
    }

    /// A number, written as one or as decimal text.
    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, CheckError> {
        let text = match self.field(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(self.malformed(format!("no number {key:?}"))),
        };
        text.parse()
            .map_err(|_| self.malformed(format!("{key}: {text:?} is out of range")))
    }

    pub(super) fn same<T: PartialEq + std::fmt::Display>(
        &self,
        what: impl FnOnce() -> String,
        expected: &T,
        found: &T,
    ) -> Result<(), CheckError> {
        super::same(self.number, what, expected, found)
    }
}

/// Version named `v0` to `v6`, or as the machine itself names it.
pub(super) fn version(line: &Line, key: &str) -> Result<PvmVersion, CheckError> {
    let name = line.text(key)?;
    version_named(name).ok_or_else(|| line.malformed(format!("{name:?} is not a version")))
}

/// Version named `v0` to `v6`, or as the machine itself names it.
pub(super) fn version_named(name: &str) -> Option<PvmVersion> {
    let mut numbered = PvmVersion::ALL.into_iter().zip(0..);
    let short = name.to_ascii_lowercase();
    numbered
        .find(|(version, number)| short == format!("v{number}") || name == version.text())
        .map(|(version, _)| version)
}

/// Whether a line is a JSON object that has these keys.
pub(super) fn has_keys(line: &str, keys: &[&str]) -> bool {
    let json: Option<Value> = serde_json::from_str(line).ok();
    json.is_some_and(|json| keys.iter().all(|key| json.get(key).is_some()))
}

/// The state a run begins with.
pub(super) fn originated(header: &Line, vector: &Path) -> Result<State, CheckError> {
    let mut state = State::originate(&origination(header)?, &kernel(header, vector)?)
        .map_err(|error| failed(header, "origination", error))?;
    if header.field("max_reboots").is_some() {
        state.maximum_reboots = header.number("max_reboots")?;
        state.reboot_counter = state.maximum_reboots.saturating_add(1);
    }
    Ok(state)
}

/// The place and bytes of an input line.
pub(super) fn input(line: &Line) -> Result<(InputInfo, Vec<u8>), CheckError> {
    let level: i64 = line.number("level")?;
    let info = InputInfo {
        level: Level::try_from(level).map_err(|error| line.malformed(error.to_string()))?,
        counter: line.number("counter")?,
    };
    Ok((info, line.bytes("payload")?))
}

pub(super) fn origination(line: &Line) -> Result<Origination, CheckError> {
    Ok(Origination {
        version: version(line, "version")?,
        ticks_per_snapshot: line.number("ticks_per_snapshot")?,
        outbox_validity_period: line.number("outbox_validity_period")?,
        outbox_message_limit: line.number("outbox_message_limit")?,
    })
}

/// A kernel file beside the vectors: `kernels/` in one of the folders above the vector file.
pub(super) fn kernel_file(vector: &Path, name: &str) -> Result<Vec<u8>, CheckError> {
    let candidates: Vec<PathBuf> = vector
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("kernels").join(name))
        .collect();
    candidates
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .ok_or_else(|| CheckError::Malformed {
            line: 1,
            problem: format!("kernels/{name} is in no folder above the file"),
        })
}

/// The kernel of a header: its bytes, or the name of a file.
pub(super) fn kernel(line: &Line, vector: &Path) -> Result<Vec<u8>, CheckError> {
    match line.field("kernel") {
        Some(_) => line.bytes("kernel"),
        None => kernel_file(vector, line.text("kernel_file")?),
    }
}

/// What is asked and what is answered.
type Pair = (Vec<u8>, Vec<u8>);

/// Answers reveals from what a vector file says.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// By request, as the kernel makes it.
    pub(super) responses: BTreeMap<Vec<u8>, Vec<u8>>,
    /// By hash.
    pub(super) preimages: BTreeMap<[u8; 33], Vec<u8>>,
    pub(super) metadata: Option<[u8; 24]>,
    /// Whether responses are taken as they are: made-up data that has not the hash asked for.
    pub(super) verbatim: bool,
}

impl Recorded {
    pub(super) fn from_header(line: &Line) -> Result<Self, CheckError> {
        let table = |key: &str| -> Result<Vec<Pair>, CheckError> {
            let object = line.field(key).and_then(Value::as_object);
            let pairs = object.into_iter().flatten().map(|(request, response)| {
                let bytes = |text: &str| {
                    hex::decode(text).map_err(|error| line.malformed(format!("{key}: {error}")))
                };
                Ok((
                    bytes(request)?,
                    bytes(response.as_str().unwrap_or_default())?,
                ))
            });
            pairs.collect()
        };
        let mut recorded = Self::default();
        for (hash, data) in table("preimages")? {
            let hash = hash
                .try_into()
                .map_err(|_| line.malformed("preimages: a hash"))?;
            recorded.preimages.insert(hash, data);
        }
        recorded.responses.extend(table("reveal_responses")?);
        if line.field("metadata").is_some() {
            recorded.metadata = line.bytes("metadata")?.try_into().ok();
        }
        Ok(recorded)
    }

    /// The answer that the file has for a request, if it has one.
    pub(super) fn recorded(&self, request: &[u8], last_input: Option<Level>) -> Option<Vec<u8>> {
        let verbatim = self.responses.get(request).cloned();
        verbatim.or_else(|| Plain(self).answer(request, last_input).ok())
    }

    fn response(&self, request: &[u8], reason: &str) -> Result<Vec<u8>, RevealError> {
        let response = self.responses.get(request).cloned();
        response.ok_or_else(|| RevealError::NoParameters(reason.to_owned()))
    }
}

impl Reveals for Recorded {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        let found = self.preimages.get(hash).cloned();
        found.ok_or_else(|| RevealError::NoPreimage {
            hash: hex::encode(hash),
            reason: "not in the vector file".to_owned(),
        })
    }

    fn metadata(&self) -> [u8; 24] {
        self.metadata.unwrap_or_default()
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        self.response(&[3], "not in the vector file")
    }

    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError> {
        let mut request = vec![2];
        request.extend(page.published_level.get().to_be_bytes());
        request.push(page.slot_index);
        request.extend(page.page_index.to_be_bytes());
        self.response(&request, "not in the vector file")
    }

    fn activation(&self) -> Activation {
        Activation::ALL
    }

    fn answer(&self, request: &[u8], last_input: Option<Level>) -> Result<Vec<u8>, RevealError> {
        if self.verbatim {
            return self.response(request, "not in the vector file");
        }
        Plain(self).answer(request, last_input)
    }
}

/// The protocol's way of answering, over the recorded data.
struct Plain<'a>(&'a Recorded);

impl Reveals for Plain<'_> {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        self.0.preimage(hash)
    }

    fn metadata(&self) -> [u8; 24] {
        self.0.metadata()
    }

    fn dal_parameters(&self, last_input: Level) -> Result<Vec<u8>, RevealError> {
        self.0.dal_parameters(last_input)
    }

    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError> {
        self.0.dal_page(page)
    }

    fn activation(&self) -> Activation {
        self.0.activation()
    }
}

/// An environment for checks: the fast engine without files, no reference engine yet.
pub(super) fn environment(reveals: Recorded) -> Environment {
    Environment {
        fast: fast(),
        ..Environment::without_fast(Arc::new(reveals))
    }
}

#[cfg(feature = "fast")]
fn fast() -> Option<Arc<dyn Engine>> {
    use crate::pvm::fast::{FastEngine, Options};
    Some(Arc::new(FastEngine::new(Options::default())))
}

#[cfg(not(feature = "fast"))]
fn fast() -> Option<Arc<dyn Engine>> {
    None
}

/// An error of the machine itself, as a difference at a line.
pub(super) fn failed(line: &Line, what: &str, error: impl std::fmt::Display) -> CheckError {
    super::Difference {
        line: line.number,
        what: what.to_owned(),
        expected: "a state".to_owned(),
        found: error.to_string(),
    }
    .into()
}

/// Tick, phase, stuck error and hash of a state.
pub(super) fn same_state(line: &Line, state: &mut State) -> Result<usize, CheckError> {
    let tick: u128 = line.number("tick")?;
    line.same(|| "tick".to_owned(), &tick, &state.current_tick)?;
    line.same(
        || format!("phase at tick {tick}"),
        &line.text("phase")?,
        &state.phase.tag(),
    )?;
    if let (Some(_), crate::pvm::Phase::Stuck(error)) = (line.field("stuck"), &state.phase) {
        line.same(
            || format!("stuck error at tick {tick}"),
            &line.text("stuck")?.to_owned(),
            &error.to_string(),
        )?;
    }
    let hash = state.hash().map_err(|error| failed(line, "hash", error))?;
    line.same(
        || format!("hash at tick {tick}"),
        &line.text("hash")?.to_owned(),
        &hash.to_string(),
    )?;
    Ok(3)
}
