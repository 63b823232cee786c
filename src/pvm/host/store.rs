//! Host functions on the durable storage.

use super::memory::{load, store};
use super::{Code, HostContext, HostOutcome, HostValue, NEGATIVE_CUT, Stop, TICKS_PER_BYTE, done};
use crate::pvm::key::{Key, MAX_LENGTH};
use crate::pvm::{Edge, Nth};

/// Most bytes of a value that one call moves.
const IO_LIMIT: i32 = 2048;

/// Address and length of a key in memory.
type KeyAt = (i32, i32);

fn key((address, length): KeyAt, on: &mut HostContext<'_>) -> Result<Key, Stop> {
    if length > MAX_LENGTH as i32 {
        return Err(Code::KeyTooLarge.into());
    }
    let bytes = load(on.memory, address, length, on.edges)?;
    Key::parse(&bytes).map_err(|_| Code::InvalidKey.into())
}

fn writeable(key: Key) -> Result<Key, Stop> {
    if key.is_read_only() {
        return Err(Code::ReadOnly.into());
    }
    Ok(key)
}

fn bytes_cost(length: i32) -> u64 {
    TICKS_PER_BYTE * u64::try_from(length).unwrap_or(0)
}

/// Cost of a call that reads a key and looks at the tree once.
fn key_cost((_, length): KeyAt) -> u64 {
    bytes_cost(length) + 1
}

pub(super) fn has(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let value = on.durable.length(&key)?.is_some();
    let result = match (value, on.durable.count(&key)?) {
        (false, 0) => 0,
        (true, 1) => 1,
        (false, _) => 2,
        (true, _) => 3,
    };
    Ok(done(result, key_cost(at)))
}

pub(super) fn exists(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let exists = on.durable.exists(&key)?;
    Ok(done(i32::from(exists), key_cost(at)))
}

pub(super) fn delete(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = writeable(key(at, on)?)?;
    on.durable.delete(&key)?;
    Ok(done(0, key_cost(at)))
}

pub(super) fn delete_value(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = writeable(key(at, on)?)?;
    on.durable.delete_value(&key)?;
    Ok(done(0, key_cost(at)))
}

pub(super) fn list_size(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let count = on.durable.count(&key)?;
    Ok(HostOutcome::Done {
        result: Some(HostValue::I64(i64::try_from(count).unwrap_or(i64::MAX))),
        cost: key_cost(at),
    })
}

/// The index is cut to 63 bits, the integers of the original.
pub(super) fn nth_key(
    at: KeyAt,
    index: i64,
    (destination, max_size): (i32, i32),
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let index = index.wrapping_shl(1) >> 1;
    let (entry, differ) = on.durable.nth(&key, index, on.listing)?;
    if differ {
        on.edges.mark(Edge::ListingOrder);
    }
    let name = match entry {
        Nth::Name(name) => name,
        Nth::NoNode => return Err(Code::NotANode.into()),
        Nth::NoEntry => return Err(Code::InvalidSubkeyIndex.into()),
        Nth::Negative => return Err(Code::GenericInvalidAccess.into()),
    };
    put_cut(name.as_bytes(), destination, max_size, on, key_cost(at))
}

pub(super) fn node_hash(
    at: KeyAt,
    (destination, max_size): (i32, i32),
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let hash = on.durable.node_hash(&key)?.ok_or(Code::NotANode)?;
    put_cut(hash.as_bytes(), destination, max_size, on, key_cost(at))
}

/// Writes the first `max_size` bytes; cutting to a negative size raises in the machine.
fn put_cut(
    bytes: &[u8],
    destination: i32,
    max_size: i32,
    on: &mut HostContext<'_>,
    cost: u64,
) -> Result<HostOutcome, Stop> {
    let max_size = usize::try_from(max_size).map_err(|_| Stop::Raised(NEGATIVE_CUT))?;
    let bytes = bytes.get(..max_size).unwrap_or(bytes);
    if !bytes.is_empty() {
        store(on.memory, destination, bytes, on.edges)?;
    }
    Ok(done(i32::try_from(bytes.len()).unwrap_or(0), cost))
}

pub(super) fn copy(from: KeyAt, to: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let (source, target) = (key(from, on)?, key(to, on)?);
    let target = writeable(target)?;
    if !on.durable.copy(&source, &target)? {
        return Err(Code::NotANode.into());
    }
    Ok(done(0, bytes_cost(from.1) + bytes_cost(to.1) + 1))
}

pub(super) fn rename(
    from: KeyAt,
    to: KeyAt,
    on: &mut HostContext<'_>,
) -> Result<HostOutcome, Stop> {
    let (source, target) = (key(from, on)?, key(to, on)?);
    let (source, target) = (writeable(source)?, writeable(target)?);
    if !on.durable.rename(&source, &target)? {
        return Err(Code::NotANode.into());
    }
    Ok(done(0, bytes_cost(from.1) + bytes_cost(to.1) + 1))
}

pub(super) fn create(at: KeyAt, size: i32, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    if size < 0 {
        return Err(Code::ValueSizeExceeded.into());
    }
    let key = writeable(key)?;
    if !on.durable.create(&key, i64::from(size))? {
        return Err(Code::ValueAlreadyExists.into());
    }
    Ok(done(0, key_cost(at)))
}

/// The length as the machine returns it: its low 32 bits.
fn wrapped_length(key: &Key, on: &mut HostContext<'_>) -> Result<Option<i32>, Stop> {
    #[allow(clippy::cast_possible_truncation)]
    Ok(on.durable.length(key)?.map(|length| length as i32))
}

pub(super) fn value_size(at: KeyAt, on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let key = key(at, on)?;
    let length = wrapped_length(&key, on)?.ok_or(Code::NotAValue)?;
    let cost = if length < 0 { 0 } else { key_cost(at) };
    Ok(done(length, cost))
}

pub(super) fn read(args: [i32; 5], on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let [address, length, offset, destination, max_bytes] = args;
    let at = (address, length);
    let key = key(at, on)?;
    if max_bytes > IO_LIMIT {
        return Err(Code::InputOutputTooLarge.into());
    }
    let length = on.durable.length(&key)?.ok_or(Code::NotAValue)?;
    let offset = i64::from(offset);
    if offset < 0 || offset >= length {
        return Err(Code::InvalidAccess.into());
    }
    let max_bytes = usize::try_from(max_bytes).map_err(|_| Code::GenericInvalidAccess)?;
    let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
    let bytes = on.durable.read(&key, offset, max_bytes.min(left))?;
    store(on.memory, destination, &bytes, on.edges)?;
    let count = i32::try_from(bytes.len()).unwrap_or(IO_LIMIT);
    Ok(done(count, key_cost(at) + bytes_cost(count)))
}

pub(super) fn write(args: [i32; 5], on: &mut HostContext<'_>) -> Result<HostOutcome, Stop> {
    let [address, length, offset, source, count] = args;
    let at = (address, length);
    let key = key(at, on)?;
    let size = wrapped_length(&key, on)?.unwrap_or(0);
    if size > size.wrapping_add(count) {
        return Err(Code::ValueSizeExceeded.into());
    }
    let bytes = load(on.memory, source, count, on.edges)?;
    let key = writeable(key)?;
    if count > IO_LIMIT {
        return Err(Code::InputOutputTooLarge.into());
    }
    let length = on.durable.length(&key)?.unwrap_or(0);
    let offset = i64::from(offset);
    if offset > length {
        return Err(Code::InvalidAccess.into());
    }
    if offset < 0 {
        return Err(Code::GenericInvalidAccess.into());
    }
    on.durable.write(&key, offset, &bytes)?;
    Ok(done(0, key_cost(at) + bytes_cost(count)))
}
