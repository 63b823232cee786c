//! Journal rows of operations, and what each changes in the commitment tree.
//!
//! Promises: a fact is read back from its journal row exactly as it was taken from the block, so
//! a restart folds the same tree. Refuses to know: receipts.

use serde_json::{Map, Value, json};

use super::stakes::Fact;
use crate::journal::OperationRow;
use crate::l1::Settlement;
use crate::protocol::{CommitmentHash, Level, Mutez, PublicKeyHash};

/// What a row's detail says to the commitment tree; rows that change nothing give nothing.
pub(super) fn fact_of(row: &OperationRow) -> Vec<Fact> {
    let Ok(Value::Object(detail)) = serde_json::from_str(&row.detail) else {
        return Vec::new();
    };
    let mut facts: Vec<_> = accounts(detail.get("unstaked"))
        .map(|staker| Fact::Unstaked { staker })
        .collect();
    if let Some(level) = detail
        .get("cemented_level")
        .and_then(Value::as_i64)
        .and_then(|level| Level::try_from(level).ok())
    {
        let hash = detail.get("commitment").and_then(Value::as_str);
        facts.push(Fact::Cemented {
            level,
            hash: hash.and_then(|text| text.parse().ok()),
        });
    }
    facts
}

/// Who lost or took a bond by an operation.
pub(super) fn unstaked(row: &OperationRow) -> Vec<PublicKeyHash> {
    let detail = serde_json::from_str::<Value>(&row.detail).unwrap_or_default();
    accounts(detail.get("unstaked")).collect()
}

fn accounts(list: Option<&Value>) -> impl Iterator<Item = PublicKeyHash> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|account| account.as_str()?.parse().ok())
}

/// The detail of a cementation.
pub(super) fn cement_detail(level: Level, hash: Option<&CommitmentHash>) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("cemented_level".into(), level.get().into());
    if let Some(hash) = hash {
        detail.insert("commitment".into(), hash.to_string().into());
    }
    detail
}

/// Adds who lost a bond.
pub(super) fn add_unstaked(detail: &mut Map<String, Value>, stakers: &[PublicKeyHash]) {
    if !stakers.is_empty() {
        let stakers = stakers.iter().map(ToString::to_string).collect();
        detail.insert("unstaked".into(), stakers);
    }
}

/// Adds the money that the end of a game moved; that it moved none, too.
pub(super) fn add_settlement(detail: &mut Map<String, Value>, settlement: &Settlement) {
    let lists = [
        ("rewarded", &settlement.rewards),
        ("punished", &settlement.punishments),
    ];
    for (name, list) in lists {
        let amounts = list
            .iter()
            .map(|(account, amount)| json!({"account": account, "mutez": amount.0.to_string()}));
        let amounts: Vec<_> = amounts.collect();
        if detail.contains_key("result") || !amounts.is_empty() {
            detail.insert(name.into(), amounts.into());
        }
    }
}

/// What operations moved of an account's money: rewards, and bonds taken. A row of an older journal
/// that tells how a game ended and not what it moved counts a whole `stake` as lost where the account
/// lost: it may have been none, for an account slashed before, but what is lost is never too little.
pub(super) fn settled(rows: &[OperationRow], account: &PublicKeyHash, stake: Mutez) -> [Mutez; 2] {
    let mut sums = [Mutez(0); 2];
    for row in rows {
        let Ok(detail) = serde_json::from_str::<Value>(&row.detail) else {
            continue;
        };
        let says_amounts = detail.get("rewarded").is_some() || detail.get("punished").is_some();
        if detail.get("result").is_some() && !says_amounts {
            if accounts(detail.get("unstaked")).any(|loser| loser == *account) {
                let [_, lost] = &mut sums;
                *lost = Mutez(lost.0.saturating_add(stake.0));
            }
            continue;
        }
        for (sum, name) in sums.iter_mut().zip(["rewarded", "punished"]) {
            let list = detail.get(name).and_then(Value::as_array);
            for entry in list.into_iter().flatten() {
                let of = entry.get("account").and_then(Value::as_str);
                let amount = entry.get("mutez").and_then(Value::as_str);
                if of.is_some_and(|of| of.parse() == Ok(*account)) {
                    let amount: u64 = amount.and_then(|text| text.parse().ok()).unwrap_or(0);
                    *sum = Mutez(sum.0.saturating_add(amount));
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BlockHash, RollupAddress};

    fn row(detail: Map<String, Value>) -> OperationRow {
        OperationRow {
            rollup: RollupAddress([1; 20]),
            block: BlockHash([2; 32]),
            level: Level::new(9),
            position: 0,
            kind: "any".into(),
            source: PublicKeyHash::Tz1([1; 20]),
            detail: Value::Object(detail).to_string(),
        }
    }

    #[test]
    fn money_is_counted_from_receipts_not_from_games() {
        let (me, other) = (PublicKeyHash::Tz1([3; 20]), PublicKeyHash::Tz4([4; 20]));
        let won = |rewards: Vec<(PublicKeyHash, Mutez)>| {
            let mut detail = Map::new();
            add_unstaked(&mut detail, &[other]);
            let settlement = Settlement {
                rewards,
                punishments: vec![(other, Mutez(10_000))],
            };
            add_settlement(&mut detail, &settlement);
            row(detail)
        };
        let stake = Mutez(10_000);
        // Two games won against one liar: only the first one pays.
        let rows = [won(vec![(me, Mutez(5_000))]), won(Vec::new())];
        assert_eq!(settled(&rows, &me, stake), [Mutez(5_000), Mutez(0)]);
        assert_eq!(settled(&rows, &other, stake), [Mutez(0), Mutez(20_000)]);
        assert_eq!(settled(&[row(Map::new())], &me, stake), [Mutez(0); 2]);
        // Lost once more by one who had nothing left to lose.
        let mut nothing = Map::new();
        nothing.insert("result".into(), "loser".into());
        add_unstaked(&mut nothing, &[other]);
        add_settlement(&mut nothing, &Settlement::default());
        assert_eq!(settled(&[row(nothing)], &other, stake), [Mutez(0); 2]);
    }

    #[test]
    fn a_game_lost_in_an_older_journal_counts_a_whole_stake() {
        let (me, other) = (PublicKeyHash::Tz1([3; 20]), PublicKeyHash::Tz4([4; 20]));
        let ended = |result: &str, losers: &[PublicKeyHash]| {
            let mut detail = Map::new();
            detail.insert("result".into(), result.into());
            add_unstaked(&mut detail, losers);
            row(detail)
        };
        let stake = Mutez(10_000);
        let of = |rows: &[OperationRow]| settled(rows, &me, stake);
        assert_eq!(of(&[ended("loser", &[me])]), [Mutez(0), stake]);
        assert_eq!(of(&[ended("draw", &[me, other])]), [Mutez(0), stake]);
        assert_eq!(of(&[ended("loser", &[other])]), [Mutez(0); 2]);
        // A bond that its owner takes back is not lost.
        let mut back = Map::new();
        add_unstaked(&mut back, &[me]);
        assert_eq!(of(&[row(back)]), [Mutez(0); 2]);
    }

    #[test]
    fn facts_survive_the_journal() {
        let hash = CommitmentHash([7; 32]);
        let level = Level::new(35);
        for hash in [None, Some(hash)] {
            assert_eq!(
                fact_of(&row(cement_detail(level, hash.as_ref()))),
                vec![Fact::Cemented { level, hash }]
            );
        }
        let mut detail = Map::new();
        let (a, b) = (PublicKeyHash::Tz1([3; 20]), PublicKeyHash::Tz4([4; 20]));
        add_unstaked(&mut detail, &[a, b]);
        assert_eq!(
            fact_of(&row(detail)),
            vec![Fact::Unstaked { staker: a }, Fact::Unstaked { staker: b }]
        );
        assert_eq!(fact_of(&row(Map::new())), vec![]);
    }
}
