//! What happened to a rollup, block by block, in words: what a drill that fails shows.
//!
//! Promises: read off the chain alone; the same chain gives the same words.

use crate::protocol::operation::{Action, Content, Refutation, Step};
use crate::protocol::{Level, PublicKeyHash};
use crate::sim::receipts::{Receipt, Status};
use crate::sim::scenario::Scenario;

/// One line for each content of an operation about stakes and games, in order.
#[must_use]
pub fn story(scenario: &Scenario) -> Vec<String> {
    let chain = scenario.chain();
    let mut lines = Vec::new();
    let mut level = Level::ZERO;
    while let Some(block) = chain.at(level) {
        for included in &block.operations {
            let contents = included.signed.operation.contents.iter();
            let told = contents
                .zip(&included.receipts)
                .filter_map(|(content, receipt)| {
                    let what = what(scenario, &content.action)?;
                    let by = nickname(scenario, &content.source);
                    Some(format!("{level} {by}: {what}{}", how(content, receipt)))
                });
            lines.extend(told);
        }
        let Some(next) = level.next() else { break };
        level = next;
    }
    lines
}

/// The number of an account, as scripts name it.
fn nickname(scenario: &Scenario, account: &PublicKeyHash) -> String {
    let mut numbered = (0..).map_while(|index| Some((index, scenario.person(index)?.account())));
    let found = numbered.find(|(_, known)| known == account);
    found.map_or_else(|| account.to_string(), |(index, _)| format!("#{index}"))
}

fn what(scenario: &Scenario, action: &Action) -> Option<String> {
    let name = |account| nickname(scenario, account);
    Some(match action {
        Action::Publish { commitment, .. } => format!(
            "publishes {} of level {} after {}",
            commitment.hash(),
            commitment.inbox_level,
            commitment.predecessor
        ),
        Action::Cement { .. } => "cements".into(),
        Action::RecoverBond { staker, .. } => format!("recovers the bond of {}", name(staker)),
        Action::Timeout { stakers, .. } => format!(
            "ends the game of {} and {} by the clock",
            name(&stakers.alice()),
            name(&stakers.bob())
        ),
        Action::Refute {
            opponent,
            refutation,
            ..
        } => {
            let against = name(opponent);
            match refutation {
                Refutation::Start { .. } | Refutation::StartOnConflict => {
                    format!("opens a game against {against}")
                }
                Refutation::Move { choice, step } => {
                    let step = match step {
                        Step::Dissection(chunks) => format!("dissects in {}", chunks.len()),
                        Step::Proof(_) => "proves".into(),
                    };
                    format!("{step} at {choice} against {against}")
                }
            }
        }
        _ => return None,
    })
}

fn how(content: &Content, receipt: &Receipt) -> String {
    match &receipt.status {
        Status::Applied(effects) => {
            let status = effects.fields.get("game_status");
            let result = status.and_then(|status| status.get("result"));
            result.map_or_else(String::new, |result| format!(", result {result}"))
        }
        Status::Failed(trace) => {
            let told: Vec<_> = trace.0.iter().map(ToString::to_string).collect();
            format!(
                " (counter {}) but fails: {}",
                content.counter,
                told.join("; ")
            )
        }
        Status::Skipped => " but is skipped".into(),
        Status::Backtracked(_, None) => " but is undone".into(),
        Status::Backtracked(_, Some(trace)) => format!(" but is undone: {trace}"),
    }
}
