//! Bulk operations as small steps: each unfolds into ordinary instructions and, at the end of its
//! round, into itself for the rest. 42 ticks for a byte filled or initialised, 48 for one copied.

use crate::wasm::ast::{Extension, Instr, MemArg, Num, NumType, PackSize};
use crate::wasm::config::Admin;
use crate::wasm::fault::{Exception, Fault};

const AT_ADDRESS: MemArg = MemArg {
    align: 0,
    offset: 0,
};

fn constant(value: i32) -> Admin {
    Admin::Plain(Instr::Const(Num::I32(value)))
}

fn store_byte() -> Admin {
    let pack = Some(PackSize::Pack8);
    Admin::Plain(Instr::Store(NumType::I32, AT_ADDRESS, pack))
}

fn load_byte() -> Admin {
    let pack = Some((PackSize::Pack8, Extension::Unsigned));
    Admin::Plain(Instr::Load(NumType::I32, AT_ADDRESS, pack))
}

/// Copying a byte or a slot, then the rest; or the rest first when the ranges overlap that way.
fn copy_round(
    (d, s, n): (i32, i32, i32),
    access: [Admin; 2],
    again: Instr,
    forward: bool,
) -> Vec<Admin> {
    let [load, store] = access;
    let one = [constant(d), constant(s), load, store];
    let rest = [
        constant(d.wrapping_add(1)),
        constant(s.wrapping_add(1)),
        constant(n.wrapping_sub(1)),
        Admin::Plain(again),
    ];
    let (first, second) = if forward { (one, rest) } else { (rest, one) };
    first.into_iter().chain(second).collect()
}

/// The instructions of one round, in order.
fn round(admin: &Admin) -> Result<Vec<Admin>, Fault> {
    Ok(match admin {
        Admin::TableInit {
            value,
            d,
            s,
            n,
            x,
            y,
            ..
        } => vec![
            constant(*d),
            Admin::Refer(value.clone()),
            Admin::Plain(Instr::TableSet(*x)),
            constant(d.wrapping_add(1)),
            constant(s.wrapping_add(1)),
            constant(n.wrapping_sub(1)),
            Admin::Plain(Instr::TableInit {
                table: *x,
                segment: *y,
            }),
        ],
        Admin::TableFill { i, n, r, x, .. } => vec![
            constant(*i),
            Admin::Refer(r.clone()),
            Admin::Plain(Instr::TableSet(*x)),
            constant(i.wrapping_add(1)),
            Admin::Refer(r.clone()),
            constant(n.wrapping_sub(1)),
            Admin::Plain(Instr::TableFill(*x)),
        ],
        Admin::TableCopy {
            d,
            s,
            n,
            x,
            y,
            forward,
            ..
        } => copy_round(
            (*d, *s, *n),
            [
                Admin::Plain(Instr::TableGet(*y)),
                Admin::Plain(Instr::TableSet(*x)),
            ],
            Instr::TableCopy { to: *x, from: *y },
            *forward,
        ),
        Admin::MemoryInit { d, b, n, s, x, .. } => vec![
            constant(*d),
            constant(*b),
            store_byte(),
            constant(d.wrapping_add(1)),
            constant(s.wrapping_add(1)),
            constant(n.wrapping_sub(1)),
            Admin::Plain(Instr::MemoryInit(*x)),
        ],
        Admin::MemoryFill { i, k, n, .. } => vec![
            constant(*i),
            Admin::Plain(Instr::Const(*k)),
            store_byte(),
            constant(i.wrapping_add(1)),
            Admin::Plain(Instr::Const(*k)),
            constant(n.wrapping_sub(1)),
            Admin::Plain(Instr::MemoryFill),
        ],
        Admin::MemoryCopy {
            d, s, n, forward, ..
        } => copy_round(
            (*d, *s, *n),
            [load_byte(), store_byte()],
            Instr::MemoryCopy,
            *forward,
        ),
        _ => return Err(no_such_round()),
    })
}

fn no_such_round() -> Fault {
    Fault::Raised(Exception::Other {
        raw: "Invalid_argument(\"table_fill_meta_instr\")".into(),
        explanation: None,
        interpreter: false,
    })
}

fn position(admin: &mut Admin) -> Option<&mut i32> {
    match admin {
        Admin::TableInit { idx, .. }
        | Admin::TableFill { idx, .. }
        | Admin::TableCopy { idx, .. }
        | Admin::MemoryInit { idx, .. }
        | Admin::MemoryFill { idx, .. }
        | Admin::MemoryCopy { idx, .. } => Some(idx),
        _ => None,
    }
}

/// The next instruction of a bulk operation and, unless it was the last of the round, the
/// operation itself one further.
pub(super) fn unfold(mut admin: Admin) -> Result<(Admin, Option<Admin>), Fault> {
    let round = round(&admin)?;
    let count = round.len();
    let idx = position(&mut admin).ok_or_else(no_such_round)?;
    let at = usize::try_from(*idx).map_err(|_| no_such_round())?;
    let next = round.into_iter().nth(at).ok_or_else(no_such_round)?;
    if count <= at.saturating_add(1) {
        return Ok((next, None));
    }
    *idx = idx.wrapping_add(1);
    Ok((next, Some(admin)))
}
