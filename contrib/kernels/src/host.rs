//! The host functions of `smart_rollup_core`, as safe calls. A negative code is an `Err`.

#![allow(dead_code)] // each kernel calls some of them

/// What a host function refused with.
pub(crate) type Code = i32;

#[link(wasm_import_module = "smart_rollup_core")]
unsafe extern "C" {
    fn read_input(info: *mut u32, dst: *mut u8, max: usize) -> i32;
    fn write_output(src: *const u8, len: usize) -> i32;
    fn write_debug(src: *const u8, len: usize);
    fn store_has(key: *const u8, len: usize) -> i32;
    fn store_list_size(key: *const u8, len: usize) -> i64;
    fn store_delete(key: *const u8, len: usize) -> i32;
    fn store_copy(from: *const u8, from_len: usize, to: *const u8, to_len: usize) -> i32;
    fn store_move(from: *const u8, from_len: usize, to: *const u8, to_len: usize) -> i32;
    fn store_read(key: *const u8, len: usize, offset: usize, dst: *mut u8, max: usize) -> i32;
    fn store_write(key: *const u8, len: usize, offset: usize, src: *const u8, bytes: usize) -> i32;
    fn store_value_size(key: *const u8, len: usize) -> i32;
    fn reveal_preimage(hash: *const u8, len: usize, dst: *mut u8, max: usize) -> i32;
    fn reveal_metadata(dst: *mut u8, max: usize) -> i32;
    fn reveal(request: *const u8, len: usize, dst: *mut u8, max: usize) -> i32;
}

fn checked(code: i32) -> Result<usize, Code> {
    if code < 0 {
        Err(code)
    } else {
        Ok(code as usize)
    }
}

/// Level, counter and bytes of the next message; none when the queue is empty.
pub(crate) fn next_message(buffer: &mut [u8]) -> Option<(u32, u32, usize)> {
    let mut info = [0_u32; 2];
    let read = unsafe { read_input(info.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len()) };
    (read > 0).then_some((info[0], info[1], read as usize))
}

pub(crate) fn output(bytes: &[u8]) -> Result<usize, Code> {
    checked(unsafe { write_output(bytes.as_ptr(), bytes.len()) })
}

pub(crate) fn debug(text: &[u8]) {
    unsafe { write_debug(text.as_ptr(), text.len()) }
}

pub(crate) fn has(key: &[u8]) -> i32 {
    unsafe { store_has(key.as_ptr(), key.len()) }
}

pub(crate) fn list_size(key: &[u8]) -> i64 {
    unsafe { store_list_size(key.as_ptr(), key.len()) }
}

pub(crate) fn delete(key: &[u8]) -> Result<usize, Code> {
    checked(unsafe { store_delete(key.as_ptr(), key.len()) })
}

pub(crate) fn copy(from: &[u8], to: &[u8]) -> Result<usize, Code> {
    checked(unsafe { store_copy(from.as_ptr(), from.len(), to.as_ptr(), to.len()) })
}

pub(crate) fn rename(from: &[u8], to: &[u8]) -> Result<usize, Code> {
    checked(unsafe { store_move(from.as_ptr(), from.len(), to.as_ptr(), to.len()) })
}

pub(crate) fn read(key: &[u8], offset: usize, buffer: &mut [u8]) -> Result<usize, Code> {
    checked(unsafe {
        store_read(
            key.as_ptr(),
            key.len(),
            offset,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })
}

pub(crate) fn write(key: &[u8], offset: usize, bytes: &[u8]) -> Result<usize, Code> {
    checked(unsafe { store_write(key.as_ptr(), key.len(), offset, bytes.as_ptr(), bytes.len()) })
}

pub(crate) fn value_size(key: &[u8]) -> Result<usize, Code> {
    checked(unsafe { store_value_size(key.as_ptr(), key.len()) })
}

pub(crate) fn preimage(hash: &[u8], buffer: &mut [u8]) -> Result<usize, Code> {
    checked(unsafe {
        reveal_preimage(hash.as_ptr(), hash.len(), buffer.as_mut_ptr(), buffer.len())
    })
}

pub(crate) fn metadata(buffer: &mut [u8]) -> Result<usize, Code> {
    checked(unsafe { reveal_metadata(buffer.as_mut_ptr(), buffer.len()) })
}

/// What a request of the protocol's own encoding is answered with.
pub(crate) fn reveal_by(request: &[u8], buffer: &mut [u8]) -> Result<usize, Code> {
    checked(unsafe {
        reveal(
            request.as_ptr(),
            request.len(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })
}
