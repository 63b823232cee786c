//! Blocks read whole: header, manager operations with receipts, attested slots.
//!
//! Promises: a block comes complete or not at all; receipts that a node threw away are asked for
//! again in the way that makes it recompute them. Refuses to know: heads and order.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::block::{AttestedSlots, Block, Effects, Happening, Header, Interest};
use super::client::{BlockId, Client};
use super::constants::{ChainConstants, DalParameters, known};
use super::endpoint::json;
use super::error::{Fault, L1Error};
use super::receipts::effects;
use crate::protocol::operation::Origination;
use crate::protocol::{BlockHash, ChainId, Level, Protocol, ProtocolHash, PublicKeyHash};

#[derive(Deserialize)]
pub(super) struct RawHeader {
    hash: BlockHash,
    pub(super) level: Level,
    predecessor: BlockHash,
    pub(super) timestamp: jiff::Timestamp,
    protocol: ProtocolHash,
    chain_id: ChainId,
}

/// A block whose place in the chain is not checked yet.
#[derive(Debug)]
pub(super) struct Loose {
    pub(super) header: Header,
    protocol: Protocol,
    effects: Effects,
    attested: Vec<AttestedSlots>,
}

impl Loose {
    /// How the first rollup of interest was originated in it.
    pub(super) fn origination(self) -> Option<Origination> {
        self.effects
            .events
            .into_iter()
            .find_map(|event| match event.what {
                Happening::Originated { origination, .. } => Some(*origination),
                _ => None,
            })
    }

    /// The block, given the header of the one before it.
    ///
    /// # Errors
    /// [`L1Error::Unlinked`] when it does not follow.
    pub(super) fn after(self, previous: Header) -> Result<Block, L1Error> {
        let header = self.header;
        if header.predecessor != previous.hash || previous.level.next() != Some(header.level) {
            return Err(L1Error::Unlinked {
                block: header.hash,
                level: header.level,
                previous: previous.hash,
                predecessor: header.predecessor,
            });
        }
        Ok(Block {
            header,
            previous,
            protocol: self.protocol,
            is_first_of_protocol: header.protocol != previous.protocol,
            effects: self.effects,
            attested: self.attested,
        })
    }
}

impl Client {
    /// The header of a block.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint has it (likewise below).
    pub async fn header(&self, block: BlockId) -> Result<Header, L1Error> {
        let chain = self.chain_id().await?;
        let read = |bytes: &[u8]| header_of(bytes, block, chain);
        self.ask(&format!("/chains/main/blocks/{block}/header"), read)
            .await
    }

    /// A block, read whole.
    ///
    /// # Errors
    /// [`L1Error`]; a receipt that cannot be had is explained, never taken for "not applied".
    pub async fn block(&self, block: BlockId, interest: &Interest) -> Result<Block, L1Error> {
        let loose = self.loose_block(block, interest).await?;
        let previous = self.header(loose.header.predecessor.into()).await?;
        loose.after(previous)
    }

    pub(super) async fn loose_block(
        &self,
        block: BlockId,
        interest: &Interest,
    ) -> Result<Loose, L1Error> {
        let header = self.header(block).await?;
        let constants = self.constants_of(&header).await?;
        let effects = self.effects(header.hash, &constants, interest).await?;
        let with_slots = constants.protocol >= Protocol::Ushuaia
            && constants.dal.is_some_and(|dal| dal.feature_enable);
        let attested = if with_slots {
            self.attested_slots(header.hash).await?
        } else {
            Vec::new()
        };
        Ok(Loose {
            header,
            protocol: constants.protocol,
            effects,
            attested,
        })
    }

    /// The constants a block was applied with.
    async fn constants_of(
        &self,
        header: &Header,
    ) -> Result<std::sync::Arc<ChainConstants>, L1Error> {
        let path = || format!("/chains/main/blocks/{}/header", header.hash);
        if let Some(constants) = self.cached_constants(&header.protocol) {
            return Ok(constants);
        }
        known(&header.protocol).map_err(|fault| self.settled(path(), fault))?;
        // The context before the block belongs to the protocol that applied it.
        self.constants(header.predecessor.into()).await
    }

    async fn effects(
        &self,
        block: BlockHash,
        constants: &ChainConstants,
        interest: &Interest,
    ) -> Result<Effects, L1Error> {
        let path = format!("/chains/main/blocks/{block}/operations/3");
        let read = |bytes: &[u8]| effects(bytes, constants.form(), interest);
        match self.ask(&path, read).await {
            Err(error) if lacks_receipt(&error) => {
                tracing::info!(%block, "receipts are missing: asking the node to recompute them");
                // Older nodes know the flag, newer ones the parameter; each ignores the other.
                let forced = format!("{path}?metadata=always&force_metadata=true");
                self.ask(&forced, read).await
            }
            outcome => outcome,
        }
    }

    async fn attested_slots(&self, block: BlockHash) -> Result<Vec<AttestedSlots>, L1Error> {
        let context = format!("/chains/main/blocks/{block}/context/dal");
        let path = format!("{context}/skip_list_cells_of_level");
        let levels = self.ask(&path, attested_by_level).await?;
        let mut attested = Vec::with_capacity(levels.len());
        for (published_level, publishers) in levels {
            let path = format!("{context}/past_parameters/{published_level}");
            let parameters: DalParameters = self.get(&path).await?;
            attested.push(AttestedSlots {
                published_level,
                number_of_slots: parameters.number_of_slots,
                slot_size: parameters.slot_size,
                page_size: parameters.page_size,
                publishers: publishers.into_iter().collect(),
            });
        }
        Ok(attested)
    }
}

fn lacks_receipt(error: &L1Error) -> bool {
    match error {
        L1Error::Request { fault, .. } => matches!(fault, Fault::Receipt { .. }),
        L1Error::AllFailed { failures, .. } => failures
            .iter()
            .any(|(_, fault)| matches!(fault, Fault::Receipt { .. })),
        _ => false,
    }
}

fn header_of(bytes: &[u8], asked: BlockId, chain: ChainId) -> Result<Header, Fault> {
    let raw: RawHeader = json(bytes)?;
    if raw.chain_id != chain {
        return Err(Fault::WrongChain {
            expected: chain,
            found: raw.chain_id,
        });
    }
    let right = match asked {
        BlockId::Hash(hash) | BlockId::Below(hash, 0) => raw.hash == hash,
        BlockId::Level(level) => raw.level == level,
        BlockId::Head | BlockId::Below(..) => true,
    };
    if !right {
        return Err(Fault::Unexpected(format!(
            "asked for block {asked}, got {} at level {}",
            raw.hash, raw.level
        )));
    }
    Ok(Header {
        level: raw.level,
        hash: raw.hash,
        predecessor: raw.predecessor,
        timestamp: raw.timestamp.as_second(),
        protocol: raw.protocol,
        chain: raw.chain_id,
    })
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum RawCell {
    DalSkipList { skip_list: RawSlotCell },
    DalSkipListLegacy,
}

#[derive(Deserialize)]
struct RawSlotCell {
    content: RawSlot,
}

#[derive(Deserialize)]
struct RawSlot {
    kind: String,
    level: Level,
    index: u8,
    #[serde(default)]
    publisher: Option<String>,
    #[serde(default)]
    is_proto_attested: bool,
}

type Publishers = BTreeMap<PublicKeyHash, std::collections::BTreeSet<u16>>;

/// The slots that the protocol tells rollups about: attested, published by an account (not by a
/// contract). Rule: `dal_attested_slots_messages_of_cells`.
fn attested_by_level(bytes: &[u8]) -> Result<BTreeMap<Level, Publishers>, Fault> {
    let cells: Vec<(serde::de::IgnoredAny, RawCell)> = json(bytes)?;
    let mut levels = BTreeMap::<Level, Publishers>::new();
    for (_, cell) in cells {
        let RawCell::DalSkipList { skip_list } = cell else {
            continue;
        };
        let slot = skip_list.content;
        let publisher = slot.publisher.unwrap_or_default();
        if slot.kind != "published" || !slot.is_proto_attested || publisher.starts_with("KT1") {
            continue;
        }
        let publisher: PublicKeyHash = publisher
            .parse()
            .map_err(|e| Fault::Unexpected(format!("publisher of a slot: {e}")))?;
        levels
            .entry(slot.level)
            .or_default()
            .entry(publisher)
            .or_default()
            .insert(u16::from(slot.index));
    }
    Ok(levels)
}
