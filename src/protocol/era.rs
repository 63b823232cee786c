//! Protocols from Mumbai to Ushuaia, and the PVM versions they bring.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProtocolHash;

/// Version of the WASM PVM, in their linear order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PvmVersion {
    /// `2.0.0`
    V0,
    /// `2.0.0-r1`
    V1,
    /// `2.0.0-r2`
    V2,
    /// `2.0.0-r3`
    V3,
    /// `2.0.0-r4`
    V4,
    /// `2.0.0-r5`
    V5,
    /// `2.0.0-r6`
    V6,
}

impl PvmVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0,
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
    ];

    /// The text kept under `/readonly/wasm_version`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::V0 => "2.0.0",
            Self::V1 => "2.0.0-r1",
            Self::V2 => "2.0.0-r2",
            Self::V3 => "2.0.0-r3",
            Self::V4 => "2.0.0-r4",
            Self::V5 => "2.0.0-r5",
            Self::V6 => "2.0.0-r6",
        }
    }

    /// The version with this text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.text() == text)
    }
}

/// A layer-1 protocol with smart rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// 016
    Mumbai,
    /// 017
    Nairobi,
    /// 018
    Oxford,
    /// 019
    ParisB,
    /// 020
    ParisC,
    /// 021
    Quebec,
    /// 022
    Rio,
    /// 023
    Seoul,
    /// 024
    Tallinn,
    /// 025
    Ushuaia,
    /// The development protocol.
    Alpha,
}

struct Facts {
    hash: &'static str,
    /// Name in error ids.
    error_name: &'static str,
    /// Payload of the migration message.
    version: &'static str,
    /// PVM version written at origination.
    originated: PvmVersion,
    /// PVM version set by the migration message to this protocol.
    migrated: PvmVersion,
}

impl Protocol {
    /// All protocols, oldest first.
    pub const ALL: [Self; 11] = [
        Self::Mumbai,
        Self::Nairobi,
        Self::Oxford,
        Self::ParisB,
        Self::ParisC,
        Self::Quebec,
        Self::Rio,
        Self::Seoul,
        Self::Tallinn,
        Self::Ushuaia,
        Self::Alpha,
    ];

    const fn facts(self) -> Facts {
        use PvmVersion::{V0, V1, V2, V3, V4, V5, V6};
        let (hash, error_name, version, originated, migrated) = match self {
            Self::Mumbai => (
                "PtMumbai2TmsJHNGRkD8v8YDbtao7BLUC3wjASn1inAKLFCjaH1",
                "016-PtMumbai",
                "mumbai_016",
                V0,
                V0,
            ),
            Self::Nairobi => (
                "PtNairobiyssHuh87hEhfVBGCVrK3WnS8Z2FT4ymB5tAa4r1nQf",
                "017-PtNairob",
                "nairobi_017",
                V1,
                V1,
            ),
            Self::Oxford => (
                "ProxfordYmVfjWnRcgjWH36fW6PArwqykTFzotUxRs6gmTcZDuH",
                "018-Proxford",
                "oxford_018",
                V3,
                V2,
            ),
            Self::ParisB => (
                "PtParisBxoLz5gzMmn3d9WBQNoPSZakgnkMC2VNuQ3KXfUtUQeZ",
                "019-PtParisB",
                "paris_019",
                V4,
                V4,
            ),
            Self::ParisC => (
                "PsParisCZo7KAh1Z1smVd9ZMZ1HHn5gkzbM94V3PLCpknFWhUAi",
                "020-PsParisC",
                "paris_020",
                V4,
                V4,
            ),
            Self::Quebec => (
                "PsQuebecnLByd3JwTiGadoG4nGWi3HYiLXUjkibeFV8dCFeVMUg",
                "021-PsQuebec",
                "quebec_021",
                V5,
                V5,
            ),
            Self::Rio => (
                "PsRiotumaAMotcRoDWW1bysEhQy2n1M5fy8JgRp8jjRfHGmfeA7",
                "022-PsRiotum",
                "r022_022",
                V5,
                V5,
            ),
            Self::Seoul => (
                "PtSeouLouXkxhg39oWzjxDWaCydNfR3RxCUrNe4Q9Ro8BTehcbh",
                "023-PtSeouLo",
                "s023_023",
                V5,
                V5,
            ),
            Self::Tallinn => (
                "PtTALLiNtPec7mE7yY4m3k26J8Qukef3E3ehzhfXgFZKGtDdAXu",
                "024-PtTALLiN",
                "t024_024",
                V5,
                V5,
            ),
            Self::Ushuaia => (
                "PsUshuai9QapM5TGj1JpuVGkdxz5GykdnEvS6Rh8SUVrARvZLCY",
                "025-PsUshuai",
                "u025_025",
                V6,
                V6,
            ),
            Self::Alpha => (
                "ProtoALphaALphaALphaALphaALphaALphaALphaALphaDdp3zK",
                "alpha",
                "alpha_current",
                V6,
                V6,
            ),
        };
        Facts {
            hash,
            error_name,
            version,
            originated,
            migrated,
        }
    }

    /// Base58check text of its hash.
    #[must_use]
    pub const fn hash_text(self) -> &'static str {
        self.facts().hash
    }

    /// Its name inside error ids, as in `proto.025-PsUshuai.smart_rollup_no_game`.
    #[must_use]
    pub const fn error_name(self) -> &'static str {
        self.facts().error_name
    }

    /// Its version string: what the migration message to it carries.
    #[must_use]
    pub const fn version_text(self) -> &'static str {
        self.facts().version
    }

    /// PVM version of a rollup originated under it.
    #[must_use]
    pub const fn originated_version(self) -> PvmVersion {
        self.facts().originated
    }

    /// PVM version after the migration message to it; none existed for Mumbai.
    #[must_use]
    pub fn migrated_version(self) -> Option<PvmVersion> {
        (self != Self::Mumbai).then_some(self.facts().migrated)
    }

    /// The protocol with this hash, if it is one with smart rollups that we know.
    #[must_use]
    pub fn from_hash(hash: &ProtocolHash) -> Option<Self> {
        let text = hash.to_string();
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.hash_text() == text)
    }

    /// The protocol whose version string this is.
    #[must_use]
    pub fn from_version_text(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.version_text() == text)
    }

    /// Ticks per snapshot of a rollup originated under it. Source: `sc_rollup_wasm.ml`.
    #[must_use]
    pub fn ticks_per_snapshot(self) -> u64 {
        if self < Self::ParisB {
            11_000_000_000
        } else {
            50_000_000_000_000
        }
    }

    /// Outbox validity period, in levels, of a rollup originated under it.
    #[must_use]
    pub fn outbox_validity_period(self) -> i32 {
        if self < Self::ParisB { 80_640 } else { 241_920 }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_hash_and_version() {
        for protocol in Protocol::ALL {
            let hash: ProtocolHash = protocol.hash_text().parse().unwrap();
            assert_eq!(Protocol::from_hash(&hash), Some(protocol));
            assert_eq!(
                Protocol::from_version_text(protocol.version_text()),
                Some(protocol)
            );
        }
    }
}
