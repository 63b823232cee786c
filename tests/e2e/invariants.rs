//! What must hold however a drill went: the outcome, the books, what was told, and the journal.

use std::collections::BTreeMap;

use watchtower::journal::{Ending, Severity};
use watchtower::protocol::operation::{Action, Contract, Refutation, Step};
use watchtower::protocol::{Level, Mutez, StateHash, Tick};
use watchtower::sim::{Report, Strategy, Weather, story};

use crate::arena::{Arena, PATIENCE};

/// Half of a bond, which who defeats a liar first is given; and what a bond is.
const REWARD: u64 = 5_000_000_000;
const BOND: u64 = 10_000_000_000;

impl Arena {
    fn liars(&self) -> usize {
        let opponents = self.drill.opponents.iter();
        opponents
            .filter(|opponent| opponent.strategy != Strategy::Honest)
            .count()
    }

    /// Ends the tower and holds what came of the drill to the invariants: none when all is well.
    pub(crate) fn verdict(mut self) -> Option<String> {
        let report = self.report();
        let untold = self.untold(&report);
        let mut told = None;
        if self.tower.is_some() {
            // Under weather it may be a block behind.
            let is_settled = self.drill.endpoints.is_empty();
            told = is_settled.then(|| self.status().borrow().play.won_and_lost[0]);
            self.stop();
        }
        let mut wrong = self.wrong_outcome(&report);
        wrong.extend(self.wrong_books(&report, told));
        wrong.extend(self.contradictions());
        wrong.extend(self.wrong_journal(&report));
        wrong.extend(untold);
        if wrong.is_empty() {
            return None;
        }
        let story = self.shared.with(|scenario| story(scenario)).join("\n");
        Some(format!(
            "{} (seed {}): {}\n{report:?}\n{story}\n",
            self.drill.name,
            self.drill.seed,
            wrong.join("; ")
        ))
    }

    fn wrong_outcome(&self, report: &Report) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut hold = |is_true: bool, what: &str| {
            if !is_true {
                wrong.push(what.to_owned());
            }
        };
        let liars = self.liars();
        hold(report.is_won(), "not won");
        hold(report.slashed.len() == liars, "not all liars slashed");
        // Whoever is told too little gas finds out from the first block.
        let misled = |weather: &Weather| weather.gas_told.is_some_and(|told| told < 1_000);
        let failed = u32::from(self.drill.endpoints.iter().any(misled));
        hold(report.failed == failed, "an operation of ours failed");
        hold(
            report.least_left.is_none_or(|left| left > 0),
            "a move of ours came with the end of our clock",
        );
        hold(self.is_opened_in_time(report), "no game in time");
        let games = u32::try_from(report.games.len()).unwrap();
        hold(report.came_second <= games, "opened more than once");
        let is_home = !report.is_bonded || !self.bond_comes_home();
        hold(is_home, "our bond is not home");
        hold(
            report.games.iter().all(|game| game.ended.is_some()),
            "a game goes on",
        );
        wrong
    }

    /// Where nothing holds it up, a lie is played against as soon as the chain allows it: a period
    /// after its inbox level, which its publication follows by a few blocks.
    fn is_opened_in_time(&self, report: &Report) -> bool {
        const BLOCKS: u32 = 8;
        let drill = &self.drill;
        let is_calm = drill.events.is_empty()
            && drill.endpoints.is_empty()
            && drill.defence.restart.is_none()
            && drill.defence.money.is_none();
        let (Some(lied), Some(detected)) = (report.lied, report.detected) else {
            return true;
        };
        let latest = lied.plus(drill.lengths.period + BLOCKS);
        !is_calm || latest.is_none_or(|latest| detected <= latest)
    }

    /// What people should have heard of and did not. Messages that are on their way are waited for.
    fn untold(&self, report: &Report) -> Option<String> {
        let began = std::time::Instant::now();
        let mut told = Vec::new();
        loop {
            told.extend(self.heard());
            let missing = self.missing(report, &told);
            let is_over = self.tower.is_none() || began.elapsed() > PATIENCE;
            if missing.is_none() || is_over {
                return missing;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Rule, severity and words of every alert that arrived since this was last asked.
    pub(crate) fn heard(&self) -> Vec<(String, String, String)> {
        let bodies = self.people.take();
        let alerts = bodies.iter().flat_map(|received| {
            let body = received.json();
            let alerts = body["alerts"].as_array().cloned();
            alerts.unwrap_or_default()
        });
        let text = |alert: &serde_json::Value, key: &str| {
            alert[key].as_str().unwrap_or_default().to_owned()
        };
        alerts
            .map(|alert| {
                (
                    text(&alert, "rule"),
                    text(&alert, "severity"),
                    text(&alert, "message"),
                )
            })
            .collect()
    }

    /// By the scenario: every lie and every slashed account. By the journal: every alarm.
    fn missing(&self, report: &Report, told: &[(String, String, String)]) -> Option<String> {
        let is_told = |rule: &str, severity: Option<&str>, words: &str| {
            told.iter().any(|(of, loud, message)| {
                of == rule && severity.is_none_or(|s| s == loud) && message.contains(words)
            })
        };
        if report.lied.is_some() && !is_told("false-commitment", Some("critical"), "") {
            return Some("nobody heard of a false commitment".into());
        }
        let mute = report
            .slashed
            .iter()
            .find(|account| !is_told("staker-slashed", None, &account.to_string()));
        if let Some(account) = mute {
            return Some(format!("nobody heard that {account} was slashed"));
        }
        let of_games = report.games.iter().find_map(|game| {
            let opponent = game.opponent.to_string();
            let is_won = report.slashed.contains(&game.opponent);
            let missed = |rule: &str, severity| !is_told(rule, Some(severity), &opponent);
            if missed("game-opened", "warning") {
                return Some(format!("nobody heard of the game with {opponent}"));
            }
            (is_won && missed("game-won", "notice"))
                .then(|| format!("nobody heard that the game with {opponent} was won"))
        });
        if of_games.is_some() {
            return of_games;
        }
        let is_home = !report.games.is_empty() && !report.is_bonded;
        if is_home && !is_told("bond-recovered", Some("notice"), "") {
            return Some("nobody heard that the bond is back".into());
        }
        // So short a clock cannot hold the moves of a game.
        let is_short = self.drill.lengths.timeout < 12 && report.dissections > 0;
        if is_short && !is_told("clock-in-danger", Some("critical"), "") {
            return Some("nobody heard that a clock was in danger".into());
        }
        let alarms = self.reader().alarms(u32::MAX).unwrap();
        let unheard = alarms.iter().find(|(_, _, kind, message)| {
            // Of the others, one stands for all that are about the same.
            let words = match kind.as_str() {
                "false commitment" => message.as_str(),
                _ => "",
            };
            !is_told(&kind.replace(' ', "-"), None, words)
        });
        unheard.map(|(_, _, kind, message)| format!("nobody heard of {kind}: {message}"))
    }

    /// The sum of what was spent, locked, lost and won, and what the tower told of the last.
    fn wrong_books(&self, report: &Report, told: Option<Mutez>) -> Option<String> {
        let bond = if report.is_bonded { BOND } else { 0 };
        let ours = report.balance.0 + report.fees.0 + bond;
        let (earned, spent) = self.elsewhere();
        let won = (ours + spent).checked_sub(self.initial.0 + earned);
        let fits = won.is_some_and(|won| {
            won.is_multiple_of(REWARD) && won / REWARD <= report.slashed.len() as u64
        });
        if !fits {
            return Some(format!("{} became {ours}", self.initial));
        }
        let told = told.filter(|told| Some(told.0) != won)?;
        Some(format!("{won:?} were won, {told} are told"))
    }

    /// Money that came to our account by plain transfers, and that left it: some drills do that.
    fn elsewhere(&self) -> (u64, u64) {
        let me = self.account();
        let (mut earned, mut spent) = (0, 0);
        self.shared.with(|scenario| {
            let chain = scenario.chain();
            let levels = (0..=chain.level().get()).map(|level| Level::try_from(level).unwrap());
            for included in levels
                .filter_map(|level| chain.at(level))
                .flat_map(|b| &b.operations)
            {
                let contents = included.signed.operation.contents.iter();
                for (content, receipt) in contents.zip(&included.receipts) {
                    let Action::Transaction {
                        amount,
                        destination,
                        ..
                    } = &content.action
                    else {
                        continue;
                    };
                    if !receipt.status.is_applied() {
                        continue;
                    }
                    if content.source == me {
                        spent += amount.0;
                    }
                    if *destination == Contract::Implicit(me) {
                        earned += amount.0;
                    }
                }
            }
        });
        (earned, spent)
    }

    /// Two states that the defender told for one tick of one period, in any game.
    fn contradictions(&self) -> Option<String> {
        let me = self.account();
        let mut told: BTreeMap<(Level, Tick), Option<StateHash>> = BTreeMap::new();
        self.shared.with(|scenario| {
            let chain = scenario.chain();
            let mut level = Level::ZERO;
            while let Some(block) = chain.at(level) {
                let operations = block.operations.iter();
                for content in operations.flat_map(|included| &included.signed.operation.contents) {
                    let Action::Refute {
                        refutation:
                            Refutation::Move {
                                step: Step::Dissection(chunks),
                                ..
                            },
                        opponent,
                        ..
                    } = &content.action
                    else {
                        continue;
                    };
                    if content.source != me {
                        continue;
                    }
                    let before = level.previous().and_then(|level| chain.at(level));
                    let context = before.and_then(|block| block.context.as_ref());
                    let stored = context.and_then(|context| context.rollup(&self.rollup).ok());
                    let mut games = stored.into_iter().flat_map(|stored| &stored.games);
                    let game = games.find(|(players, _)| {
                        [players.alice(), players.bob()].contains(opponent)
                            && [players.alice(), players.bob()].contains(&me)
                    });
                    let Some((_, game)) = game else { continue };
                    for chunk in chunks {
                        let place = (game.inbox_level, chunk.tick);
                        let known = *told.entry(place).or_insert(chunk.state);
                        if known != chunk.state {
                            return Some(format!("two states told for {place:?}"));
                        }
                    }
                }
                level = level.next()?;
            }
            None
        })
    }

    /// Where nobody vouches for our moves they are sent all the same, and people hear of it; nowhere
    /// else. A node that says nothing about games is named.
    fn wrong_advice(&self, alarms: &[(i64, Severity, String, String)]) -> Option<String> {
        let endpoints = &self.drill.endpoints;
        let keeps_back = |w: &Weather| w.refuses_refutations || w.simulates_no_refutations;
        let is_alone = !endpoints.is_empty() && endpoints.iter().all(keeps_back);
        let is_mute = endpoints.iter().any(|weather| !weather.failing.is_empty());
        let told = |words: &str| alarms.iter().any(|(.., message)| message.contains(words));
        if told("is sent against the node's advice") != is_alone {
            return Some(format!("of moves against advice: {alarms:?}"));
        }
        (told("no node says which") != is_mute && told("no node says who") != is_mute)
            .then(|| format!("of a silent node: {alarms:?}"))
    }

    /// What the journal must and must not hold.
    fn wrong_journal(&self, report: &Report) -> Vec<String> {
        let (me, reader) = (self.account(), self.reader());
        let mut wrong = Vec::new();
        for (game, end) in reader.games(&self.rollup).unwrap() {
            if let Some((_, ending)) = end
                && (ending == Ending::Loser(me)
                    || ending == Ending::Draw
                        && [game.stakers.alice(), game.stakers.bob()].contains(&me))
            {
                wrong.push(format!("journalled as lost: {game:?}"));
            }
        }
        let alarms = reader.alarms(u32::MAX).unwrap();
        let of = |kind: &str| alarms.iter().filter(|(_, _, word, _)| word == kind).count();
        let has_lied = report.lied.is_some();
        if has_lied != (of("false commitment") > 0) {
            wrong.push(format!(
                "{} alarms of a false commitment",
                of("false commitment")
            ));
        }
        // Clocks are short here, so that one may be in danger. None of these is ever due.
        let never = [
            "contradiction",
            "bond held up",
            "game lost",
            "proof rejected",
            "false commitment cemented",
            "curfew missed",
        ];
        for (_, severity, kind, message) in &alarms {
            // Endpoints that are not at one are reason to wait with a stake, and to say so.
            let is_at_one = self.drill.endpoints.is_empty();
            let is_doubt = is_at_one && kind == "cannot judge";
            if *severity == Severity::Critical && (is_doubt || never.contains(&kind.as_str())) {
                wrong.push(format!("alarm of {kind}: {message}"));
            }
        }
        let is_at_odds = |message: &str| message.contains("not at one on whether our account");
        if let Some((.., message)) = alarms.iter().find(|(.., message)| is_at_odds(message)) {
            wrong.push(message.clone());
        }
        // An endpoint that shows games otherwise than they are is named; no other ever is.
        let lies = |weather: &Weather| weather.wrong_games.is_some();
        let is_lied_to = self.drill.endpoints.first().is_some_and(lies);
        let is_told =
            |message: &str| message.ends_with("what the operations in the blocks tell counts");
        let told = alarms.iter().find(|(.., message)| is_told(message));
        if is_lied_to != told.is_some() {
            wrong.push(format!("of an endpoint and the blocks: {told:?}"));
        }
        wrong.extend(self.wrong_advice(&alarms));
        let steps = reader.operation_steps().unwrap();
        if steps.iter().any(|(_, row)| row.step == "refused") {
            wrong.push("the gate had to refuse".into());
        }
        wrong
    }
}
