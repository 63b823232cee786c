//! `commander`: a kernel that does what messages tell it to, so that a test can reach every path
//! of the machine with a few bytes.
//!
//! External messages start with one command byte; unknown commands and everything internal are
//! only counted. `W len key value` writes a value, `A len key value` appends to one, `X key`
//! deletes, `C len from to` copies, `V len from to` moves, `R hash` reveals a preimage into
//! `/revealed`, `M` keeps the metadata, `U hashes` upgrades to the kernel whose pages have these
//! hashes, `B n` asks for n reboots, `T` traps, `L n` loops n times (n as four little-endian bytes;
//! `ff ff ff ff` never ends), `G n` grows memory by n pages and fills it, `O bytes` writes to the
//! outbox, `D text` writes debug text, `S key` keeps what is known of a key under `/survey`.

use crate::{MESSAGE, PAGE, host, keep, number};

const VERSION: &[u8] = if cfg!(feature = "second") { b"2" } else { b"1" };
const REBOOT: &[u8] = b"/kernel/env/reboot";
const PENDING_REBOOTS: &[u8] = b"/pending/reboots";
/// Largest read or write of durable storage.
const PIECE: usize = 2048;

/// What the protocol calls each time the kernel has work.
#[unsafe(no_mangle)]
pub extern "C" fn kernel_run() {
    let message = unsafe { MESSAGE.take() };
    let page = unsafe { PAGE.take() };
    keep(b"/version", VERSION);
    while let Some((level, _, length)) = host::next_message(message) {
        count(b"/count/messages");
        keep(b"/last/level", &level.to_le_bytes());
        if let Some([0x01, command, rest @ ..]) = message.get(..length) {
            obey(*command, rest, page);
        }
    }
    serve_reboots();
}

fn obey(command: u8, rest: &[u8], page: &mut [u8; 4096]) {
    count(b"/count/commands");
    let done = match command {
        b'W' => with_key(rest, |key, value| replace(key, value)),
        b'A' => with_key(rest, |key, value| {
            host::write(key, host::value_size(key).unwrap_or(0), value)
        }),
        b'X' => host::delete(rest),
        b'C' => with_key(rest, host::copy),
        b'V' => with_key(rest, host::rename),
        b'R' => reveal(rest, page),
        b'M' => host::metadata(page).and_then(|length| replace(b"/metadata", &page[..length])),
        b'U' => upgrade(rest, page),
        b'B' => replace(PENDING_REBOOTS, rest),
        b'T' => core::arch::wasm32::unreachable(),
        b'L' => spin(rest),
        b'G' => grow(rest),
        b'O' => host::output(rest),
        b'D' => {
            host::debug(rest);
            Ok(0)
        }
        b'S' => survey(rest),
        _ => Err(i32::MIN),
    };
    if let Err(code) = done {
        keep(b"/last/error", &code.to_le_bytes());
    }
}

fn with_key(
    rest: &[u8],
    act: impl FnOnce(&[u8], &[u8]) -> Result<usize, host::Code>,
) -> Result<usize, host::Code> {
    let (length, rest) = rest.split_first().ok_or(i32::MIN)?;
    let (key, value) = rest
        .split_at_checked(usize::from(*length))
        .ok_or(i32::MIN)?;
    act(key, value)
}

/// Writes a whole value in pieces the host accepts.
fn replace(key: &[u8], value: &[u8]) -> Result<usize, host::Code> {
    host::delete(key)?;
    for (index, piece) in value.chunks(PIECE).enumerate() {
        host::write(key, index * PIECE, piece)?;
    }
    Ok(0)
}

fn count(key: &[u8]) {
    let mut bytes = [0; 4];
    let _ = host::read(key, 0, &mut bytes);
    keep(
        key,
        &u32::from_le_bytes(bytes).wrapping_add(1).to_le_bytes(),
    );
}

fn reveal(hash: &[u8], page: &mut [u8; 4096]) -> Result<usize, host::Code> {
    let length = host::preimage(hash, page)?;
    replace(b"/revealed", &page[..length])
}

fn upgrade(hashes: &[u8], page: &mut [u8; 4096]) -> Result<usize, host::Code> {
    const NEXT: &[u8] = b"/next/kernel";
    let _ = host::delete(NEXT);
    let mut offset = 0;
    for hash in hashes.chunks(33) {
        let length = host::preimage(hash, page)?;
        for piece in page[..length].chunks(PIECE) {
            host::write(NEXT, offset, piece)?;
            offset += piece.len();
        }
    }
    host::rename(NEXT, b"/kernel/boot.wasm")?;
    host::write(REBOOT, 0, b"")
}

fn spin(rest: &[u8]) -> Result<usize, host::Code> {
    let wanted = number(rest);
    let mut mixed = 0x9e37_79b9_u32;
    let mut done = 0;
    while wanted == u32::MAX || done < wanted {
        mixed = mixed.rotate_left(5) ^ i32::from(done as i8) as u32;
        done = done.wrapping_add(1);
    }
    host::write(b"/spun", 0, &mixed.to_le_bytes())
}

fn grow(rest: &[u8]) -> Result<usize, host::Code> {
    let pages = number(rest) as usize;
    let before = core::arch::wasm32::memory_grow(0, pages);
    if before == usize::MAX {
        return Err(i32::MIN);
    }
    let start = (before * 65_536) as *mut u32;
    // A plain fill first: `memory.fill` in the extended build, a loop otherwise.
    unsafe { core::ptr::write_bytes(start, 0xa5, pages * 16_384) };
    let new = unsafe { core::slice::from_raw_parts_mut(start, pages * 16_384) };
    for (index, word) in new.iter_mut().enumerate() {
        *word ^= (index as u32).wrapping_mul(0x85eb_ca6b);
    }
    let mixed = new
        .iter()
        .fold(0_u32, |sum, word| sum.rotate_left(1) ^ word);
    host::write(b"/grown", 0, &mixed.to_le_bytes())
}

fn survey(key: &[u8]) -> Result<usize, host::Code> {
    let mut found = [0; 16];
    found[..4].copy_from_slice(&host::has(key).to_le_bytes());
    found[4..12].copy_from_slice(&host::list_size(key).to_le_bytes());
    found[12..]
        .copy_from_slice(&(host::value_size(key).map_or(-1, |size| size as i32)).to_le_bytes());
    host::write(b"/survey", 0, &found)
}

/// One pending reboot becomes a request; the next run sees one less.
fn serve_reboots() {
    let mut bytes = [0; 4];
    if host::read(PENDING_REBOOTS, 0, &mut bytes).is_err() {
        return;
    }
    match u32::from_le_bytes(bytes) {
        0 => drop(host::delete(PENDING_REBOOTS)),
        left => {
            keep(PENDING_REBOOTS, &(left - 1).to_le_bytes());
            keep(REBOOT, b"");
        }
    }
}
