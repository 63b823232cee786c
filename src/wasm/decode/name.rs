//! Names, one UTF-8 character a tick.

use super::{NameKont, Stream};
use crate::wasm::fault::{DecodeStep, Exception, Fault};

/// Longest name that is accepted, in bytes.
const LONGEST: i32 = 512;

/// One tick of a name.
pub(super) fn step(s: &mut Stream<'_>, kont: NameKont) -> Result<NameKont, Fault> {
    match kont {
        NameKont::Start => {
            let pos = s.pos();
            let left = s.length()?;
            if left > LONGEST {
                return Err(Fault::located("Names cannot exceed 512 bytes"));
            }
            Ok(NameKont::Parse {
                pos,
                buffer: Vec::new(),
                left,
            })
        }
        NameKont::Parse {
            buffer, left: 0, ..
        } => String::from_utf8(buffer)
            .map(NameKont::Stop)
            .map_err(|_| malformed()),
        NameKont::Parse {
            pos,
            mut buffer,
            left,
        } => {
            let taken = character(s, &mut buffer)?;
            Ok(NameKont::Parse {
                pos,
                buffer,
                left: left.wrapping_sub(taken),
            })
        }
        NameKont::Stop(_) => Err(Exception::DecodeStep(DecodeStep::Name).into()),
    }
}

/// The name of a custom section, read whole for its effect on the position alone.
///
/// Why two kinds of failure: the original does not wait for the result, so that a wrong length
/// goes unnoticed, while whatever is raised on the way does not.
pub(super) fn skip(s: &mut Stream<'_>) -> Result<(), Fault> {
    let mut kont = match step(s, NameKont::Start) {
        Ok(kont) => kont,
        Err(Fault::Raised(Exception::Located(message)))
            if message == "length out of bounds" || message == "Names cannot exceed 512 bytes" =>
        {
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    while !matches!(kont, NameKont::Stop(_)) {
        kont = step(s, kont)?;
    }
    Ok(())
}

fn malformed() -> Fault {
    Fault::located("malformed UTF-8 encoding")
}

/// Any end of the data inside a character makes it malformed.
fn next(s: &mut Stream<'_>) -> Result<u32, Fault> {
    match s.byte() {
        Ok(byte) => Ok(u32::from(byte)),
        Err(Fault::Raised(_)) => Err(malformed()),
        Err(other) => Err(other),
    }
}

fn continuation(byte: u32) -> Result<u32, Fault> {
    if byte & 0xc0 == 0x80 {
        Ok(byte & 0x3f)
    } else {
        Err(malformed())
    }
}

/// Appends the bytes of one character and returns their number.
fn character(s: &mut Stream<'_>, buffer: &mut Vec<u8>) -> Result<i32, Fault> {
    let first = next(s)?;
    let (count, lowest) = match first {
        0x00..=0x7f => (1, 0),
        0x80..=0xbf => return Err(malformed()),
        0xc0..=0xdf => (2, 0x80),
        0xe0..=0xef => (3, 0x800),
        _ => (4, 0x1_0000),
    };
    let mut bytes = vec![first];
    for _ in 1..count {
        bytes.push(next(s)?);
    }
    if first >= 0xf8 {
        return Err(malformed());
    }
    if count > 1 {
        let mut value = first & (0x7f >> count);
        for byte in bytes.iter().skip(1) {
            value = (value << 6) + continuation(*byte)?;
        }
        if value < lowest || (0xd800..0xe000).contains(&value) || value >= 0x11_0000 {
            return Err(malformed());
        }
    }
    buffer.extend(bytes.iter().map(|byte| *byte as u8));
    Ok(count)
}
