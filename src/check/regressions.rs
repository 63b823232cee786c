//! The published regression runs of the reference machine: hashes and proof sizes.
//!
//! A file named `KERNEL.VERSION.hash.txt` or `KERNEL.VERSION.proof.txt` is that run; another one of
//! the same form is the run that it is equal to, or goes along with for longest. The kernels are
//! assembled here as the reference does it: sizes of sections and bodies take five
//! bytes whatever their value.

use std::path::{Path, PathBuf};

use super::machine::{Recorded, environment};
use super::{CheckError, Difference, Format, Lines, same};
use crate::protocol::{ContextHash, Level, PvmVersion};
use crate::pvm::slow::{Course, Expects, Input, Purpose, prove};
use crate::pvm::{Environment, InputInfo, Origination, State};
use crate::wasm::encoding::Style;

/// Hashes or proof sizes of a regression run.
pub(super) const FORMAT: Format = Format {
    name: "regression run of the reference machine",
    recognises: |path, first| Run::of(path).is_some() || content(first).is_some(),
    replay,
};

/// Kernels of the runs.
const KERNELS: [&str; 7] = [
    "echo",
    "link_reveal",
    "link_store_create",
    "link_store_delete_value",
    "link_store_exists",
    "link_store_get_hash",
    "tx_no_verify",
];

/// Whether a line is one of proof sizes, or of hashes; nothing when it is neither.
fn content(line: &str) -> Option<bool> {
    let is_size = |text: &str| text.trim().parse::<u64>().is_ok();
    match line.split_once(',') {
        Some((tick, size)) if is_size(tick) && is_size(size) => Some(true),
        None if line.trim().parse::<ContextHash>().is_ok() => Some(false),
        _ => None,
    }
}

/// What a file is about.
struct Run {
    kernel: String,
    version: PvmVersion,
    proofs: bool,
}

impl Run {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let (name, proofs) = match name.strip_suffix(".hash.txt") {
            Some(name) => (name, false),
            None => (name.strip_suffix(".proof.txt")?, true),
        };
        let (kernel, version) = name.rsplit_once(".v")?;
        let version = PvmVersion::ALL
            .get(version.parse::<usize>().ok()?)
            .copied()?;
        Some(Self {
            kernel: kernel.to_owned(),
            version,
            proofs,
        })
    }

    /// Ticks of a period; ticks looked at one after the other; ticks skipped then.
    fn pace(&self) -> (u64, u64, u64) {
        match (self.kernel.as_str(), self.proofs) {
            ("tx_no_verify", false) => (6_000_000, 1, 10_037),
            ("tx_no_verify", true) => (6_000_000, 3, 30_893),
            ("echo", false) => (5000, 1, 137),
            ("echo", true) => (5000, 11, 23),
            _ => (5000, 1, 0),
        }
    }

    fn has_messages(&self) -> bool {
        !matches!(
            self.kernel.as_str(),
            "echo" | "link_reveal" | "link_store_exists"
        )
    }
}

/// A file named in a run's place, found in the folder above the run's own.
fn beside(path: &Path, name: &str) -> Result<Vec<u8>, CheckError> {
    let folder = path
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let file: PathBuf = folder.join(name);
    std::fs::read(&file).map_err(|error| CheckError::Malformed {
        line: 0,
        problem: format!("{}: {error}", file.display()),
    })
}

fn wide(size: usize) -> [u8; 5] {
    let group = |shift: u32| ((size >> shift) & 0x7f) as u8;
    [
        group(0) | 0x80,
        group(7) | 0x80,
        group(14) | 0x80,
        group(21) | 0x80,
        group(28),
    ]
}

fn sized(id: Option<u8>, content: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = id.into_iter().collect();
    out.extend(wide(content.len()));
    out.extend(content);
    out
}

const HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";
const CODE: u8 = 10;

fn narrow(bytes: &mut &[u8]) -> Option<usize> {
    let (mut value, mut shift) = (0_usize, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift = shift.checked_add(7)?;
    }
}

fn taken<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let size = narrow(bytes)?;
    let (head, tail) = bytes.split_at_checked(size)?;
    *bytes = tail;
    Some(head)
}

/// The same module with wide sizes.
fn widened(module: &[u8]) -> Option<Vec<u8>> {
    let mut rest = module.strip_prefix(&HEADER)?;
    let mut out = HEADER.to_vec();
    while let Some((id, tail)) = rest.split_first() {
        rest = tail;
        let content = taken(&mut rest)?;
        if *id != CODE {
            out.extend(sized(Some(*id), content));
            continue;
        }
        let mut bodies = content;
        let mut before = bodies;
        let count = narrow(&mut bodies)?;
        let prefix = before.len() - bodies.len();
        let mut code = before.split_off(..prefix)?.to_vec();
        for _ in 0..count {
            code.extend(sized(None, taken(&mut bodies)?));
        }
        out.extend(sized(Some(CODE), &code));
    }
    Some(out)
}

/// A kernel that imports one function and does nothing.
fn link_kernel(import: &str, parameters: usize) -> Vec<u8> {
    const I32: u8 = 0x7f;
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut types = vec![2, 0x60, parameters as u8];
    types.extend(vec![I32; parameters]);
    types.extend([1, I32, 0x60, 0, 0]);
    let imports = [&[1][..], &text("smart_rollup_core"), &text(import), &[0, 0]].concat();
    let exports = [
        &[2][..],
        &text("mem"),
        &[2, 0],
        &text("kernel_run"),
        &[0, 1],
    ]
    .concat();
    let code = [&[1][..], &sized(None, &[0, 1, 0x0b])].concat();
    let sections: [(u8, &[u8]); 6] = [
        (1, &types),
        (2, &imports),
        (3, &[1, 1]),
        (5, &[1, 0, 1]),
        (7, &exports),
        (CODE, &code),
    ];
    let mut out = HEADER.to_vec();
    for (id, content) in sections {
        out.extend(sized(Some(id), content));
    }
    out
}

fn kernel(path: &Path, name: &str) -> Result<Vec<u8>, CheckError> {
    let unknown = || CheckError::Malformed {
        line: 0,
        problem: format!("no kernel is known for {name}"),
    };
    Ok(match name {
        "echo" => widened(&beside(path, "kernels/echo.wasm")?).ok_or_else(unknown)?,
        "tx_no_verify" => beside(path, "kernels/tx-kernel-no-verif.wasm")?,
        "link_store_create" => link_kernel("store_create", 3),
        "link_store_delete_value" => link_kernel("store_delete_value", 2),
        "link_store_get_hash" => link_kernel("__internal_store_get_hash", 4),
        "link_store_exists" => link_kernel("store_exists", 2),
        "link_reveal" => link_kernel("reveal", 4),
        _ => return Err(unknown()),
    })
}

fn failed(line: usize, error: impl ToString) -> CheckError {
    Difference {
        line,
        what: "the run".to_owned(),
        expected: "a state".to_owned(),
        found: error.to_string(),
    }
    .into()
}

/// The reference machine alone.
fn alone() -> Environment {
    Environment {
        fast: None,
        ..environment(Recorded::default())
    }
}

/// The state at the first snapshot.
fn start(path: &Path, run: &Run, environment: &Environment) -> Result<Course, CheckError> {
    let origination = Origination {
        version: run.version,
        ticks_per_snapshot: run.pace().0,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let state = State::originate(&origination, &kernel(path, &run.kernel)?);
    let mut course = state.map_err(|error| failed(0, error)).and_then(|state| {
        Course::new(state, environment, Purpose::Hashes).map_err(|error| failed(0, error))
    })?;
    let mut payloads = vec![vec![0, 1], [&[0, 3][..], &[0; 40]].concat()];
    if run.has_messages() {
        for name in ["messages/deposit.out", "messages/withdrawal.out"] {
            payloads.push([&[0, 0][..], &beside(path, name)?].concat());
        }
    }
    payloads.push(vec![0, 2]);
    for (counter, payload) in (0..).zip(&payloads) {
        let info = InputInfo {
            level: Level::ZERO,
            counter,
        };
        let given = course.set_input(info, payload, environment);
        given.map_err(|error| failed(0, error))?;
    }
    course
        .advance(u128::from(run.pace().0), environment)
        .map_err(|error| failed(0, error))?;
    Ok(course)
}

/// The text of the line for the present state.
fn line_of(course: &mut Course, environment: &Environment, proofs: bool) -> Result<String, String> {
    if !proofs {
        let hash = course
            .hash(environment)
            .map_err(|error| error.to_string())?;
        return Ok(ContextHash::from(hash).to_string());
    }
    let machine = course
        .exact(environment)
        .map_err(|error| error.to_string())?;
    let tree = machine
        .encode(Style::Changed)
        .map_err(|error| error.to_string())?;
    let proved = prove(tree, &Input::None).map_err(|error| error.to_string())?;
    let size = proved
        .proof
        .encode()
        .map_err(|error| error.to_string())?
        .len();
    Ok(format!("{}, {size}", course.tick()))
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    if let Some(run) = Run::of(path) {
        return replay_as(path, &lines, &run);
    }
    let proofs = lines.first().and_then(content).unwrap_or_default();
    let mut furthest = CheckError::UnknownFormat(path.to_owned());
    let mut reached = 0;
    for kernel in KERNELS {
        for version in PvmVersion::ALL {
            let kernel = kernel.to_owned();
            let run = Run {
                kernel,
                version,
                proofs,
            };
            match replay_as(path, &lines, &run) {
                Err(CheckError::Different(difference)) if difference.line >= reached => {
                    reached = difference.line.saturating_add(1);
                    furthest = difference.into();
                }
                Err(_) => {}
                equal => return equal,
            }
        }
    }
    Err(furthest)
}

fn replay_as(path: &Path, lines: &Lines, run: &Run) -> Result<usize, CheckError> {
    let (_, together, skipped) = run.pace();
    let environment = alone();
    let mut course = start(path, run, &environment)?;
    let waits = |course: &mut Course, line| -> Result<bool, CheckError> {
        let machine = course
            .exact(&environment)
            .map_err(|error| failed(line, error))?;
        Ok(machine.expects() != Expects::Nothing)
    };
    let (mut compared, mut in_row, mut last) = (0, 0, 0);
    for (line, expected) in lines.numbered() {
        last = line;
        if waits(&mut course, line)? {
            return Err(failed(line, "the machine waits for an input"));
        }
        let tick = course.tick();
        let found =
            line_of(&mut course, &environment, run.proofs).map_err(|error| failed(line, error))?;
        same(
            line,
            || format!("tick {tick} of {} at {}", run.kernel, run.version.text()),
            &expected.trim().to_owned(),
            &found,
        )?;
        compared += 1;
        in_row += 1;
        let step = if in_row == together {
            in_row = 0;
            1 + skipped
        } else {
            1
        };
        course
            .advance(tick.saturating_add(u128::from(step)), &environment)
            .map_err(|error| failed(line, error))?;
    }
    if !waits(&mut course, last)? {
        return Err(failed(last, "the machine can go on where the file ends"));
    }
    Ok(compared)
}
