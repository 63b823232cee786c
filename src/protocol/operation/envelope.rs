//! The envelope around contents: branch before, signature after; hash and size.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Action, Content, Form, FormError, Parameters};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Signature, blake2b};
use crate::protocol::json::{Fields, JsonError};
use crate::protocol::{BlockHash, OperationHash};

/// Announces a signature longer than 64 bytes, as if it were one more content.
const LONG_SIGNATURE: u8 = 0xff;
const BLS: u8 = 0x03;

/// Bytes where every signature ends.
const SIGNATURE: usize = 64;
/// Leading bytes of a BLS signature that stand among the contents.
const BLS_HEAD: usize = 32;

/// A batch of contents on a branch, not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Recent block it is anchored on.
    pub branch: BlockHash,
    /// Its contents, applied together or not at all.
    pub contents: Vec<Content>,
}

/// A batch with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOperation {
    /// What was signed.
    pub operation: Operation,
    /// By whom, it does not say.
    pub signature: Signature,
}

impl Operation {
    /// First byte of everything signed as a generic operation.
    pub const WATERMARK: u8 = 0x03;

    /// The unsigned bytes.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn to_bytes(&self, form: Form) -> Result<Vec<u8>, FormError> {
        let mut writer = Writer::new();
        self.branch.write(&mut writer);
        for content in &self.contents {
            content.write(form, &mut writer)?;
        }
        Ok(writer.into_bytes())
    }

    /// The operation as the protocol understands it, whatever its bytes spelled out.
    fn understood(&self) -> Cow<'_, Self> {
        let says_nothing = |content: &Content| match &content.action {
            Action::Transaction { parameters, .. } => {
                parameters.as_ref().is_some_and(Parameters::say_nothing)
            }
            _ => false,
        };
        if !self.contents.iter().any(says_nothing) {
            return Cow::Borrowed(self);
        }
        let mut operation = self.clone();
        for content in &mut operation.contents {
            if says_nothing(content)
                && let Action::Transaction { parameters, .. } = &mut content.action
            {
                *parameters = None;
            }
        }
        Cow::Owned(operation)
    }

    /// What a signer signs, and the protocol expects to be signed: the unsigned bytes behind the
    /// watermark of operations.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn to_sign(&self, form: Form) -> Result<Vec<u8>, FormError> {
        let mut bytes = vec![Self::WATERMARK];
        bytes.extend(self.understood().to_bytes(form)?);
        Ok(bytes)
    }

    /// Number of unsigned bytes, as the protocol prices them; none where it has no such form.
    #[must_use]
    pub fn size(&self, form: Form) -> u64 {
        self.understood()
            .to_bytes(form)
            .map_or(0, |bytes| bytes.len() as u64)
    }

    /// Reads unsigned bytes, all of them.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(form: Form, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let branch = BlockHash::read(&mut reader)?;
        let mut contents = Vec::new();
        while !reader.is_empty() {
            contents.push(Content::read(form, &mut reader)?);
        }
        Ok(Self { branch, contents })
    }

    /// The node's JSON: what forging and simulation take.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn to_json(&self, form: Form) -> Result<Value, FormError> {
        let contents: Result<Value, _> = self.contents.iter().map(|c| c.to_json(form)).collect();
        Ok(json!({ "branch": self.branch.to_string(), "contents": contents? }))
    }

    /// Reads the node's JSON.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value, form: Form) -> Result<Self, JsonError> {
        let fields = Fields::new("operation", json)?;
        let contents: Result<_, _> = fields
            .list("contents")?
            .iter()
            .map(|json| Content::from_json(json, form))
            .collect();
        Ok(Self {
            branch: fields.parsed("branch")?,
            contents: contents?,
        })
    }
}

impl SignedOperation {
    /// The bytes that are injected.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn to_bytes(&self, form: Form) -> Result<Vec<u8>, FormError> {
        let mut bytes = self.operation.to_bytes(form)?;
        if let Signature::Bls(_) = self.signature {
            bytes.extend([LONG_SIGNATURE, BLS]);
        }
        bytes.extend(self.signature.as_bytes());
        Ok(bytes)
    }

    /// Reads injected bytes, all of them. Short signatures do not tell their curve.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(form: Form, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut whole = Reader::new(bytes);
        let body = whole.raw("operation", whole.left().saturating_sub(SIGNATURE))?;
        let tail: [u8; SIGNATURE] = whole.array("signature")?;
        let mut reader = Reader::new(body);
        let branch = BlockHash::read(&mut reader)?;
        let (mut contents, mut signature) = (Vec::new(), Signature::Unknown(tail));
        while !reader.is_empty() {
            if let Some(long) = long_signature(&mut reader, &tail)? {
                signature = long;
                break;
            }
            contents.push(Content::read(form, &mut reader)?);
        }
        reader.finish()?;
        Ok(Self {
            operation: Operation { branch, contents },
            signature,
        })
    }

    /// Its hash.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn hash(&self, form: Form) -> Result<OperationHash, FormError> {
        Ok(OperationHash(blake2b(&self.to_bytes(form)?).0))
    }

    /// The node's JSON: branch, contents and signature.
    ///
    /// # Errors
    /// [`FormError`] when a content does not fit the form.
    pub fn to_json(&self, form: Form) -> Result<Value, FormError> {
        let mut json = self.operation.to_json(form)?;
        if let Value::Object(fields) = &mut json {
            fields.insert("signature".into(), self.signature.to_string().into());
        }
        Ok(json)
    }

    /// Reads the node's JSON; a missing signature is read as the absent one.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value, form: Form) -> Result<Self, JsonError> {
        let fields = Fields::new("operation", json)?;
        Ok(Self {
            operation: Operation::from_json(json, form)?,
            signature: match fields.optional("signature") {
                None => Signature::ABSENT,
                Some(_) => fields.parsed("signature")?,
            },
        })
    }

    /// What an operation weighs besides its contents: branch and signature, in bytes.
    #[must_use]
    pub const fn overhead(signature: &Signature) -> usize {
        match signature {
            Signature::Bls(_) => 32 + 2 + 96,
            _ => 32 + SIGNATURE,
        }
    }
}

/// The signature begun among the contents, when one is.
fn long_signature(
    reader: &mut Reader<'_>,
    tail: &[u8; SIGNATURE],
) -> Result<Option<Signature>, DecodeError> {
    let mut ahead = reader.clone();
    if ahead.u8("operation kind")? != LONG_SIGNATURE {
        return Ok(None);
    }
    let curve = ahead.u8("long signature")?;
    if curve != BLS {
        return Err(reader.invalid("long signature", format!("unknown curve tag {curve}")));
    }
    let head: [u8; BLS_HEAD] = ahead.array("long signature")?;
    let mut bytes = [0; BLS_HEAD + SIGNATURE];
    let (first, second) = bytes.split_at_mut(BLS_HEAD);
    first.copy_from_slice(&head);
    second.copy_from_slice(tail);
    *reader = ahead;
    Ok(Some(Signature::Bls(bytes)))
}
