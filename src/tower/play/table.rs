//! What the player remembers of one rollup between heads, and what it makes of a moment: no I/O but
//! looking into the journal.
//!
//! Promises: all of it is found again from chain and journal after a restart. Refuses to know:
//! threads, sockets, and who carries what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::assertions::{Assertions, asserted};
use super::brief::{Brief, Period, RollupBrief};
use super::concerns;
use super::consent::Opinion;
use super::crosscheck::DalSnapshots;
use super::desk::{Done, Found, Order, Task as Job, move_of};
use super::hands::intention;
use super::news::{PlayNews, news_of};
use super::observe::Seen;
use super::pace::Pace;
use super::record::{self, At, Last};
use crate::config::{Mode, PlayConfig};
use crate::game::{Facts, Machine};
use crate::journal::{
    Alarm, ConsentRow, Ending, ForecastRow, Foreseen, GameName, JournalError, OperationRow,
    PlayEntry, Reader, RollupRow, Severity,
};
use crate::operation::Wanted;
use crate::protocol::{CommitmentHash, Game, Level, Mutez, Player, PublicKeyHash, RollupAddress};
use crate::tower::alarms;
use crate::tower::chain_facts::ChainFacts;
use crate::tower::facts::settled;
use crate::tower::policy::{
    Answer, Choices, Consent, Hold, Plan, Position, Purpose, Purse, SeenGame, Situation, Task,
    Wish, derive,
};

mod noted;
mod shown;

/// The stake where the journal does not tell it: every public network's.
const USUAL_STAKE: Mutez = Mutez(10_000_000_000);

/// Everything that a plan is made from.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) brief: &'a Brief,
    pub(super) of_rollup: &'a RollupBrief,
    pub(super) rollup: RollupAddress,
    pub(super) seen: &'a Seen,
    pub(super) config: &'a PlayConfig,
    /// How far the tower goes.
    pub(super) mode: Mode,
    pub(super) hold: Option<Hold>,
    pub(super) chain: &'a ChainFacts,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) entries: Vec<PlayEntry>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) news: Vec<PlayNews>,
    pub(super) orders: Vec<Order>,
    /// Periods whose last block other endpoints must confirm.
    pub(super) agreements: Vec<Period>,
    pub(super) wanted: Vec<Wanted>,
    /// The rollup is to be frozen, for this reason.
    pub(super) frozen: Option<String>,
    pub(super) is_finished: bool,
    /// A game of ours is shown with claims that leave nothing to attack: the chain has no such game.
    pub(super) is_doubtful: bool,
}

/// A game on the chain as last seen.
#[derive(Debug, Clone, Copy)]
struct Known {
    position: Position,
    last_turn: Level,
}

/// One rollup.
#[derive(Debug)]
pub(super) struct Table {
    row: RollupRow,
    me: PublicKeyHash,
    consents: BTreeMap<CommitmentHash, (Period, Consent)>,
    /// Given by the journal, until the period they belong to is known to be the same.
    stored_consents: Vec<ConsentRow>,
    agreed: BTreeSet<CommitmentHash>,
    asking: BTreeSet<CommitmentHash>,
    answers: BTreeMap<Position, Answer>,
    forecasts: BTreeMap<Position, Foreseen>,
    /// What stands in the way of an answer: its kind, and what it says.
    obstacles: BTreeMap<Position, (&'static str, String)>,
    moves: BTreeMap<GameName, u32>,
    pace: Pace,
    games: BTreeMap<GameName, Known>,
    last: Last,
    assertions: Assertions,
    pub(super) frozen: Option<String>,
    /// Money lost with bonds, and won with games, as receipts have it.
    pub(super) lost: Mutez,
    pub(super) won: Mutez,
    /// What the policy said of money, last.
    pub(super) purse: Purse,
    /// Games won, lost, drawn.
    pub(super) ended: [u64; 3],
    pub(super) is_retrying: bool,
    /// What failed and is not tried again before the next block, or a while.
    stalled: BTreeSet<[u8; 32]>,
    /// Positions whose next answers are prepared for.
    prepared: BTreeSet<Position>,
    /// What was wanted when that could last be told.
    pub(super) wanted: Vec<Wanted>,
    pub(super) dals: DalSnapshots,
    /// Whether our bond was here, when that was last looked at.
    bonded: Option<bool>,
    silence: concerns::Silence,
}

impl Table {
    /// The table as the journal has it.
    pub(super) fn from_journal(
        reader: &Reader,
        row: RollupRow,
        me: PublicKeyHash,
    ) -> Result<Self, JournalError> {
        let rollup = row.address;
        let mut table = Self {
            stored_consents: reader.consents(&rollup)?,
            frozen: reader
                .holds()?
                .into_iter()
                .find(|hold| hold.rollup == Some(rollup) && hold.hold == Hold::Contradiction.word())
                .map(|hold| hold.reason),
            row,
            me,
            consents: BTreeMap::new(),
            agreed: BTreeSet::new(),
            asking: BTreeSet::new(),
            answers: BTreeMap::new(),
            forecasts: BTreeMap::new(),
            obstacles: BTreeMap::new(),
            moves: BTreeMap::new(),
            pace: Pace::default(),
            games: BTreeMap::new(),
            last: Last::default(),
            assertions: Assertions::default(),
            lost: Mutez(0),
            won: Mutez(0),
            purse: Purse::default(),
            ended: [0; 3],
            is_retrying: false,
            stalled: BTreeSet::new(),
            prepared: BTreeSet::new(),
            wanted: Vec::new(),
            dals: DalSnapshots::new(),
            bonded: None,
            silence: concerns::Silence::default(),
        };
        for (game, end) in reader.games(&rollup)? {
            table.take_game(reader, game, end.map(|(_, ending)| ending))?;
        }
        let stakes = reader.constants()?.into_iter().filter_map(|row| row.stake);
        let stake = stakes.max().unwrap_or(USUAL_STAKE);
        table.settle(&reader.operations(&rollup)?, stake);
        Ok(table)
    }

    fn take_game(
        &mut self,
        reader: &Reader,
        game: GameName,
        end: Option<Ending>,
    ) -> Result<(), JournalError> {
        for stored in reader.moves(&game)? {
            if let Some(refutation) = stored.refutation.as_deref().and_then(move_of) {
                let answer = Answer::Move(Box::new(refutation));
                self.answers.insert(Position(stored.position), answer);
                let count = self.moves.entry(game).or_default();
                *count = count.saturating_add(1);
                self.pace.took(stored.milliseconds);
            }
        }
        let forecasts = reader.forecasts(&game)?.into_iter();
        self.forecasts
            .extend(forecasts.map(|(position, foreseen)| (Position(position), foreseen)));
        match end {
            Some(ending) => self.count_end(&game, ending),
            None => {
                let positions = reader.positions(&game)?;
                let first = positions
                    .first()
                    .and_then(|first| game_of_bytes(&first.content));
                self.dals
                    .extend(first.map(|first| (game, first.dal_snapshot)));
                if let Some(last) = positions.last() {
                    let known = Known {
                        position: Position(last.position),
                        last_turn: last.last_turn,
                    };
                    self.games.insert(game, known);
                }
            }
        }
        Ok(())
    }

    fn count_end(&mut self, game: &GameName, ending: Ending) {
        if game.stakers.opponent_of(&self.me).is_none() {
            return;
        }
        let [won, lost, drawn] = &mut self.ended;
        let count = match ending {
            Ending::Loser(loser) if loser == self.me => lost,
            Ending::Loser(_) => won,
            Ending::Draw => drawn,
            Ending::Gone => return,
        };
        *count = count.saturating_add(1);
    }

    /// Adds up the money that all operations on the rollup moved.
    fn settle(&mut self, operations: &[OperationRow], stake: Mutez) {
        [self.won, self.lost] = settled(operations, &self.me, stake);
    }

    /// Whether something is to be tried again although nothing new is seen.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_retrying
    }

    /// What failed may be tried again; whether anything did.
    pub(super) fn retry(&mut self) -> bool {
        let any = !self.stalled.is_empty();
        self.stalled.clear();
        any
    }

    /// Whether an answer of an endpoint is still to come.
    pub(super) fn is_asking(&self) -> bool {
        !self.asking.is_empty()
    }

    /// Takes in what a worker or an endpoint found.
    pub(super) fn take(&mut self, done: Done) -> Outcome {
        let mut outcome = Outcome::default();
        match done {
            Done::Consent(_, period, Ok(opinion)) => {
                self.take_consent(period, opinion, &mut outcome);
            }
            Done::Consent(_, period, Err(reason)) => {
                self.stalled.insert(period.own.hash.0);
                let level = period.own.commitment.inbox_level;
                tracing::warn!(%level, reason, "consent cannot be found yet");
            }
            Done::Agreement(_, period, result) => {
                self.asking.remove(&period.own.hash);
                match result {
                    Ok(()) => {
                        self.agreed.insert(period.own.hash);
                    }
                    Err(reason) => {
                        self.stalled.insert(period.own.hash.0);
                        outcome.alarms.push(self.alarm(
                            alarms::CANNOT_JUDGE,
                            Some(period.own.commitment.inbox_level),
                            reason.clone(),
                            format!("no stake yet: {reason}"),
                        ));
                    }
                }
            }
            Done::Found(_, game, found) => self.take_found(game, *found, &mut outcome),
            Done::NotYet(_, game, position, kind, reason) => {
                self.stalled.insert(position.0.0);
                self.obstacles.insert(position, (kind, reason.clone()));
                let subject = format!("{} {}", game.stakers.alice(), game.stakers.bob());
                outcome.alarms.push(self.alarm(
                    alarms::NOT_PLAYABLE,
                    Some(game.start),
                    format!("{subject} {reason}"),
                    format!("no move yet, trying again: {reason}"),
                ));
            }
            Done::Panicked((_, kind, name), message) => {
                self.stalled.insert(name);
                outcome.alarms.push(self.alarm(
                    alarms::PLAY,
                    None,
                    format!("{kind} {message}"),
                    format!("finding {kind} broke down: {message}; report this"),
                ));
            }
            Done::Prepared(_, game, position, foreseen) => {
                self.take_forecast(game, position, foreseen, &mut outcome);
            }
        }
        outcome
    }

    fn alarm(
        &self,
        kind: &'static str,
        level: Option<Level>,
        subject: String,
        message: String,
    ) -> Alarm {
        Alarm {
            rollup: Some(self.row.address),
            level,
            severity: Severity::Critical,
            kind,
            subject,
            message,
        }
    }

    fn take_consent(&mut self, period: Period, opinion: Opinion, outcome: &mut Outcome) {
        let Opinion {
            consent,
            detail,
            engines_differ,
        } = opinion;
        let level = period.own.commitment.inbox_level;
        if engines_differ {
            let alarm = alarms::engine_disagreement(self.row.address, level, &detail);
            outcome.alarms.push(alarm);
        }
        let is_given = consent == Consent::Given;
        outcome.entries.push(PlayEntry::Consent(ConsentRow {
            rollup: self.row.address,
            block: period.own.block,
            level,
            commitment: period.own.hash,
            is_given,
            detail: detail.clone(),
        }));
        outcome.news.push(PlayNews::Consent {
            rollup: self.row.address,
            level,
            is_given,
            detail,
        });
        self.consents.insert(period.own.hash, (period, consent));
    }

    fn take_found(&mut self, game: GameName, found: Found, outcome: &mut Outcome) {
        outcome.entries.push(record::found(game, &found));
        outcome.news.push(PlayNews::Found {
            game,
            kind: found.kind(),
            milliseconds: found.milliseconds,
        });
        if matches!(found.answer, Answer::Move(_)) {
            let count = self.moves.entry(game).or_default();
            *count = count.saturating_add(1);
            self.pace.took(found.milliseconds);
        }
        self.take_forecast(game, found.position, found.foreseen, outcome);
        match (found.obstacle, &found.answer) {
            (Some(kind), Answer::NotPlayable(reason) | Answer::Indefensible(reason)) => {
                self.obstacles
                    .insert(found.position, (kind, reason.clone()));
            }
            _ => {
                self.obstacles.remove(&found.position);
            }
        }
        self.answers.insert(found.position, found.answer);
    }

    fn take_forecast(
        &mut self,
        game: GameName,
        position: Position,
        foreseen: Foreseen,
        outcome: &mut Outcome,
    ) {
        if self.forecasts.insert(position, foreseen) != Some(foreseen) {
            outcome.entries.push(PlayEntry::Forecast(ForecastRow {
                game,
                position: position.0,
                foreseen,
            }));
        }
    }

    /// Whether a game known here is no longer on the chain.
    pub(super) fn ended_candidates(&self, seen: &Seen) -> bool {
        let there: BTreeSet<_> = seen
            .games
            .iter()
            .map(|game| record::name(self.row.address, game))
            .collect();
        self.games.keys().any(|game| !there.contains(game))
    }

    /// Makes a plan of a moment, and what must follow from it.
    pub(super) fn think(
        &mut self,
        moment: &Moment<'_>,
        operations: Option<&[OperationRow]>,
        reader: &Reader,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let at = At {
            rollup: moment.rollup,
            dialect: moment.of_rollup.dialect,
            place: moment.brief.tip,
            mode: moment.mode,
        };
        if let Some(operations) = operations {
            self.note_money(moment, operations, &mut outcome);
        }
        let operations = operations.unwrap_or_default();
        self.note_games(moment, at, operations, &mut outcome);
        let consents = self.consents_of(moment.of_rollup);
        let hold = moment
            .hold
            .max(self.frozen.is_some().then_some(Hold::Contradiction));
        let delay = moment.seen.constants.minimal_block_delay;
        let situation = Situation {
            rollup: moment.rollup,
            dialect: moment.of_rollup.dialect,
            mode: moment.mode,
            hold,
            choices: Choices {
                ends_strangers_games: moment.config.ends_strangers_games,
                fee_reserve: moment.config.fee_reserve,
                blocks_per_move: self.pace.blocks_per_move(delay),
            },
            protocol: moment.seen.constants.protocol,
            constants: &moment.seen.constants.rollup,
            lattice: &moment.brief.lattice,
            head: moment.brief.tip.level,
            account: moment.seen.account,
            stakes: &moment.of_rollup.stakes,
            own: &moment.of_rollup.own,
            verdicts: &moment.of_rollup.verdicts,
            games: &moment.seen.games,
            consents: &consents,
            answers: &self.answers,
        };
        outcome.alarms.extend(concerns::of_conflicts(
            &situation,
            moment.seen.conflicts.as_ref(),
        ));
        let unanswered = &moment.seen.unanswered;
        let silence = self
            .silence
            .at(moment.rollup, moment.brief.tip.level, unanswered);
        outcome.alarms.extend(silence);
        let plan = derive(&situation);
        self.purse = Purse::of(&situation);
        self.work(moment, &plan, &mut outcome);
        let wanted = self.claim(moment, &plan, reader, &mut outcome);
        let decisions = self.last.decisions(at, &plan);
        outcome.news.extend(decisions.iter().filter_map(news_of));
        outcome.entries.extend(decisions);
        for concern in &plan.concerns {
            let alarm = concerns::alarm(moment.rollup, moment.of_rollup.dialect, concern);
            outcome.alarms.push(alarm);
        }
        // Standing by is the carrier's: it knows when a clock leaves no time for it.
        let may_send = matches!(plan.hold, None | Some(Hold::StandBy));
        if may_send && self.frozen.is_none() {
            outcome.wanted = wanted;
        }
        self.wanted.clone_from(&outcome.wanted);
        outcome.is_finished = plan.is_finished;
        let games = moment.seen.games.iter();
        outcome.is_doubtful = games
            .filter(|game| game.seat(&self.me).is_some())
            .filter_map(|game| self.obstacles.get(&game.position(&self.row.address)))
            .any(|(kind, _)| *kind == "claims");
        outcome
    }

    /// Consents about commitments that are still ours, those of the journal too.
    fn consents_of(&mut self, brief: &RollupBrief) -> BTreeMap<CommitmentHash, Consent> {
        for row in std::mem::take(&mut self.stored_consents) {
            let Some(period) = brief.period(row.level) else {
                continue;
            };
            if period.own.hash == row.commitment && period.own.block == row.block && row.is_given {
                self.consents
                    .insert(row.commitment, (period, Consent::Given));
                self.agreed.insert(row.commitment);
            }
        }
        self.consents.retain(|_, (period, _)| {
            let own = brief.own.get(&period.own.commitment.inbox_level);
            own.is_none_or(|own| *own == period.own)
        });
        self.consents
            .iter()
            .map(|(hash, (_, consent))| (*hash, consent.clone()))
            .collect()
    }

    /// Orders for what must be computed.
    fn work(&mut self, moment: &Moment<'_>, plan: &Plan, outcome: &mut Outcome) {
        for work in &plan.work {
            let (period, task) = match &work.task {
                Task::Consent { commitment, level } => {
                    let Some(period) = moment.of_rollup.period(*level) else {
                        continue;
                    };
                    if self.stalled.contains(&commitment.0) {
                        continue;
                    }
                    if !self.agreed.contains(commitment) {
                        if self.asking.insert(*commitment) {
                            outcome.agreements.push(period);
                        }
                        continue;
                    }
                    (period, Job::Consent(moment.config.edges))
                }
                Task::Answer { position, .. } if self.stalled.contains(&position.0.0) => continue,
                Task::Answer { position, .. } => match self.playable(moment, *position) {
                    Some((period, name, game, seat)) => {
                        (period, Job::Answer(name, Box::new(game.clone()), seat))
                    }
                    None => continue,
                },
                Task::Prepare { position, .. } if !self.prepared.insert(*position) => continue,
                Task::Prepare { position, .. } => match self.playable(moment, *position) {
                    Some((period, name, game, _)) => {
                        (period, Job::Prepare(name, Box::new(game.clone())))
                    }
                    None => continue,
                },
            };
            outcome.orders.push(Order {
                rollup: moment.rollup,
                period,
                facts: self.facts(moment),
                task,
                slack: work.slack,
            });
        }
    }

    fn playable<'a>(
        &self,
        moment: &Moment<'a>,
        position: Position,
    ) -> Option<(Period, GameName, &'a SeenGame, Player)> {
        let game = moment
            .seen
            .games
            .iter()
            .find(|game| game.position(&moment.rollup) == position)?;
        let seat = game.seat(&self.me)?;
        let period = moment.of_rollup.period(game.game.inbox_level)?;
        Some((period, record::name(moment.rollup, game), game, seat))
    }

    fn facts(&self, moment: &Moment<'_>) -> Facts {
        Facts {
            machine: Machine::of(moment.seen.constants.protocol),
            rollup: moment.rollup,
            origination_level: self.row.origination_level,
            activation: moment.chain.activation(),
            dal_parameters: moment.chain.all_dal_parameters(),
        }
    }

    /// The wishes that contradict nothing asserted before, as intentions; what they assert is
    /// journalled ahead of them.
    fn claim(
        &mut self,
        moment: &Moment<'_>,
        plan: &Plan,
        reader: &Reader,
        outcome: &mut Outcome,
    ) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for wish in &plan.wishes {
            let game = game_of(moment, wish);
            let level = game.map(|game| game.game.inbox_level);
            if let Some((period, rows)) = asserted(moment.of_rollup, &wish.action, level) {
                let parent = period.own.commitment.predecessor;
                let known = reader.assertions(&moment.rollup, &period.own.block, &parent);
                self.assertions.learn(known.into_iter().flatten());
                match self.assertions.check(&rows) {
                    Ok(new) => {
                        self.assertions.learn(new.iter().copied());
                        let entries = new.into_iter().map(PlayEntry::Assertion);
                        outcome.entries.extend(entries);
                    }
                    Err(contradiction) => {
                        let reason = contradiction.to_string();
                        outcome.alarms.push(self.alarm(
                            alarms::CONTRADICTION,
                            Some(contradiction.level),
                            reason.clone(),
                            format!("we would contradict ourselves: {reason}"),
                        ));
                        self.frozen = Some(reason.clone());
                        outcome.frozen = Some(reason);
                        return Vec::new();
                    }
                }
            }
            if let Some(what) = intention(&wish.action, game.map(|game| &game.game)) {
                wanted.push(Wanted {
                    what,
                    deadline: wish.deadline,
                });
            }
        }
        wanted
    }
}

/// The game behind the bytes of a journalled position.
fn game_of_bytes(content: &[u8]) -> Option<Game> {
    Game::read(&mut crate::codec::Reader::new(content)).ok()
}

/// The game that a wish is a move in.
fn game_of<'a>(moment: &Moment<'a>, wish: &Wish) -> Option<&'a SeenGame> {
    let (Purpose::Answer(position) | Purpose::TakeForfeit(position)) = wish.purpose else {
        return None;
    };
    let mut games = moment.seen.games.iter();
    games.find(|game| game.position(&moment.rollup) == position)
}
