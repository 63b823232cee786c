//! Secret keys in memory, signing, and verification on the four curves.
//!
//! Promises: secrets are wiped when dropped and never printed, not even in part; signatures are
//! deterministic. Refuses to know: files, passwords, and what may be signed.
//! Source: `src/lib_crypto/{ed25519,secp256k1,p256,bls}.ml`.

use std::fmt;
use std::str::FromStr;

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use zeroize::Zeroizing;

use super::keys::payload;
use super::{Prefix, PublicKey, Signature, blake2b};

/// The four curves of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    /// tz1.
    Ed25519,
    /// tz2.
    Secp256k1,
    /// tz3.
    P256,
    /// tz4.
    Bls,
}

/// How BLS messages are hashed to the curve; it changed with Seoul.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlsSuite {
    /// The public key is put before the message: until Rio.
    Augmented,
    /// Keys are vouched for by a proof of possession: Seoul and later.
    ProofOfPossession,
}

const SUITE_AUGMENTED: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_";
const SUITE_POSSESSION: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const SUITE_PROOF: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

impl Curve {
    /// All of them, in the order of their addresses.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Secp256k1, Self::P256, Self::Bls];

    /// Its name as people type it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "p256",
            Self::Bls => "bls",
        }
    }
}

impl BlsSuite {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Augmented => SUITE_AUGMENTED,
            Self::ProofOfPossession => SUITE_POSSESSION,
        }
    }

    fn augmentation(self, key: &[u8; 48]) -> &[u8] {
        match self {
            Self::Augmented => key,
            Self::ProofOfPossession => &[],
        }
    }
}

/// A secret key, usable only for signing.
pub struct SecretKey {
    curve: Curve,
    /// Seed or scalar, in the byte order of the curve's text form.
    bytes: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

/// Bytes or text are not a secret key. Never shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// The text is of no known kind, or damaged.
    #[error("not an unencrypted secret key: expected edsk…, spsk…, p2sk… or BLsk…, undamaged")]
    Text,
    /// The number is zero or not below the order of the curve.
    #[error("a secret key is out of range for {0:?}")]
    OutOfRange(Curve),
}

impl SecretKey {
    /// The key with these secret bytes (seed, or scalar in the order of its text form).
    ///
    /// # Errors
    /// [`SecretKeyError::OutOfRange`] when they are no scalar of the curve.
    pub fn from_bytes(curve: Curve, bytes: &[u8; 32]) -> Result<Self, SecretKeyError> {
        let out_of_range = SecretKeyError::OutOfRange(curve);
        let public = match curve {
            Curve::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(bytes);
                PublicKey::Ed25519(key.verifying_key().to_bytes())
            }
            Curve::Secp256k1 => {
                let key = k256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| out_of_range)?;
                let point = key.verifying_key().to_sec1_point(true);
                PublicKey::Secp256k1(point.as_bytes().try_into().map_err(|_| out_of_range)?)
            }
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| out_of_range)?;
                let point = key.verifying_key().to_sec1_point(true);
                PublicKey::P256(point.as_bytes().try_into().map_err(|_| out_of_range)?)
            }
            Curve::Bls => PublicKey::Bls(bls_key(bytes)?.sk_to_pk().to_bytes()),
        };
        Ok(Self {
            curve,
            bytes: Zeroizing::new(*bytes),
            public,
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// Signs `message`, watermark included; `suite` matters to BLS keys only.
    ///
    /// # Errors
    /// [`SecretKeyError::OutOfRange`] when the curve refuses, which no valid key makes it do.
    pub fn sign(&self, message: &[u8], suite: BlsSuite) -> Result<Signature, SecretKeyError> {
        if let (Curve::Bls, PublicKey::Bls(public)) = (self.curve, &self.public) {
            let key = bls_key(&self.bytes)?;
            let point = key.sign(message, suite.tag(), suite.augmentation(public));
            return Ok(Signature::Bls(point.to_bytes()));
        }
        self.sign_digest(&blake2b(message).0)
    }

    /// What the curve itself signs: the digest of a message. BLS keys sign messages whole.
    fn sign_digest(&self, digest: &[u8]) -> Result<Signature, SecretKeyError> {
        let refused = SecretKeyError::OutOfRange(self.curve);
        let secret = self.bytes.as_slice();
        Ok(match self.curve {
            Curve::Ed25519 => {
                use ed25519_dalek::Signer;
                let key = ed25519_dalek::SigningKey::from_bytes(&self.bytes);
                Signature::Ed25519(key.sign(digest).to_bytes())
            }
            Curve::Secp256k1 => {
                let key = k256::ecdsa::SigningKey::from_slice(secret).map_err(|_| refused)?;
                let signature: k256::ecdsa::Signature =
                    key.sign_prehash(digest).map_err(|_| refused)?;
                Signature::Secp256k1(signature.to_bytes().into())
            }
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| refused)?;
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(digest).map_err(|_| refused)?;
                Signature::P256(signature.to_bytes().into())
            }
            Curve::Bls => return Err(refused),
        })
    }

    /// The secret itself, for the one place that puts it behind a passphrase.
    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Proof that the holder of a BLS key holds it, which its reveal carries since Seoul; none for
    /// other curves.
    #[must_use]
    pub fn prove_possession(&self) -> Option<Signature> {
        let PublicKey::Bls(public) = &self.public else {
            return None;
        };
        let key = bls_key(&self.bytes).ok()?;
        Some(Signature::Bls(
            key.sign(public, SUITE_PROOF, &[]).to_bytes(),
        ))
    }
}

/// BLS scalars are written little-endian in text, unlike the others.
fn bls_key(bytes: &[u8; 32]) -> Result<blst::min_pk::SecretKey, SecretKeyError> {
    let mut reversed = Zeroizing::new(*bytes);
    reversed.reverse();
    blst::min_pk::SecretKey::from_bytes(reversed.as_slice())
        .map_err(|_| SecretKeyError::OutOfRange(Curve::Bls))
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public)
    }
}

impl FromStr for SecretKey {
    type Err = SecretKeyError;

    fn from_str(text: &str) -> Result<Self, SecretKeyError> {
        let (curve, prefix) = match text.get(..4) {
            Some("edsk") => (Curve::Ed25519, Prefix::EDSK),
            Some("spsk") => (Curve::Secp256k1, Prefix::SPSK),
            Some("p2sk") => (Curve::P256, Prefix::P2SK),
            Some("BLsk") => (Curve::Bls, Prefix::BLSK),
            _ => return Err(SecretKeyError::Text),
        };
        let bytes = payload(prefix, text).map(Zeroizing::new);
        Self::from_bytes(curve, &*bytes.map_err(|_| SecretKeyError::Text)?)
    }
}

impl PublicKey {
    /// Whether `signature` is this key's on `message`, watermark included. A signature whose curve
    /// is unknown is tried as one of this key's curve.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature, suite: BlsSuite) -> bool {
        let digest = blake2b(message);
        match (self, signature) {
            (Self::Ed25519(key), Signature::Ed25519(bytes) | Signature::Unknown(bytes)) => {
                use ed25519_dalek::Verifier;
                let signature = ed25519_dalek::Signature::from_bytes(bytes);
                ed25519_dalek::VerifyingKey::from_bytes(key)
                    .is_ok_and(|key| key.verify(&digest.0, &signature).is_ok())
            }
            (Self::Secp256k1(key), Signature::Secp256k1(bytes) | Signature::Unknown(bytes)) => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(key);
                let signature = k256::ecdsa::Signature::from_slice(bytes);
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify_prehash(&digest.0, &signature).is_ok())
            }
            (Self::P256(key), Signature::P256(bytes) | Signature::Unknown(bytes)) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key);
                let signature = p256::ecdsa::Signature::from_slice(bytes);
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify_prehash(&digest.0, &signature).is_ok())
            }
            (Self::Bls(key), Signature::Bls(bytes)) => {
                bls_verifies(key, message, bytes, suite.tag(), suite.augmentation(key))
            }
            _ => false,
        }
    }

    /// Whether `proof` shows that the holder of this BLS key holds it; false on other curves.
    #[must_use]
    pub fn verifies_possession(&self, proof: &Signature) -> bool {
        match (self, proof) {
            (Self::Bls(key), Signature::Bls(bytes)) => {
                bls_verifies(key, key, bytes, SUITE_PROOF, &[])
            }
            _ => false,
        }
    }
}

fn bls_verifies(key: &[u8; 48], message: &[u8], bytes: &[u8; 96], tag: &[u8], aug: &[u8]) -> bool {
    let key = blst::min_pk::PublicKey::key_validate(key);
    let signature = blst::min_pk::Signature::from_bytes(bytes);
    let (Ok(key), Ok(signature)) = (key, signature) else {
        return false;
    };
    let verdict = signature.verify(true, message, tag, aug, &key, false);
    verdict == blst::BLST_ERROR::BLST_SUCCESS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURVES: [Curve; 4] = Curve::ALL;

    /// Vectors of a public library; messages without watermark.
    #[test]
    fn published_signatures_verify() {
        for (secret, message, signature) in [
            (
                "edsk3vifWnPCr8jXyhnt1YLa5KeNYTPfHENDq9gxqAA8ERkvEigYMe",
                "hello, world",
                "edsigtoeXp3xFtGugwCTDSDuifQ9Ka81X4gXFoxRQ6Xao2Ryc3yioptrKMfNy5c9pHhbA9Xn3sYZdx2SPiCGTFXjjXx9xKCPDoq",
            ),
            (
                "spsk1sheno8Jt8FoBEoamFoNBxUEpjEggNNpepTFc8cEoJBA9QjDJq",
                "hello, test",
                "siggWynZ1jzFuv67FWSAvhX8948jgL5szpwT2fZAL5brmU9egqoXd3fDXCLQJ2EBcYVLBkev3HvkQ6xnFxSBjthdonajN8JX",
            ),
            (
                "p2sk2bixvFTFTuw9HtD4ucuDsktZTcwRJ5V3gDsQauwE2VTuh6hBiP",
                "hello, message",
                "sigfMaQ3pkpywf3q5ZqfNzJuKd6apUa1gRpoGb4hK25dBuiTY5u2vVCJcPGdpUqDT1RwfeGy6gvnHuhbTgfKhn2EZVYMatnN",
            ),
            (
                "BLsk2wHXLW6gN9sbEN2rU84mmCSNZKn9KRKrw74LwHqEaLGwL3qQ31",
                "hello, bls",
                "BLsig9WknWnGmPcJw1q9oCBr53UyjAWxxYNS5wz5HBKmCcuxCfK1Hwhs92YDFocvxUhXfUosgcTuzAEuAAjKzjy7isNhU3o2e8snmZyo9E85oRudCpM1MNtkeAAYEkSXUPLKtRYa9yFwni",
            ),
        ] {
            let secret: SecretKey = secret.parse().unwrap();
            let signature: Signature = signature.parse().unwrap();
            let (key, suite) = (secret.public(), BlsSuite::Augmented);
            assert!(key.verifies(message.as_bytes(), &signature, suite), "{key}");
            assert!(!key.verifies(b"another", &signature, suite), "{key}");
            if secret.curve() != Curve::P256 {
                let ours = secret.sign(message.as_bytes(), suite).unwrap();
                assert_eq!(ours.as_bytes(), signature.as_bytes(), "{key}");
            }
            if secret.curve() == Curve::Bls {
                let other = BlsSuite::ProofOfPossession;
                assert!(!key.verifies(message.as_bytes(), &signature, other));
            }
        }
    }

    #[test]
    fn a_published_proof_of_possession_verifies() {
        let key: PublicKey =
            "BLpk1qUhA8WwcwKavKJb3nkPVeKj5FGCsruWQXyRpwypxe7ocbq6Npe4cjA2TLfqzgBKfRAtBajV"
                .parse()
                .unwrap();
        let proof: Signature =
            "BLsigAKrfg6QLipEvWQrhPRHbWo7x8YLFvteATg65gbvpfo9qKSabb5j92nozhecDkxvnvocv6q2WUUFvoKxkZuCaTNUUGpJPbc7igdf7MUi8fSovaLbWzZEDVGLjon7ZNPZPDpwf6h9jT"
                .parse()
                .unwrap();
        assert!(key.verifies_possession(&proof));
    }

    fn key(curve: Curve, secret: &str) -> SecretKey {
        let bytes = hex::decode(secret).unwrap().try_into().unwrap();
        SecretKey::from_bytes(curve, &bytes).unwrap()
    }

    fn signs(curve: Curve, secret: &str, digest: &[u8], expected: &str) {
        let signature = key(curve, secret).sign_digest(digest).unwrap();
        assert_eq!(hex::encode(signature.as_bytes()), expected, "{curve:?}");
    }

    /// RFC 8032 section 7.1, tests 1 and 3: seed, public key, signature.
    #[test]
    fn ed25519_is_that_of_its_rfc() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = key(Curve::Ed25519, seed).public;
        assert_eq!(
            hex::encode(public.tagged().1),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        signs(
            Curve::Ed25519,
            seed,
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        signs(
            Curve::Ed25519,
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            &[0xaf, 0x82],
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        );
    }

    /// RFC 6979: the deterministic nonce. P-256 from its appendix A.2.5 (message "sample"),
    /// secp256k1 from the vector that wallets share (message "Satoshi Nakamoto"), low S.
    #[test]
    fn ecdsa_is_deterministic_as_in_its_rfc() {
        let sample =
            hex::decode("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
        signs(
            Curve::P256,
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            &sample.unwrap(),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        );
        let satoshi =
            hex::decode("a0dc65ffca799873cbea0ac274015b9526505daaaed385155425f7337704883e");
        signs(
            Curve::Secp256k1,
            "0000000000000000000000000000000000000000000000000000000000000001",
            &satoshi.unwrap(),
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        );
    }

    /// The suite with proofs of possession, from the vectors that consensus clients share; their
    /// scalar is big-endian.
    #[test]
    fn bls_is_that_of_the_possession_suite() {
        let mut secret =
            hex::decode("263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3")
                .unwrap();
        secret.reverse();
        let key = key(Curve::Bls, &hex::encode(secret));
        for (byte, expected) in [
            (
                0x00,
                "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb5158090352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55",
            ),
            (
                0x56,
                "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb",
            ),
        ] {
            let signature = key.sign(&[byte; 32], BlsSuite::ProofOfPossession).unwrap();
            assert_eq!(hex::encode(signature.as_bytes()), expected);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = SecretKey::from_bytes(Curve::Ed25519, &[7; 32]).unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("SecretKey(of {})", key.public())
        );
        let damaged = "edsk3vifWnPCr8jXyhnt1YLa5KeNYTPfHENDq9gxqAA8ERkvEigYMf".parse::<SecretKey>();
        assert!(!damaged.unwrap_err().to_string().contains("edsk3"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_a_key_signs_its_public_half_verifies(seed: [u8; 32], message: Vec<u8>) {
            let mut seed = seed;
            // Below every order in either byte order.
            (seed[0], seed[31]) = (seed[0] & 0x3f, seed[31] & 0x3f | 1);
            for curve in CURVES {
                let Ok(key) = SecretKey::from_bytes(curve, &seed) else { continue };
                for suite in [BlsSuite::Augmented, BlsSuite::ProofOfPossession] {
                    let signature = key.sign(&message, suite).unwrap();
                    prop_assert!(key.public().verifies(&message, &signature, suite));
                    prop_assert!(key.public().verifies(&message, &signature.without_curve(), suite));
                    let text = signature.to_string();
                    prop_assert_eq!(text.parse::<Signature>().unwrap(), signature);
                }
                prop_assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), *key.public());
                if let Some(proof) = key.prove_possession() {
                    prop_assert!(key.public().verifies_possession(&proof));
                }
            }
        }

        #[test]
        fn arbitrary_keys_and_signatures_verify_nothing(
            tag in 0_u8..4, bytes in proptest::collection::vec(any::<u8>(), 48), short: [u8; 32], long in proptest::collection::vec(any::<u8>(), 96),
        ) {
            let length = PublicKey::length_of_tag(tag).unwrap();
            let key = PublicKey::from_tagged(tag, &bytes[..length]).unwrap();
            let mut joined = [0; 64];
            joined[..32].copy_from_slice(&short);
            prop_assert!(!key.verifies(b"x", &Signature::Unknown(joined), BlsSuite::Augmented));
            prop_assert!(!key.verifies(b"x", &Signature::Bls(long.try_into().unwrap()), BlsSuite::Augmented));
        }
    }
}
