//! Whether evidence holds: the chain's rules, applied to nothing but the file.

use std::collections::BTreeSet;

use serde_json::Value;

use super::case::{Case, Seen, bytes, level, list, text};
use crate::codec::{Reader as Bytes, Writer};
use crate::crypto::blake2b_concat;
use crate::game::{self, Dissectable, Outcome, Rules, Ruling};
use crate::inbox::{InboxProof, LevelMessages};
use crate::protocol::operation::{Action, DissectionChunk, Refutation, Step};
use crate::protocol::{Clock, Game, GameResult, GameState, HistoryCell, Player, StateHash, Tick};

/// Everything that was checked, or the first thing that does not hold.
pub(super) fn verify(evidence: &Value) -> Result<Vec<String>, String> {
    let case = Case::read(evidence)?;
    let us = seat(&case)?;
    check_claims(&case, us)?;
    check_course(&case)?;
    let levels = check_inbox(&case, evidence)?;
    let (ours, theirs) = check_moves(&case, us)?;
    let states = check_states(&case)?;
    let carried = check_operations(&case, us)?;
    let mut checked = vec![
        format!(
            "{} claims extend the agreed commitment, ours among them",
            case.claims.len()
        ),
        format!(
            "the inbox of {levels} levels follows from its messages and is the one of the game"
        ),
        format!(
            "{} positions follow from one another, clocks included",
            case.course.len()
        ),
        format!("{ours} moves of ours and {theirs} of the opponent are what layer 1 accepts"),
        format!("{states} states of ours are those of our moves, and none contradicts another"),
        format!("{carried} operations carry these moves"),
    ];
    checked.extend(proved(&case)?);
    checked.push(check_end(&case, us, evidence.get("end"))?);
    Ok(checked)
}

/// The seat of whoever made the moves.
fn seat(case: &Case) -> Result<Player, String> {
    let mut turns = case.course.iter().filter(|seen| seen.ours.is_some());
    match turns.next() {
        Some(first) => Ok(first.game.turn),
        None => {
            let mut claims = case.claims.iter();
            let ours = claims.find(|(_, claim, _)| *claim == case.ours);
            let (staker, ..) = ours.ok_or("neither a move nor a claim of ours is there")?;
            Ok(Player::seat(staker, &other(case, *staker)))
        }
    }
}

fn other(case: &Case, staker: crate::protocol::PublicKeyHash) -> crate::protocol::PublicKeyHash {
    if staker == case.stakers.alice() {
        case.stakers.bob()
    } else {
        case.stakers.alice()
    }
}

fn check_claims(case: &Case, us: Player) -> Result<(), String> {
    let parent = case.parent.hash();
    if case.ours.predecessor != parent || case.ours.inbox_level != case.inbox_level {
        return Err("our commitment does not extend the parent".into());
    }
    for (staker, claim, is_true) in &case.claims {
        if claim.predecessor != parent || claim.inbox_level != case.inbox_level {
            return Err(format!("claim {} does not extend the parent", claim.hash()));
        }
        if *is_true != (*claim == case.ours) {
            return Err(format!(
                "claim {} is not what it is said to be",
                claim.hash()
            ));
        }
        let is_ours = *staker == case.stakers.account(us);
        if !is_ours && *staker != case.stakers.account(us.opponent()) {
            return Err(format!("{staker} is no player"));
        }
        if is_ours != *is_true {
            return Err(format!("{staker} does not stand on claim {}", claim.hash()));
        }
    }
    Ok(())
}

/// Names, levels and clocks of the positions.
fn check_course(case: &Case) -> Result<(), String> {
    let first = case.course.first().ok_or("the game has no position")?;
    let is_opening = |claim: &crate::protocol::Commitment| {
        let table = game::initial_dissection(&case.parent, claim);
        matches!(&first.game.state, GameState::Dissecting { dissection, .. } if *dissection == table)
    };
    if !case.claims.iter().any(|(_, claim, _)| is_opening(claim)) {
        return Err("the first position is not the opening about any claim".into());
    }
    if first.clock.alice != first.clock.bob || first.clock.last_turn != case.start {
        return Err("the clocks of the first position are not those of an opening".into());
    }
    for seen in &case.course {
        let mut players = Writer::new();
        case.stakers.alice().write(&mut players);
        case.stakers.bob().write(&mut players);
        let players = players.into_bytes();
        let name = blake2b_concat(&[&case.facts.rollup.0, &players, &seen.content]);
        if name.0.as_slice() != seen.name {
            return Err("a position is not the one it is named after".into());
        }
        if seen.game.start_level != case.start || seen.game.inbox_level != case.inbox_level {
            return Err("a position is of another game".into());
        }
        if seen.game.inbox_snapshot != first.game.inbox_snapshot {
            return Err("a position is judged by another inbox".into());
        }
    }
    for (seen, next) in case.course.iter().zip(case.course.iter().skip(1)) {
        let clock: Clock = seen.clock.moved(seen.game.turn, next.clock.last_turn);
        if clock != next.clock || next.clock.last_turn < seen.clock.last_turn {
            return Err("the clocks do not follow from one another".into());
        }
    }
    Ok(())
}

fn check_inbox(case: &Case, evidence: &Value) -> Result<usize, String> {
    let rows = list(evidence, "inbox")?;
    let mut before: Option<HistoryCell> = None;
    for row in rows {
        let at = level(row, "level")?;
        let cell = bytes(row, "cell")?;
        let cell = HistoryCell::read(&mut Bytes::new(&cell)).map_err(|e| e.to_string())?;
        let messages: Result<Vec<_>, _> = list(row, "messages")?
            .iter()
            .map(|message| hex::decode(message.as_str().unwrap_or_default()))
            .collect();
        let messages = LevelMessages::new(messages.map_err(|e| e.to_string())?)
            .ok_or_else(|| format!("level {at} has no messages"))?;
        if messages.witness() != cell.witness || cell.level != at {
            return Err(format!("the messages of level {at} do not make its inbox"));
        }
        let expected = before.as_ref().map_or(case.parent.inbox_level, |b| b.level);
        if expected.next() != Some(at) {
            return Err(format!("level {at} does not come next"));
        }
        if let Some(before) = &before
            && (cell.back_pointers.first() != Some(&before.hash())
                || before.index.checked_add(1) != Some(cell.index))
        {
            return Err(format!(
                "the inbox of level {at} does not follow the one before"
            ));
        }
        before = Some(cell);
    }
    let last = before.ok_or("the period has no levels")?;
    if last.level != case.inbox_level {
        return Err("the inbox does not reach the end of the period".into());
    }
    let anchor = bytes(evidence, "anchor")?;
    let proof = InboxProof::from_bytes(&anchor).map_err(|error| format!("anchor: {error}"))?;
    let first = case.course.first().ok_or("the game has no position")?;
    let shown = proof.verify(&first.game.inbox_snapshot, last.level, 0);
    shown.map_err(|error| format!("anchor: {error}"))?;
    if proof.inclusion.last() != Some(&last) {
        return Err("the inbox is not the one the game is judged by".into());
    }
    Ok(rows.len())
}

fn check_moves(case: &Case, us: Player) -> Result<(usize, usize), String> {
    let (mut ours, mut theirs) = (0_usize, 0_usize);
    for (index, seen) in case.course.iter().enumerate() {
        let next = case.course.get(index.saturating_add(1));
        let next = next.map(|next| &next.game);
        let Some(refutation) = &seen.ours else {
            if let Some(next) = next {
                check_theirs(case.facts.machine, &seen.game, next)?;
                theirs = theirs.saturating_add(1);
            }
            continue;
        };
        if seen.game.turn != us {
            return Err("a move of ours answers a position of the opponent".into());
        }
        match (ruling(case, seen, refutation)?, next) {
            (Ruling::Continues { game: after, .. }, Some(next)) if *after != *next => {
                return Err("a position does not follow from our move".into());
            }
            (Ruling::Ended { .. }, Some(_)) => {
                return Err("the game goes on after a move that ends it".into());
            }
            _ => {}
        }
        ours = ours.saturating_add(1);
    }
    Ok((ours, theirs))
}

fn ruling(case: &Case, seen: &Seen, refutation: &Refutation) -> Result<Ruling, String> {
    let player = case.stakers.account(seen.game.turn);
    game::judge(&case.facts, &case.stakers, &seen.game, &player, refutation)
        .map_err(|error| format!("a move of ours is refused: {error}"))
}

/// The opponent's operation is not kept: a dissection shows what it was, a wrong proof too.
fn check_theirs(machine: game::Machine, game: &Game, next: &Game) -> Result<(), String> {
    let GameState::Dissecting {
        dissection,
        default_number_of_sections,
    } = &game.state
    else {
        return Err("a game went on after its final move".into());
    };
    let section_at = |start: &DissectionChunk| {
        let mut sections = dissection.iter().zip(dissection.iter().skip(1));
        sections.find(|(chunk, _)| chunk.tick == start.tick)
    };
    if next.turn == game.turn {
        return Err("a player moves twice".into());
    }
    match &next.state {
        GameState::Dissecting { dissection, .. } => {
            let first = dissection.first().ok_or("an empty dissection")?;
            let (start, stop) = section_at(first).ok_or("no section starts there")?;
            let interval = Dissectable {
                start: *start,
                stop: *stop,
                sections: *default_number_of_sections,
            };
            game::check_dissection(machine, &interval, dissection)
                .map_err(|error| format!("a dissection of the opponent: {error}"))
        }
        GameState::FinalMove { agreed_start, .. } => section_at(agreed_start)
            .map(|_| ())
            .ok_or_else(|| "a final move about no section".to_owned()),
    }
}

/// Our states are what our moves agree to, dispute and claim, and nothing else.
fn check_states(case: &Case) -> Result<usize, String> {
    let mut shown: BTreeSet<Tick> = BTreeSet::new();
    let at = |tick: Tick| -> Result<Option<StateHash>, String> {
        let found = case.states.get(&tick).copied();
        found.ok_or_else(|| format!("our state at tick {tick} is missing"))
    };
    let mut agree = |tick: Tick, state: Option<StateHash>| {
        shown.insert(tick);
        (at(tick)? == state)
            .then_some(())
            .ok_or_else(|| format!("our state at tick {tick} is not the one of our moves"))
    };
    agree(Tick(0), Some(case.parent.compressed_state))?;
    let end = Tick(u128::from(case.ours.number_of_ticks));
    agree(end, Some(case.ours.compressed_state))?;
    let mut disputed = Vec::new();
    for seen in &case.course {
        let (Some(Refutation::Move { choice, step }), GameState::Dissecting { dissection, .. }) =
            (&seen.ours, &seen.game.state)
        else {
            continue;
        };
        for chunk in dissection.iter().filter(|chunk| chunk.tick <= *choice) {
            agree(chunk.tick, chunk.state)?;
        }
        let stop = dissection.iter().find(|chunk| chunk.tick > *choice);
        let stop = stop.ok_or("a move of ours attacks no section")?;
        match step {
            Step::Dissection(chunks) => {
                for chunk in chunks {
                    agree(chunk.tick, chunk.state)?;
                }
            }
            Step::Proof(proof) => {
                let after = case.facts.stop_of(&seen.game, proof);
                agree(stop.tick, after.map_err(|error| error.to_string())?)?;
            }
        }
        disputed.push(*stop);
    }
    for stop in disputed {
        if at(stop.tick)? == stop.state {
            return Err(format!(
                "our state at tick {} is the disputed one",
                stop.tick
            ));
        }
    }
    if let Some(tick) = case.states.keys().find(|tick| !shown.contains(tick)) {
        return Err(format!("no move of ours shows the state at tick {tick}"));
    }
    Ok(shown.len())
}

/// Every operation carries moves of this game in the blocks where they took effect, and no move of
/// ours took effect otherwise.
fn check_operations(case: &Case, us: Player) -> Result<usize, String> {
    let (me, them) = (
        case.stakers.account(us),
        case.stakers.account(us.opponent()),
    );
    let mut carried = BTreeSet::new();
    for sent in &case.sent {
        let mut is_about_it = false;
        for content in &sent.operation.operation.contents {
            let Action::Refute {
                rollup,
                opponent,
                refutation,
            } = &content.action
            else {
                continue;
            };
            if *rollup != case.facts.rollup || *opponent != them || content.source != me {
                continue;
            }
            is_about_it = true;
            if let Refutation::Start { .. } | Refutation::StartOnConflict = refutation {
                if sent.included != case.start {
                    return Err("the opening is in another block".into());
                }
                continue;
            }
            let found = case.course.iter().enumerate().find(|(index, seen)| {
                let next = case.course.get(index.saturating_add(1));
                seen.ours.as_ref() == Some(refutation)
                    && next.is_none_or(|next| next.clock.last_turn == sent.included)
            });
            let (index, _) = found.ok_or("an operation carries a move that is not there")?;
            carried.insert(index);
        }
        if !is_about_it {
            return Err("an operation is not about this game".into());
        }
    }
    let moved =
        case.course.iter().enumerate().filter(|(index, seen)| {
            seen.ours.is_some() && case.course.len() > index.saturating_add(1)
        });
    for (index, _) in moved {
        if !carried.contains(&index) {
            return Err("no operation carries a move that took effect".into());
        }
    }
    Ok(case.sent.len())
}

/// What the proofs show, for people.
fn proved(case: &Case) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    for seen in &case.course {
        let Some(Refutation::Move {
            choice,
            step: Step::Proof(proof),
        }) = &seen.ours
        else {
            continue;
        };
        let after = case.facts.stop_of(&seen.game, proof);
        let after = after.map_err(|error| error.to_string())?;
        let after = after.map_or_else(|| "no state".into(), |state| state.to_string());
        told.push(format!(
            "the step from tick {choice}, run on the partial tree of the proof, ends in {after}"
        ));
    }
    Ok(told)
}

/// The end is the one of our last move, or of the clock; what else ends a game is not in the file.
fn check_end(case: &Case, us: Player, end: Option<&Value>) -> Result<String, String> {
    let Some(end) = end.filter(|end| !end.is_null()) else {
        return Ok("the game is not over".into());
    };
    let last = case.course.last().ok_or("the game has no position")?;
    let at = level(end, "level")?;
    let told = match end.get("loser") {
        Some(_) => {
            let loser = text(end, "loser")?;
            let seats = [Player::Alice, Player::Bob].into_iter();
            let mut seats = seats.filter(|seat| case.stakers.account(*seat).to_string() == loser);
            Some(
                seats
                    .next()
                    .ok_or_else(|| format!("{loser} is no player"))?,
            )
        }
        None => None,
    };
    if let Some(refutation) = &last.ours
        && let Some(sent) = case.sent.iter().find(|sent| carries(sent, refutation))
    {
        let result = match ruling(case, last, refutation)? {
            Ruling::Ended { result, .. } => result,
            Ruling::Continues { .. } => return Err("our last move does not end the game".into()),
        };
        let loses = |seat: Player| matches!(&result, GameResult::Loser { loser, .. } if *loser == case.stakers.account(seat));
        if sent.included != at
            || !told.is_none_or(loses)
            || told.is_none() != (result == GameResult::Draw)
        {
            return Err("the game did not end as our last move ends it".into());
        }
        return Ok(format!("our last move ended it at level {at}"));
    }
    let by_clock = last.clock.time_out(last.game.turn, &last.game.state, at);
    match (by_clock, told) {
        (Ok(Outcome::Loser(seat)), Some(loser)) if seat == loser => Ok(format!(
            "the clock of {} had run out when it was ended at level {at}",
            case.stakers.account(seat)
        )),
        (Ok(Outcome::Draw), None) => Ok(format!("both clocks had run out at level {at}")),
        _ if last.game.turn != us || told.is_none() => Ok(format!(
            "the operation that ended it at level {at} is the opponent's or a third one's, and not in the file"
        )),
        _ => Err("the game did not end as its last position lets it".into()),
    }
}

fn carries(sent: &super::case::Sent, refutation: &Refutation) -> bool {
    let mut contents = sent.operation.operation.contents.iter();
    contents.any(|content| {
        matches!(&content.action, Action::Refute { refutation: found, .. } if found == refutation)
    })
}
