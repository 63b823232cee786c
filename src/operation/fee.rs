//! What an operation has to offer, and what it offers as time runs out.
//!
//! Rule: minimal fees of bakers and mempools are 100 mutez, 100 nanotez per gas unit and 1,000
//! nanotez per byte of the signed operation; a replacement offers 5 % more, in total and per gas
//! unit (`replace_by_fee_factor`). Source: `mempool.ml` of the protocol plugin.

use crate::protocol::{Gas, Mutez};

/// What bakers and mempools ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeRules {
    /// For any operation, in mutez.
    pub minimal: u64,
    /// For each unit of gas, in nanotez.
    pub nanotez_per_gas: u64,
    /// For each byte, in nanotez.
    pub nanotez_per_byte: u64,
}

impl Default for FeeRules {
    fn default() -> Self {
        Self {
            minimal: 100,
            nanotez_per_gas: 100,
            nanotez_per_byte: 1000,
        }
    }
}

/// A thousandth of a mutez.
const NANOTEZ: u64 = 1000;

impl FeeRules {
    /// The least an operation of `bytes` bytes, signature included, may offer.
    #[must_use]
    pub fn least(&self, gas: Gas, bytes: usize) -> Option<Mutez> {
        let bytes = u64::try_from(bytes).ok()?;
        let minimal = self.minimal.checked_mul(NANOTEZ)?;
        let gas = self.nanotez_per_gas.checked_mul(gas.0)?;
        let bytes = self.nanotez_per_byte.checked_mul(bytes)?;
        let nanotez = minimal.checked_add(gas)?.checked_add(bytes)?;
        Some(Mutez(nanotez.div_ceil(NANOTEZ)))
    }
}

/// A share in percent of an amount, rounded up.
fn percent(amount: Mutez, percent: u64) -> Mutez {
    let share = u128::from(amount.0)
        .saturating_mul(percent.into())
        .div_ceil(100);
    Mutez(u64::try_from(share).unwrap_or(u64::MAX))
}

/// How much more than the least is offered with so many blocks left.
#[must_use]
pub(super) fn eagerness(slack: Option<u32>) -> u64 {
    match slack {
        None | Some(1000..) => 110,
        Some(100..=999) => 150,
        Some(20..=99) => 300,
        Some(5..=19) => 1000,
        Some(0..=4) => 3000,
    }
}

/// What a replacement offers of what was not enough, in percent: time buys patience with bakers, and
/// without time their price has to be found in few steps.
#[must_use]
fn raise(slack: Option<u32>) -> u64 {
    match slack {
        None | Some(1000..) => 150,
        Some(100..=999) => 200,
        Some(20..=99) => 300,
        Some(0..=19) => 500,
    }
}

/// Blocks that an operation may wait before a dearer one replaces it.
#[must_use]
pub(super) fn patience(slack: Option<u32>) -> u32 {
    match slack {
        None | Some(1000..) => 8,
        Some(100..=999) => 4,
        Some(20..=99) => 2,
        Some(0..=19) => 1,
    }
}

/// A fee and the gas it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The fee of the whole operation.
    pub fee: Mutez,
    /// Its gas limits, added up.
    pub gas: Gas,
}

/// The least that a replacement of `old` with gas limit `gas` must offer.
#[must_use]
pub(super) fn replacement(old: Offer, gas: Gas) -> Mutez {
    let fee = u128::from(old.fee.0).saturating_mul(21);
    let by_fee = fee.div_ceil(20);
    let by_ratio = match u128::from(old.gas.0) {
        0 => by_fee,
        old_gas => fee
            .saturating_mul(gas.0.into())
            .div_ceil(old_gas.saturating_mul(20)),
    };
    Mutez(u64::try_from(by_fee.max(by_ratio)).unwrap_or(u64::MAX))
}

/// What to offer: the least times eagerness, or the `going` price in percent of the least; more than
/// what is replaced; none over the cap.
#[must_use]
pub(super) fn offer(
    least: Mutez,
    going: u64,
    slack: Option<u32>,
    replaced: Option<(Offer, Gas)>,
    needed: Option<Mutez>,
    cap: Mutez,
) -> Option<Mutez> {
    let floor = replaced
        .map_or(Mutez(0), |(old, gas)| replacement(old, gas))
        .max(needed.unwrap_or_default())
        .max(least);
    let eager = percent(least, eagerness(slack).max(going));
    // A stuck operation did not offer enough: much more, not only what is required.
    let raised = replaced.map_or(Mutez(0), |(old, _)| percent(old.fee, raise(slack)));
    let wished = floor.max(eager).max(raised);
    let offered = wished.min(cap);
    (offered >= floor).then_some(offered)
}

/// What an operation offered, in percent of the least.
#[must_use]
pub(super) fn price(offer: Offer, least: Mutez) -> u64 {
    let share = u128::from(offer.fee.0).saturating_mul(100);
    let share = share.checked_div(least.0.into()).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_fees_are_the_formulas() {
        // Single operations of public networks: gas, signed size, fee.
        let rules = FeeRules::default();
        for (gas, content, fee) in [(6418, 126, 964), (6109, 136, 943), (4647, 92, 753)] {
            let least = rules.least(Gas(gas), content + 32 + 64);
            assert_eq!(least, Some(Mutez(fee)), "{gas}");
        }
    }

    #[test]
    fn a_replacement_offers_five_percent_more_in_total_and_per_gas() {
        let old = Offer {
            fee: Mutez(1000),
            gas: Gas(5000),
        };
        assert_eq!(replacement(old, Gas(5000)), Mutez(1050));
        assert_eq!(replacement(old, Gas(1)), Mutez(1050));
        assert_eq!(replacement(old, Gas(10_000)), Mutez(2100));
        let free = Offer {
            fee: Mutez(0),
            gas: Gas(0),
        };
        assert_eq!(replacement(free, Gas(7)), Mutez(0));
    }

    #[test]
    fn the_cap_is_kept_and_too_little_is_not_offered() {
        let cap = Mutez(2000);
        let old = |fee| {
            let gas = Gas(10);
            Some((
                Offer {
                    fee: Mutez(fee),
                    gas,
                },
                gas,
            ))
        };
        assert_eq!(
            offer(Mutez(1000), 0, None, None, None, cap),
            Some(Mutez(1100))
        );
        assert_eq!(offer(Mutez(1000), 0, Some(3), None, None, cap), Some(cap));
        assert_eq!(
            offer(Mutez(1000), 0, None, old(1100), None, cap),
            Some(Mutez(1650))
        );
        assert_eq!(
            offer(Mutez(1000), 0, None, old(1900), None, cap),
            Some(Mutez(2000))
        );
        assert_eq!(offer(Mutez(1000), 0, None, old(1905), None, cap), None);
        assert_eq!(
            offer(Mutez(1000), 0, None, None, Some(Mutez(1999)), cap),
            Some(Mutez(1999))
        );
        assert_eq!(offer(Mutez(2001), 0, None, None, None, cap), None);
    }

    #[test]
    fn eagerness_and_haste_only_grow_as_slack_shrinks() {
        let slacks: Vec<_> = (0..1200).map(Some).chain([None]).collect();
        for pair in slacks.windows(2) {
            assert!(eagerness(pair[0]) >= eagerness(pair[1]), "{pair:?}");
            assert!(patience(pair[0]) <= patience(pair[1]), "{pair:?}");
            assert!(raise(pair[0]) >= raise(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_price_a_hundred_times_the_usual_is_found_in_few_steps_and_remembered() {
        let (least, cap, gas) = (Mutez(1000), Mutez(5_000_000), Gas(10));
        let mut steps = Vec::new();
        let mut old = None;
        while steps.last().is_none_or(|fee| *fee < Mutez(100_000)) {
            let fee = offer(least, 0, Some(25), old, None, cap).unwrap();
            old = Some((Offer { fee, gas }, gas));
            steps.push(fee);
        }
        assert_eq!(steps.len(), 5, "{steps:?}");
        let going = price(old.unwrap().0, least);
        assert_eq!(offer(least, going, Some(25), None, None, cap), steps.pop());
    }
}
