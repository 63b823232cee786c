//! Lanes of a 128-bit vector, in the reference's order: lane 0 is the least significant, bytes little-endian.
//!
//! Pure functions from vectors to vectors; knows no operator names and no stack.

/// A 128-bit vector as its sixteen bytes.
pub(crate) type V128 = [u8; 16];

macro_rules! lanes {
    ($module:ident, $int:ty, $uint:ty, $count:expr) => {
        pub(crate) mod $module {
            use super::V128;

            const SIZE: usize = 16 / $count;

            pub(crate) fn split(v: &V128) -> [$int; $count] {
                let mut out = [0; $count];
                for (lane, bytes) in out.iter_mut().zip(v.chunks_exact(SIZE)) {
                    let mut raw = [0; SIZE];
                    raw.copy_from_slice(bytes);
                    *lane = <$int>::from_le_bytes(raw);
                }
                out
            }

            pub(crate) fn join(lanes: [$int; $count]) -> V128 {
                let mut out = [0; 16];
                for (bytes, lane) in out.chunks_exact_mut(SIZE).zip(lanes) {
                    bytes.copy_from_slice(&lane.to_le_bytes());
                }
                out
            }

            pub(crate) fn map(v: &V128, f: impl Fn($int) -> $int) -> V128 {
                join(split(v).map(f))
            }

            pub(crate) fn zip(a: &V128, b: &V128, f: impl Fn($int, $int) -> $int) -> V128 {
                let (mut out, b) = (split(a), split(b));
                for (x, y) in out.iter_mut().zip(b) {
                    *x = f(*x, y);
                }
                join(out)
            }

            pub(crate) fn zip_unsigned(
                a: &V128,
                b: &V128,
                f: impl Fn($uint, $uint) -> $uint,
            ) -> V128 {
                zip(a, b, |x, y| f(x as $uint, y as $uint) as $int)
            }

            /// All ones where the comparison holds.
            pub(crate) fn compare(a: &V128, b: &V128, f: impl Fn($int, $int) -> bool) -> V128 {
                zip(a, b, |x, y| if f(x, y) { -1 } else { 0 })
            }

            pub(crate) fn compare_unsigned(
                a: &V128,
                b: &V128,
                f: impl Fn($uint, $uint) -> bool,
            ) -> V128 {
                compare(a, b, |x, y| f(x as $uint, y as $uint))
            }

            pub(crate) fn all_true(v: &V128) -> bool {
                split(v).iter().all(|lane| *lane != 0)
            }

            /// Sign bits, lane 0 in bit 0.
            pub(crate) fn bitmask(v: &V128) -> i32 {
                split(v)
                    .iter()
                    .enumerate()
                    .fold(0, |mask, (i, lane)| mask | (i32::from(*lane < 0) << i))
            }

            pub(crate) fn splat(lane: $int) -> V128 {
                join([lane; $count])
            }

            pub(crate) fn extract(v: &V128, lane: usize) -> Option<$int> {
                split(v).get(lane).copied()
            }

            /// A lane out of range leaves the vector as it is, as the reference does.
            pub(crate) fn replace(v: &V128, lane: usize, value: $int) -> V128 {
                let mut out = split(v);
                if let Some(slot) = out.get_mut(lane) {
                    *slot = value;
                }
                join(out)
            }

            pub(crate) fn shl(v: &V128, by: i32) -> V128 {
                map(v, |x| x.wrapping_shl(by as u32))
            }

            pub(crate) fn shr_s(v: &V128, by: i32) -> V128 {
                map(v, |x| x.wrapping_shr(by as u32))
            }

            pub(crate) fn shr_u(v: &V128, by: i32) -> V128 {
                map(v, |x| (x as $uint).wrapping_shr(by as u32) as $int)
            }
        }
    };
}

lanes!(i8x16, i8, u8, 16);
lanes!(i16x8, i16, u16, 8);
lanes!(i32x4, i32, u32, 4);
lanes!(i64x2, i64, u64, 2);

macro_rules! widen {
    ($module:ident, $narrow:ident, $small:ty, $usmall:ty, $wide:ident, $big:ty, $count:expr) => {
        /// Conversions between a shape and the next wider one.
        pub(crate) mod $module {
            use super::{V128, $narrow, $wide};

            pub(crate) fn extend_s(v: &V128, high: bool) -> V128 {
                let lanes = $narrow::split(v);
                let mut out = [0; $count];
                let skip = if high { $count } else { 0 };
                for (wide, lane) in out.iter_mut().zip(lanes.iter().skip(skip)) {
                    *wide = <$big>::from(*lane);
                }
                $wide::join(out)
            }

            pub(crate) fn extend_u(v: &V128, high: bool) -> V128 {
                let lanes = $narrow::split(v);
                let mut out = [0; $count];
                let skip = if high { $count } else { 0 };
                for (wide, lane) in out.iter_mut().zip(lanes.iter().skip(skip)) {
                    *wide = <$big>::from(*lane as $usmall);
                }
                $wide::join(out)
            }

            pub(crate) fn multiply_s(a: &V128, b: &V128, high: bool) -> V128 {
                $wide::zip(&extend_s(a, high), &extend_s(b, high), <$big>::wrapping_mul)
            }

            pub(crate) fn multiply_u(a: &V128, b: &V128, high: bool) -> V128 {
                $wide::zip(&extend_u(a, high), &extend_u(b, high), <$big>::wrapping_mul)
            }
        }
    };
}

widen!(from_i8, i8x16, i8, u8, i16x8, i16, 8);
widen!(from_i16, i16x8, i16, u16, i32x4, i32, 4);
widen!(from_i32, i32x4, i32, u32, i64x2, i64, 2);

macro_rules! pairwise {
    ($signed:ident, $unsigned:ident, $narrow:ident, $usmall:ty, $wide:ident, $big:ty, $count:expr) => {
        pub(crate) fn $signed(v: &V128) -> V128 {
            let lanes = $narrow::split(v);
            let mut out = [0; $count];
            for (sum, pair) in out.iter_mut().zip(lanes.chunks_exact(2)) {
                *sum = pair.iter().map(|lane| <$big>::from(*lane)).sum();
            }
            $wide::join(out)
        }

        pub(crate) fn $unsigned(v: &V128) -> V128 {
            let lanes = $narrow::split(v);
            let mut out: [$big; $count] = [0; $count];
            for (sum, pair) in out.iter_mut().zip(lanes.chunks_exact(2)) {
                *sum = pair.iter().fold(0, |total: $big, lane| {
                    total.wrapping_add(<$big>::from(*lane as $usmall))
                });
            }
            $wide::join(out)
        }
    };
}

pairwise!(pairwise_i8_s, pairwise_i8_u, i8x16, u8, i16x8, i16, 8);
pairwise!(pairwise_i16_s, pairwise_i16_u, i16x8, u16, i32x4, i32, 4);

pub(crate) fn narrow_i16(a: &V128, b: &V128, saturate: impl Fn(i16) -> i8) -> V128 {
    let mut out = [0; 16];
    let lanes = i16x8::split(a).into_iter().chain(i16x8::split(b));
    for (slot, lane) in out.iter_mut().zip(lanes) {
        *slot = saturate(lane);
    }
    i8x16::join(out)
}

pub(crate) fn narrow_i32(a: &V128, b: &V128, saturate: impl Fn(i32) -> i16) -> V128 {
    let mut out = [0; 8];
    let lanes = i32x4::split(a).into_iter().chain(i32x4::split(b));
    for (slot, lane) in out.iter_mut().zip(lanes) {
        *slot = saturate(lane);
    }
    i16x8::join(out)
}

pub(crate) fn dot(a: &V128, b: &V128) -> V128 {
    let (a, b) = (i16x8::split(a), i16x8::split(b));
    let mut out = [0_i32; 4];
    for (sum, (x, y)) in out.iter_mut().zip(a.chunks_exact(2).zip(b.chunks_exact(2))) {
        for (x, y) in x.iter().zip(y) {
            *sum = sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y)));
        }
    }
    i32x4::join(out)
}

pub(crate) fn swizzle(v: &V128, indices: &V128) -> V128 {
    indices.map(|index| v.get(usize::from(index)).copied().unwrap_or(0))
}

/// Picks bytes out of the two vectors; `None` when a lane index is out of range.
pub(crate) fn shuffle(a: &V128, b: &V128, indices: &[u8; 16]) -> Option<V128> {
    let mut out = [0; 16];
    for (slot, index) in out.iter_mut().zip(indices) {
        let index = usize::from(*index);
        *slot = *a.iter().chain(b).nth(index)?;
    }
    Some(out)
}

pub(crate) fn bits(a: &V128, b: &V128, f: impl Fn(u128, u128) -> u128) -> V128 {
    f(u128::from_le_bytes(*a), u128::from_le_bytes(*b)).to_le_bytes()
}

/// Saturating conversion of float lanes; not-a-number gives 0, as Rust's `as` does.
pub(crate) fn truncate_f32(v: &V128, unsigned: bool) -> V128 {
    i32x4::map(v, |lane| {
        let float = f32::from_bits(lane as u32);
        if unsigned {
            float as u32 as i32
        } else {
            float as i32
        }
    })
}

/// Saturating conversion of the two double lanes into the low half; the high half is zero.
pub(crate) fn truncate_f64(v: &V128, unsigned: bool) -> V128 {
    let [low, high] = i64x2::split(v).map(|lane| {
        let float = f64::from_bits(lane as u64);
        if unsigned {
            float as u32 as i32
        } else {
            float as i32
        }
    });
    i32x4::join([low, high, 0, 0])
}
