//! How the tower stands, as it is shown: one picture for metrics, API, health and alerts alike.

use serde::Serialize;

use super::ledger::{Ledger, OperationsView};
use crate::alert::{EndpointStanding, GameStanding, RollupStanding, Standing, Unverified};
use crate::journal::{Foreseen, Journal, JournalError, Reader};
use crate::protocol::{Level, RollupAddress};
use crate::tower::{GameStatus, PlayStatus, Purse, Stage, Status, Turn};

/// How the tower stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct View {
    /// When the tower's loop last finished a turn, in milliseconds since 1970; 0 before the first.
    pub tick_at: i64,
    /// Level of the last block taken in.
    pub seen_level: Option<i32>,
    /// Its timestamp, in seconds since 1970.
    pub seen_time: Option<i64>,
    /// When it was taken in, in milliseconds since 1970.
    pub seen_at: Option<i64>,
    /// Level of the node's head.
    pub head_level: Option<i32>,
    /// Blocks before a commitment can be cemented.
    pub challenge_window: Option<u32>,
    /// Blocks between commitments.
    pub commitment_period: Option<u32>,
    /// Every rollup.
    pub rollups: Vec<RollupView>,
    /// Every node.
    pub sources: Vec<SourceView>,
    /// How play stands.
    pub play: PlayView,
    /// What became of our operations.
    pub operations: OperationsView,
    /// Free bytes where the data directory is.
    pub disk_free: Option<u64>,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Configured folders that are not there.
    pub absent_folders: Vec<String>,
    /// Why nothing can be written to the data directory, if so.
    pub disk_trouble: Option<String>,
}

/// How one rollup stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollupView {
    /// Its address.
    pub address: String,
    /// Level of its origination.
    pub origination_level: i32,
    /// Level of the last known state.
    pub reached_level: i32,
    /// Whether it was at the head since the start.
    pub caught_up: bool,
    /// Commitments judged true.
    pub judged_true: u64,
    /// Commitments judged false.
    pub judged_false: u64,
    /// Commitments not judgeable.
    pub not_judgeable: u64,
    /// Why it cannot go on.
    pub blocked: Option<String>,
    /// Published commitments without a verdict that is true or false.
    pub unverified: u64,
    /// Inbox level of the first of them to become final.
    pub unverified_level: Option<i32>,
    /// Blocks until it can be cemented.
    pub cementable_in: Option<u32>,
    /// Levels run since the start.
    pub run_levels: u64,
    /// Time spent on them, in seconds.
    pub run_seconds: f64,
    /// Size of the state store.
    pub store_bytes: u64,
}

/// How one node behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceView {
    /// Its URL, without secrets.
    pub name: String,
    /// Requests answered.
    pub answers: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Failures since the last answer.
    pub errors_in_a_row: u64,
    /// Whether it lags.
    pub out_of_sync: bool,
    /// Times its final blocks differed.
    pub disagreements: u64,
    /// Whether they did the last time.
    pub disagrees: bool,
}

/// How play stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlayView {
    /// The mode in force.
    pub mode: String,
    /// Our account.
    pub account: Option<String>,
    /// Money it can spend, in mutez, as decimal text.
    pub balance: Option<String>,
    /// Reasons for which nothing is sent.
    pub holds: Vec<String>,
    /// Rollups on which our bond lies.
    pub bonded: Vec<String>,
    /// Games of ours.
    pub games: Vec<GameView>,
    /// Operations wanted and not yet on the chain.
    pub wanted: u64,
    /// Moves being computed.
    pub working: u64,
    /// Games won, as far back as the journal goes.
    pub won: u64,
    /// Games lost.
    pub lost: u64,
    /// Games drawn.
    pub drawn: u64,
    /// Our bonds.
    pub purses: Vec<PurseView>,
    /// What the account should be able to spend, in mutez, as decimal text.
    pub needed: Option<String>,
    /// What won games brought, in mutez, as decimal text.
    pub won_mutez: String,
    /// What slashed bonds cost, in mutez, as decimal text.
    pub lost_mutez: String,
    /// Signatures that the gate refused since the start.
    pub refused_by_gate: u64,
    /// Signatures that the key did not give since the start.
    pub refused_by_key: u64,
    /// Hashes that games asked for and that were known already.
    pub hashes_known: u64,
    /// Hashes that had to be computed.
    pub hashes_computed: u64,
    /// Proofs of ours.
    pub proofs: u64,
    /// Time that finding them took, in seconds.
    pub proof_seconds: f64,
    /// Their bytes.
    pub proof_bytes: u64,
}

/// Our bond on one rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurseView {
    /// The rollup.
    pub rollup: String,
    /// What lies there, in mutez, as decimal text.
    pub staked: String,
    /// As much of it as could be taken back in the next block.
    pub recoverable: String,
}

/// How one game stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GameView {
    /// The rollup.
    pub rollup: String,
    /// The opponent.
    pub opponent: String,
    /// Inbox level of the disputed commitments.
    pub level: i32,
    /// Level of the opening.
    pub start_level: i32,
    /// Whose turn it is: ours, theirs.
    pub turn: &'static str,
    /// What it is about: dissecting, final move.
    pub stage: &'static str,
    /// Ticks still in dispute, as decimal text.
    pub width: String,
    /// Blocks left on our clock.
    pub our_blocks: i64,
    /// Blocks left on theirs.
    pub their_blocks: i64,
    /// Blocks we can lose and still make all moves.
    pub slack: i64,
    /// Who wins if both play the rest honestly: ours, theirs, draw, unknown.
    pub forecast: String,
    /// Blocks of a whole clock.
    pub clock_blocks: u32,
    /// The bond that depends on it, in mutez, as decimal text.
    pub stake: String,
    /// The kind of what stands in the way of our answer.
    pub obstacle: Option<&'static str>,
    /// Why we cannot answer.
    pub not_playable: Option<String>,
}

impl View {
    /// What is known before the first look.
    #[must_use]
    pub fn unknown(mode: &str) -> Self {
        Self {
            play: PlayView {
                mode: mode.to_owned(),
                ..PlayView::default()
            },
            operations: Ledger::default().view(None),
            ..Self::default()
        }
    }

    /// The picture at a moment, after another one.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn build(
        status: &Status,
        (reader, ledger): (&Reader, &Ledger),
        data_dir: &std::path::Path,
        before: &Self,
        now: i64,
    ) -> Result<Self, JournalError> {
        let outlook = &status.outlook;
        let tip = match status.tip {
            Some(level) => reader.block_at(level)?,
            None => None,
        };
        let mut rollups = Vec::new();
        for rollup in &status.rollups {
            rollups.push(of_rollup(rollup, status, reader)?);
        }
        let sources = outlook.sources.iter().map(|source| SourceView {
            name: source.name.clone(),
            answers: source.answers,
            errors: source.errors,
            errors_in_a_row: source.errors_in_a_row,
            out_of_sync: source.is_behind,
            disagreements: source.disagreements,
            disagrees: source.disagrees,
        });
        Ok(Self {
            tick_at: now,
            seen_level: status.tip.map(Level::get),
            seen_time: tip.map(|block| block.timestamp),
            seen_at: if before.seen_level == status.tip.map(Level::get) {
                before.seen_at
            } else {
                Some(now)
            },
            head_level: status.head.map(Level::get),
            challenge_window: outlook.challenge_window,
            commitment_period: outlook.commitment_period,
            rollups,
            sources: sources.collect(),
            play: of_play(&status.play, &before.play, reader.proofs()?),
            operations: ledger.view(status.tip),
            disk_free: disk_free(data_dir).ok(),
            journal_bytes: journal_bytes(data_dir),
            absent_folders: Vec::new(),
            disk_trouble: outlook.trouble.clone(),
        })
    }

    /// How far the last block was ahead of this machine's clock when it was taken in, in
    /// milliseconds.
    pub(super) fn clock_skew(&self) -> i64 {
        let made = self.seen_time.unwrap_or(0).saturating_mul(1000);
        let seen = self.seen_at.unwrap_or(i64::MAX);
        made.saturating_sub(seen).max(0)
    }

    /// The same, in the words of the alert rules.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let level = |number: Option<i32>| number.and_then(|n| Level::try_from(n).ok());
        let endpoints = self.sources.iter().map(|source| EndpointStanding {
            name: source.name.clone(),
            errors: source.errors_in_a_row,
            is_behind: source.out_of_sync,
            disagrees: source.disagrees,
        });
        Standing {
            last_tick: self.tick_at,
            tip_seen: self.seen_at,
            tip: level(self.seen_level),
            head: level(self.head_level),
            rollups: self.rollups.iter().filter_map(|r| self.of(r)).collect(),
            endpoints: endpoints.collect(),
            oldest_pending: self.operations.oldest_pending_blocks,
            balance: mutez(self.play.balance.as_deref()).zip(mutez(self.play.needed.as_deref())),
            disk_free: self.disk_free,
            clock_skew: self.clock_skew(),
            absent_folders: self.absent_folders.clone(),
            disk_trouble: self.disk_trouble.clone(),
        }
    }

    /// Why nothing is sent for a rollup: a reason of its own, or one of all.
    fn hold_of(&self, rollup: &str) -> Option<String> {
        let is_of_another = |hold: &&String| {
            let others = self.rollups.iter().filter(|other| other.address != rollup);
            others
                .into_iter()
                .any(|other| hold.starts_with(&other.address))
        };
        let holds = &self.play.holds;
        holds.iter().find(|hold| !is_of_another(hold)).cloned()
    }

    fn of(&self, rollup: &RollupView) -> Option<RollupStanding> {
        let (address, _) = RollupAddress::of_any_dialect(&rollup.address).ok()?;
        let reached = Level::try_from(rollup.reached_level).ok()?;
        let first = rollup.unverified_level.zip(rollup.cementable_in);
        let games = self
            .play
            .games
            .iter()
            .filter(|game| game.rollup == rollup.address);
        Some(RollupStanding {
            address,
            reached,
            was_caught_up: rollup.caught_up,
            blocked: rollup.blocked.clone(),
            unverified: first.and_then(|(level, blocks)| {
                Some(Unverified {
                    level: Level::try_from(level).ok()?,
                    blocks,
                    window: self.challenge_window?,
                })
            }),
            games: games.filter_map(of_game).collect(),
            brake: self.hold_of(&rollup.address),
        })
    }
}

fn mutez(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

fn of_play(play: &PlayStatus, before: &PlayView, proofs: [u64; 3]) -> PlayView {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let [won, lost, drawn] = play.ended;
    let [won_mutez, lost_mutez] = play.won_and_lost;
    let [refused_by_gate, refused_by_key] = play.refusals;
    let [hashes_known, hashes_computed] = play.asked;
    let [proofs, milliseconds, proof_bytes] = proofs;
    // One account pays for all: the dearest rollup says what it needs.
    let needs = play.purses.iter().filter_map(|(_, purse)| purse.needed);
    let needed = needs.map(|needed| needed.0).max();
    let holds = play.holds.iter().map(|(rollup, reason)| match rollup {
        Some(rollup) => format!("{rollup}: {reason}"),
        None => (*reason).to_owned(),
    });
    PlayView {
        // Where play never begins, the tower observes; until it does, the mode is the one asked for.
        mode: if play.mode.is_empty() {
            before.mode.clone()
        } else {
            play.mode.to_owned()
        },
        account: play.account.map(|account| account.to_string()),
        balance: play.balance.map(|balance| balance.0.to_string()),
        holds: holds.collect(),
        bonded: play.bonded.clone(),
        games: play.games.iter().map(shown).collect(),
        wanted: count(play.wanted),
        working: count(play.working),
        won,
        lost,
        drawn,
        purses: play.purses.iter().map(purse).collect(),
        needed: needed.map(|needed| needed.to_string()),
        won_mutez: won_mutez.0.to_string(),
        lost_mutez: lost_mutez.0.to_string(),
        refused_by_gate,
        refused_by_key,
        hashes_known,
        hashes_computed,
        proofs,
        proof_seconds: std::time::Duration::from_millis(milliseconds).as_secs_f64(),
        proof_bytes,
    }
}

fn purse((rollup, purse): &(String, Purse)) -> PurseView {
    PurseView {
        rollup: rollup.clone(),
        staked: purse.staked.0.to_string(),
        recoverable: purse.recoverable.0.to_string(),
    }
}

fn shown(game: &GameStatus) -> GameView {
    GameView {
        rollup: game.rollup.clone(),
        opponent: game.opponent.to_string(),
        level: game.inbox_level.get(),
        start_level: game.start.get(),
        turn: match game.turn {
            Turn::Ours => "ours",
            Turn::Theirs => "theirs",
        },
        stage: match game.stage {
            Stage::Dissecting => "dissecting",
            Stage::FinalMove => "final move",
        },
        width: game.width.to_string(),
        our_blocks: game.our_blocks_left,
        their_blocks: game.their_blocks_left,
        slack: game.slack,
        forecast: match game.forecast {
            Foreseen::Loser(loser) if loser == game.opponent => "ours",
            Foreseen::Loser(_) => "theirs",
            Foreseen::Draw => "draw",
            Foreseen::Unknown => "unknown",
        }
        .to_owned(),
        clock_blocks: game.clock,
        stake: game.stake.0.to_string(),
        obstacle: game.obstacle,
        not_playable: game.not_playable.clone(),
    }
}

fn of_game(game: &GameView) -> Option<GameStanding> {
    let blocks = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    let slack = (game.turn == "ours").then(|| blocks(game.slack));
    Some(GameStanding {
        opponent: game.opponent.clone(),
        level: Level::try_from(game.level).ok()?,
        slack,
        clock: game.clock_blocks,
        stake: game.stake.parse().unwrap_or(0),
        unplayable: game.not_playable.clone(),
    })
}

fn of_rollup(
    rollup: &crate::tower::RollupStatus,
    status: &Status,
    reader: &Reader,
) -> Result<RollupView, JournalError> {
    let outlook = &status.outlook;
    let machine = outlook
        .machines
        .iter()
        .find(|one| one.rollup == rollup.address);
    let address = RollupAddress::of_any_dialect(&rollup.address).ok();
    let unverified = match address {
        Some((address, _)) => reader.unverified(&address)?,
        None => Vec::new(),
    };
    // The chain lets it be cemented a whole window after its first publication.
    let first = unverified.iter().min_by_key(|(_, since)| *since).copied();
    let cementable_in = first.zip(outlook.challenge_window).zip(status.tip);
    let cementable_in = cementable_in.map(|(((_, since), window), tip)| {
        let at = i64::from(since.get()).saturating_add(i64::from(window));
        u32::try_from(at.saturating_sub(i64::from(tip.get())).max(0)).unwrap_or(u32::MAX)
    });
    Ok(RollupView {
        address: rollup.address.clone(),
        origination_level: rollup.origination.get(),
        reached_level: rollup.reached.get(),
        caught_up: machine.is_some_and(|machine| machine.is_caught_up),
        judged_true: rollup.tally.right,
        judged_false: rollup.tally.wrong,
        not_judgeable: rollup.tally.not_judgeable,
        blocked: rollup.blocked.clone(),
        unverified: u64::try_from(unverified.len()).unwrap_or(u64::MAX),
        unverified_level: first.map(|(level, _)| level.get()),
        cementable_in,
        run_levels: machine.map_or(0, |machine| machine.levels),
        run_seconds: machine.map_or(0.0, |machine| machine.busy.as_secs_f64()),
        store_bytes: machine.map_or(0, |machine| machine.store_bytes),
    })
}

/// Bytes of the journal, with what SQLite has not yet moved into the main file.
fn journal_bytes(data_dir: &std::path::Path) -> u64 {
    let size = |suffix: &str| {
        let path = data_dir.join(format!("{}{suffix}", Journal::FILE));
        std::fs::metadata(path).map_or(0, |found| found.len())
    };
    size("").saturating_add(size("-wal"))
}

/// Free bytes for us where a path is.
///
/// # Errors
/// What the system says of the path.
pub fn disk_free(path: &std::path::Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
