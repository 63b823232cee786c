//! The parser's state (`binary_parser_encodings.ml`).

mod body;
mod element;
mod module;

use crate::wasm::decode::{Filling, LazyStack, Size};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::Fault;

impl<T: Stored> Stored for Filling<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("offset", &self.offset)?;
        target.store("vector", &mut self.vector)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            offset: source.leaf("offset")?,
            vector: source.load("vector")?,
        })
    }
}

/// A section being filled has its name in the path.
fn store_field<T: Stored>(
    target: &mut Target<'_>,
    field: &'static str,
    filling: &mut Filling<T>,
) -> Result<(), Fault> {
    target.leaf("offset", &filling.offset)?;
    target.at("vector", |target| {
        target.at("module", |target| target.store(field, &mut filling.vector))
    })
}

fn load_field<T: Stored>(at: &Source, field: &'static str) -> Result<Filling<T>, Fault> {
    Ok(Filling {
        offset: at.leaf("offset")?,
        vector: at.at("vector").at("module").load(field)?,
    })
}

impl<T: Stored> Stored for LazyStack<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("length", &self.length)?;
        target.store("vector", &mut self.vector)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            length: source.leaf("length")?,
            vector: source.load("vector")?,
        })
    }
}

impl Stored for Size {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("size", &self.size)?;
        target.leaf("start", &self.start)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            size: source.leaf("size")?,
            start: source.leaf("start")?,
        })
    }
}
