//! Vectors of the context tree: hashes, proofs of single operations, dumps of whole trees.
//!
//! Recognised by the shape of their lines. A dump is rebuilt from its leaves alone; every directory
//! it lists must have the hash and number of entries given, and none may be missing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{CheckError, Format, Lines, same};
use crate::merkle::{KindedHash, Proof, Tree, TreeError};

pub(super) const TREES: Format = Format {
    name: "context trees and proofs of operations",
    recognises: recognises_trees,
    replay: replay_trees,
};

pub(super) const DUMP: Format = Format {
    name: "dump of a whole tree",
    recognises: recognises_dump,
    replay: replay_dump,
};

pub(super) const PROOFS: Format = Format {
    name: "proofs of single ticks",
    recognises: recognises_proofs,
    replay: replay_proofs,
};

/// Whether a file holds trees and proofs of operations on them.
fn recognises_trees(_: &Path, first: &str) -> bool {
    matches!(
        serde_json::from_str(first),
        Ok(TreeLine::Tree { .. } | TreeLine::Proof { .. })
    )
}

/// Whether a file is the dump of one tree.
fn recognises_dump(_: &Path, first: &str) -> bool {
    matches!(serde_json::from_str(first), Ok(DumpLine::Header { .. }))
}

/// Whether a file holds proofs of single ticks.
fn recognises_proofs(_: &Path, first: &str) -> bool {
    serde_json::from_str::<TickProof>(first).is_ok()
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum TreeLine {
    Tree {
        name: String,
        hash: String,
        #[serde(default)]
        entries: BTreeMap<String, String>,
        #[serde(default)]
        nodes: BTreeMap<String, String>,
        value: Option<String>,
    },
    Proof {
        name: String,
        op: String,
        entries: BTreeMap<String, String>,
        before: String,
        after: String,
        size: usize,
        proof: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum DumpLine {
    Header {
        #[serde(rename = "phase")]
        _phase: String,
        hash: String,
    },
    Leaf {
        path: String,
        value: String,
    },
    Node {
        path: String,
        children: usize,
        hash: String,
    },
}

/// The part of a line that every proof of a tick has.
#[derive(Deserialize)]
struct TickProof {
    before: Ended,
    after: Ended,
    size: usize,
    proof: String,
}

#[derive(Deserialize)]
struct Ended {
    kind: String,
    hash: String,
}

impl Ended {
    fn text(&self) -> String {
        format!("{} {}", self.kind, self.hash)
    }
}

/// A malformed line, for any reason.
fn malformed(line: usize, problem: impl ToString) -> CheckError {
    CheckError::Malformed {
        line,
        problem: problem.to_string(),
    }
}

fn bytes(line: usize, text: &str) -> Result<Vec<u8>, CheckError> {
    hex::decode(text).map_err(|error| malformed(line, error))
}

fn parsed<'a, T: Deserialize<'a>>(line: usize, text: &'a str) -> Result<T, CheckError> {
    serde_json::from_str(text).map_err(|error| malformed(line, error))
}

/// What the product says, or its error as text, for comparing.
fn said<T: ToString, E: ToString>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Replays trees and proofs of operations.
fn replay_trees(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for (line, text) in lines.numbered() {
        compared += match parsed(line, text)? {
            TreeLine::Tree {
                name,
                hash,
                entries,
                nodes,
                value,
            } => {
                let tree = match value {
                    Some(value) => Tree::value(bytes(line, &value)?),
                    None => built(line, &entries, &nodes)?,
                };
                same(
                    line,
                    || format!("hash of {name}"),
                    &hash,
                    &said(tree.hash()),
                )?;
                same_nodes(line, &tree, &nodes)?
            }
            proof @ TreeLine::Proof { .. } => replay_operation(line, &proof)?,
        };
    }
    Ok(compared)
}

fn same_nodes(
    line: usize,
    tree: &Tree,
    nodes: &BTreeMap<String, String>,
) -> Result<usize, CheckError> {
    for (path, hash) in nodes {
        let steps: Vec<&str> = path.split('/').filter(|_| !path.is_empty()).collect();
        let found = match tree.find_tree(&steps) {
            Ok(Some(part)) => said(part.hash()),
            Ok(None) => "nothing".into(),
            Err(error) => error.to_string(),
        };
        same(line, || format!("hash at {path:?}"), hash, &found)?;
    }
    Ok(nodes.len() + 1)
}

/// Entries by path; a slash separates only where a directory is listed.
#[derive(Default)]
struct Folder(BTreeMap<Vec<u8>, Part>);

enum Part {
    Value(Vec<u8>),
    Folder(Folder),
}

impl Folder {
    fn add(&mut self, path: &[Vec<u8>], value: Vec<u8>) {
        let Some((name, rest)) = path.split_first() else {
            return;
        };
        if rest.is_empty() {
            self.0.insert(name.clone(), Part::Value(value));
            return;
        }
        let below = self.0.entry(name.clone());
        if let Part::Folder(below) = below.or_insert_with(|| Part::Folder(Self::default())) {
            below.add(rest, value);
        }
    }

    fn tree(self) -> Result<Tree, TreeError> {
        let part = |part| match part {
            Part::Value(value) => Ok(Tree::value(value)),
            Part::Folder(folder) => folder.tree(),
        };
        let entries: Result<Vec<_>, TreeError> = self
            .0
            .into_iter()
            .map(|(name, below)| Ok((name, part(below)?)))
            .collect();
        Tree::directory(entries?)
    }
}

/// Names in the file are bytes written as characters of the same number.
fn name_bytes(name: &str) -> Vec<u8> {
    let small: Result<Vec<u8>, _> = name.chars().map(|c| u8::try_from(u32::from(c))).collect();
    small.unwrap_or_else(|_| name.as_bytes().to_vec())
}

/// Builds the tree at once, and again entry by entry where all names are text.
fn built(
    line: usize,
    entries: &BTreeMap<String, String>,
    nodes: &BTreeMap<String, String>,
) -> Result<Tree, CheckError> {
    let mut folder = Folder::default();
    let mut one_by_one = Tree::empty();
    for (key, value) in entries {
        let value = bytes(line, value)?;
        let is_path = |(at, _): (usize, &str)| at > 0 && nodes.contains_key(&key[..at]);
        let steps: Vec<&str> = if key.match_indices('/').all(is_path) {
            key.split('/').collect()
        } else {
            vec![key.as_str()]
        };
        one_by_one
            .add(&steps, &value)
            .map_err(|error| malformed(line, error))?;
        let path: Vec<_> = steps.iter().map(|step| name_bytes(step)).collect();
        folder.add(&path, value);
    }
    let tree = folder.tree().map_err(|error| malformed(line, error))?;
    if entries.keys().all(|key| key.is_ascii()) {
        let (once, steps) = (said(tree.hash()), said(one_by_one.hash()));
        same(line, || "hash built entry by entry".into(), &once, &steps)?;
    }
    Ok(tree)
}

/// Applies operations in the words of the file: `find a/b,c; add k=v; remove k; list; length;
/// move a to b`. A value not given is `y`.
fn operate(tree: &mut Tree, operations: &str) -> Result<(), TreeError> {
    fn steps(path: &str) -> Vec<&str> {
        path.split('/').collect()
    }
    for operation in operations.trim_end_matches(" (extender)").split("; ") {
        let (verb, object) = operation.split_once(' ').unwrap_or((operation, ""));
        match verb {
            "find" => {
                for path in object.split(',') {
                    tree.find(&steps(path))?;
                }
            }
            "find_tree" => {
                tree.find_tree(&steps(object))?;
            }
            "add" => {
                let (path, value) = object.split_once('=').unwrap_or((object, "y"));
                tree.add(&steps(path), value.as_bytes())?;
            }
            "remove" => tree.remove(&steps(object))?,
            "list" => {
                tree.list(&[], 0, None)?;
            }
            "length" => {
                tree.length(&[])?;
            }
            "move" => {
                let (from, to) = object.split_once(" to ").unwrap_or((object, object));
                if let Some(part) = tree.find_tree(&steps(from))? {
                    tree.remove(&steps(from))?;
                    tree.add_tree(&steps(to), &part)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn replay_operation(line: usize, proof: &TreeLine) -> Result<usize, CheckError> {
    let TreeLine::Proof {
        name,
        op,
        entries,
        before,
        after,
        size,
        proof,
    } = proof
    else {
        return Ok(0);
    };
    let prefixes = entries
        .keys()
        .flat_map(|key| key.match_indices('/').map(|(at, _)| key[..at].to_owned()));
    let nodes = prefixes.map(|prefix| (prefix, String::new())).collect();
    let tree = built(line, entries, &nodes)?;
    let about = |what: &str| format!("{what} of {op:?} on {name}");
    let produced = Proof::produce(&tree, |tree| operate(tree, op));
    let (made, outcome) = produced.map_err(|error| malformed(line, error))?;
    outcome.map_err(|error| malformed(line, error))?;
    same(
        line,
        || about("hash before"),
        before,
        &said(Ok::<_, TreeError>(made.before().hash())),
    )?;
    same(
        line,
        || about("hash after"),
        after,
        &said(Ok::<_, TreeError>(made.after().hash())),
    )?;
    let encoded = said(made.encode().map(hex::encode));
    same(line, || about("proof"), proof, &encoded)?;
    same(line, || about("size"), size, &(encoded.len() / 2))?;
    let decoded = Proof::decode(&bytes(line, proof)?).map_err(|error| malformed(line, error))?;
    let verified = decoded
        .verify(|tree| operate(tree, op))
        .map(|outcome| outcome.is_ok());
    same(
        line,
        || about("verification"),
        &true.to_string(),
        &said(verified),
    )?;
    Ok(5)
}

/// Rebuilds a dumped tree from its leaves and compares every directory.
fn replay_dump(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut tree = Tree::empty();
    let mut nodes = Vec::new();
    let mut root = None;
    let mut compared = 0;
    for (line, text) in lines.numbered() {
        match parsed(line, text)? {
            DumpLine::Header { hash, .. } => root = Some((line, hash)),
            DumpLine::Leaf { path, value } => {
                let path: Vec<&str> = path.split('/').collect();
                tree.add(&path, &bytes(line, &value)?)
                    .map_err(|error| malformed(line, error))?;
                compared += 1;
            }
            DumpLine::Node {
                path,
                children,
                hash,
            } => nodes.push((line, path, children, hash)),
        }
    }
    if let Some((line, hash)) = root {
        same(
            line,
            || "hash of the tree".into(),
            &hash,
            &said(tree.hash()),
        )?;
    }
    for (line, path, children, hash) in &nodes {
        let steps: Vec<&str> = path.split('/').filter(|_| !path.is_empty()).collect();
        let length = said(tree.length(&steps));
        same(
            *line,
            || format!("entries at {path:?}"),
            &children.to_string(),
            &length,
        )?;
        let only = BTreeMap::from([(path.clone(), hash.clone())]);
        compared += same_nodes(*line, &tree, &only)?;
    }
    let found = directories(&tree).map_err(|error| malformed(0, error))?;
    same(0, || "number of directories".into(), &nodes.len(), &found)?;
    Ok(compared)
}

fn directories(tree: &Tree) -> Result<usize, TreeError> {
    if tree.is_value() {
        return Ok(0);
    }
    let mut count = 1;
    for (_, below) in tree.list(&[], 0, None)? {
        count += directories(&below)?;
    }
    Ok(count)
}

/// Compares the bytes of proofs of ticks: form, size, both hashes, and what the shown parts give.
fn replay_proofs(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for (line, text) in lines.numbered() {
        let expected: TickProof = parsed(line, text)?;
        let raw = bytes(line, &expected.proof)?;
        same(line, || "size".into(), &expected.size, &raw.len())?;
        let proof = Proof::decode(&raw).map_err(|error| malformed(line, error))?;
        let again = said(proof.encode().map(hex::encode));
        same(
            line,
            || "proof encoded again".into(),
            &expected.proof,
            &again,
        )?;
        let shown = said(proof.state_hash().map(kinded));
        same(
            line,
            || "hash of the parts shown".into(),
            &expected.before.text(),
            &shown,
        )?;
        same(
            line,
            || "hash before".into(),
            &expected.before.text(),
            &kinded(proof.before()),
        )?;
        same(
            line,
            || "hash after".into(),
            &expected.after.text(),
            &kinded(proof.after()),
        )?;
        compared += 5;
    }
    Ok(compared)
}

fn kinded(kinded: KindedHash) -> String {
    match kinded {
        KindedHash::Value(hash) => format!("value {hash}"),
        KindedHash::Node(hash) => format!("node {hash}"),
    }
}
