//! Host functions against a naive storage: flat values by key, whole chunks, no tree.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::merkle::Tree;
use crate::pvm::{Durable, InputQueue, ListingOrder, Outbox};

struct Flat(Vec<u8>);

impl Memory for Flat {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError> {
        let start = usize::try_from(address).unwrap();
        Ok(self.0[start..start + length].to_vec())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError> {
        let start = usize::try_from(address).unwrap();
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

struct Machine {
    memory: Flat,
    durable: Durable,
    buffers: Buffers,
    edges: Edges,
    listing: ListingOrder,
}

const MEMORY: usize = 65_536;
const FROM: i32 = 64;
const TO: i32 = 512;
const DATA: i32 = 1024;
const OUT: i32 = 8192;

impl Machine {
    fn new() -> Self {
        let data = (0..MEMORY).map(|i| (i * 7 % 251) as u8).collect();
        Self {
            memory: Flat(data),
            durable: Durable::new(Tree::empty()),
            buffers: Buffers {
                input: InputQueue::empty(),
                output: Outbox::new(10, 2),
            },
            edges: Edges::default(),
            listing: ListingOrder::Judge,
        }
    }

    fn call(&mut self, function: HostFunction, arguments: &[i64]) -> HostOutcome {
        let arguments: Vec<_> = arguments
            .iter()
            .zip(function.parameters())
            .map(|(value, ty)| match ty {
                ValueType::I32 => HostValue::I32(*value as i32),
                ValueType::I64 => HostValue::I64(*value),
            })
            .collect();
        let mut context = HostContext {
            memory: &mut self.memory,
            durable: &mut self.durable,
            buffers: &mut self.buffers,
            listing: self.listing,
            debug: None,
            edges: &mut self.edges,
        };
        function.call(&arguments, &mut context).unwrap()
    }

    fn result(&mut self, function: HostFunction, arguments: &[i64]) -> i64 {
        match self.call(function, arguments) {
            HostOutcome::Done {
                result: Some(HostValue::I32(result)),
                ..
            } => i64::from(result),
            HostOutcome::Done {
                result: Some(HostValue::I64(result)),
                ..
            } => result,
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, address: i32, text: &str) -> (i64, i64) {
        self.memory.write(address as u64, text.as_bytes()).unwrap();
        (i64::from(address), text.len() as i64)
    }
}

/// The naive twin: values by key, as length and written chunks.
#[derive(Clone, Default)]
struct Naive(BTreeMap<String, (i64, BTreeMap<i64, Vec<u8>>)>);

impl Naive {
    fn below(&self, key: &str) -> Self {
        let inside =
            |other: &str| other == key || key.is_empty() || other.starts_with(&format!("{key}/"));
        let entries = self.0.iter().filter(|(other, _)| inside(other));
        Self(
            entries
                .map(|(other, value)| (other[key.len()..].to_owned(), value.clone()))
                .collect(),
        )
    }

    fn remove(&mut self, key: &str) {
        for tail in self.below(key).0.keys() {
            self.0.remove(&format!("{key}{tail}"));
        }
    }

    fn graft(&mut self, key: &str, node: Self) {
        self.remove(key);
        for (tail, value) in node.0 {
            self.0.insert(format!("{key}{tail}"), value);
        }
    }

    /// Each name once: between a key and what lies below it others may sort (`/a`, `/a-`, `/a/a`).
    fn names(&self, key: &str) -> Vec<String> {
        let name = |tail: &String| tail.split('/').nth(1).unwrap_or("").to_owned();
        let names: BTreeSet<_> = self.below(key).0.keys().map(name).collect();
        names.into_iter().collect()
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::empty();
        for (key, (length, chunks)) in &self.0 {
            let mut path: Vec<_> = key.split('/').skip(1).collect();
            path.push("@");
            let at = |tail: &[&str]| -> Vec<String> {
                path.iter().chain(tail).map(|s| (*s).to_owned()).collect()
            };
            let mut add = |path: Vec<String>, bytes: &[u8]| {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                tree.add(&path, bytes).unwrap();
            };
            add(at(&["length"]), &length.to_be_bytes());
            for (index, chunk) in chunks {
                add(at(&["contents", &index.to_string()]), chunk);
            }
        }
        tree
    }

    /// `store_write` after the checks on key and memory.
    fn write(&mut self, key: &str, offset: i64, bytes: &[u8]) -> i64 {
        let length = self.0.get(key).map_or(0, |value| value.0);
        if key.is_empty() || key == "/readonly" || key.starts_with("/readonly/") {
            return -9;
        }
        if bytes.len() > 2048 {
            return -7;
        }
        if offset > length {
            return -4;
        }
        if offset < 0 {
            return -8;
        }
        let value = self.0.entry(key.to_owned()).or_default();
        for (position, byte) in (offset..).zip(bytes) {
            let chunk = value
                .1
                .entry(position / 512)
                .or_insert_with(|| vec![0; 512]);
            chunk[(position % 512) as usize] = *byte;
        }
        value.0 = value.0.max(offset + bytes.len() as i64);
        0
    }
}

#[derive(Debug, Clone)]
enum Op {
    Write(String, i64, i64),
    Read(String, i64, i64),
    Create(String, i64),
    Delete(String),
    DeleteValue(String),
    Copy(String, String),
    Move(String, String),
    Has(String),
    Exists(String),
    Size(String),
    ListSize(String),
    Nth(String, i64),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "(/[ab]{1}){1,3}",
        1 => Just(String::new()),
        1 => Just("/readonly/a".to_owned()),
        1 => "/a[!-~]{0,3}",
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let offset = prop_oneof![Just(0i64), -2i64..1400];
    prop_oneof![
        3 => (key(), offset.clone(), 0i64..2100).prop_map(|(k, o, n)| Op::Write(k, o, n)),
        1 => (key(), offset, -1i64..2100).prop_map(|(k, o, n)| Op::Read(k, o, n)),
        1 => (key(), -1i64..3000).prop_map(|(k, n)| Op::Create(k, n)),
        1 => key().prop_map(Op::Delete),
        1 => key().prop_map(Op::DeleteValue),
        1 => (key(), key()).prop_map(|(a, b)| Op::Copy(a, b)),
        1 => (key(), key()).prop_map(|(a, b)| Op::Move(a, b)),
        1 => key().prop_map(Op::Has),
        1 => key().prop_map(Op::Exists),
        1 => key().prop_map(Op::Size),
        1 => key().prop_map(Op::ListSize),
        1 => (key(), -1i64..4).prop_map(|(k, n)| Op::Nth(k, n)),
    ]
}

fn valid(key: &str) -> bool {
    crate::pvm::Key::parse(key.as_bytes()).is_ok()
}

fn read_only(key: &str) -> bool {
    key.is_empty() || key == "/readonly" || key.starts_with("/readonly/")
}

impl Op {
    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Write(k, ..) | Self::Read(k, ..) | Self::Create(k, _) | Self::Nth(k, _) => {
                vec![k]
            }
            Self::Copy(a, b) | Self::Move(a, b) => vec![a, b],
            Self::Delete(k)
            | Self::DeleteValue(k)
            | Self::Has(k)
            | Self::Exists(k)
            | Self::Size(k)
            | Self::ListSize(k) => vec![k],
        }
    }

    fn on_machine(&self, machine: &mut Machine) -> i64 {
        use HostFunction as F;
        let keys = self.keys();
        let (a, n) = machine.put(FROM, keys[0]);
        let (b, m) = machine.put(TO, keys.get(1).copied().unwrap_or(""));
        let (data, out) = (i64::from(DATA), i64::from(OUT));
        match self {
            Self::Write(_, offset, count) => {
                machine.result(F::StoreWrite, &[a, n, *offset, data, *count])
            }
            Self::Read(_, offset, count) => {
                machine.result(F::StoreRead, &[a, n, *offset, out, *count])
            }
            Self::Create(_, size) => machine.result(F::StoreCreate, &[a, n, *size]),
            Self::Delete(_) => machine.result(F::StoreDelete, &[a, n]),
            Self::DeleteValue(_) => machine.result(F::StoreDeleteValue, &[a, n]),
            Self::Copy(..) => machine.result(F::StoreCopy, &[a, n, b, m]),
            Self::Move(..) => machine.result(F::StoreMove, &[a, n, b, m]),
            Self::Has(_) => machine.result(F::StoreHas, &[a, n]),
            Self::Exists(_) => machine.result(F::StoreExists, &[a, n]),
            Self::Size(_) => machine.result(F::StoreValueSize, &[a, n]),
            Self::ListSize(_) => machine.result(F::StoreListSize, &[a, n]),
            Self::Nth(_, index) => machine.result(F::StoreGetNthKey, &[a, n, *index, out, 64]),
        }
    }

    fn on_naive(&self, naive: &mut Naive, data: &[u8]) -> i64 {
        if self.keys().iter().any(|key| !valid(key)) {
            return -2;
        }
        match self {
            Self::Write(key, offset, count) => naive.write(key, *offset, &data[..*count as usize]),
            Self::Read(key, offset, count) => match naive.0.get(key) {
                _ if *count > 2048 => -7,
                None => -3,
                Some((length, _)) if *offset < 0 || offset >= length => -4,
                Some(_) if *count < 0 => -8,
                Some((length, _)) => (*count).min(length - offset),
            },
            Self::Create(_, size) if *size < 0 => -5,
            Self::Create(key, _) if read_only(key) => -9,
            Self::Create(key, _) if naive.0.contains_key(key) => -13,
            Self::Create(key, size) => {
                naive.0.insert(key.clone(), (*size, BTreeMap::new()));
                0
            }
            Self::Delete(key) | Self::DeleteValue(key) if read_only(key) => -9,
            Self::Delete(key) => {
                naive.remove(key);
                0
            }
            Self::DeleteValue(key) => {
                naive.0.remove(key);
                0
            }
            Self::Copy(_, to) if read_only(to) => -9,
            Self::Move(from, to) if read_only(from) || read_only(to) => -9,
            Self::Copy(from, to) | Self::Move(from, to) => {
                let node = naive.below(from);
                if node.0.is_empty() {
                    // The root exists even when it is empty, and an empty graft removes.
                    return if from.is_empty() {
                        naive.remove(to);
                        0
                    } else {
                        -10
                    };
                }
                if matches!(self, Self::Move(..)) {
                    naive.remove(from);
                }
                naive.graft(to, node);
                0
            }
            Self::Has(key) => match (naive.0.contains_key(key), naive.names(key).len()) {
                (false, 0) => 0,
                (true, 1) => 1,
                (false, _) => 2,
                (true, _) => 3,
            },
            Self::Exists(key) => i64::from(key.is_empty() || !naive.below(key).0.is_empty()),
            Self::Size(key) => naive.0.get(key).map_or(-3, |value| value.0),
            Self::ListSize(key) => naive.names(key).len() as i64,
            Self::Nth(key, index) => match naive.names(key) {
                names if names.is_empty() && !key.is_empty() => -10,
                _ if *index < 0 => -8,
                names => names
                    .get(*index as usize)
                    .map_or(-12, |name| name.len() as i64),
            },
        }
    }
}

proptest! {
    #[test]
    fn storage_agrees_with_its_naive_twin(ops in proptest::collection::vec(op(), 1..60)) {
        let (mut machine, mut naive) = (Machine::new(), Naive::default());
        for op in ops {
            let data = machine.memory.0[DATA as usize..].to_vec();
            let found = op.on_machine(&mut machine);
            let expected = op.on_naive(&mut naive, &data);
            // The order in which a changed directory of more than two names lists is a matter of
            // its history: the recorded levels hold it, this twin does not know it.
            let by_history = matches!(&op, Op::Nth(key, _) if naive.names(key).len() > 2);
            prop_assert!(found == expected || by_history, "{:?}: {} or {}", op, found, expected);
        }
        let found = machine.durable.tree().unwrap().hash().unwrap();
        prop_assert_eq!(found, naive.tree().hash().unwrap());
    }

    #[test]
    fn no_arguments_make_a_call_panic(
        function in 0usize..HostFunction::ALL.len(),
        arguments in proptest::collection::vec(
            prop_oneof![any::<i64>(), 0i64..70_000, -3i64..3], 6),
    ) {
        let mut machine = Machine::new();
        machine.put(0, "/a/b/c");
        let function = HostFunction::ALL[function];
        let _ = machine.call(function, &arguments[..function.parameters().len()]);
    }
}

/// Found by the property above: the directory's own value and its subtrees are not neighbours in the
/// order of whole keys.
#[test]
fn a_name_counts_once_however_the_keys_around_it_sort() {
    let mut machine = Machine::new();
    for op in [
        Op::Write("/a-".into(), 0, 0),
        Op::Copy(String::new(), "/a".into()),
        Op::Write("/a".into(), 0, 0),
    ] {
        assert_eq!(op.on_machine(&mut machine), 0, "{op:?}");
    }
    assert_eq!(Op::ListSize(String::new()).on_machine(&mut machine), 2);
}

/// Upstream keeps a directory made in memory as a map from names; a copy into it makes a new map
/// (`Tree.add_tree`, `Node.update`), and a map lists by name (`Node.seq`). Only a directory that
/// stands for a record of the store, every change in it a record too, lists in the record's order.
#[test]
fn the_root_lists_by_name_after_a_copy_into_it() {
    let mut machine = Machine::new();
    let ops = [
        Op::Create("/aA".into(), 0),
        Op::Write("/b".into(), 0, 0),
        Op::Copy("/b".into(), "/a".into()),
    ];
    for op in &ops {
        assert_eq!(op.on_machine(&mut machine), 0, "{op:?}");
    }
    let second = Op::Nth(String::new(), 1);
    machine.listing = ListingOrder::Run;
    assert_eq!(second.on_machine(&mut machine), 2);
    // The judge replays the tick on the record, and lists in its order: that is marked.
    machine.listing = ListingOrder::Judge;
    assert_eq!(second.on_machine(&mut machine), 1);
    assert_eq!(
        machine.edges.iter().collect::<Vec<_>>(),
        [Edge::ListingOrder]
    );
}

#[test]
fn writes_partly_outside_the_memory_keep_what_fits_and_are_marked() {
    let mut machine = Machine::new();
    let (a, n) = machine.put(FROM, "/a");
    let end = MEMORY as i64;
    machine.result(HostFunction::StoreWrite, &[a, n, 0, i64::from(DATA), 10]);
    let before = machine.memory.0[MEMORY - 4..].to_vec();
    assert_eq!(
        machine.result(HostFunction::StoreRead, &[a, n, 0, end - 4, 10]),
        -6
    );
    assert_ne!(machine.memory.0[MEMORY - 4..].to_vec(), before);
    assert_eq!(
        machine.edges.iter().collect::<Vec<_>>(),
        [Edge::PartialWrite]
    );
    assert_eq!(
        machine.result(HostFunction::StoreRead, &[a, n, 0, end, 0]),
        0
    );
    assert_eq!(machine.result(HostFunction::StoreHas, &[end + 1, 0]), 2);
    assert!(
        machine
            .edges
            .iter()
            .any(|edge| edge == Edge::EmptyReadBeyondEnd)
    );
}

#[test]
fn an_index_is_cut_to_63_bits_and_a_negative_cut_raises() {
    let mut machine = Machine::new();
    let (a, n) = machine.put(FROM, "/a");
    machine.result(HostFunction::StoreWrite, &[a, n, 0, i64::from(DATA), 10]);
    let out = i64::from(OUT);
    assert_eq!(
        machine.result(HostFunction::StoreGetNthKey, &[a, n, i64::MIN, out, 64]),
        0
    );
    assert_eq!(
        machine.result(HostFunction::StoreGetNthKey, &[a, n, i64::MAX, out, 64]),
        -8
    );
    assert!(matches!(
        machine.call(HostFunction::StoreGetNthKey, &[a, n, 0, out, -1]),
        HostOutcome::Raised(_)
    ));
}

#[test]
fn an_outbox_takes_its_limit_and_no_more() {
    let mut machine = Machine::new();
    let send = |machine: &mut Machine| machine.result(HostFunction::WriteOutput, &[0, 4]);
    assert_eq!(send(&mut machine), -8);
    machine.buffers.output.advance(1).unwrap();
    assert_eq!(
        [send(&mut machine), send(&mut machine), send(&mut machine)],
        [0, 0, -11]
    );
    assert_eq!(machine.result(HostFunction::WriteOutput, &[0, 4097]), -7);
    assert_eq!(machine.result(HostFunction::WriteOutput, &[0, -1]), -8);
}

#[test]
fn names_and_versions_of_the_table_are_consistent() {
    for function in HostFunction::ALL {
        assert_eq!(
            HostFunction::internal(function.internal_name()),
            Some(*function)
        );
        assert_eq!(
            HostFunction::imported(function.import_name(), PvmVersion::V6),
            Some(*function)
        );
    }
    assert_eq!(HostFunction::imported("store_exists", PvmVersion::V1), None);
    assert!(HostFunction::NdsStoreSet.is_second_storage());
    assert!(!HostFunction::Reveal.is_second_storage());
}
