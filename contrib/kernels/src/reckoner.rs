//! `reckoner`: a stack of numbers that messages reckon on, as on the arithmetic machine whose
//! disputes the reference tests first, and a kernel that keeps what it is told of the chain.
//!
//! The words of an external message, between spaces: a number is pushed, `+` replaces the two
//! upper numbers by their sum, `dal` keeps the parameters of the data availability layer, any other
//! word names the top. The stack outlives messages and levels. The last information about a level
//! is kept whole, so that nobody can read another one unnoticed.

use crate::{Buffer, MESSAGE, PAGE, host, keep};

const STACK: &[u8] = b"/stack";
/// Tag of a message of the protocol, then tag of the information about the level.
const INFORMATION: [u8; 2] = [0x00, 0x03];
/// The request for the parameters of the data availability layer.
const PARAMETERS: [u8; 1] = [3];
/// Numbers that the stack holds.
const DEPTH: usize = 64;

static NAME: Buffer = Buffer::new();

/// What the protocol calls each time the kernel has work.
#[unsafe(no_mangle)]
pub extern "C" fn kernel_run() {
    let message = unsafe { MESSAGE.take() };
    let page = unsafe { PAGE.take() };
    let name = unsafe { NAME.take() };
    let mut stack = Stack::load();
    while let Some((_, _, length)) = host::next_message(message) {
        match message.get(..length) {
            Some([0x01, text @ ..]) => {
                for word in text.split(|byte| *byte == b' ') {
                    stack.take(word, page, name);
                }
            }
            Some(read) if read.starts_with(&INFORMATION) => keep(b"/information", read),
            _ => {}
        }
    }
    stack.store();
}

struct Stack {
    numbers: [u32; DEPTH],
    depth: usize,
}

impl Stack {
    fn load() -> Self {
        let mut stack = Self {
            numbers: [0; DEPTH],
            depth: 0,
        };
        let mut bytes = [0; 4 * DEPTH];
        let read = host::read(STACK, 0, &mut bytes).unwrap_or(0);
        for number in bytes.get(..read).unwrap_or_default().chunks_exact(4) {
            stack.push(crate::number(number));
        }
        stack
    }

    fn store(&self) {
        let mut bytes = [0; 4 * DEPTH];
        let numbers = self.numbers.iter().take(self.depth);
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let _ = host::delete(STACK);
        keep(STACK, bytes.get(..4 * self.depth).unwrap_or_default());
    }

    fn take(&mut self, word: &[u8], page: &mut [u8; 4096], name: &mut [u8; 4096]) {
        match word {
            [] => {}
            b"+" => {
                let sum = self.pop().wrapping_add(self.pop());
                self.push(sum);
            }
            b"dal" => {
                if let Ok(length) = host::reveal_by(&PARAMETERS, page) {
                    keep(b"/parameters", page.get(..length).unwrap_or_default());
                }
            }
            digits if digits.iter().all(u8::is_ascii_digit) => {
                let add = |sum: u32, digit: &u8| {
                    sum.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
                };
                self.push(digits.iter().fold(0, add));
            }
            word => self.name_top(word, name),
        }
    }

    fn name_top(&self, word: &[u8], name: &mut [u8; 4096]) {
        const NAMED: &[u8] = b"/named/";
        let length = NAMED.len() + word.len();
        if let Some(key) = name.get_mut(..length) {
            key[..NAMED.len()].copy_from_slice(NAMED);
            key[NAMED.len()..].copy_from_slice(word);
            let top = self.depth.checked_sub(1);
            let top = top.and_then(|top| self.numbers.get(top)).unwrap_or(&0);
            keep(key, &top.to_le_bytes());
        }
    }

    /// A number more; the oldest ones stay when there is no room.
    fn push(&mut self, number: u32) {
        if let Some(free) = self.numbers.get_mut(self.depth) {
            *free = number;
            self.depth += 1;
        }
    }

    fn pop(&mut self) -> u32 {
        self.depth = self.depth.saturating_sub(1);
        self.numbers.get(self.depth).copied().unwrap_or(0)
    }
}
