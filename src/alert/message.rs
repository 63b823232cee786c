//! What people are told, before it takes the form of a channel.

use crate::journal::Severity;

/// Why people are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// Something new.
    Raised,
    /// It became more severe.
    Worsened,
    /// Nobody acknowledged it.
    Escalated,
    /// It is over.
    Recovered,
    /// Alerts that were held back, together.
    Digest,
    /// Another channel could not be reached.
    Failover,
    /// Proof that messages arrive.
    Test,
}

impl Occasion {
    const ALL: [Self; 7] = [
        Self::Raised,
        Self::Worsened,
        Self::Escalated,
        Self::Recovered,
        Self::Digest,
        Self::Failover,
        Self::Test,
    ];

    /// The word in the journal and in machine-readable messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worsened => "worsened",
            Self::Escalated => "escalated",
            Self::Recovered => "recovered",
            Self::Digest => "digest",
            Self::Failover => "failover",
            Self::Test => "test",
        }
    }

    /// The occasion with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|occasion| occasion.word() == word)
    }

    /// The first words of a message.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Raised | Self::Failover => "",
            Self::Worsened => "worse: ",
            Self::Escalated => "not acknowledged: ",
            Self::Recovered => "over: ",
            Self::Digest => "digest: ",
            Self::Test => "test: ",
        }
    }
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub id: u64,
    /// The rule that raised it.
    pub rule: String,
    /// How loud it is now.
    pub severity: Severity,
    /// The rollup concerned, as its chain writes it.
    pub rollup: Option<String>,
    /// The level concerned.
    pub level: Option<i32>,
    /// One line.
    pub message: String,
    /// When it was raised, in milliseconds since 1970.
    pub time: i64,
    /// Blocks left to act.
    pub slack: Option<u32>,
    /// Money at stake, in mutez.
    pub stake: Option<u64>,
    /// Where it can be acknowledged with one press of a button.
    pub link: Option<String>,
}

/// A message for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number: the same over all tries.
    pub notification: u64,
    /// Why it is sent.
    pub occasion: Occasion,
    /// A sentence about the delivery itself, or nothing.
    pub note: String,
    /// The alerts it tells of, most severe first.
    pub alerts: Vec<Told>,
}

impl Message {
    /// The loudest of its alerts; what is over is quiet.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if self.occasion == Occasion::Recovered {
            return Severity::Notice;
        }
        let severities = self.alerts.iter().map(|told| told.severity);
        severities.max().unwrap_or(Severity::Notice)
    }
}
