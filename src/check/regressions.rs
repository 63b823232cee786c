//! The published regression runs of the reference machine: hashes and proof sizes, by file name
//! `KERNEL.VERSION.hash.txt` or `KERNEL.VERSION.proof.txt`.
//!
//! The kernels are assembled here as the reference does it: sizes of sections and bodies take five
//! bytes whatever their value.

use std::path::{Path, PathBuf};

use super::{CheckError, Difference, Format, Lines, same};
use crate::protocol::{ContextHash, Level, PvmVersion};

use crate::pvm::slow::{Expects, Input, Machine, prove};
use crate::pvm::{InputInfo, Origination, State};
use crate::wasm::encoding::Style;

/// Hashes or proof sizes of a regression run.
pub(super) const FORMAT: Format = Format {
    name: "regression run of the reference machine",
    recognises: |path, _| Run::of(path).is_some(),
    replay,
};

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

/// The state at the first snapshot.
fn start(path: &Path, run: &Run) -> Result<Machine, CheckError> {
    let origination = Origination {
        version: run.version,
        ticks_per_snapshot: run.pace().0,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let state = State::originate(&origination, &kernel(path, &run.kernel)?);
    let mut machine =
        Machine::new(state.map_err(|error| failed(0, error))?).map_err(|error| failed(0, error))?;
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
        machine
            .set_input(info, payload)
            .map_err(|error| failed(0, error))?;
    }
    machine.pad(u128::MAX);
    machine.tick().map_err(|error| failed(0, error))?;
    Ok(machine)
}

/// Takes ticks until `count` are taken or an input is needed.
fn skip(machine: &mut Machine, count: u64) -> Result<(), crate::pvm::slow::SlowError> {
    let mut left = u128::from(count);
    while left > 0 && machine.expects() == Expects::Nothing {
        let padded = machine.pad(left);
        left = left.saturating_sub(padded);
        if padded == 0 {
            machine.tick()?;
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

/// The text of the line for the present state.
fn line_of(machine: &mut Machine, proofs: bool) -> Result<String, String> {
    if !proofs {
        let hash = machine.hash().map_err(|error| error.to_string())?;
        return Ok(ContextHash::from(hash).to_string());
    }
    let tree = machine
        .encode(Style::Changed)
        .map_err(|error| error.to_string())?;
    let (proof, _) = prove(tree, &Input::None).map_err(|error| error.to_string())?;
    let size = proof.encode().map_err(|error| error.to_string())?.len();
    Ok(format!("{}, {size}", machine.state().current_tick))
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let Some(run) = Run::of(path) else {
        return Err(CheckError::UnknownFormat(path.to_owned()));
    };
    let (_, together, skipped) = run.pace();
    let mut machine = start(path, &run)?;
    let (mut compared, mut in_row) = (0, 0);
    for (line, expected) in lines.numbered() {
        if machine.expects() != Expects::Nothing {
            return Err(failed(line, "the machine waits for an input"));
        }
        let tick = machine.state().current_tick;
        let found = line_of(&mut machine, run.proofs).map_err(|error| failed(line, error))?;
        same(
            line,
            || format!("tick {tick} ({})", machine.state().phase.tag()),
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
        skip(&mut machine, step).map_err(|error| failed(line, error))?;
    }
    if machine.expects() == Expects::Nothing {
        return Err(failed(0, "the machine can go on where the file ends"));
    }
    Ok(compared)
}
