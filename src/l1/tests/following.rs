use serde_json::json;

use super::chain::Chain;
use super::node::{Node, Reply, client};
use crate::crypto::Dialect;
use crate::l1::{Branch, ChainEvent, Follower, Heads, Interest, Keep, L1Error};
use crate::protocol::{BlockHash, Level, Protocol};

/// Follows until `head` is reached and gives the branch as the events tell it.
async fn until(
    follower: &mut Follower,
    applied: &mut Vec<BlockHash>,
    first: usize,
    head: BlockHash,
) {
    loop {
        match follower.next().await.unwrap() {
            ChainEvent::RolledBack {
                keep: Keep::Nothing,
            } => applied.clear(),
            ChainEvent::RolledBack {
                keep: Keep::UpTo(block),
            } => {
                applied.truncate(block.level.get() as usize + 1 - first);
                assert_eq!(applied.last(), Some(&block.hash));
            }
            ChainEvent::Applied(block) => {
                assert_eq!(block.previous.hash, block.header.predecessor);
                assert_eq!(block.header.level.get() as usize, first + applied.len());
                applied.push(block.header.hash);
            }
            ChainEvent::Reached { head: reached } if reached.hash == head => return,
            ChainEvent::Reached { .. } => {}
        }
    }
}

fn chunk(text: String) -> Result<axum::body::Bytes, std::io::Error> {
    Ok(text.into())
}

#[tokio::test]
async fn heads_survive_cuts_inside_a_notice_and_broken_streams() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    let one = chain.grow(None, "", 3);
    let two = chain.bake(Some(one), "");
    let first = node.stream();
    let notice = chain.notice(one);
    let (start, end) = notice.split_at(40);
    first.send(chunk(start.into())).unwrap();
    first.send(chunk(end.into())).unwrap();
    let mut heads = Heads::new(client(&[&node]));
    assert_eq!(heads.next().await.unwrap().place.hash, one);
    first.send(chunk(chain.notice(two)[..30].into())).unwrap();
    first.send(Err(std::io::Error::other("cut"))).unwrap();
    let second = node.stream();
    second
        .send(chunk(format!(
            "{}\n{}",
            chain.notice(two),
            chain.notice(one)
        )))
        .unwrap();
    for hash in [two, one] {
        assert_eq!(heads.next().await.unwrap().place.hash, hash);
    }
}

#[tokio::test]
async fn a_stream_that_does_not_open_gives_way_to_the_next_endpoint() {
    let (silent, good) = (Node::start().await, Node::start().await);
    let chain = Chain::new(Dialect::Modern);
    let tip = chain.grow(None, "", 2);
    silent.plays("/chains/main/chain_id", [Reply::Stall]);
    let stream = good.stream();
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut settings = super::node::settings(&[&silent, &good]);
    settings.impatience = std::time::Duration::from_millis(10);
    let mut heads = Heads::new(crate::l1::Client::new(&settings).unwrap());
    assert_eq!(heads.next().await.unwrap().place.hash, tip);
}

#[tokio::test]
async fn a_silent_stream_gives_way_to_the_next_endpoint() {
    let (silent, good) = (Node::start().await, Node::start().await);
    let chain = Chain::new(Dialect::Modern);
    let tip = chain.grow(None, "", 2);
    let _kept_open = silent.stream();
    let stream = good.stream();
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut settings = super::node::settings(&[&silent, &good]);
    settings.endpoints[0].silence = std::time::Duration::from_millis(10);
    let mut heads = Heads::new(crate::l1::Client::new(&settings).unwrap());
    assert_eq!(heads.next().await.unwrap().place.hash, tip);
}

#[tokio::test]
async fn a_gap_and_reorganisations_of_any_depth_are_followed_in_order() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let stream = node.stream();
    let trunk = chain.grow(None, "", 41);
    stream.send(chunk(chain.notice(trunk))).unwrap();
    let branch = Branch::starting_at(Level::new(3));
    let mut follower = Follower::new(client(&[&node]), branch, Interest::default(), 4);
    let mut applied = Vec::new();
    until(&mut follower, &mut applied, 3, trunk).await;
    assert_eq!(applied, chain.branch(trunk)[3..]);

    // Forks two, thirty and forty blocks below the tip; the last one below the first level.
    for (depth, length) in [(2, 3), (30, 45), (40, 50)] {
        let from = chain.branch(trunk)[40 - depth];
        let tip = chain.grow(Some(from), &format!("fork {depth}"), length);
        stream.send(chunk(chain.notice(tip))).unwrap();
        until(&mut follower, &mut applied, 3, tip).await;
        assert_eq!(applied, chain.branch(tip)[3..], "fork {depth} below");
    }
    assert_eq!(
        follower.branch().tip().unwrap().hash,
        applied[applied.len() - 1]
    );
}

#[tokio::test]
async fn a_lagging_head_takes_nothing_back() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let stream = node.stream();
    let tip = chain.grow(None, "", 9);
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut follower = Follower::new(
        client(&[&node]),
        Branch::starting_at(Level::new(1)),
        Interest::default(),
        2,
    );
    let mut applied = Vec::new();
    until(&mut follower, &mut applied, 1, tip).await;
    stream
        .send(chunk(chain.notice(chain.branch(tip)[5])))
        .unwrap();
    let next = chain.bake(Some(tip), "");
    stream.send(chunk(chain.notice(next))).unwrap();
    until(&mut follower, &mut applied, 1, next).await;
    assert_eq!(applied, chain.branch(next)[1..]);
}

#[tokio::test]
async fn blocks_that_cannot_be_had_hold_up_but_do_not_end_following() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let tip = chain.grow(None, "", 6);
    let operations = format!("/chains/main/blocks/{}/operations/3", chain.branch(tip)[4]);
    let bad = Reply::Text(502, String::new());
    let mut replies = vec![bad; 7];
    replies.push(Reply::Json(json!([])));
    node.plays(&operations, replies);
    let stream = node.stream();
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut follower = Follower::new(
        client(&[&node]),
        Branch::starting_at(Level::new(2)),
        Interest::default(),
        3,
    );
    let mut applied = Vec::new();
    until(&mut follower, &mut applied, 2, tip).await;
    assert_eq!(applied, chain.branch(tip)[2..]);
}

#[tokio::test]
async fn a_reorganisation_below_what_is_kept_is_told() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let tip = chain.grow(None, "", 12);
    let stream = node.stream();
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut follower = Follower::new(
        client(&[&node]),
        Branch::starting_at(Level::new(1)),
        Interest::default(),
        3,
    );
    let mut applied = Vec::new();
    until(&mut follower, &mut applied, 1, tip).await;
    follower.forget_below(Level::new(8));
    let other = chain.grow(Some(chain.branch(tip)[5]), "other", 9);
    stream.send(chunk(chain.notice(other))).unwrap();
    let error = follower.next().await.unwrap_err();
    assert_eq!(
        error,
        L1Error::TooDeep {
            oldest: Level::new(8)
        }
    );
}

#[tokio::test]
async fn the_first_block_of_a_protocol_is_recognised() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let mut tip = chain.grow(None, "", 3);
    for _ in 0..2 {
        tip = chain.bake_with(Some(tip), "", Protocol::Tallinn, json!([]));
    }
    let stream = node.stream();
    stream.send(chunk(chain.notice(tip))).unwrap();
    let mut follower = Follower::new(
        client(&[&node]),
        Branch::starting_at(Level::new(1)),
        Interest::default(),
        3,
    );
    let mut found = Vec::new();
    while found.len() < 4 {
        if let ChainEvent::Applied(block) = follower.next().await.unwrap() {
            found.push((block.protocol, block.is_first_of_protocol));
        }
    }
    let (old, new) = (Protocol::Seoul, Protocol::Tallinn);
    assert_eq!(
        found,
        [(old, false), (old, false), (new, true), (new, false)]
    );
}
