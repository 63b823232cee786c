//! Proofs of random operations, made, written, read, checked, and damaged.

use proptest::prelude::*;

use super::{KindedHash, Proof, ProofError};
use crate::merkle::{Tree, TreeError};

#[derive(Clone, Debug)]
enum Step {
    Find(Vec<String>),
    Add(Vec<String>, u8),
    Remove(Vec<String>),
    Copy(Vec<String>, Vec<String>),
    List(Vec<String>, usize, usize),
    Length(Vec<String>),
    Hash(Vec<String>),
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![(0..9_u32).prop_map(|n| n.to_string()), "[a-c]"];
    proptest::collection::vec(name, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        path().prop_map(Step::Find),
        (path(), any::<u8>()).prop_map(|(path, value)| Step::Add(path, value)),
        path().prop_map(Step::Remove),
        (path(), path()).prop_map(|(from, to)| Step::Copy(from, to)),
        (path(), 0..4_usize, 0..4_usize).prop_map(|(p, o, l)| Step::List(p, o, l)),
        path().prop_map(Step::Length),
        path().prop_map(Step::Hash),
    ]
}

fn leaves() -> impl Strategy<Value = Vec<(Vec<String>, u8)>> {
    proptest::collection::vec((path(), 0..5_u8), 1..40)
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Runs the steps; the answers are what two runs must agree on, orders of listing aside.
fn run(tree: &mut Tree, steps: &[Step]) -> Result<Vec<String>, TreeError> {
    let mut answers = Vec::new();
    for step in steps {
        match step {
            Step::Find(path) => answers.push(format!("{:?}", tree.find(&borrowed(path))?)),
            Step::Add(path, value) => tree.add(&borrowed(path), &[*value])?,
            Step::Remove(path) => tree.remove(&borrowed(path))?,
            Step::Copy(from, to) => {
                if let Some(part) = tree.find_tree(&borrowed(from))? {
                    tree.add_tree(&borrowed(to), &part)?;
                }
            }
            Step::List(path, offset, length) => {
                tree.list(&borrowed(path), *offset, Some(*length))?;
            }
            Step::Length(path) => answers.push(tree.length(&borrowed(path))?.to_string()),
            Step::Hash(path) => {
                if let Some(part) = tree.find_tree(&borrowed(path))? {
                    answers.push(part.hash()?.to_string());
                }
            }
        }
    }
    Ok(answers)
}

fn tree(leaves: &[(Vec<String>, u8)]) -> Tree {
    let mut tree = Tree::empty();
    for (path, value) in leaves {
        tree.add(&borrowed(path), &[*value]).unwrap();
    }
    tree
}

proptest! {
    #[test]
    fn a_proof_holds_for_its_own_step(leaves in leaves(), steps in proptest::collection::vec(step(), 0..8)) {
        let tree = tree(&leaves);
        let mut plain = tree.settled().unwrap();
        let expected = run(&mut plain, &steps).unwrap();
        let (proof, answers) = Proof::produce(&tree, |tree| run(tree, &steps)).unwrap();
        prop_assert_eq!(&answers.unwrap(), &expected);
        prop_assert_eq!(proof.after().hash(), plain.hash().unwrap());
        let bytes = proof.encode().unwrap();
        let read = Proof::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &proof);
        prop_assert_eq!(read.verify(|tree| run(tree, &steps)).unwrap().unwrap(), expected);
        // What a proof shows is enough to make the same proof again, but for the order of lists.
        if !steps.iter().any(|step| matches!(step, Step::List(..))) {
            let again = read.verify(|tree| Proof::produce(tree, |tree| run(tree, &steps)).map(|(proof, _)| proof));
            // The outer step changed nothing, so it holds only when the step did not either.
            if proof.before() == proof.after() {
                prop_assert_eq!(&again.unwrap().unwrap(), &proof);
            }
        }
    }

    #[test]
    fn the_history_of_a_tree_does_not_show_in_proofs(leaves in leaves(), steps in proptest::collection::vec(step(), 0..6)) {
        let mut other: Vec<_> = leaves.clone();
        other.reverse();
        let (one, two) = (tree(&leaves), tree(&leaves).settled().unwrap());
        let mut three = tree(&other);
        run(&mut three, &[Step::Add(vec!["x".into()], 0), Step::Remove(vec!["x".into()])]).unwrap();
        let made = |tree: &Tree| Proof::produce(tree, |tree| run(tree, &steps).unwrap()).unwrap().0;
        prop_assert_eq!(made(&one), made(&two));
        if one.hash().unwrap() == three.hash().unwrap() {
            prop_assert_eq!(made(&one), made(&three));
        }
    }

    #[test]
    fn a_step_goes_on_from_what_another_left(
        leaves in leaves(),
        rounds in proptest::collection::vec(proptest::collection::vec(step(), 0..6), 1..12),
    ) {
        let (mut here, mut plain) = (tree(&leaves), tree(&leaves));
        for steps in rounds {
            if plain.is_empty().unwrap() {
                break;
            }
            let alone = Proof::produce(&plain, |tree| run(tree, &steps).unwrap()).unwrap();
            let (proof, (answers, after)) = Proof::produce(&here, |tree| {
                (run(tree, &steps).unwrap(), tree.clone())
            })
            .unwrap();
            prop_assert_eq!((proof, answers), alone);
            here = after;
            plain = plain.settled().unwrap();
            run(&mut plain, &steps).unwrap();
            plain = plain.settled().unwrap();
        }
    }

    #[test]
    fn a_damaged_proof_never_proves_anything_else(
        leaves in leaves(),
        steps in proptest::collection::vec(step(), 1..6),
        place in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let tree = tree(&leaves);
        let (proof, _) = Proof::produce(&tree, |tree| run(tree, &steps)).unwrap();
        let mut bytes = proof.encode().unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(damaged) = Proof::decode(&bytes) {
            prop_assert!(damaged.encode().is_ok());
            let outcome = damaged.verify(|tree| run(tree, &steps));
            if let Ok(Ok(_)) = outcome {
                prop_assert_eq!(damaged.before(), proof.before());
                prop_assert_eq!(damaged.after(), proof.after());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut framed = vec![3, 0, 2];
        framed.extend([0; 64]);
        framed.extend(&bytes);
        for bytes in [bytes, framed] {
            if let Ok(proof) = Proof::decode(&bytes) {
                let _ = proof.verify(|tree| tree.list(&[], 0, None).map(|list| list.len()));
            }
        }
    }
}

#[test]
fn what_was_not_read_is_outside() {
    let mut tree = Tree::empty();
    for number in 0..50 {
        tree.add(&["d", &number.to_string()], &[number]).unwrap();
    }
    tree.add(&["e", "f"], b"1").unwrap();
    let (proof, _) = Proof::produce(&tree, |tree| tree.find(&["d", "7"])).unwrap();
    let found = proof
        .verify(|tree| tree.find(&["d", "7"]))
        .unwrap()
        .unwrap();
    assert_eq!(found.as_deref(), Some([7].as_slice()));
    for hidden in [["d", "8"], ["e", "f"]] {
        let hides = proof.verify(|tree| tree.find(&hidden).is_ok());
        assert!(
            matches!(hides, Err(ProofError::Tree(TreeError::OutsideProof { .. }))),
            "{hides:?}"
        );
    }
    let wrong = proof.verify(|tree| tree.add(&["d", "7"], b"other"));
    assert!(matches!(wrong, Err(ProofError::After { .. })), "{wrong:?}");
}

/// Equal parts are shown everywhere once one of them was read.
#[test]
fn equal_parts_are_shown_together() {
    let mut tree = Tree::empty();
    for name in ["a", "b"] {
        tree.add(&[name, "x"], b"same").unwrap();
        tree.add(&[name, "y"], b"other").unwrap();
    }
    let (proof, _) = Proof::produce(&tree, |tree| tree.find(&["a", "x"])).unwrap();
    let found = proof
        .verify(|tree| tree.find(&["b", "x"]))
        .unwrap()
        .unwrap();
    assert_eq!(found.as_deref(), Some(b"same".as_slice()));
}

#[test]
fn deep_bytes_are_refused_without_a_deep_stack() {
    let mut bytes = vec![3, 0, 2];
    bytes.extend([0; 64]);
    for _ in 0..1400 {
        bytes.extend([0x81, 1, b'a']);
    }
    let shallow = bytes.clone();
    for _ in 0..1_000_000 {
        bytes.extend([0x81, 1, b'a']);
    }
    assert!(Proof::decode(&bytes).is_err());
    for tail in [vec![0xc0, 0], vec![0x80]] {
        let read = Proof::decode(&[shallow.clone(), tail].concat()).unwrap();
        assert!(matches!(
            read.verify(|_| ()),
            Err(ProofError::Before { .. })
        ));
    }
}

/// Bytes of the reference: a directory of two values, one of them shown.
#[test]
fn a_known_proof_has_its_known_bytes() {
    let mut tree = Tree::empty();
    tree.add(&["k0"], b"value 0").unwrap();
    let (proof, _) = Proof::produce(&tree, |tree| tree.find(&["k0"])).unwrap();
    let hash = "029237a1ced1d9c26ac189f250f8d94c6a6ad105a62516dce4e785b907933b89";
    let expected = format!("030002{hash}{hash}81026b30c00776616c75652030");
    assert_eq!(hex::encode(proof.encode().unwrap()), expected);
    assert!(matches!(proof.before(), KindedHash::Node(_)));
    assert!(matches!(
        Proof::produce(&Tree::empty(), |_| ()),
        Err(ProofError::Empty)
    ));
}

/// Lengths in every size class, and segments of every number of bits, survive writing.
#[test]
fn lengths_take_their_shortest_form() {
    use super::shape::{Extender, Inner, Shown};
    use crate::crypto::Hash;
    let hash = KindedHash::Node(Hash([7; 32]));
    for length in [0, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX as u64] {
        for bits in 0..40 {
            let extender = Extender {
                length,
                segment: (0..bits).map(|bit| bit % 3 == 0).collect(),
                end: Box::new(Inner::Blinded(Hash([1; 32]))),
            };
            let proof = Proof {
                before: hash,
                after: hash,
                state: Shown::Extender(extender),
            };
            assert_eq!(Proof::decode(&proof.encode().unwrap()).unwrap(), proof);
        }
    }
    let long = [&[3, 0, 2][..], &[0; 64], &[0x01, 0, 9, 0xe0, 0x80]].concat();
    assert!(Proof::decode(&long).is_err());
}
