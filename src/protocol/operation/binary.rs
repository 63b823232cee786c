//! Bytes of a content: common fields, then those of its kind.

use super::refutation::Refutation;
use super::{
    Action, Content, Contract, Entrypoint, Form, FormError, Kind, Origination, Parameters, PvmKind,
    Stakers,
};
use crate::codec::{DecodeError, Micheline, Reader, Writer};
use crate::crypto::{PublicKey, Signature};
use crate::protocol::{
    Commitment, CommitmentHash, Counter, Gas, Mutez, PublicKeyHash, RollupAddress, StorageBytes,
};

/// Most bytes of a whitelist, its length included (`sc_rollup_whitelist_repr.ml`).
const MAX_WHITELIST: usize = 4094;

/// Bytes of a BLS signature.
const BLS_SIGNATURE: usize = 96;

fn n64(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, DecodeError> {
    let start = reader.clone();
    u64::try_from(reader.n(what)?).map_err(|_| start.invalid(what, "number over 64 bits"))
}

/// Money as the protocol holds it: below 2^63.
fn mutez(reader: &mut Reader<'_>, what: &'static str) -> Result<Mutez, DecodeError> {
    let start = reader.clone();
    let amount = Mutez(n64(reader, what)?);
    match amount.is_money() {
        true => Ok(amount),
        false => Err(start.invalid(what, "over 2^63 - 1 mutez")),
    }
}

fn public_key(reader: &mut Reader<'_>) -> Result<PublicKey, DecodeError> {
    let start = reader.clone();
    let tag = reader.u8("public key")?;
    let length = PublicKey::length_of_tag(tag)
        .ok_or_else(|| start.invalid("public key", format!("unknown curve tag {tag}")))?;
    let bytes = reader.raw("public key", length)?;
    PublicKey::from_tagged(tag, bytes).ok_or_else(|| start.invalid("public key", "wrong length"))
}

fn bls_signature(reader: &mut Reader<'_>) -> Result<Signature, DecodeError> {
    let start = reader.clone();
    let bytes = reader.dynamic("proof of possession", BLS_SIGNATURE)?;
    let bytes = bytes
        .try_into()
        .map_err(|_| start.invalid("proof of possession", "is not 96 bytes long"))?;
    Ok(Signature::Bls(bytes))
}

/// An expression behind its length, alone in it.
fn expression(reader: &mut Reader<'_>) -> Result<Micheline, DecodeError> {
    let mut inner = reader.sized("michelson expression")?;
    let expression = Micheline::read(&mut inner)?;
    inner.finish()?;
    Ok(expression)
}

fn write_accounts(accounts: &[PublicKeyHash], writer: &mut Writer) {
    writer.sized(|writer| accounts.iter().for_each(|account| account.write(writer)));
}

fn read_accounts(reader: &mut Reader<'_>) -> Result<Vec<PublicKeyHash>, DecodeError> {
    let start = reader.clone();
    let mut items = reader.sized("whitelist")?;
    if start.left().saturating_sub(reader.left()) > MAX_WHITELIST {
        return Err(start.invalid("whitelist", format!("over {MAX_WHITELIST} bytes")));
    }
    let mut accounts = Vec::new();
    while !items.is_empty() {
        accounts.push(PublicKeyHash::read(&mut items)?);
    }
    Ok(accounts)
}

impl Content {
    /// Appends the bytes in the given form.
    ///
    /// # Errors
    /// [`FormError`] when the form has no place for a field, or requires one that is not given.
    pub fn write(&self, form: Form, writer: &mut Writer) -> Result<(), FormError> {
        writer.u8(self.action.kind().tag());
        self.source.write(writer);
        writer.n(self.fee.0.into()).n(self.counter.0.into());
        writer
            .n(self.gas_limit.0.into())
            .n(self.storage_limit.0.into());
        self.write_action(form, writer)
    }

    /// The bytes in the given form.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn to_bytes(&self, form: Form) -> Result<Vec<u8>, FormError> {
        let mut writer = Writer::new();
        self.write(form, &mut writer)?;
        Ok(writer.into_bytes())
    }

    /// Reads the bytes in the given form.
    ///
    /// # Errors
    /// [`DecodeError`]; contents of kinds that are not known here are refused by their tag.
    pub fn read(form: Form, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let tag = reader.u8("operation kind")?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.tag() == tag)
            .ok_or_else(|| {
                start.invalid(
                    "operation kind",
                    format!("tag {tag} is of no kind known here"),
                )
            })?;
        let source = PublicKeyHash::read(reader)?;
        Ok(Self {
            source,
            fee: mutez(reader, "fee")?,
            counter: Counter(n64(reader, "counter")?),
            gas_limit: Gas(n64(reader, "gas limit")?),
            storage_limit: StorageBytes(n64(reader, "storage limit")?),
            action: Action::read(kind, source, form, reader)?,
        })
    }

    fn write_action(&self, form: Form, writer: &mut Writer) -> Result<(), FormError> {
        match &self.action {
            Action::Reveal { public_key, proof } => {
                write_reveal(form, public_key, proof.as_ref(), writer)?;
            }
            Action::Transaction {
                amount,
                destination,
                parameters,
            } => {
                destination.write(writer.n(amount.0.into()));
                writer.option(parameters.as_ref(), |writer, parameters| {
                    parameters.entrypoint.write(form, writer);
                    writer.sized(|writer| parameters.value.write(writer));
                });
            }
            Action::Delegation { delegate } => {
                writer.option(*delegate, |writer, delegate| delegate.write(writer));
            }
            Action::Originate(origination) => origination.write(form, writer)?,
            Action::AddMessages { messages } => {
                writer.sized(|writer| {
                    for message in messages {
                        writer.dynamic(message);
                    }
                });
            }
            Action::Cement { rollup, commitment } => {
                rollup.write(writer);
                if let Some(commitment) = cement_commitment(form, *commitment)? {
                    commitment.write(writer);
                }
            }
            Action::Publish { rollup, commitment } => {
                rollup.write(writer);
                commitment.write(writer);
            }
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } => {
                rollup.write(writer);
                opponent.write(writer);
                refutation.write(form, writer)?;
            }
            Action::Timeout { rollup, stakers } => {
                rollup.write(writer);
                stakers.alice().write(writer);
                stakers.bob().write(writer);
            }
            Action::ExecuteOutboxMessage {
                rollup,
                cemented_commitment,
                output_proof,
            } => {
                rollup.write(writer);
                cemented_commitment.write(writer);
                writer.dynamic(output_proof);
            }
            Action::RecoverBond { rollup, staker } => {
                rollup.write(writer);
                if let Some(staker) = named_staker(form, self.source, *staker)? {
                    staker.write(writer);
                }
            }
        }
        Ok(())
    }
}

/// The commitment field of a cement, which exists in early forms only.
pub(super) fn cement_commitment(
    form: Form,
    commitment: Option<CommitmentHash>,
) -> Result<Option<CommitmentHash>, FormError> {
    let (kind, field) = (Kind::Cement, "commitment");
    match (form.is_before_oxford(), commitment) {
        (true, None) => Err(FormError::Missing { form, kind, field }),
        (false, Some(_)) => Err(FormError::NoPlace { form, kind, field }),
        (_, commitment) => Ok(commitment),
    }
}

/// The staker field of a bond recovery; in the older dialect the source, unnamed.
pub(super) fn named_staker(
    form: Form,
    source: PublicKeyHash,
    staker: PublicKeyHash,
) -> Result<Option<PublicKeyHash>, FormError> {
    match form {
        Form::Modern(_) => Ok(Some(staker)),
        Form::Scr1 if staker == source => Ok(None),
        Form::Scr1 => Err(FormError::NoPlace {
            form,
            kind: Kind::RecoverBond,
            field: "staker other than its source",
        }),
    }
}

fn write_reveal(
    form: Form,
    public_key: &PublicKey,
    proof: Option<&Signature>,
    writer: &mut Writer,
) -> Result<(), FormError> {
    let (kind, field) = (Kind::Reveal, "proof of possession");
    let (tag, bytes) = public_key.tagged();
    writer.u8(tag).raw(bytes);
    match (form.has_reveal_proof(), proof) {
        (true, Some(Signature::Bls(_)) | None) => {
            writer.option(proof, |writer, proof| {
                writer.dynamic(proof.as_bytes());
            });
            Ok(())
        }
        (false, None) => Ok(()),
        (_, Some(_)) => Err(FormError::NoPlace { form, kind, field }),
    }
}

impl Origination {
    /// The proof and whitelist as the form has them, or why it cannot.
    pub(super) fn fitted(&self, form: Form) -> Result<(Option<&[u8]>, bool), FormError> {
        let kind = Kind::Originate;
        let early = form.is_before_oxford();
        match (early, &self.origination_proof, &self.whitelist) {
            (true, None, _) => Err(FormError::Missing {
                form,
                kind,
                field: "origination proof",
            }),
            (true, _, Some(_)) => Err(FormError::NoPlace {
                form,
                kind,
                field: "whitelist",
            }),
            (false, Some(_), _) => Err(FormError::NoPlace {
                form,
                kind,
                field: "origination proof",
            }),
            (early, proof, _) => Ok((proof.as_deref(), !early)),
        }
    }

    fn write(&self, form: Form, writer: &mut Writer) -> Result<(), FormError> {
        let (proof, has_whitelist) = self.fitted(form)?;
        writer.u8(self.pvm.tag()).dynamic(&self.kernel);
        if let Some(proof) = proof {
            writer.dynamic(proof);
        }
        writer.sized(|writer| self.parameters_type.write(writer));
        if has_whitelist {
            writer.option(self.whitelist.as_ref(), |writer, list| {
                write_accounts(list, writer)
            });
        }
        Ok(())
    }

    fn read(form: Form, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let early = form.is_before_oxford();
        let pvm = PvmKind::read(reader)?;
        let kernel = reader.dynamic("kernel", usize::MAX)?.into();
        let origination_proof = if early {
            Some(reader.dynamic("origination proof", usize::MAX)?.into())
        } else {
            None
        };
        let parameters_type = expression(reader)?;
        let whitelist = if early {
            None
        } else {
            reader.option("whitelist", read_accounts)?
        };
        Ok(Self {
            pvm,
            kernel,
            origination_proof,
            parameters_type,
            whitelist,
        })
    }
}

impl PvmKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Arith => 0,
            Self::Wasm => 1,
            Self::Riscv => 2,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let tag = reader.u8("pvm kind")?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.tag() == tag)
            .ok_or_else(|| start.invalid("pvm kind", format!("unknown tag {tag}")))
    }
}

impl Action {
    fn read(
        kind: Kind,
        source: PublicKeyHash,
        form: Form,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        Ok(match kind {
            Kind::Reveal => Self::Reveal {
                public_key: public_key(reader)?,
                proof: if form.has_reveal_proof() {
                    reader.option("proof of possession", bls_signature)?
                } else {
                    None
                },
            },
            Kind::Transaction => Self::Transaction {
                amount: mutez(reader, "amount")?,
                destination: Contract::read(reader)?,
                parameters: reader.option("parameters", |reader| {
                    Ok(Parameters {
                        entrypoint: Entrypoint::read(form, reader)?,
                        value: expression(reader)?,
                    })
                })?,
            },
            Kind::Delegation => Self::Delegation {
                delegate: reader.option("delegate", PublicKeyHash::read)?,
            },
            Kind::Originate => Self::Originate(Box::new(Origination::read(form, reader)?)),
            Kind::AddMessages => {
                let mut items = reader.sized("messages")?;
                let mut messages = Vec::new();
                while !items.is_empty() {
                    messages.push(items.dynamic("message", usize::MAX)?.into());
                }
                Self::AddMessages { messages }
            }
            _ => Self::read_of_rollup(kind, source, form, reader)?,
        })
    }

    /// The kinds that begin with the address of a rollup.
    fn read_of_rollup(
        kind: Kind,
        source: PublicKeyHash,
        form: Form,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let rollup = RollupAddress::read(reader)?;
        Ok(match kind {
            Kind::Cement => Self::Cement {
                rollup,
                commitment: if form.is_before_oxford() {
                    Some(CommitmentHash::read(reader)?)
                } else {
                    None
                },
            },
            Kind::Publish => Self::Publish {
                rollup,
                commitment: Commitment::read(reader)?,
            },
            Kind::Refute => Self::Refute {
                rollup,
                opponent: PublicKeyHash::read(reader)?,
                refutation: Refutation::read(form, reader)?,
            },
            Kind::Timeout => Self::Timeout {
                rollup,
                stakers: Stakers::new(PublicKeyHash::read(reader)?, PublicKeyHash::read(reader)?),
            },
            Kind::ExecuteOutboxMessage => Self::ExecuteOutboxMessage {
                rollup,
                cemented_commitment: CommitmentHash::read(reader)?,
                output_proof: reader.dynamic("output proof", usize::MAX)?.into(),
            },
            Kind::RecoverBond => Self::RecoverBond {
                rollup,
                staker: match form {
                    Form::Modern(_) => PublicKeyHash::read(reader)?,
                    Form::Scr1 => source,
                },
            },
            Kind::Reveal
            | Kind::Transaction
            | Kind::Delegation
            | Kind::Originate
            | Kind::AddMessages => {
                return Err(reader.invalid("operation kind", "has no rollup address"));
            }
        })
    }
}
