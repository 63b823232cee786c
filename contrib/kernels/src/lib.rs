//! Kernels for tests: `commander`, which does what messages tell it to, and `reckoner`, a small one
//! whose state is what was reckoned. A build holds one of them.

#![no_std]

#[cfg(not(feature = "reckoner"))]
mod commander;
mod host;
#[cfg(feature = "reckoner")]
mod reckoner;

use core::cell::UnsafeCell;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// A buffer of the one thread there is.
struct Buffer(UnsafeCell<[u8; 4096]>);

// A kernel has a single thread.
unsafe impl Sync for Buffer {}

static MESSAGE: Buffer = Buffer::new();
static PAGE: Buffer = Buffer::new();

impl Buffer {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 4096]))
    }

    /// # Safety
    /// Only `kernel_run` takes each buffer, once.
    #[allow(clippy::mut_from_ref)]
    unsafe fn take(&self) -> &mut [u8; 4096] {
        unsafe { &mut *self.0.get() }
    }
}

fn keep(key: &[u8], value: &[u8]) {
    // A refusal shows in the state, which is what tests compare.
    let _ = host::write(key, 0, value);
}

fn number(rest: &[u8]) -> u32 {
    rest.first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
