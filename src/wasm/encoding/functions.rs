//! Functions: a large kernel has ten thousand of them, and the instances of its module hold each
//! several times.
//!
//! Promises: the tree that [`Stored::store`] writes, known by its hash, which is found without it;
//! whoever reads it has it made. Equal lists of types are hashed once, as long as they are
//! remembered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash as Hashed;
use std::sync::Arc;

use super::hashing::{leaf_hash, with_hasher};
use crate::crypto::Hash;
use crate::merkle::{Kind, Maker, Plan, Scratch, Tree, TreeError};
use crate::wasm::ast::{Func, FuncType, ValueType};
use crate::wasm::encoding::place::written;
use crate::wasm::encoding::{Leaf, Stored};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{FuncInst, Ref};
use crate::wasm::lazy::LazyVec;

/// Lists of types remembered, at most.
const KNOWN: usize = 1 << 14;

/// Makes the tree of a value again.
#[derive(Debug)]
struct Unmade<T>(T);

impl<T: Stored + fmt::Debug> Maker for Unmade<T> {
    fn make(&self) -> Result<Tree, TreeError> {
        written(&mut self.0.clone()).map_err(Fault::into_tree_error)
    }
}

/// What says which types a list has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Types {
    Here(Vec<ValueType>),
    /// Hash of the directory they were written to, number of types, key of the first.
    Written(Hash, i32, i32),
}

impl Types {
    fn of(list: &LazyVec<ValueType>) -> Result<Option<Self>, Fault> {
        if let Some(tree) = list.written() {
            let (length, first) = (list.len(), list.first_key());
            return Ok(Some(Self::Written(tree.hash()?, length, first)));
        }
        let Some(elements) = list.elements() else {
            return Ok(None);
        };
        let mut types = Vec::with_capacity(list.len() as u32 as usize);
        for (place, (key, ty)) in (0..).zip(elements) {
            if *key != place || list.first_key() != 0 {
                return Ok(None);
            }
            types.push(*ty);
        }
        Ok(Some(Self::Here(types)))
    }
}

/// Finds the hashes of functions one after the other.
struct Hasher {
    scratch: Scratch,
    tagged: Plan,
    /// Of a function, and of its instance.
    func: Plan,
    native: Plan,
    /// Of one field of an instance.
    module: Plan,
    ftype: Plan,
    locals: Plan,
    lists: HashMap<Types, Hash>,
    types: HashMap<(Types, Types), Hash>,
}

thread_local! {
    static HASHER: RefCell<Option<Hasher>> = const { RefCell::new(None) };
}

/// What is remembered of `key`, found out when it is not.
fn remembered<K: Eq + Hashed>(
    known: &mut HashMap<K, Hash>,
    key: K,
    find: impl FnOnce() -> Result<Hash, Fault>,
) -> Result<Hash, Fault> {
    if let Some(hash) = known.get(&key) {
        return Ok(*hash);
    }
    let hash = find()?;
    if known.len() >= KNOWN {
        known.clear();
    }
    known.insert(key, hash);
    Ok(hash)
}

fn value<T: Leaf>(value: &T) -> Result<(Kind, Hash), Fault> {
    Ok((Kind::Value, leaf_hash(value)?))
}

fn directory(plan: &Plan, scratch: &mut Scratch, entries: &[(Kind, Hash)]) -> (Kind, Hash) {
    (Kind::Directory, plan.hash(scratch, entries))
}

impl Hasher {
    fn new() -> Result<Self, Fault> {
        Ok(Self {
            scratch: Scratch::default(),
            tagged: Plan::new(["tag", "value"])?,
            func: Plan::new(["ftype", "locals", "body"])?,
            native: Plan::new(["1", "2", "3", "4", "5"])?,
            module: Plan::new(["module"])?,
            ftype: Plan::new(["ftype"])?,
            locals: Plan::new(["locals"])?,
            lists: HashMap::new(),
            types: HashMap::new(),
        })
    }

    fn list(&mut self, list: &LazyVec<ValueType>) -> Result<Option<(Kind, Hash)>, Fault> {
        let Some(types) = Types::of(list)? else {
            return Ok(None);
        };
        let find = || Ok(list.clone().tree()?.hash()?);
        let hash = remembered(&mut self.lists, types, find)?;
        Ok(Some((Kind::Directory, hash)))
    }

    fn func(&mut self, func: &Func) -> Result<Option<Hash>, Fault> {
        let Some(locals) = self.list(&func.locals)? else {
            return Ok(None);
        };
        let entries = [value(&func.ftype)?, locals, value(&func.body)?];
        Ok(Some(directory(&self.func, &mut self.scratch, &entries).1))
    }

    /// Of what a tag stands before.
    fn tagged(&mut self, tag: &str, payload: (Kind, Hash)) -> Result<Hash, Fault> {
        let entries = [value(&tag.to_owned())?, payload];
        Ok(directory(&self.tagged, &mut self.scratch, &entries).1)
    }

    fn instance(&mut self, instance: &FuncInst) -> Result<Option<Hash>, Fault> {
        let FuncInst::Native { ty, module, func } = instance else {
            return Ok(None);
        };
        let FuncType { params, results } = &ty.0;
        let (Some(params), Some(results)) = (Types::of(params)?, Types::of(results)?) else {
            return Ok(None);
        };
        let find = || Ok(ty.clone().tree()?.hash()?);
        let ty = remembered(&mut self.types, (params, results), find)?;
        let Some(locals) = self.list(&func.locals)? else {
            return Ok(None);
        };
        let (module, ftype) = (value(module)?, value(&func.ftype)?);
        let entries = [
            (Kind::Directory, ty),
            directory(&self.module, &mut self.scratch, &[module]),
            directory(&self.ftype, &mut self.scratch, &[ftype]),
            directory(&self.locals, &mut self.scratch, &[locals]),
            value(&func.body)?,
        ];
        let native = directory(&self.native, &mut self.scratch, &entries);
        self.tagged("Native", native).map(Some)
    }

    fn reference(&mut self, reference: &Ref) -> Result<Option<Hash>, Fault> {
        match reference {
            Ref::Func(func) => match self.instance(func)? {
                Some(hash) => self.tagged("FuncRef", (Kind::Directory, hash)).map(Some),
                None => Ok(None),
            },
            Ref::Extern(id) => self.tagged("ExternRef", value(id)?).map(Some),
            Ref::Null(ty) => self.tagged("NullRef", value(ty)?).map(Some),
        }
    }
}

/// The tree of a value, known by its hash where that is found.
fn tree_of<T: Stored + fmt::Debug>(
    value: &mut T,
    hash: impl FnOnce(&mut Hasher, &T) -> Result<Option<Hash>, Fault>,
) -> Result<Tree, Fault> {
    let hash = with_hasher(&HASHER, Hasher::new, |hasher| hash(hasher, value))?;
    match hash {
        Some(hash) => Ok(Tree::made_when_read(hash, Arc::new(Unmade(value.clone())))),
        None => written(value),
    }
}

pub(super) fn func_tree(func: &mut Func) -> Result<Tree, Fault> {
    tree_of(func, Hasher::func)
}

pub(super) fn instance_tree(instance: &mut FuncInst) -> Result<Tree, Fault> {
    tree_of(instance, Hasher::instance)
}

pub(super) fn reference_tree(reference: &mut Ref) -> Result<Tree, Fault> {
    tree_of(reference, Hasher::reference)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wasm::ast::{BlockLabel, NumType, RefType};
    use crate::wasm::encoding::{Source, Style, Target};
    use crate::wasm::instance::{InstFuncType, ModuleKey};

    fn exact<T: Stored>(value: &T) -> Tree {
        let mut tree = Tree::empty();
        let target = &mut Target::new(&mut tree, Style::Exact);
        value.clone().store(target).unwrap();
        tree
    }

    /// The tree known by its hash is the one written leaf by leaf, and reads as that.
    fn is_as_written<T: Stored>(value: &T) {
        let tree = value.clone().tree().unwrap();
        let twin = exact(value);
        assert_eq!(tree.hash().unwrap(), twin.hash().unwrap());
        let read = T::load(&Source::new(tree)).unwrap();
        assert_eq!(exact(&read).hash().unwrap(), twin.hash().unwrap());
    }

    fn types() -> impl Strategy<Value = LazyVec<ValueType>> {
        let some = prop_oneof![
            Just(ValueType::Num(NumType::I32)),
            Just(ValueType::Num(NumType::I64)),
            Just(ValueType::V128),
            Just(ValueType::Ref(RefType::Func)),
        ];
        // Lists that were written, lists in another place, halves that keep the bindings of the whole.
        (proptest::collection::vec(some, 0..9), 0u8..6).prop_map(|(types, how)| {
            let mut list = LazyVec::from_items(types);
            match how {
                0 => drop(list.tree().unwrap()),
                1 => list = Stored::load(&Source::new(list.tree().unwrap())).unwrap(),
                2 => list.cons(ValueType::V128).unwrap(),
                3 => drop(list.pop()),
                4 => list = list.clone().split(list.len() / 2).unwrap().1,
                _ => {}
            }
            list
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn functions_are_as_written(
            (params, results, locals) in (types(), types(), types()),
            (ftype, body) in (-1i32..3, 0i32..300_000),
            name in "[a-z]{0,20}",
        ) {
            let func = Func { ftype, locals, body: BlockLabel(body) };
            is_as_written(&func);
            let ty = FuncType { params, results };
            let native = FuncInst::Native {
                ty: InstFuncType(ty.clone()),
                module: ModuleKey(name.clone().into()),
                func,
            };
            let host = FuncInst::Host { ty, name };
            for func in [native, host] {
                is_as_written(&func);
                is_as_written(&Ref::Func(Box::new(func)));
            }
            is_as_written(&Ref::Extern(body));
            is_as_written(&Ref::Null(RefType::Extern));
        }
    }
}
