//! Kernels larger than an operation: a small one is originated, which reveals the large one page by
//! page and puts it in its own place when it first runs, as on public networks.
//!
//! Promises: from the level after the origination on, the rollup runs the large kernel, whose bytes
//! are all among the preimages. Refuses to know: what the large kernel does.

use super::acts::{Act, ActError, malformed};
use super::scenario::Scenario;
use crate::protocol::RollupAddress;

/// Bytes of a page: the most that a reveal gives.
const PAGE: usize = 4096;
/// Bytes of a reveal hash.
const HASH: usize = 33;
/// Hashes that fit into a page.
const HASHES: usize = PAGE / HASH;

/// Two levels of pages of hashes over the pages of the kernel: 62 MiB at most. Writes take 2,048
/// bytes at once.
const INSTALLER: &str = r#"(module
    (import "smart_rollup_core" "reveal_preimage"
        (func $reveal (param i32 i32 i32 i32) (result i32)))
    (import "smart_rollup_core" "store_write"
        (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (import "smart_rollup_core" "store_move" (func $move (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "ROOT")
    (data (i32.const 64) "/installed")
    (data (i32.const 96) "/kernel/boot.wasm")
    (func $append (param $from i32) (param $size i32) (param $at i32)
        (drop (call $write (i32.const 64) (i32.const 10)
            (local.get $at) (local.get $from) (local.get $size))))
    (func (export "kernel_run")
        (local $i i32) (local $indices i32) (local $j i32) (local $pages i32)
        (local $size i32) (local $at i32)
        (local.set $i (i32.const 4096))
        (local.set $indices (i32.add (local.get $i) (call $reveal
            (i32.const 0) (i32.const 33) (i32.const 4096) (i32.const 4096))))
        (loop $index
            (local.set $j (i32.const 8192))
            (local.set $pages (i32.add (local.get $j) (call $reveal
                (local.get $i) (i32.const 33) (i32.const 8192) (i32.const 4096))))
            (loop $page
                (local.set $size (call $reveal
                    (local.get $j) (i32.const 33) (i32.const 12288) (i32.const 4096)))
                (if (i32.gt_u (local.get $size) (i32.const 2048))
                    (then
                        (call $append (i32.const 12288) (i32.const 2048) (local.get $at))
                        (call $append (i32.const 14336)
                            (i32.sub (local.get $size) (i32.const 2048))
                            (i32.add (local.get $at) (i32.const 2048))))
                    (else (call $append
                        (i32.const 12288) (local.get $size) (local.get $at))))
                (local.set $at (i32.add (local.get $at) (local.get $size)))
                (local.set $j (i32.add (local.get $j) (i32.const 33)))
                (br_if $page (i32.lt_u (local.get $j) (local.get $pages))))
            (local.set $i (i32.add (local.get $i) (i32.const 33)))
            (br_if $index (i32.lt_u (local.get $i) (local.get $indices))))
        (drop (call $move (i32.const 64) (i32.const 10) (i32.const 96) (i32.const 17)))))"#;

impl Scenario {
    /// Originates a rollup in the next block and answers its address.
    ///
    /// # Errors
    /// [`ActError`] when the operation is refused or fails.
    pub fn originate(&mut self, by: u32, kernel: &[u8]) -> Result<RollupAddress, ActError> {
        let hash = self.act(&Act::originate(by, kernel))?;
        self.advance().map_err(malformed)?;
        let address = RollupAddress::originated_by(&hash, 0);
        match self.chain().context().rollup(&address) {
            Ok(_) => Ok(address),
            Err(error) => Err(ActError::Refused(error.into())),
        }
    }

    /// Originates a rollup of a kernel that may be larger than an operation: then the first level
    /// after the origination installs it.
    ///
    /// # Errors
    /// As [`Self::originate`]; [`ActError::Malformed`] for a kernel of more than 62 MiB.
    pub fn install(&mut self, by: u32, kernel: &[u8]) -> Result<RollupAddress, ActError> {
        // Room for the rest of the operation.
        let most = self
            .chain()
            .context()
            .parameters
            .operation_size
            .saturating_sub(1_024);
        if kernel.len() <= most {
            return self.originate(by, kernel);
        }
        let installer = installer(kernel, |page| self.keep_preimage(page));
        let too_large = || ActError::Malformed(format!("a kernel of {} bytes", kernel.len()));
        self.originate(by, &installer.ok_or_else(too_large)?)
    }
}

/// The kernel that installs `kernel`, whose pages are kept; none for one of more than 62 MiB.
fn installer(kernel: &[u8], mut keep: impl FnMut(Vec<u8>) -> String) -> Option<Vec<u8>> {
    let mut level: Vec<String> = kernel
        .chunks(PAGE)
        .map(|page| keep(page.to_vec()))
        .collect();
    for _ in 0..2 {
        level = level
            .chunks(HASHES)
            .map(|hashes| hex::decode(hashes.concat()).map(&mut keep))
            .collect::<Result<_, _>>()
            .ok()?;
    }
    let [root] = level.as_slice() else {
        return None;
    };
    let escaped: String = root
        .as_bytes()
        .chunks(2)
        .map(|digits| format!("\\{}", String::from_utf8_lossy(digits)))
        .collect();
    let text = INSTALLER.replace("ROOT", &escaped);
    let buffer = wast::parser::ParseBuffer::new(&text).ok()?;
    let mut module = wast::parser::parse::<wast::Wat<'_>>(&buffer).ok()?;
    module.encode().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_page_can_be_found_from_the_root() {
        let kernel: Vec<u8> = (0..PAGE * HASHES + 5).map(|at| (at % 251) as u8).collect();
        let mut kept = BTreeMap::new();
        let mut last = String::new();
        let installer = installer(&kernel, |page| {
            last = format!("00{}", hex::encode(crate::crypto::blake2b(&page).0));
            kept.insert(last.clone(), page);
            last.clone()
        });
        let installer = installer.unwrap();
        assert!(installer.len() < 1024, "{} bytes", installer.len());
        let below = |names: &[u8]| -> Vec<u8> {
            let names = names.chunks(HASH).map(hex::encode);
            names.flat_map(|name| kept[&name].clone()).collect()
        };
        let root = hex::decode(&last).unwrap();
        assert!(installer.windows(HASH).any(|bytes| bytes == root));
        assert_eq!(below(&below(&below(&root))), kernel);
        assert!(kept.values().all(|page| page.len() <= PAGE));
    }
}
