//! The bytes of a proof.
//!
//! Rule: `V2.Tree2.tree_proof_encoding` of the merkle proof encodings. Promises: bounded work on
//! any bytes, only shortest forms of lengths.

use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Hash;
use crate::merkle::name::Name;

use super::shape::{Entries, Extender, Inner, Inode, Shown};
use super::{KindedHash, Proof, ProofError};

/// Version of set proofs of the binary tree.
const VERSION: i16 = 2;
/// Deepest nesting of records that is read; the states of the PVM stay far below.
const MAX_NESTING: usize = 1500;

impl Proof {
    /// The bytes that go to layer 1.
    ///
    /// # Errors
    /// [`ProofError::LongName`] when the tree has names that proofs have no room for.
    pub fn encode(&self) -> Result<Vec<u8>, ProofError> {
        let mut out = Writer::new();
        let bit = |kinded: &KindedHash| u8::from(matches!(kinded, KindedHash::Node(_)));
        out.u8(bit(&self.before) | bit(&self.after) << 1);
        out.i16(VERSION);
        out.raw(&self.before.hash().0).raw(&self.after.hash().0);
        write_shown(&mut out, &self.state)?;
        Ok(out.into_bytes())
    }

    /// Reads the bytes of a proof; nothing may follow them.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let proof = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(proof)
    }

    /// Reads a proof that other data follows.
    ///
    /// # Errors
    /// As [`Proof::decode`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8("proof tag")?;
        if tag > 3 {
            return Err(reader.invalid("proof tag", format!("{tag:#04x} is not from 0 to 3")));
        }
        let version = reader.i16("proof version")?;
        if version != VERSION {
            let problem = format!("{version} is not {VERSION}, a set proof of the binary tree");
            return Err(reader.invalid("proof version", problem));
        }
        let kinded = |bit: u8, hash| match tag >> bit & 1 {
            0 => KindedHash::Value(hash),
            _ => KindedHash::Node(hash),
        };
        let before = kinded(0, read_hash(reader)?);
        let after = kinded(1, read_hash(reader)?);
        let state = read_shown(reader, MAX_NESTING)?;
        Ok(Self {
            before,
            after,
            state,
        })
    }
}

fn read_hash(reader: &mut Reader<'_>) -> Result<Hash, DecodeError> {
    reader.array("hash").map(Hash)
}

fn deeper(reader: &Reader<'_>, left: usize) -> Result<usize, DecodeError> {
    left.checked_sub(1)
        .ok_or_else(|| reader.invalid("proof", format!("records nested deeper than {MAX_NESTING}")))
}

fn write_shown(out: &mut Writer, shown: &Shown) -> Result<(), ProofError> {
    match shown {
        Shown::Value(value) => {
            match (u8::try_from(value.len()), u16::try_from(value.len())) {
                (Ok(length), _) => out.u8(0xc0).u8(length).raw(value),
                (_, Ok(length)) => out.u8(0xc1).u16(length).raw(value),
                _ => out.u8(0xc3).dynamic(value),
            };
        }
        Shown::BlindedValue(hash) => {
            out.u8(0xc8).raw(&hash.0);
        }
        Shown::Node(entries) => write_entries(out, entries)?,
        Shown::BlindedNode(hash) => {
            out.u8(0xd0).raw(&hash.0);
        }
        Shown::Inode(inode) => write_inode(out, inode)?,
        Shown::Extender(extender) => write_extender(out, 0xd8, extender)?,
    }
    Ok(())
}

fn read_shown(reader: &mut Reader<'_>, left: usize) -> Result<Shown, DecodeError> {
    let left = deeper(reader, left)?;
    let at = reader.clone();
    let short = |long: bool, problem: &str| {
        if long {
            Ok(())
        } else {
            Err(at.invalid("value", problem))
        }
    };
    let tag = reader.u8("proof part")?;
    Ok(match tag {
        0x00..=0x03 => Shown::Inode(read_inode(reader, tag, left)?),
        0x80..=0x83 => Shown::Node(read_entries(reader, tag, left)?),
        0xc0 => {
            let length = reader.u8("value length")?;
            Shown::Value(reader.raw("value", length.into())?.into())
        }
        0xc1 => {
            let length = reader.u16("value length")?;
            short(length > u16::from(u8::MAX), "length fits one byte")?;
            Shown::Value(reader.raw("value", length.into())?.into())
        }
        0xc3 => {
            let length = reader.u32("value length")?;
            short(length > u32::from(u16::MAX), "length fits two bytes")?;
            Shown::Value(reader.raw("value", length as usize)?.into())
        }
        0xc8 => Shown::BlindedValue(read_hash(reader)?),
        0xd0 => Shown::BlindedNode(read_hash(reader)?),
        0xd8..=0xdb => Shown::Extender(read_extender(reader, tag, left)?),
        _ => return Err(at.invalid("proof part", format!("{tag:#04x} is no tag of a tree"))),
    })
}

fn write_inner(out: &mut Writer, inner: &Inner) -> Result<(), ProofError> {
    match inner {
        Inner::Blinded(hash) => {
            out.u8(0xc0).raw(&hash.0);
        }
        Inner::Values(entries) => write_entries(out, entries)?,
        Inner::Tree(inode) => write_inode(out, inode)?,
        Inner::Extender(extender) => write_extender(out, 0xd0, extender)?,
    }
    Ok(())
}

/// An inner record, or none.
fn read_inner(reader: &mut Reader<'_>, left: usize) -> Result<Option<Inner>, DecodeError> {
    let left = deeper(reader, left)?;
    let at = reader.clone();
    let tag = reader.u8("proof part")?;
    Ok(Some(match tag {
        0x00..=0x03 => Inner::Tree(read_inode(reader, tag, left)?),
        0x80..=0x83 => Inner::Values(read_entries(reader, tag, left)?),
        0xc0 => Inner::Blinded(read_hash(reader)?),
        0xd0..=0xd3 => Inner::Extender(read_extender(reader, tag, left)?),
        0xe0 => return Ok(None),
        _ => return Err(at.invalid("proof part", format!("{tag:#04x} is no tag of a record"))),
    }))
}

/// Two entries at most have their number in the tag; more follow their size in bytes.
fn write_entries(out: &mut Writer, entries: &Entries) -> Result<(), ProofError> {
    let mut body = Writer::new();
    for (name, shown) in entries {
        let name = name.as_bytes();
        let length =
            u8::try_from(name.len()).map_err(|_| ProofError::LongName { length: name.len() })?;
        body.u8(length).raw(name);
        write_shown(&mut body, shown)?;
    }
    let body = body.into_bytes();
    match entries.len() {
        0 => out.u8(0x80),
        1 => out.u8(0x81),
        2 => out.u8(0x82),
        _ => out
            .u8(0x83)
            .u32(u32::try_from(body.len()).unwrap_or(u32::MAX)),
    };
    out.raw(&body);
    Ok(())
}

fn read_entries(reader: &mut Reader<'_>, tag: u8, left: usize) -> Result<Entries, DecodeError> {
    let mut entries = Vec::new();
    if tag & 0x03 == 0x03 {
        let mut sized = reader.sized("proof entries")?;
        while !sized.is_empty() {
            entries.push(read_entry(&mut sized, left)?);
        }
    } else {
        for _ in 0..tag & 0x03 {
            entries.push(read_entry(reader, left)?);
        }
    }
    Ok(entries)
}

fn read_entry(reader: &mut Reader<'_>, left: usize) -> Result<(Name, Shown), DecodeError> {
    let length = reader.u8("name length")?;
    let name = Name::new(reader.raw("name", length.into())?);
    Ok((name, read_shown(reader, left)?))
}

/// A length with its size class in the two low bits of `tag`.
fn write_length(out: &mut Writer, tag: u8, length: u64) {
    match (
        u8::try_from(length),
        u16::try_from(length),
        u32::try_from(length),
    ) {
        (Ok(length), ..) => out.u8(tag).u8(length),
        (_, Ok(length), _) => out.u8(tag | 1).u16(length),
        (.., Ok(length)) => out.u8(tag | 2).u32(length),
        _ => out.u8(tag | 3).raw(&length.to_be_bytes()),
    };
}

fn read_length(reader: &mut Reader<'_>, tag: u8) -> Result<u64, DecodeError> {
    let at = reader.clone();
    let what = "directory length";
    let (length, smallest) = match tag & 0x03 {
        0 => (reader.u8(what)?.into(), 0),
        1 => (reader.u16(what)?.into(), 1 << 8),
        2 => (reader.u32(what)?.into(), 1 << 16),
        _ => (u64::from_be_bytes(reader.array(what)?), 1 << 32),
    };
    if length < smallest || length > i64::MAX as u64 {
        return Err(at.invalid(what, format!("{length} does not belong in this form")));
    }
    Ok(length)
}

fn write_inode(out: &mut Writer, inode: &Inode) -> Result<(), ProofError> {
    write_length(out, 0x00, inode.length);
    for side in [&inode.zero, &inode.one] {
        match side {
            Some(inner) => write_inner(out, inner)?,
            None => {
                out.u8(0xe0);
            }
        }
    }
    Ok(())
}

fn read_inode(reader: &mut Reader<'_>, tag: u8, left: usize) -> Result<Inode, DecodeError> {
    let at = reader.clone();
    let length = read_length(reader, tag)?;
    let zero = read_inner(reader, left)?.map(Box::new);
    let one = read_inner(reader, left)?.map(Box::new);
    if zero.is_none() && one.is_none() {
        return Err(at.invalid("proof part", "directory record without children"));
    }
    Ok(Inode { length, zero, one })
}

fn write_extender(out: &mut Writer, tag: u8, extender: &Extender) -> Result<(), ProofError> {
    write_length(out, tag, extender.length);
    let mut bits = vec![0_u8; extender.segment.len() / 8 + 1];
    let ended = extender.segment.iter().copied().chain([true]);
    for (place, bit) in ended.enumerate() {
        if let Some(byte) = bits.get_mut(place / 8) {
            *byte |= u8::from(bit) << (7 - place % 8);
        }
    }
    let length = u8::try_from(bits.len())
        .map_err(|_| ProofError::Malformed("segment of an extender over 255 bytes"))?;
    out.u8(length).raw(&bits);
    write_inner(out, &extender.end)
}

fn read_extender(reader: &mut Reader<'_>, tag: u8, left: usize) -> Result<Extender, DecodeError> {
    let length = read_length(reader, tag)?;
    let at = reader.clone();
    let size = reader.u8("segment length")?;
    let bytes = reader.raw("segment", size.into())?;
    let Some(last) = bytes.last().filter(|last| **last != 0) else {
        return Err(at.invalid("segment", "no end marker"));
    };
    let count = bytes.len() * 8 - last.trailing_zeros() as usize - 1;
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |place| byte >> (7 - place) & 1 == 1));
    let segment = bits.take(count).collect();
    let at = reader.clone();
    let end = read_inner(reader, left)?
        .ok_or_else(|| at.invalid("proof part", "extender without an end"))?;
    Ok(Extender {
        length,
        segment,
        end: Box::new(end),
    })
}
