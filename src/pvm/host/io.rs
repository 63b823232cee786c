//! Host functions on inputs, outputs, reveals and printing.

use super::memory::{check_strictly, load, store};
use super::{Code, HostContext, HostOutcome, RevealCall, Stop, TICKS_PER_BYTE, done};
use crate::pvm::{MESSAGE_LIMIT, OutboxRefusal};

const LIMIT: i32 = MESSAGE_LIMIT as i32;

/// Both destinations are checked before a message is taken; it is taken even when cut.
pub(super) fn read_input(
    info_address: i32,
    destination: i32,
    max_bytes: i32,
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    check_strictly(on.memory, info_address, 8)?;
    let max_bytes = max_bytes.min(LIMIT);
    check_strictly(on.memory, destination, max_bytes)?;
    let Some(input) = on.buffers.input.pop()? else {
        return Ok(done(0, 0));
    };
    let max_bytes = usize::try_from(max_bytes).map_err(|_| Code::MemoryInvalidAccess)?;
    let payload = input.payload.get(..max_bytes).unwrap_or(&input.payload);
    store(on.memory, destination, payload, on.edges)?;
    let counter = i32::try_from(input.counter).map_err(|_| Code::GenericInvalidAccess)?;
    let info = [input.level.to_le_bytes(), counter.to_le_bytes()].concat();
    store(on.memory, info_address, &info, on.edges)?;
    let count = i32::try_from(payload.len()).unwrap_or(LIMIT);
    Ok(done(count, TICKS_PER_BYTE * payload.len() as u64))
}

/// Costs nothing: the charge is per byte of the result, which is zero.
pub(super) fn write_output(
    source: i32,
    length: i32,
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let message = load_message(source, length, on)?;
    match on.buffers.output.push(&message)? {
        Ok(()) => Ok(done(0, 0)),
        Err(OutboxRefusal::Full) => Err(Code::FullOutbox.into()),
        Err(OutboxRefusal::NoLevel) => Err(Code::GenericInvalidAccess.into()),
    }
}

/// Has no effect on the state and never fails, whatever the range. Where nobody listens, memory is
/// not even looked at: the proof of this tick has none of it.
pub(super) fn write_debug(source: i32, length: i32, on: &mut HostContext<'_>) -> HostOutcome {
    let mut ignored = super::Edges::default();
    if let Some(debug) = &mut on.debug
        && let Ok(text) = load(on.memory, source, length, &mut ignored)
    {
        debug(&text);
    }
    HostOutcome::Done {
        result: None,
        cost: 0,
    }
}

pub(super) fn reveal_metadata(destination: i32, max_bytes: i32) -> HostOutcome {
    HostOutcome::Reveal(RevealCall {
        request: vec![1],
        destination,
        max_bytes,
    })
}

pub(super) fn reveal_preimage(
    (address, length): (i32, i32),
    (destination, max_bytes): (i32, i32),
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let mut request = vec![0];
    request.extend(load_message(address, length, on)?);
    Ok(HostOutcome::Reveal(RevealCall {
        request,
        destination,
        max_bytes,
    }))
}

pub(super) fn reveal(
    (address, length): (i32, i32),
    (destination, max_bytes): (i32, i32),
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let request = load_message(address, length, on)?;
    Ok(HostOutcome::Reveal(RevealCall {
        request,
        destination,
        max_bytes,
    }))
}

fn load_message(address: i32, length: i32, on: &mut HostContext<'_>) -> Result<Vec<u8>, Stop> {
    if length > LIMIT {
        return Err(Code::InputOutputTooLarge.into());
    }
    load(on.memory, address, length, on.edges)
}
