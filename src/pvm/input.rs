//! Giving a message to the machine.
//!
//! Promises: one tick per message whatever the state; dispatch on the first bytes only, as the
//! machine does. Refuses to know: where messages come from and what a transfer means.
//! Upstream rule: `set_input_step` in `wasm_vm.ml`, `pvm_input_kind.ml`.

use super::buffers::Input;
use super::key::Key;
use super::state::{InputInfo, Phase, Running, State};
use super::stuck::Stuck;
use super::{PvmError, StaticKey};
use crate::protocol::{Protocol, PvmVersion};

/// Ticks of a period from version 4 on.
const TICKS_FROM_V4: u128 = 50_000_000_000_000;
/// Outbox validity period from version 4 on.
const VALIDITY_FROM_V4: i32 = 241_920;

/// How the protocol under development names itself.
const ALPHA: &[u8] = b"alpha_current";

const EARLIER: &str = "Tezos_webassembly_interpreter.Input_buffer.Cannot_store_an_earlier_message";

/// What the machine does with a message besides queueing it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    StartOfLevel,
    EndOfLevel,
    Migration(PvmVersion),
    /// Raises the exception that prints so.
    Unreadable(&'static str),
    Other,
}

impl Kind {
    fn of(payload: &[u8]) -> Self {
        match payload {
            [0, 1] => Self::StartOfLevel,
            [0, 2] => Self::EndOfLevel,
            [0, 4, name @ ..] if !name.is_empty() => Self::migration(name),
            _ => Self::Other,
        }
    }

    /// The rest of a migration message must be exactly one string; the texts are how the original
    /// prints the failures of its decoder.
    fn migration(rest: &[u8]) -> Self {
        let Some((length, name)) = rest.split_first_chunk::<4>() else {
            return Self::Unreadable("Data_encoding__Binary_error_types.Read_error(0)");
        };
        let length = u32::from_be_bytes(*length);
        if length >= 1 << 30 {
            return Self::Unreadable("Data_encoding__Binary_error_types.Read_error(_)");
        }
        match (length as usize).cmp(&name.len()) {
            std::cmp::Ordering::Greater => {
                Self::Unreadable("Data_encoding__Binary_error_types.Read_error(0)")
            }
            std::cmp::Ordering::Less => {
                Self::Unreadable("Data_encoding__Binary_error_types.Read_error(1)")
            }
            // The protocol under development migrates to the newest version.
            std::cmp::Ordering::Equal if name == ALPHA => Self::Migration(PvmVersion::V6),
            std::cmp::Ordering::Equal => std::str::from_utf8(name)
                .ok()
                .and_then(Protocol::from_version_text)
                .and_then(Protocol::migrated_version)
                .map_or(Self::Other, Self::Migration),
        }
    }
}

impl State {
    /// Gives a message to the machine: one tick, in every state.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read; a message the machine refuses leaves it stuck,
    /// which is not an error.
    pub fn set_input(&mut self, info: InputInfo, payload: &[u8]) -> Result<(), PvmError> {
        let not_expected = |state| {
            Phase::Stuck(Stuck::invalid_state(&format!(
                "No input required during {state}"
            )))
        };
        let next = match &self.phase {
            Phase::Collect => Some(self.collect(info, payload)?),
            Phase::Stuck(_) => None,
            Phase::Snapshot => Some(not_expected("start")),
            Phase::Padding => Some(not_expected("padding")),
            Phase::Running(Running::Decode, _) => Some(not_expected("decoding")),
            Phase::Running(Running::Link, _) => Some(not_expected("link")),
            Phase::Running(Running::Init, _) => Some(not_expected("initialization")),
            Phase::Running(Running::Eval, _) => Some(not_expected("evaluation")),
        };
        if let Some(phase) = next {
            self.phase = phase;
        }
        self.current_tick = self
            .current_tick
            .checked_add(1)
            .ok_or(PvmError::Overflow("the tick"))?;
        self.last_input = Some(info);
        Ok(())
    }

    fn collect(&mut self, info: InputInfo, payload: &[u8]) -> Result<Phase, PvmError> {
        let input = Input {
            level: info.level.get(),
            counter: i128::try_from(info.counter)
                .map_err(|_| PvmError::Overflow("the message counter"))?,
            payload: payload.to_vec(),
        };
        if self.buffers.input.push(&input)?.is_err() {
            return Ok(Phase::Stuck(Stuck::unknown(EARLIER)));
        }
        match Kind::of(payload) {
            Kind::EndOfLevel => return Ok(Phase::Padding),
            Kind::StartOfLevel => self.buffers.output.advance(info.level.get())?,
            Kind::Migration(version) => self.migrate(version)?,
            Kind::Unreadable(raw) => return Ok(Phase::Stuck(Stuck::unknown(raw))),
            Kind::Other => {}
        }
        Ok(Phase::Collect)
    }

    /// Sets the version; version 4 brought longer periods with it.
    fn migrate(&mut self, version: PvmVersion) -> Result<(), PvmError> {
        const VERSION: StaticKey = Key::VERSION;
        self.durable
            .set(&VERSION.key(), version.text().as_bytes())?;
        if version == PvmVersion::V4 {
            self.max_nb_ticks = TICKS_FROM_V4;
            self.buffers.output.validity_period = VALIDITY_FROM_V4;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_payloads_drive_the_machine() {
        let name = |text: &str| {
            let mut payload = vec![0, 4];
            payload.extend((text.len() as u32).to_be_bytes());
            payload.extend(text.as_bytes());
            payload
        };
        let other = Kind::Other;
        for (payload, expected) in [
            (vec![], &other),
            (vec![0], &other),
            (vec![0, 1], &Kind::StartOfLevel),
            (vec![0, 1, 0], &other),
            (vec![0, 2], &Kind::EndOfLevel),
            (vec![0, 3, 9], &other),
            (vec![0, 4], &other),
            (vec![1, 1], &other),
            (name("oxford_018"), &Kind::Migration(PvmVersion::V2)),
            (name("u025_025"), &Kind::Migration(PvmVersion::V6)),
            (name("alpha_current"), &Kind::Migration(PvmVersion::V6)),
            (name("mumbai_016"), &other),
            (name("nonsense"), &other),
            (name(""), &other),
        ] {
            assert_eq!(&Kind::of(&payload), expected, "{payload:?}");
        }
        for payload in [&[0, 4, 0][..], &[0, 4, 0, 0, 0, 1], &[0, 4, 0, 0, 0, 0, 7]] {
            assert!(matches!(Kind::of(payload), Kind::Unreadable(_)));
        }
    }
}
