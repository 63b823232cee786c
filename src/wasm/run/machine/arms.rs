//! What the numeric operations, loads, stores and comparing branches do, one line each.
//!
//! Why macros: all operations must be arms of one match, so that one jump leads to each; the arms
//! of a family differ by an expression alone. They use `trap!`, `jump!`, `load!` and `store!` of the
//! place they are put in.

/// The match over an operation, of its special arms and the families.
macro_rules! interpret {
    (
        $op:expr, $frame:ident;
        unary { $($unary:ident => |$u:ident| $unary_value:expr,)* }
        narrow { $($narrow:ident $narrow_imm:ident => |$nx:ident, $ny:ident| $narrow_value:expr,)* }
        wide { $($wide:ident $wide_imm:ident => |$wx:ident, $wy:ident| $wide_value:expr,)* }
        divide { $($divide:ident: $int:ident as $unsigned:ident => $division:path,)* }
        branch { $($branch:ident $branch_imm:ident => |$bx:ident, $by:ident| $taken:expr,)* }
        load { $($load:ident: $loaded:ident => |$l:ident| $load_value:expr,)* }
        store { $($store:ident: $stored:ident,)* }
        special { $($special:tt)* }
    ) => {
        match $op {
            $($special)*
            $(Op::$unary { dst, a } => {
                let $u = $frame[usize::from(a)];
                $frame[usize::from(dst)] = $unary_value;
            })*
            $(Op::$narrow { dst, a, b } => {
                let ($nx, $ny) = ($frame[usize::from(a)] as u32, $frame[usize::from(b)] as u32);
                $frame[usize::from(dst)] = u64::from($narrow_value);
            }
            Op::$narrow_imm { dst, a, imm } => {
                let ($nx, $ny) = ($frame[usize::from(a)] as u32, imm as u32);
                $frame[usize::from(dst)] = u64::from($narrow_value);
            })*
            $(Op::$wide { dst, a, b } => {
                let ($wx, $wy) = ($frame[usize::from(a)], $frame[usize::from(b)]);
                $frame[usize::from(dst)] = u64::from($wide_value);
            }
            Op::$wide_imm { dst, a, imm } => {
                let ($wx, $wy) = ($frame[usize::from(a)], i64::from(imm) as u64);
                $frame[usize::from(dst)] = u64::from($wide_value);
            })*
            $(Op::$divide { dst, a, b } => {
                match $division($frame[usize::from(a)] as $int, $frame[usize::from(b)] as $int) {
                    Ok(value) => $frame[usize::from(dst)] = u64::from(value as $unsigned),
                    Err(trap) => trap!(trap.message()),
                }
            })*
            $(Op::$branch { a, b, delta, target } => {
                let ($bx, $by) = ($frame[usize::from(a)] as u32, $frame[usize::from(b)] as u32);
                jump!($taken, delta, target);
            }
            Op::$branch_imm { a, imm, delta, target } => {
                let ($bx, $by) = ($frame[usize::from(a)] as u32, i32::from(imm) as u32);
                jump!($taken, delta, target);
            })*
            $(Op::$load { dst, address, offset } => {
                load!(dst, address, offset, $loaded, |$l| $load_value);
            })*
            $(Op::$store { address, src, offset } => store!(address, src, offset, $stored),)*
        }
    };
}

/// The match over an operation, its special arms given.
macro_rules! with_numeric_arms {
    ($op:expr, $frame:ident; $($special:tt)*) => {
        interpret! {
            $op, $frame;
            unary {
                I32Clz => |x| u64::from((x as u32).leading_zeros()),
                I32Ctz => |x| u64::from((x as u32).trailing_zeros()),
                I32Popcnt => |x| u64::from((x as u32).count_ones()),
                I32Extend8 => |x| u64::from(i32::from(x as i8) as u32),
                I32Extend16 => |x| u64::from(i32::from(x as i16) as u32),
                I32Eqz => |x| u64::from(x as u32 == 0),
                I64Clz => |x| u64::from(x.leading_zeros()),
                I64Ctz => |x| u64::from(x.trailing_zeros()),
                I64Popcnt => |x| u64::from(x.count_ones()),
                I64Extend8 => |x| i64::from(x as i8) as u64,
                I64Extend16 => |x| i64::from(x as i16) as u64,
                I64Extend32 => |x| i64::from(x as i32) as u64,
                I64Eqz => |x| u64::from(x == 0),
                Wrap => |x| u64::from(x as u32),
                ExtendU => |x| u64::from(x as u32),
            }
            narrow {
                I32Add I32AddImm => |x, y| x.wrapping_add(y),
                I32Sub I32SubImm => |x, y| x.wrapping_sub(y),
                I32Mul I32MulImm => |x, y| x.wrapping_mul(y),
                I32And I32AndImm => |x, y| x & y,
                I32Or I32OrImm => |x, y| x | y,
                I32Xor I32XorImm => |x, y| x ^ y,
                I32Shl I32ShlImm => |x, y| x.wrapping_shl(y),
                I32ShrS I32ShrSImm => |x, y| (x as i32).wrapping_shr(y) as u32,
                I32ShrU I32ShrUImm => |x, y| x.wrapping_shr(y),
                I32Rotl I32RotlImm => |x, y| x.rotate_left(y & 31),
                I32Rotr I32RotrImm => |x, y| x.rotate_right(y & 31),
                I32Eq I32EqImm => |x, y| x == y,
                I32Ne I32NeImm => |x, y| x != y,
                I32LtS I32LtSImm => |x, y| (x as i32) < (y as i32),
                I32LtU I32LtUImm => |x, y| x < y,
                I32GtS I32GtSImm => |x, y| (x as i32) > (y as i32),
                I32GtU I32GtUImm => |x, y| x > y,
                I32LeS I32LeSImm => |x, y| (x as i32) <= (y as i32),
                I32LeU I32LeUImm => |x, y| x <= y,
                I32GeS I32GeSImm => |x, y| (x as i32) >= (y as i32),
                I32GeU I32GeUImm => |x, y| x >= y,
            }
            wide {
                I64Add I64AddImm => |x, y| x.wrapping_add(y),
                I64Sub I64SubImm => |x, y| x.wrapping_sub(y),
                I64Mul I64MulImm => |x, y| x.wrapping_mul(y),
                I64And I64AndImm => |x, y| x & y,
                I64Or I64OrImm => |x, y| x | y,
                I64Xor I64XorImm => |x, y| x ^ y,
                I64Shl I64ShlImm => |x, y| x.wrapping_shl(y as u32),
                I64ShrS I64ShrSImm => |x, y| (x as i64).wrapping_shr(y as u32) as u64,
                I64ShrU I64ShrUImm => |x, y| x.wrapping_shr(y as u32),
                I64Rotl I64RotlImm => |x, y| x.rotate_left(y as u32 & 63),
                I64Rotr I64RotrImm => |x, y| x.rotate_right(y as u32 & 63),
                I64Eq I64EqImm => |x, y| x == y,
                I64Ne I64NeImm => |x, y| x != y,
                I64LtS I64LtSImm => |x, y| (x as i64) < (y as i64),
                I64LtU I64LtUImm => |x, y| x < y,
                I64GtS I64GtSImm => |x, y| (x as i64) > (y as i64),
                I64GtU I64GtUImm => |x, y| x > y,
                I64LeS I64LeSImm => |x, y| (x as i64) <= (y as i64),
                I64LeU I64LeUImm => |x, y| x <= y,
                I64GeS I64GeSImm => |x, y| (x as i64) >= (y as i64),
                I64GeU I64GeUImm => |x, y| x >= y,
            }
            divide {
                I32DivS: i32 as u32 => int32::div_s,
                I32DivU: i32 as u32 => int32::div_u,
                I32RemS: i32 as u32 => int32::rem_s,
                I32RemU: i32 as u32 => int32::rem_u,
                I64DivS: i64 as u64 => int64::div_s,
                I64DivU: i64 as u64 => int64::div_u,
                I64RemS: i64 as u64 => int64::rem_s,
                I64RemU: i64 as u64 => int64::rem_u,
            }
            branch {
                JumpEq JumpEqImm => |x, y| x == y,
                JumpNe JumpNeImm => |x, y| x != y,
                JumpLtS JumpLtSImm => |x, y| (x as i32) < (y as i32),
                JumpLtU JumpLtUImm => |x, y| x < y,
                JumpGtS JumpGtSImm => |x, y| (x as i32) > (y as i32),
                JumpGtU JumpGtUImm => |x, y| x > y,
                JumpLeS JumpLeSImm => |x, y| (x as i32) <= (y as i32),
                JumpLeU JumpLeUImm => |x, y| x <= y,
                JumpGeS JumpGeSImm => |x, y| (x as i32) >= (y as i32),
                JumpGeU JumpGeUImm => |x, y| x >= y,
            }
            load {
                Load8U: u8 => |x| u64::from(x),
                Load16U: u16 => |x| u64::from(x),
                Load32U: u32 => |x| u64::from(x),
                Load64: u64 => |x| x,
                Load8S32: i8 => |x| u64::from(i32::from(x) as u32),
                Load16S32: i16 => |x| u64::from(i32::from(x) as u32),
                Load8S64: i8 => |x| i64::from(x) as u64,
                Load16S64: i16 => |x| i64::from(x) as u64,
                Load32S64: i32 => |x| i64::from(x) as u64,
            }
            store {
                Store8: u8,
                Store16: u16,
                Store32: u32,
                Store64: u64,
            }
            special { $($special)* }
        }
    };
}
