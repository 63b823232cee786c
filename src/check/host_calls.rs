//! Results of host calls: the kernels of the scenarios run, and every call they make is compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::machine::{Line, Recorded, environment, failed};
use super::{CheckError, Format, Lines};
use crate::protocol::{Level, PvmVersion};
use crate::pvm::host::{HostFunction, HostValue};
use crate::pvm::{InputInfo, Origination, Quiet, State, run_to_input};

/// Results of host calls, by scenario.
pub(super) const FORMAT: Format = Format {
    name: "host calls",
    recognises: |_, first| first.contains("\"function\"") && first.contains("\"scenario\""),
    replay,
};

/// The files leave out longer leaves of the state.
const LONGEST_LISTED: usize = 600;

/// A call as the file has it: function, arguments, result.
type Call = (String, Vec<i64>, i64);

/// Encoded outbox messages, by level.
type Outboxes = BTreeMap<i32, Vec<String>>;

/// What a scenario starts from and is given.
#[derive(Default)]
struct Scenario {
    kernel: Vec<u8>,
    inputs: Vec<(InputInfo, Vec<u8>)>,
    reveals: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut by_scenario: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines.numbered().map(Line::parse) {
        let line = line?;
        let scenario = line.text("scenario")?.to_owned();
        by_scenario.entry(scenario).or_default().push(line);
    }
    let mut compared = 0;
    for (name, lines) in by_scenario {
        let Some(first) = lines.first() else { continue };
        let (calls, outboxes) = run(first, path, &name, last_level(&lines))?;
        let mut calls = calls.iter();
        for line in &lines {
            compared += match line.field("function") {
                Some(_) => same_call(line, &mut calls)?,
                None => same_outboxes(line, &outboxes)?,
            };
        }
        let calls = calls.filter(|call| call.0 != REPORT);
        first.same(
            || format!("calls of {name} that the file leaves out"),
            &"[]".to_owned(),
            &format!("{:?}", calls.collect::<Vec<_>>()),
        )?;
    }
    Ok(compared)
}

/// Kernels report what they found by this call; files may leave these out, the messages sent are
/// compared in any case.
const REPORT: &str = "write_output";

fn same_call<'a>(
    line: &Line,
    calls: &mut impl Iterator<Item = &'a Call>,
) -> Result<usize, CheckError> {
    let arguments = line.field("args").and_then(Value::as_array);
    let arguments: Vec<_> = arguments
        .into_iter()
        .flatten()
        .map(|value| value.as_i64().unwrap_or_default())
        .collect();
    let expected: Call = (
        line.text("function")?.to_owned(),
        arguments,
        line.number("result")?,
    );
    let found = calls.find(|call| call.0 != REPORT || expected.0 == REPORT);
    let show = |call: Option<&Call>| format!("{call:?}");
    line.same(
        || "function, arguments, result".to_owned(),
        &show(Some(&expected)),
        &show(found),
    )?;
    Ok(1)
}

fn same_outboxes(line: &Line, found: &Outboxes) -> Result<usize, CheckError> {
    let mut compared = 0;
    for (key, messages) in line.json.as_object().into_iter().flatten() {
        let Some(level) = key.strip_prefix("outbox_level_") else {
            continue;
        };
        let level = level.parse().map_err(|_| line.malformed(key.clone()))?;
        let found = Value::from(found.get(&level).cloned().unwrap_or_default());
        line.same(|| key.clone(), &messages.to_string(), &found.to_string())?;
        compared += 1;
    }
    Ok(compared)
}

/// Level of the last outbox in the file; the scenario may go on.
fn last_level(lines: &[Line]) -> i32 {
    let keys = lines.iter().filter_map(|line| line.json.as_object());
    let levels = keys.flat_map(|object| object.keys());
    levels
        .filter_map(|key| key.strip_prefix("outbox_level_")?.parse().ok())
        .max()
        .unwrap_or(i32::MAX)
}

/// Runs a scenario: its host calls, and the encoded messages of each outbox.
fn run(
    line: &Line,
    path: &Path,
    name: &str,
    last: i32,
) -> Result<(Vec<Call>, Outboxes), CheckError> {
    let scenario = Scenario::find(line, path, name)?;
    let version = name.rsplit_once(".v").map(|(_, number)| number);
    let version = version
        .and_then(|number| number.parse::<usize>().ok())
        .and_then(|number| PvmVersion::ALL.get(number).copied())
        .ok_or_else(|| line.malformed(format!("{name} names no version")))?;
    let origination = Origination {
        version,
        ticks_per_snapshot: 50_000_000_000_000,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut environment = environment(Recorded {
        responses: scenario.reveals,
        verbatim: true,
        ..Recorded::default()
    });
    let seen = Arc::clone(&calls);
    environment.trace = Some(Arc::new(move |function, arguments, result| {
        if let Some(call) = call(function, arguments, result) {
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call);
        }
    }));
    let wrong = |error: String| failed(line, name, error);
    let state = State::originate(&origination, &scenario.kernel);
    let mut state = state.map_err(|error| wrong(error.to_string()))?;
    let mut outboxes = BTreeMap::new();
    let inputs = scenario.inputs.into_iter();
    for (info, payload) in inputs.take_while(|(info, _)| info.level.get() <= last) {
        state
            .set_input(info, &payload)
            .map_err(|error| wrong(error.to_string()))?;
        let outcome = run_to_input(state, &environment, &mut Quiet);
        state = outcome.map_err(|error| wrong(error.to_string()))?.state;
        let level = info.level.get();
        let messages = state.buffers.output.messages(level);
        let messages = messages.map_err(|error| wrong(error.to_string()))?;
        let listed = messages.iter().flatten();
        let listed = listed.filter(|message| message.len() + 4 <= LONGEST_LISTED);
        let encoded = |message: &Vec<u8>| format!("{:08x}{}", message.len(), hex::encode(message));
        outboxes.insert(level, listed.map(encoded).collect::<Vec<_>>());
    }
    let calls = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((calls, outboxes))
}

fn call(
    function: HostFunction,
    arguments: &[HostValue],
    result: Option<HostValue>,
) -> Option<Call> {
    let number = |value: &HostValue| match value {
        HostValue::I32(value) => i64::from(*value),
        HostValue::I64(value) => *value,
    };
    Some((
        function.import_name().to_owned(),
        arguments.iter().map(number).collect(),
        number(&result?),
    ))
}

impl Scenario {
    /// The scenario of this name beside the file, or the one of another version with the same
    /// kernel.
    fn find(line: &Line, path: &Path, name: &str) -> Result<Self, CheckError> {
        let stem = name.rsplit_once(".v").map_or(name, |(stem, _)| stem);
        let folder = path.parent().unwrap_or(Path::new("."));
        let versions = (0..7).map(|version| format!("{stem}.v{version}"));
        for name in std::iter::once(name.to_owned()).chain(versions) {
            for tail in ["", ".gz"] {
                let whole = folder.join(format!("scenarios/{name}.jsonl{tail}"));
                let delta = folder.join(format!("delta/{name}.delta.jsonl{tail}"));
                if let Some(file) = [whole, delta].into_iter().find(|file| file.is_file()) {
                    return Self::read(&file);
                }
            }
        }
        Err(line.malformed(format!("no scenario {name} beside the file")))
    }

    fn read(file: &Path) -> Result<Self, CheckError> {
        let mut scenario = Self::default();
        let mut vectors = BTreeMap::new();
        for line in Lines::open(file)?.numbered().map(Line::parse) {
            let line = line?;
            if line.field("kernel").is_some() {
                scenario.kernel = line.bytes("kernel")?;
            }
            match line.field("event").and_then(Value::as_str) {
                Some("input") if line.field("payload").is_some() => scenario.input(&line)?,
                Some("reveal") => {
                    let (request, response) = (line.bytes("request")?, line.bytes("response")?);
                    scenario.reveals.insert(request, response);
                }
                Some("boot" | "input") => collect(&line, &mut vectors)?,
                _ => {}
            }
        }
        if scenario.kernel.is_empty() {
            scenario.take_leaves(&vectors);
        }
        Ok(scenario)
    }

    fn input(&mut self, line: &Line) -> Result<(), CheckError> {
        let level: i64 = line.number("level")?;
        let info = InputInfo {
            level: Level::try_from(level).map_err(|error| line.malformed(error.to_string()))?,
            counter: line.number("counter")?,
        };
        self.inputs.push((info, line.bytes("payload")?));
        Ok(())
    }

    /// Kernel and messages out of the leaves that a run by differences sets.
    fn take_leaves(&mut self, leaves: &BTreeMap<String, Vec<u8>>) {
        self.kernel = byte_vector(leaves, "durable/kernel/boot.wasm/@").unwrap_or_default();
        for counter in 0.. {
            let place = format!("value/pvm/buffers/input/contents/{counter}");
            let Some(payload) = byte_vector(leaves, &place) else {
                break;
            };
            let level = leaves.get(&format!("{place}/raw-level"));
            let level = level.and_then(|bytes| <[u8; 4]>::try_from(bytes.as_slice()).ok());
            let Some(level) = level.and_then(|b| Level::try_from(i32::from_be_bytes(b)).ok())
            else {
                break;
            };
            self.inputs.push((InputInfo { level, counter }, payload));
        }
    }
}

fn collect(line: &Line, leaves: &mut BTreeMap<String, Vec<u8>>) -> Result<(), CheckError> {
    let set = line.field("set").and_then(Value::as_object);
    for (path, value) in set.into_iter().flatten() {
        let bytes = hex::decode(value.as_str().unwrap_or_default())
            .map_err(|error| line.malformed(format!("{path}: {error}")))?;
        leaves.entry(path.clone()).or_insert(bytes);
    }
    Ok(())
}

fn byte_vector(leaves: &BTreeMap<String, Vec<u8>>, place: &str) -> Option<Vec<u8>> {
    let length = leaves.get(&format!("{place}/length"))?;
    let length = u64::from_be_bytes(length.as_slice().try_into().ok()?);
    let mut bytes = Vec::new();
    let chunks = (0..).map(|index| leaves.get(&format!("{place}/contents/{index}")));
    for chunk in chunks.take_while(Option::is_some).flatten() {
        bytes.extend_from_slice(chunk);
    }
    bytes.truncate(usize::try_from(length).ok()?);
    Some(bytes)
}
