//! Records as they lie in a pack: bodies whose hash says whether they are whole.
//!
//! A record names the records below by hash and place. Values up to [`INLINE`] bytes lie inside
//! their bucket, because a chunk of a byte vector is never read without it.

use crate::crypto::Hash;
use crate::merkle::digest::{self, Preimage};
use crate::merkle::item::Kind;
use crate::merkle::name::Name;
use crate::merkle::{Bytes, TreeError};

/// Longest value inside a bucket.
pub(super) const INLINE: usize = 1024;

/// Another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hash: Hash,
    pub(super) at: u64,
}

/// What an entry stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Inline(Bytes),
    Value(Place),
    Directory(Place),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) name: Name,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Value(Bytes),
    /// A directory of at most two entries.
    Flat(Vec<Slot>),
    /// One or two entries of a larger directory.
    Bucket(Vec<Slot>),
    Branch {
        depth: u8,
        length: u64,
        sides: [Option<Place>; 2],
    },
}

impl Record {
    /// The hash that whoever points here knows.
    pub(super) fn hash(&self) -> Result<Hash, TreeError> {
        let mut preimage = Preimage::default();
        Ok(match self {
            Self::Value(bytes) => digest::value(bytes),
            Self::Flat(slots) => preimage.flat(slots.iter().map(Slot::hashed)),
            Self::Bucket(slots) => preimage.bucket(slots.iter().map(Slot::hashed)),
            Self::Branch {
                depth,
                length,
                sides,
            } => {
                let sides = sides.map(|side| side.map(|place| place.hash));
                preimage.branch(usize::from(*depth), *length as usize, sides)
            }
        })
    }

    /// Every place this record names, for following or moving it.
    pub(super) fn places_mut(&mut self) -> impl Iterator<Item = (bool, &mut Place)> {
        let (slots, sides) = match self {
            Self::Value(_) => (None, None),
            Self::Flat(slots) | Self::Bucket(slots) => (Some(slots), None),
            Self::Branch { sides, .. } => (None, Some(sides)),
        };
        let below = slots
            .into_iter()
            .flatten()
            .filter_map(|slot| match &mut slot.what {
                What::Inline(_) => None,
                What::Value(place) => Some((true, place)),
                What::Directory(place) => Some((false, place)),
            });
        let sides = sides.into_iter().flatten().flatten();
        below.chain(sides.map(|place| (false, place)))
    }

    /// Appends the record: the length of its body, then the body.
    pub(super) fn append(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = out.len();
        out.extend([0; 4]);
        match self {
            Self::Value(bytes) => {
                out.push(0);
                out.extend_from_slice(bytes);
            }
            Self::Flat(slots) => append_slots(out, 1, slots)?,
            Self::Bucket(slots) => append_slots(out, 2, slots)?,
            Self::Branch {
                depth,
                length,
                sides,
            } => {
                out.extend([3, *depth]);
                out.extend(length.to_le_bytes());
                for side in sides {
                    out.push(u8::from(side.is_some()));
                    if let Some(place) = side {
                        append_place(out, place);
                    }
                }
            }
        }
        let length = u32::try_from(out.len() - start - 4).map_err(|_| TooLong)?;
        if let Some(head) = out.get_mut(start..start + 4) {
            head.copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    /// Reads a body; nothing when it is none.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut left = Left(body);
        let record = match left.byte()? {
            0 => return Some(Self::Value(left.0.into())),
            1 => Self::Flat(left.slots()?),
            2 => Self::Bucket(left.slots()?),
            3 => Self::Branch {
                depth: left.byte()?,
                length: u64::from_le_bytes(left.array()?),
                sides: [left.side()?, left.side()?],
            },
            _ => return None,
        };
        left.0.is_empty().then_some(record)
    }
}

impl Slot {
    fn hashed(&self) -> (&[u8], Kind, Hash) {
        let (kind, hash) = match &self.what {
            What::Inline(bytes) => (Kind::Value, digest::value(bytes)),
            What::Value(place) => (Kind::Value, place.hash),
            What::Directory(place) => (Kind::Directory, place.hash),
        };
        (self.name.as_bytes(), kind, hash)
    }
}

/// A name or value of four gigabytes.
#[derive(Debug)]
pub(super) struct TooLong;

fn append_place(out: &mut Vec<u8>, place: &Place) {
    out.extend(place.hash.0);
    out.extend(place.at.to_le_bytes());
}

fn append_slots(out: &mut Vec<u8>, tag: u8, slots: &[Slot]) -> Result<(), TooLong> {
    out.extend([tag, slots.len() as u8]);
    for slot in slots {
        append_bytes(out, slot.name.as_bytes())?;
        match &slot.what {
            What::Inline(bytes) => {
                out.push(0);
                append_bytes(out, bytes)?;
            }
            What::Value(place) => {
                out.push(1);
                append_place(out, place);
            }
            What::Directory(place) => {
                out.push(2);
                append_place(out, place);
            }
        }
    }
    Ok(())
}

fn append_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u32::try_from(bytes.len()).map_err(|_| TooLong)?;
    out.extend(length.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// What is left of a body.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.raw(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.raw(usize::try_from(length).ok()?)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place {
            hash: Hash(self.array()?),
            at: u64::from_le_bytes(self.array()?),
        })
    }

    fn side(&mut self) -> Option<Option<Place>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(self.place()?)),
            _ => None,
        }
    }

    fn slots(&mut self) -> Option<Vec<Slot>> {
        let count = self.byte()?;
        if count > 2 {
            return None;
        }
        (0..count).map(|_| self.slot()).collect()
    }

    fn slot(&mut self) -> Option<Slot> {
        let name = Name::new(self.bytes()?);
        let what = match self.byte()? {
            0 => What::Inline(self.bytes()?.into()),
            1 => What::Value(self.place()?),
            2 => What::Directory(self.place()?),
            _ => return None,
        };
        Some(Slot { name, what })
    }
}
