//! Many levels in a row: every state between inputs and kernel runs, and what each level changed.
//!
//! States inside a kernel run are taken from the reference machine, which goes through each level
//! once. A `single_call_hash` is where the generator's batch function differs from single ticks;
//! single ticks are what layer 1 enforces, so it is not ours to reproduce.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use super::machine::{
    Line, Recorded, environment, failed, has_keys, input, originated, same_state,
};
use super::ticks::same_phase;
use super::{CheckError, Format, Lines};
use crate::crypto::blake2b;
use crate::protocol::{Level, StateHash};
use crate::pvm::slow::{Course, Expects};
use crate::pvm::{
    Environment, Key, LevelError, NotJudgeable, Observer, Phase, PvmError, RunTicks, State,
    run_to_input,
};

/// Runs of many levels.
pub(super) const FORMAT: Format = Format {
    name: "many levels in a row",
    recognises: |_, first| {
        has_keys(
            first,
            &["version", "ticks_per_snapshot", "origination_level"],
        )
    },
    replay,
};

/// A state the driver passed.
#[derive(Clone)]
struct Passed {
    state: State,
    ticks: RunTicks,
}

#[derive(Default, Clone)]
struct Recorder(Rc<RefCell<Vec<Passed>>>);

impl Observer for Recorder {
    fn ran(&mut self, state: &mut State, ticks: RunTicks) {
        self.0.borrow_mut().push(Passed {
            state: state.clone(),
            ticks,
        });
    }

    fn boundary(&mut self, state: &mut State) {
        self.ran(state, RunTicks::Exact);
    }
}

/// Values by path: length, and the bytes.
type Listing = BTreeMap<String, Vec<u8>>;

struct Replay {
    environment: Environment,
    state: State,
    /// States passed in the level, and how it ended.
    passed: Vec<Passed>,
    /// The reference machine wherever it was asked for in this level, so that it only goes forward.
    inside: BTreeMap<u128, Course>,
    kernel_runs: u32,
    ended: Option<LevelError>,
    /// Level whose run was made.
    run: Option<i64>,
    listing: Listing,
    compared: usize,
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut lines = lines.numbered().map(Line::parse);
    let Some(header) = lines.next().transpose()? else {
        return Ok(0);
    };
    let mut replay = Replay {
        environment: environment(Recorded::from_header(&header)?),
        state: originated(&header, path)?,
        passed: Vec::new(),
        inside: BTreeMap::new(),
        kernel_runs: 0,
        ended: None,
        run: None,
        listing: Listing::new(),
        compared: 0,
    };
    replay.listing = listing(&mut replay.state).map_err(|e| failed(&header, "durable", e))?;
    let (mut last, mut ended) = (header.number, false);
    for line in lines {
        let line = line?;
        if ended {
            return Err(line.malformed("a line after the final one"));
        }
        replay.line(&line)?;
        (last, ended) = (line.number, line.text("type")? == "final");
    }
    if ended || replay.ended.is_some() {
        return Ok(replay.compared);
    }
    Err(CheckError::Malformed {
        line: last,
        problem: "the run ends without its final line".to_owned(),
    })
}

impl Replay {
    fn line(&mut self, line: &Line) -> Result<(), CheckError> {
        let kind = line.text("type")?;
        if matches!(
            kind,
            "boundary" | "mid" | "reveal" | "reveal_exception" | "level_end"
        ) {
            self.run(line)?;
        }
        self.compared += match kind {
            "boot" => {
                same_state(line, &mut self.state)?;
                self.state_hash(line)?
            }
            "input" => self.input(line)?,
            "boundary" => self.boundary(line)?,
            "mid" => self.mid(line)?,
            "reveal" => self.reveal(line)?,
            "reveal_exception" => self.reveal_exception(line)?,
            "level_end" => self.level_end(line)?,
            "final" => self.last(line)?,
            other => return Err(line.malformed(format!("unknown type {other:?}"))),
        };
        Ok(())
    }

    fn input(&mut self, line: &Line) -> Result<usize, CheckError> {
        let (info, payload) = input(line)?;
        self.state
            .set_input(info, &payload)
            .map_err(|error| failed(line, "input", error))?;
        same_state(line, &mut self.state)
    }

    /// Runs the level to its end, once.
    fn run(&mut self, line: &Line) -> Result<(), CheckError> {
        let level: i64 = line.number("level")?;
        if self.run == Some(level) {
            return Ok(());
        }
        self.run = Some(level);
        self.inside.clear();
        let mut recorder = Recorder::default();
        let result = run_to_input(self.state.clone(), &self.environment, &mut recorder);
        self.passed = std::mem::take(&mut *recorder.0.borrow_mut());
        match result {
            Ok(outcome) => {
                self.kernel_runs = outcome.kernel_runs;
                self.state = outcome.state;
                self.ended = None;
            }
            Err(error) => self.ended = Some(error),
        }
        Ok(())
    }

    fn boundary(&mut self, line: &Line) -> Result<usize, CheckError> {
        let tick: u128 = line.number("tick")?;
        let found = self.passed.iter_mut().find(|passed| {
            let state = &passed.state;
            let end = state.last_top_level_call.saturating_add(state.max_nb_ticks);
            match passed.ticks {
                RunTicks::Exact => state.current_tick == tick,
                RunTicks::AtMost(_) => (state.last_top_level_call..end).contains(&tick),
            }
        });
        let Some(passed) = found else {
            return Err(self.missing(line, &format!("a boundary at tick {tick}")));
        };
        if let RunTicks::AtMost(bound) = passed.ticks {
            // How many they were is known to the reference engine only.
            let took = tick.saturating_sub(passed.state.last_top_level_call);
            if took > bound {
                let what = "ticks of the run, at most";
                return Err(failed(line, what, format!("{took} over the bound {bound}")));
            }
            passed.state.current_tick = tick;
        }
        same_state(line, &mut passed.state)
    }

    /// The reference machine at a tick inside a kernel run: on from the last place before, or from
    /// the start of the run.
    fn course_at(&mut self, line: &Line, tick: u128) -> Result<&mut Course, CheckError> {
        let start = self
            .passed
            .iter()
            .map(|passed| &passed.state)
            .filter(|state| matches!(state.phase, Phase::Snapshot) && state.current_tick <= tick)
            .max_by_key(|state| state.current_tick);
        let Some(start) = start else {
            return Err(self.missing(line, &format!("the start of the run of tick {tick}")));
        };
        let known = self.inside.range(start.current_tick..=tick).next_back();
        let mut course = match known {
            Some((_, course)) => course.clone(),
            None => Course::new(start.clone(), &self.environment)
                .map_err(|error| failed(line, "start of the run", error))?,
        };
        course
            .advance(tick, &self.environment)
            .map_err(|error| failed(line, "inside the run", error))?;
        let at = course.tick();
        Ok(self.inside.entry(at).insert_entry(course).into_mut())
    }

    /// A state in the middle of a kernel run.
    fn mid(&mut self, line: &Line) -> Result<usize, CheckError> {
        let tick: u128 = line.number("tick")?;
        let snapshot = self.snapshot_of(tick);
        if let (Some(snapshot), Some(_)) = (snapshot, line.field("ticks_from_snapshot")) {
            line.same(
                || format!("ticks from the snapshot to tick {tick}"),
                &line.number::<u128>("ticks_from_snapshot")?,
                &tick.saturating_sub(snapshot),
            )?;
        }
        let course = self.course_at(line, tick)?;
        same_hash(line, course, "hash")?;
        let machine = course.machine();
        same_phase(
            line,
            machine.map_err(|error| failed(line, "the state", error))?,
        )?;
        Ok(2)
    }

    fn snapshot_of(&self, tick: u128) -> Option<u128> {
        let states = self.passed.iter().map(|passed| &passed.state);
        states
            .filter(|state| matches!(state.phase, Phase::Snapshot) && state.current_tick <= tick)
            .map(|state| state.current_tick)
            .max()
    }

    fn missing(&self, line: &Line, what: &str) -> CheckError {
        let reason = self.ended.as_ref().map(ToString::to_string);
        failed(line, what, reason.unwrap_or_else(|| "none".to_owned()))
    }

    /// The state that waits for a reveal, what it asks for, and the state with the answer.
    fn reveal(&mut self, line: &Line) -> Result<usize, CheckError> {
        let tick: u128 = line.number("tick")?;
        let request = self.request(line, tick)?;
        let level: i64 = line.number("level")?;
        let level = Level::try_from(level).map_err(|error| line.malformed(error.to_string()))?;
        let found = self
            .environment
            .reveals
            .answer(&request, Some(level))
            .map_err(|error| failed(line, "reveal", error))?;
        if line.field("response").is_some() {
            line.same(
                || "response to the reveal".to_owned(),
                &line.text("response")?.to_ascii_lowercase(),
                &hex::encode(&found),
            )?;
        }
        let after: u128 = line.number("tick_after")?;
        line.same(
            || "tick after the reveal".to_owned(),
            &after,
            &tick.saturating_add(1),
        )?;
        same_hash(line, self.course_at(line, after)?, "hash")?;
        Ok(5)
    }

    /// What the state at a tick asks to be revealed, the state and the request compared.
    fn request(&mut self, line: &Line, tick: u128) -> Result<Vec<u8>, CheckError> {
        let course = self.course_at(line, tick)?;
        same_hash(line, course, "hash_before")?;
        let machine = course.machine();
        let machine = machine.map_err(|error| failed(line, "the state", error))?;
        let Expects::Reveal(request) = machine.expects() else {
            return Err(failed(
                line,
                "a state that waits for a reveal",
                machine.phase_name(),
            ));
        };
        line.same(
            || format!("request at tick {tick}"),
            &line.text("request")?.to_ascii_lowercase(),
            &hex::encode(&request),
        )?;
        Ok(request)
    }

    fn reveal_exception(&mut self, line: &Line) -> Result<usize, CheckError> {
        let ended = &self.ended;
        if !matches!(
            ended,
            Some(LevelError::NotJudgeable(NotJudgeable::NoNextState { .. }))
        ) {
            let found = format!("{:?}", ended.as_ref().map(ToString::to_string));
            return Err(failed(line, "a run without a next state", found));
        }
        if line.field("hash_before").is_some() {
            self.request(line, line.number("tick")?)?;
        }
        Ok(1)
    }

    fn state_hash(&mut self, line: &Line) -> Result<usize, CheckError> {
        let hash = self.state.hash().map_err(|e| failed(line, "hash", e))?;
        line.same(
            || "state hash".to_owned(),
            &line.text("state_hash")?.to_owned(),
            &StateHash(hash.0).to_string(),
        )?;
        Ok(1)
    }

    fn level_end(&mut self, line: &Line) -> Result<usize, CheckError> {
        if self.ended.is_some() {
            return Err(self.missing(line, "the end of the level"));
        }
        let mut compared = same_state(line, &mut self.state)? + self.state_hash(line)?;
        let runs: u32 = line.number("kernel_runs")?;
        line.same(|| "kernel runs".to_owned(), &runs, &self.kernel_runs)?;
        let ticks: u128 = line.number("max_nb_ticks")?;
        line.same(
            || "ticks of a period".to_owned(),
            &ticks,
            &self.state.max_nb_ticks,
        )?;
        compared += 2 + self.outbox(line)?;
        let listing = listing(&mut self.state).map_err(|error| failed(line, "durable", error))?;
        compared += self.changes(line, &listing)?;
        self.listing = listing;
        self.kernel_runs = 0;
        Ok(compared)
    }

    fn outbox(&self, line: &Line) -> Result<usize, CheckError> {
        let output = &self.state.buffers.output;
        let range = output
            .range()
            .map(|(first, last)| format!("[{first},{last}]"));
        let expected = line.field("outbox_range").map(ToString::to_string);
        line.same(
            || "range of outbox levels".to_owned(),
            &expected.unwrap_or_default(),
            &range.unwrap_or_default(),
        )?;
        let level: i32 = line.number("level")?;
        let found = output
            .messages(level)
            .map_err(|e| failed(line, "outbox", e))?;
        let expected = line.field("outbox").map(ToString::to_string);
        let found = found.map(|messages| {
            let messages: Vec<_> = messages.iter().map(hex::encode).map(Value::from).collect();
            Value::from(messages).to_string()
        });
        line.same(
            || "outbox of the level".to_owned(),
            &expected.unwrap_or_default(),
            &found.unwrap_or_default(),
        )?;
        Ok(2)
    }

    fn changes(&self, line: &Line, now: &Listing) -> Result<usize, CheckError> {
        let changed: BTreeMap<_, _> = now
            .iter()
            .filter(|(path, bytes)| self.listing.get(*path) != Some(bytes))
            .map(|(path, bytes)| (path.clone(), bytes.len().to_string()))
            .collect();
        let expected = line.field("changed").and_then(Value::as_object);
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .flatten()
            .map(|(path, size)| (path.clone(), size.to_string()))
            .collect();
        let show = |map: &BTreeMap<String, String>| format!("{map:?}");
        line.same(
            || "changed values".to_owned(),
            &show(&expected),
            &show(&changed),
        )?;
        let deleted: Vec<_> = self
            .listing
            .keys()
            .filter(|path| !now.contains_key(*path))
            .cloned()
            .collect();
        let mut expected: Vec<String> = line
            .field("deleted")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|path| path.as_str().map(str::to_owned))
            .collect();
        expected.sort();
        line.same(
            || "deleted values".to_owned(),
            &format!("{expected:?}"),
            &format!("{deleted:?}"),
        )?;
        Ok(2)
    }

    fn last(&mut self, line: &Line) -> Result<usize, CheckError> {
        let tick: u128 = line.number("tick")?;
        line.same(|| "last tick".to_owned(), &tick, &self.state.current_tick)?;
        let hash = self.state.hash().map_err(|e| failed(line, "hash", e))?;
        line.same(
            || "last hash".to_owned(),
            &line.text("hash")?.to_owned(),
            &hash.to_string(),
        )?;
        Ok(2 + self.state_hash(line)? + self.outbox_counts(line)? + self.durable(line)?)
    }

    fn outbox_counts(&self, line: &Line) -> Result<usize, CheckError> {
        let counts = line.field("outbox_counts").and_then(Value::as_object);
        let mut compared = 0;
        for (level, expected) in counts.into_iter().flatten() {
            let number = level.parse().map_err(|_| line.malformed("outbox_counts"))?;
            let messages = self.state.buffers.output.messages(number);
            let found = messages
                .map_err(|error| failed(line, "outbox", error))?
                .map(|messages| messages.len() as u64);
            line.same(
                || format!("outbox messages of level {level}"),
                &format!("{:?}", expected.as_u64()),
                &format!("{found:?}"),
            )?;
            compared += 1;
        }
        Ok(compared)
    }

    fn durable(&self, line: &Line) -> Result<usize, CheckError> {
        let expected = line
            .field("durable")
            .and_then(Value::as_object)
            .ok_or_else(|| line.malformed("no durable"))?;
        let paths = |list: Vec<&String>| format!("{list:?}");
        let mut named: Vec<_> = expected.keys().collect();
        named.sort();
        line.same(
            || "paths with a value".to_owned(),
            &paths(named),
            &paths(self.listing.keys().collect()),
        )?;
        for (path, value) in expected {
            let bytes = self.listing.get(path).map_or(&[][..], Vec::as_slice);
            line.same(
                || format!("size of {path}"),
                &value
                    .get("size")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
                &(bytes.len() as u64),
            )?;
            let (key, found) = match value.get("value") {
                Some(_) => ("value", hex::encode(bytes)),
                None => ("blake2b", blake2b(bytes).to_string()),
            };
            line.same(
                || format!("{key} of {path}"),
                &value
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                &found,
            )?;
        }
        Ok(1 + 2 * expected.len())
    }
}

fn same_hash(line: &Line, course: &mut Course, key: &str) -> Result<(), CheckError> {
    let tick = course.tick();
    let found = course.hash();
    let found = found.map_err(|error| failed(line, "hash", error))?;
    line.same(
        || format!("{key} at tick {tick}"),
        &line.text(key)?.to_ascii_lowercase(),
        &found.to_string(),
    )
}

/// Every value of the storage.
fn listing(state: &mut State) -> Result<Listing, PvmError> {
    fn walk(state: &mut State, path: &str, found: &mut Listing) -> Result<(), PvmError> {
        let Ok(key) = Key::parse(path.as_bytes()) else {
            return Ok(());
        };
        for name in state.durable.names(&key)? {
            if name.is_empty() {
                found.insert(
                    path.to_owned(),
                    state.durable.get(&key)?.unwrap_or_default(),
                );
            } else {
                walk(state, &format!("{path}/{name}"), found)?;
            }
        }
        Ok(())
    }
    let mut found = Listing::new();
    walk(state, "", &mut found)?;
    Ok(found)
}
