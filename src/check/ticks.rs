//! Runs of the reference machine: the hash at every tick, and all leaves at the end.
//!
//! A run gives the kernel, inputs and hashes; it is replayed in memory, written to the tree where a
//! hash is given. Batches are replayed as the single ticks they stand for.

use std::path::Path;

use super::leaves::{Leaves, first_difference, leaves};
use super::machine::{Line, Recorded, failed, has_keys, input, originated};
use super::{CheckError, Format, Lines};
use crate::pvm::Phase;
use crate::pvm::slow::{Expects, Machine, SlowError};
use crate::wasm::encoding::Style;
use crate::wasm::fault::Fault;

/// Runs with a hash at every tick.
pub(super) const FORMAT: Format = Format {
    name: "run of the reference machine",
    recognises: |_, first| {
        let of_levels = ["first_level", "origination_level"];
        has_keys(first, &["version", "ticks_per_snapshot"])
            && !has_keys(first, &["state"])
            && !of_levels.iter().any(|key| has_keys(first, &[key]))
    },
    replay,
};

/// The last line lists leaves of up to this many bytes, whole.
const LONGEST_LISTED: usize = 600;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Boot,
    Input,
    /// One tick.
    Step,
    /// Several ticks, as one.
    Batch,
    Reveal,
    /// A reveal after which there is no state.
    RevealException,
}

impl Event {
    pub(super) fn of(line: &Line) -> Result<Self, CheckError> {
        Ok(match line.text("event")? {
            "boot" => Self::Boot,
            "input" => Self::Input,
            "step" => Self::Step,
            "skip" | "many" => Self::Batch,
            "reveal" => Self::Reveal,
            "reveal_exception" => Self::RevealException,
            other => return Err(line.malformed(format!("unknown event {other:?}"))),
        })
    }
}

struct Replay {
    machine: Machine,
    reveals: Recorded,
    booted: bool,
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut lines = lines.numbered().map(Line::parse);
    let Some(header) = lines.next().transpose()? else {
        return Ok(0);
    };
    let machine = Machine::new(originated(&header, path)?);
    let mut replay = Replay {
        machine: machine.map_err(|error| failed(&header, "origination", error))?,
        reveals: Recorded::from_header(&header)?,
        booted: false,
    };
    let (mut compared, mut last) = (0, header.number);
    let mut ended = false;
    for line in lines {
        let line = line?;
        last = line.number;
        if ended {
            return Err(line.malformed("a line after the final one"));
        }
        compared += match line.json.get("type").and_then(serde_json::Value::as_str) {
            Some("final") => {
                ended = true;
                replay.last(&line)?
            }
            Some(other) => return Err(line.malformed(format!("unexpected line of type {other:?}"))),
            None => replay.event(&line)?,
        };
    }
    if ended {
        return Ok(compared);
    }
    Err(CheckError::Malformed {
        line: last,
        problem: "the run ends without its final line".to_owned(),
    })
}

impl Replay {
    fn event(&mut self, line: &Line) -> Result<usize, CheckError> {
        let event = Event::of(line)?;
        if self.booted == (event == Event::Boot) {
            return Err(line.malformed("a run boots once, and first"));
        }
        self.booted = true;
        let what = format!("tick {}", line.number::<u128>("tick")?);
        let fail = |error: SlowError| failed(line, &what, error);
        match event {
            Event::Boot => {}
            Event::Input => {
                let (info, payload) = input(line)?;
                self.machine.set_input(info, &payload).map_err(fail)?;
            }
            Event::Step if self.is_next(line)? => drop(self.machine.tick().map_err(fail)?),
            // Some runs give only every thousandth tick.
            Event::Step | Event::Batch => self.batch(line)?,
            Event::Reveal => {
                let data = self.answer(line)?;
                self.machine.reveal(&data).map_err(fail)?;
            }
            Event::RevealException => return self.exception(line),
        }
        same_state(line, &mut self.machine)
    }

    /// Whether the line is about the very next tick.
    fn is_next(&self, line: &Line) -> Result<bool, CheckError> {
        let before = line.number::<u128>("tick")?.checked_sub(1);
        Ok(before == Some(self.machine.state().current_tick))
    }

    /// Goes on to the tick of the line, padding at once, reveals answered from the header.
    fn batch(&mut self, line: &Line) -> Result<(), CheckError> {
        let until: u128 = line.number("tick")?;
        let fail = |error: SlowError| failed(line, "a batch of ticks", error);
        loop {
            let left = until.saturating_sub(self.machine.state().current_tick);
            if left == 0 {
                return Ok(());
            }
            if self.machine.pad(left) > 0 {
                continue;
            }
            let level = self.machine.state().last_input.map(|info| info.level);
            let answer = match self.machine.expects() {
                Expects::Reveal(request) => self.reveals.recorded(&request, level),
                _ => None,
            };
            match answer {
                Some(data) => self.machine.reveal(&data).map_err(fail)?,
                None => drop(self.machine.tick().map_err(fail)?),
            }
        }
    }

    /// The response of a reveal line, its request compared.
    fn answer(&self, line: &Line) -> Result<Vec<u8>, CheckError> {
        let request = match self.machine.expects() {
            Expects::Reveal(request) => request,
            other => {
                // A reveal that nobody waits for is a tick, too.
                return match line.field("response") {
                    Some(_) => line.bytes("response"),
                    None => Err(failed(
                        line,
                        "what the machine waits for",
                        format!("{other:?}"),
                    )),
                };
            }
        };
        if line.field("request").is_some() {
            line.same(
                || "request of the reveal".to_owned(),
                &line.text("request")?.to_ascii_lowercase(),
                &hex::encode(&request),
            )?;
        }
        if line.field("response").is_some() {
            return line.bytes("response");
        }
        let level = self.machine.state().last_input.map(|info| info.level);
        let recorded = self.reveals.recorded(&request, level);
        recorded.ok_or_else(|| line.malformed("a reveal without its response"))
    }

    fn exception(&mut self, line: &Line) -> Result<usize, CheckError> {
        let data = self.answer(line)?;
        match self.machine.clone().reveal(&data) {
            Err(SlowError::Fault(Fault::Raised(_))) => Ok(1),
            other => Err(failed(
                line,
                "a reveal without a next state",
                format!("{other:?}"),
            )),
        }
    }

    /// The last line shows all leaves up to some size.
    fn last(&mut self, line: &Line) -> Result<usize, CheckError> {
        let compared = same_state(line, &mut self.machine)?;
        let Some(listed) = line.field("leaves").and_then(serde_json::Value::as_object) else {
            return Err(line.malformed("no leaves"));
        };
        let listed: Leaves = listed
            .iter()
            .map(|(path, value)| (path.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let fail = |error: &dyn std::fmt::Display| failed(line, "last state", error);
        let tree = self.machine.encode(Style::Changed).map_err(|e| fail(&e))?;
        let mut found = leaves(tree).map_err(|e| fail(&e))?;
        found.retain(|path, value| value.len() <= 2 * LONGEST_LISTED || listed.contains_key(path));
        match first_difference(line.number, "at the end", &listed, &found) {
            Some(error) => Err(error),
            None => Ok(compared + listed.len()),
        }
    }
}

/// Tick, phase, stuck error and hash of a machine.
pub(super) fn same_state(line: &Line, machine: &mut Machine) -> Result<usize, CheckError> {
    let tick: u128 = line.number("tick")?;
    line.same(|| "tick".to_owned(), &tick, &machine.state().current_tick)?;
    same_phase(line, machine)?;
    let hash = machine
        .hash()
        .map_err(|error| failed(line, &format!("hash at tick {tick}"), error))?;
    line.same(
        || format!("hash at tick {tick}"),
        &line.text("hash")?.to_ascii_lowercase(),
        &hash.to_string(),
    )?;
    Ok(3)
}

/// The phase, with its continuation where the line has one, and the error of a stuck machine.
pub(super) fn same_phase(line: &Line, machine: &Machine) -> Result<(), CheckError> {
    let at = |what: &str| format!("{what} at tick {}", machine.state().current_tick);
    if line.field("phase").is_some() {
        let expected = line.text("phase")?;
        let name = machine.phase_name();
        let found = match expected.contains(':') {
            true => name.as_str(),
            false => machine.state().phase.tag(),
        };
        line.same(|| at("phase"), &expected, &found)?;
    }
    if let Some(expected) = line.field("stuck") {
        let found = match &machine.state().phase {
            Phase::Stuck(error) => error.to_string(),
            _ => "not stuck".to_owned(),
        };
        let expected = expected.as_str().unwrap_or_default().to_owned();
        line.same(|| at("error"), &expected, &found)?;
    }
    Ok(())
}
