use proptest::prelude::*;

use super::*;

/// A tree of blocks: `parents[i]` is the parent of block `i + 1`; block 0 is the root.
#[derive(Debug, Clone)]
struct Tree {
    parents: Vec<usize>,
}

fn hash(block: usize) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(block as u64 + 1).to_be_bytes());
    BlockHash(bytes)
}

impl Tree {
    /// From the block down to the root.
    fn down(&self, block: usize) -> Vec<usize> {
        let mut path = vec![block];
        while let Some(parent) = path.last().filter(|b| **b > 0).map(|b| self.parents[b - 1]) {
            path.push(parent);
        }
        path
    }

    fn place(&self, block: usize) -> BlockRef {
        BlockRef {
            level: Level::new(self.down(block).len() as u16 - 1),
            hash: hash(block),
        }
    }

    fn ancestor(&self, block: usize, level: Level) -> BlockHash {
        let up: Vec<_> = self.down(block).into_iter().rev().collect();
        hash(up[level.get() as usize])
    }

    fn predecessor(&self, block: usize) -> BlockHash {
        self.down(block)
            .get(1)
            .map_or(BlockHash([0; 32]), |b| hash(*b))
    }
}

/// The branch that ends in `tip`, from `first` on.
fn branch(tree: &Tree, tip: usize, first: u16) -> Branch {
    let mut branch = Branch::starting_at(Level::new(first));
    for block in tree.down(tip).into_iter().rev().skip(usize::from(first)) {
        branch
            .apply(tree.place(block), tree.predecessor(block))
            .unwrap();
    }
    branch
}

/// Follows the plan for a new head and counts the questions.
fn follow(tree: &Tree, known: &Branch, head: usize) -> Result<(Branch, usize), L1Error> {
    let mut asked = 0;
    let mut walk = Walk::new(known, tree.place(head), tree.predecessor(head));
    let plan = loop {
        match walk.step()? {
            Step::Done(plan) => break plan,
            Step::Ask(level) => {
                asked += 1;
                walk.answer(level, tree.ancestor(head, level));
            }
        }
    };
    let mut after = known.clone();
    if let Some(keep) = plan.rollback {
        after.roll_back(keep);
    }
    let up: Vec<_> = tree.down(head).into_iter().rev().collect();
    if let Some(from) = plan.apply_from {
        for block in &up[from.get() as usize..] {
            after.apply(tree.place(*block), tree.predecessor(*block))?;
        }
    }
    Ok((after, asked))
}

fn check(tree: &Tree, tip: usize, head: usize, first: u16) {
    if tree.place(tip).level.get() < i32::from(first)
        || tree.place(head).level.get() < i32::from(first)
    {
        return;
    }
    let known = branch(tree, tip, first);
    let passed = tree.down(tip).contains(&head);
    let expected = branch(tree, if passed { tip } else { head }, first);
    let (after, _) = follow(tree, &known, head).unwrap();
    assert_eq!(
        after, expected,
        "{tree:?} from {tip} to {head}, first {first}"
    );
    let shares = tree
        .down(tip)
        .iter()
        .any(|b| tree.down(head).contains(b) && tree.place(*b).level.get() >= i32::from(first));
    let mut forgetful = known;
    forgetful.forgot = true;
    let outcome = follow(tree, &forgetful, head);
    assert_eq!(
        outcome.is_ok(),
        shares,
        "{tree:?} from {tip} to {head}, first {first}"
    );
}

/// Every tree of up to seven blocks, every pair of tip and new head, every first level.
#[test]
fn every_small_tree_is_followed() {
    let mut parents = Vec::new();
    every(&mut parents);
    fn every(parents: &mut Vec<usize>) {
        let tree = Tree {
            parents: parents.clone(),
        };
        let blocks = parents.len() + 1;
        for (tip, head) in (0..blocks).flat_map(|tip| (0..blocks).map(move |head| (tip, head))) {
            for first in 0..3 {
                check(&tree, tip, head, first);
            }
        }
        if blocks < 7 {
            for parent in 0..blocks {
                parents.push(parent);
                every(parents);
                parents.pop();
            }
        }
    }
}

/// Two branches that share `shared` blocks and then go their own ways.
fn fork(shared: usize, left: usize, right: usize) -> (Tree, usize, usize) {
    let mut parents: Vec<usize> = (0..shared + left).collect();
    let tip = parents.len();
    let mut parent = shared;
    for _ in 0..right {
        parents.push(parent);
        parent = parents.len();
    }
    (Tree { parents }, tip, parent)
}

proptest! {
    #[test]
    fn any_fork_is_followed_with_few_questions(shared in 0_usize..400, left in 0_usize..400, right in 0_usize..400) {
        let (tree, tip, head) = fork(shared, left, right);
        let known = branch(&tree, tip, 0);
        let (after, asked) = follow(&tree, &known, head).unwrap();
        let end = if right == 0 { tip } else { head };
        prop_assert_eq!(after, branch(&tree, end, 0));
        prop_assert!(asked <= 22, "{} questions", asked);
    }
}

#[test]
fn a_head_that_follows_the_tip_needs_no_question() {
    let (tree, tip, head) = fork(5, 0, 1);
    let (_, asked) = follow(&tree, &branch(&tree, tip, 0), head).unwrap();
    assert_eq!(asked, 0);
}

#[test]
fn a_resumed_branch_must_be_consecutive() {
    let block = |level, id| BlockRef {
        level: Level::new(level),
        hash: hash(id),
    };
    assert!(Branch::resumed(&[]).is_none());
    assert!(Branch::resumed(&[block(4, 1), block(6, 2)]).is_none());
    let branch = Branch::resumed(&[block(4, 1), block(5, 2)]).unwrap();
    assert_eq!(branch.tip(), Some(block(5, 2)));
}

#[test]
fn forgetting_keeps_the_tip() {
    let (tree, tip, _) = fork(9, 0, 0);
    let mut known = branch(&tree, tip, 0);
    known.forget_below(Level::new(100));
    assert_eq!(known.tip(), Some(tree.place(tip)));
    assert_eq!(known.hash_at(Level::new(3)), None);
}
