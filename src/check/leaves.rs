//! Trees as their leaves, and the first place where two differ.

use std::collections::BTreeMap;

use super::{CheckError, Difference};
use crate::merkle::{Tree, TreeError};

/// Values by path, in hexadecimal.
pub(super) type Leaves = BTreeMap<String, String>;

/// All leaves of a tree by path.
pub(super) fn leaves(tree: &Tree) -> Result<Leaves, TreeError> {
    fn walk(tree: &Tree, path: &str, found: &mut Leaves) -> Result<(), TreeError> {
        for (name, child) in tree.list(&[], 0, None)? {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            match child.find(&[])? {
                Some(bytes) => drop(found.insert(path, hex::encode(bytes))),
                None => walk(&child, &path, found)?,
            }
        }
        Ok(())
    }
    let mut found = Leaves::new();
    walk(tree, "", &mut found)?;
    Ok(found)
}

/// The first path where two states differ.
pub(super) fn first_difference(
    line: usize,
    at: &str,
    expected: &Leaves,
    found: &Leaves,
) -> Option<CheckError> {
    let mut paths: Vec<&String> = expected.keys().chain(found.keys()).collect();
    paths.sort();
    paths.dedup();
    let shown = |value: Option<&String>| value.map_or_else(|| "nothing".to_owned(), Clone::clone);
    let path = paths
        .into_iter()
        .find(|path| expected.get(*path) != found.get(*path))?;
    Some(
        Difference {
            line,
            what: format!("{path} {at}"),
            expected: shown(expected.get(path)),
            found: shown(found.get(path)),
        }
        .into(),
    )
}
