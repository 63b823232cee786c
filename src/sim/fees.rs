//! The thresholds of a mempool: what fees it takes, what a replacement pays, how much it holds
//! (`lib_plugin/mempool.ml`, `prevalidator_bounding.ml`).
//!
//! Promises: the node's defaults, and what a client sets through `mempool/filter`. Refuses to know
//! what waits.

use serde_json::{Map, Value, json};

use super::validate::Valid;

/// A fraction as the node writes it.
type Fraction = (u64, u64);

/// Thresholds of one mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Mutez that any operation pays.
    minimal_fees: u64,
    /// Thousandths of a mutez per unit of gas.
    per_gas: Fraction,
    /// Likewise per byte.
    per_byte: Fraction,
    /// How much better a replacement is.
    replacement: Fraction,
    /// Validated operations held at once.
    pub(crate) max_operations: u64,
    /// Bytes of them.
    pub(crate) max_total_bytes: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            minimal_fees: 100,
            per_gas: (100, 1),
            per_byte: (1_000, 1),
            replacement: (21, 20),
            max_operations: 10_000,
            max_total_bytes: 10_000_000,
        }
    }
}

impl Thresholds {
    /// Reads what a client sets; what it leaves out is as by default.
    pub(crate) fn from_json(json: &Value) -> Option<Self> {
        let number = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        };
        let fraction = |value: &Value| -> Option<Fraction> {
            let [over, under] = value.as_array()?.as_slice() else {
                return None;
            };
            Some((number(over)?, number(under).filter(|under| *under > 0)?))
        };
        let mut set = Self::default();
        for (key, value) in json.as_object()? {
            match key.as_str() {
                "minimal_fees" => set.minimal_fees = number(value)?,
                "minimal_nanotez_per_gas_unit" => set.per_gas = fraction(value)?,
                "minimal_nanotez_per_byte" => set.per_byte = fraction(value)?,
                "replace_by_fee_factor" => set.replacement = fraction(value)?,
                "max_operations" => set.max_operations = value.as_u64()?,
                "max_total_bytes" => set.max_total_bytes = value.as_u64()?,
                _ => return None,
            }
        }
        Some(set)
    }

    /// The node's JSON; without what is as by default unless `whole`.
    pub(crate) fn json(&self, whole: bool) -> Value {
        let told = |of: &Self| {
            let fraction = |(over, under): Fraction| json!([over.to_string(), under.to_string()]);
            [
                ("minimal_fees", json!(of.minimal_fees.to_string())),
                ("minimal_nanotez_per_gas_unit", fraction(of.per_gas)),
                ("minimal_nanotez_per_byte", fraction(of.per_byte)),
                ("replace_by_fee_factor", fraction(of.replacement)),
                ("max_operations", json!(of.max_operations)),
                ("max_total_bytes", json!(of.max_total_bytes)),
            ]
        };
        let usual = told(&Self::default());
        let pairs = told(self).into_iter().zip(usual);
        let shown = pairs.filter(|(here, usual)| whole || here != usual);
        let shown = shown.map(|((key, value), _)| (key.to_owned(), value));
        Value::Object(shown.collect::<Map<_, _>>())
    }

    /// Whether a fee reaches so many times the threshold of an operation of this gas and size.
    pub(crate) fn reached(&self, fee: u128, gas: u128, size: u128, times: u32) -> bool {
        let part = |amount: u128, (over, under): Fraction| {
            let whole = amount.saturating_mul(over.into());
            whole.div_ceil(u128::from(under.max(1)))
        };
        let needed = u128::from(self.minimal_fees)
            .saturating_mul(1_000)
            .saturating_add(part(gas, self.per_gas))
            .saturating_add(part(size, self.per_byte))
            .saturating_mul(times.into());
        fee.saturating_mul(1_000) >= needed
    }

    /// Fee that a replacement of `old` must offer, in mutez.
    pub(crate) fn replacing(&self, old: &Valid, gas: u64) -> u128 {
        let fee = u128::from(old.fee.0);
        let (over, under) = (
            u128::from(self.replacement.0),
            u128::from(self.replacement.1),
        );
        let by_fee = fee.saturating_mul(over).div_ceil(under.max(1));
        let by_ratio = match u128::from(old.gas) {
            0 => by_fee,
            old_gas => fee
                .saturating_mul(over)
                .saturating_mul(gas.into())
                .div_ceil(old_gas.saturating_mul(under).max(1)),
        };
        by_fee.max(by_ratio)
    }
}
