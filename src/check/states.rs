//! Initial states of every version and kernel, and the bytes of stuck errors.

use std::path::Path;

use serde_json::Value;

use super::machine::{Line, failed, kernel_file, origination, version};
use super::{CheckError, Format, Lines};
use crate::codec::{Reader, Writer};
use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::protocol::{ContextHash, StateHash};
use crate::pvm::{PvmError, State, Stuck};

/// States before the first message.
pub(super) const INITIAL: Format = Format {
    name: "initial states",
    recognises: |_, first| first.contains("\"state_hash_b58\"") && first.contains("\"state\""),
    replay: replay_initial,
};

/// Errors of stuck machines.
pub(super) const STUCK: Format = Format {
    name: "stuck states",
    recognises: |_, first| first.contains("\"wasm_value\"") && first.contains("\"error\""),
    replay: replay_stuck,
};

fn replay_initial(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for line in lines.numbered().map(Line::parse) {
        let line = line?;
        let hash = initial(&line, path)?.map_err(|error| failed(&line, "hash", error))?;
        let what = line.text("state")?.to_owned();
        for (key, found) in [
            ("hash", hash.to_string()),
            ("context_hash_b58", ContextHash(hash.0).to_string()),
            ("state_hash_b58", StateHash(hash.0).to_string()),
        ] {
            line.same(
                || format!("{key} of {what}"),
                &line.text(key)?.to_owned(),
                &found,
            )?;
            compared += 1;
        }
    }
    Ok(compared)
}

fn initial(line: &Line, path: &Path) -> Result<Result<Hash, PvmError>, CheckError> {
    if line.field("wasm_version").is_some_and(Value::is_string) {
        line.same(
            || "text of the version".to_owned(),
            &line.text("wasm_version")?.to_owned(),
            &version(line, "version")?.text().to_owned(),
        )?;
    }
    let hash = |tree: Tree| tree.hash().map_err(PvmError::from);
    Ok(match line.text("state")? {
        "empty_tree" => hash(Tree::empty()),
        "initial" => State::initial(version(line, "version")?).and_then(hash),
        kernel => {
            let kernel = named_kernel(kernel, path)?;
            State::originate(&origination(line)?, &kernel).and_then(|mut state| state.hash())
        }
    })
}

/// Kernels are files, or described by their name: `empty_kernel`, `4097_bytes_aa`.
fn named_kernel(name: &str, path: &Path) -> Result<Vec<u8>, CheckError> {
    let described = match name.split('_').collect::<Vec<_>>().as_slice() {
        ["empty", "kernel"] => Some(Vec::new()),
        ["one", "byte", byte] => hex::decode(byte).ok(),
        [count, "bytes", byte] => match (count.parse::<u16>(), hex::decode(byte)) {
            (Ok(count), Ok(byte)) => Some(byte.repeat(usize::from(count))),
            _ => None,
        },
        _ => None,
    };
    match described {
        Some(bytes) => Ok(bytes),
        None => kernel_file(path, name.split('(').next().unwrap_or(name)),
    }
}

fn replay_stuck(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for line in lines.numbered().map(Line::parse) {
        let line = line?;
        let bytes = line.bytes("wasm_value")?;
        let mut reader = Reader::new(&bytes);
        let stuck = Stuck::read(&mut reader)
            .and_then(|stuck| reader.finish().map(|()| stuck))
            .map_err(|error| failed(&line, "stuck error", error))?;
        line.same(
            || "printed error".to_owned(),
            &line.text("error")?.to_owned(),
            &stuck.to_string(),
        )?;
        let mut writer = Writer::new();
        stuck.write(&mut writer);
        line.same(
            || "bytes of the error".to_owned(),
            &hex::encode(&bytes),
            &hex::encode(writer.into_bytes()),
        )?;
        let mut tag = Writer::new();
        tag.dynamic(b"stuck");
        line.same(
            || "name of the phase".to_owned(),
            &line.text("wasm_tag")?.to_owned(),
            &hex::encode(tag.into_bytes()),
        )?;
        compared += 3;
    }
    Ok(compared)
}
