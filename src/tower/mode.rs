//! Modes, and what each may do: the table of the safety rules.
//!
//! Promises: what a mode may do is decided here and nowhere else. Refuses to know: how anything is
//! done.

use crate::config::Mode;

/// When commitments are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// Never.
    Never,
    /// When a false one stands.
    AgainstFalse,
    /// Every period.
    EveryPeriod,
}

/// Which games are opened and played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Playing {
    /// None.
    Never,
    /// Those that defend what is already staked.
    WhatIsStaked,
    /// All that are needed.
    Always,
}

/// What a mode may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether operations are decided and journalled, beyond verdicts.
    pub decides: bool,
    /// Whether what is decided may be sent: only then is a signer ever built.
    pub sends: bool,
    /// When it publishes.
    pub publishes: Publishing,
    /// Which games it plays.
    pub plays: Playing,
    /// Whether it ends games by the clock.
    pub times_out: bool,
    /// Whether it cements and recovers the bond.
    pub collects: bool,
    /// Whether it stops once nothing is staked any more.
    pub stops: bool,
}

impl Mode {
    /// What it may do. Shadow decides as defend does: sending is all it lacks.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        let defend = Capabilities {
            decides: true,
            sends: true,
            publishes: Publishing::AgainstFalse,
            plays: Playing::Always,
            times_out: true,
            collects: true,
            stops: false,
        };
        match self {
            Self::Observe => Capabilities {
                decides: false,
                sends: false,
                publishes: Publishing::Never,
                plays: Playing::Never,
                times_out: false,
                collects: false,
                stops: false,
            },
            Self::Shadow => Capabilities {
                sends: false,
                ..defend
            },
            Self::Defend => defend,
            Self::Operate => Capabilities {
                publishes: Publishing::EveryPeriod,
                ..defend
            },
            Self::Bailout => Capabilities {
                publishes: Publishing::Never,
                plays: Playing::WhatIsStaked,
                stops: true,
                ..defend
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the safety rules, row by row: decides, sends, publishes, plays, times out,
    /// collects, stops.
    #[test]
    fn the_table_is_the_one_of_the_safety_rules() {
        let rows = [
            "observe no no never never no no no",
            "shadow yes no against-false always yes yes no",
            "defend yes yes against-false always yes yes no",
            "operate yes yes every-period always yes yes no",
            "bailout yes yes never what-is-staked yes yes yes",
        ];
        let word = |truth: bool| if truth { "yes" } else { "no" };
        for (mode, row) in Mode::ALL.into_iter().zip(rows) {
            let can = mode.capabilities();
            let publishes = match can.publishes {
                Publishing::Never => "never",
                Publishing::AgainstFalse => "against-false",
                Publishing::EveryPeriod => "every-period",
            };
            let plays = match can.plays {
                Playing::Never => "never",
                Playing::WhatIsStaked => "what-is-staked",
                Playing::Always => "always",
            };
            let told = format!(
                "{mode} {} {} {publishes} {plays} {} {} {}",
                word(can.decides),
                word(can.sends),
                word(can.times_out),
                word(can.collects),
                word(can.stops)
            );
            assert_eq!(told, row);
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert!("attack".parse::<Mode>().is_err());
    }
}
