//! The node's JSON of a content, both ways, in its key order.

use serde_json::{Map, Value, json};

use super::binary::{cement_commitment, named_staker};
use super::refutation::Refutation;
use super::{Action, Content, Form, FormError, Kind, Origination, Parameters, PvmKind, Stakers};
use crate::codec::Micheline;
use crate::crypto::Dialect;
use crate::protocol::json::{Fields, JsonError};
use crate::protocol::{Commitment, Dialected, Mutez, PublicKeyHash, RollupAddress};

/// The kernel's field: its name changed with the labels.
const fn kernel_field(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Modern => "kernel",
        Dialect::Scr1 => "boot_sector",
    }
}

impl Content {
    /// The node's JSON in the given form, without metadata.
    ///
    /// # Errors
    /// [`FormError`] when the form has no place for a field, or requires one that is not given.
    pub fn to_json(&self, form: Form) -> Result<Value, FormError> {
        let mut fields = Map::new();
        let kind = self.action.kind().name(form.dialect());
        fields.insert("kind".into(), kind.into());
        fields.insert("source".into(), self.source.to_string().into());
        fields.insert("fee".into(), self.fee.to_string().into());
        fields.insert("counter".into(), self.counter.to_string().into());
        fields.insert("gas_limit".into(), self.gas_limit.to_string().into());
        fields.insert(
            "storage_limit".into(),
            self.storage_limit.to_string().into(),
        );
        self.action.add_json(self.source, form, &mut fields)?;
        Ok(Value::Object(fields))
    }

    /// Reads the node's JSON in the given form; metadata is passed over.
    ///
    /// # Errors
    /// [`JsonError`] names the field; kinds that are not known here are refused by name.
    pub fn from_json(json: &Value, form: Form) -> Result<Self, JsonError> {
        let fields = Fields::new("operation content", json)?;
        let name = fields.text("kind")?;
        let kind = Kind::from_name(name, form.dialect())
            .ok_or_else(|| fields.error("kind", format!("is {name:?}, not known to {form}")))?;
        let source = fields.parsed("source")?;
        Ok(Self {
            source,
            fee: mutez(fields, "fee")?,
            counter: fields.parsed("counter")?,
            gas_limit: fields.parsed("gas_limit")?,
            storage_limit: fields.parsed("storage_limit")?,
            action: Action::from_json(kind, source, form, fields)?,
        })
    }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(T::to_string).collect()
}

impl Action {
    fn add_json(
        &self,
        source: PublicKeyHash,
        form: Form,
        fields: &mut Map<String, Value>,
    ) -> Result<(), FormError> {
        let dialect = form.dialect();
        let mut put = |key: &str, value: Value| {
            fields.insert(key.into(), value);
        };
        if let Some(rollup) = self.rollup() {
            put("rollup", rollup.text(dialect).into());
        }
        match self {
            Self::Reveal { public_key, proof } => {
                put("public_key", public_key.to_string().into());
                if let Some(proof) = proof {
                    put("proof", proof.to_string().into());
                }
            }
            Self::Transaction {
                amount,
                destination,
                parameters,
            } => {
                put("amount", amount.to_string().into());
                put("destination", destination.to_string().into());
                let spoken = parameters.as_ref().filter(|said| !said.say_nothing());
                if let Some(Parameters { entrypoint, value }) = spoken {
                    let entrypoint = entrypoint.name();
                    put(
                        "parameters",
                        json!({ "entrypoint": entrypoint, "value": value.to_json() }),
                    );
                }
            }
            Self::Delegation { delegate } => {
                if let Some(delegate) = delegate {
                    put("delegate", delegate.to_string().into());
                }
            }
            Self::Originate(origination) => origination.add_json(form, fields)?,
            Self::AddMessages { messages } => {
                put("message", messages.iter().map(hex::encode).collect());
            }
            Self::Cement { commitment, .. } => {
                if let Some(commitment) = cement_commitment(form, *commitment)? {
                    put("commitment", commitment.text(dialect).into());
                }
            }
            Self::Publish { commitment, .. } => put("commitment", commitment.to_json(dialect)),
            Self::Refute {
                opponent,
                refutation,
                ..
            } => {
                put("opponent", opponent.to_string().into());
                if let Some(refutation) = refutation.to_json(form)? {
                    put("refutation", refutation);
                }
            }
            Self::Timeout { stakers, .. } => {
                let (alice, bob) = (stakers.alice().to_string(), stakers.bob().to_string());
                put("stakers", json!({ "alice": alice, "bob": bob }));
            }
            Self::ExecuteOutboxMessage {
                cemented_commitment,
                output_proof,
                ..
            } => {
                put(
                    "cemented_commitment",
                    cemented_commitment.text(dialect).into(),
                );
                put("output_proof", hex::encode(output_proof).into());
            }
            Self::RecoverBond { staker, .. } => {
                if let Some(staker) = named_staker(form, source, *staker)? {
                    put("staker", staker.to_string().into());
                }
            }
        }
        Ok(())
    }

    /// The rollup it is about, for the kinds that name one.
    #[must_use]
    pub const fn rollup(&self) -> Option<RollupAddress> {
        match self {
            Self::Cement { rollup, .. }
            | Self::Publish { rollup, .. }
            | Self::Refute { rollup, .. }
            | Self::Timeout { rollup, .. }
            | Self::ExecuteOutboxMessage { rollup, .. }
            | Self::RecoverBond { rollup, .. } => Some(*rollup),
            Self::Reveal { .. }
            | Self::Transaction { .. }
            | Self::Delegation { .. }
            | Self::Originate(_)
            | Self::AddMessages { .. } => None,
        }
    }

    fn from_json(
        kind: Kind,
        source: PublicKeyHash,
        form: Form,
        fields: Fields<'_>,
    ) -> Result<Self, JsonError> {
        let dialect = form.dialect();
        let rollup = || fields.labelled("rollup", dialect);
        Ok(match kind {
            Kind::Reveal => Self::Reveal {
                public_key: fields.parsed("public_key")?,
                proof: match fields.optional("proof") {
                    None => None,
                    Some(_) => Some(fields.parsed("proof")?),
                },
            },
            Kind::Transaction => Self::Transaction {
                amount: mutez(fields, "amount")?,
                destination: fields.parsed("destination")?,
                parameters: fields
                    .optional("parameters")
                    .map(parameters)
                    .transpose()?
                    .filter(|parameters| !parameters.say_nothing()),
            },
            Kind::Delegation => Self::Delegation {
                delegate: match fields.optional("delegate") {
                    None => None,
                    Some(_) => Some(fields.parsed("delegate")?),
                },
            },
            Kind::Originate => Self::Originate(Box::new(Origination::from_json(form, fields)?)),
            Kind::AddMessages => Self::AddMessages {
                messages: messages(fields)?,
            },
            Kind::Cement => Self::Cement {
                rollup: rollup()?,
                commitment: if form.is_before_oxford() {
                    Some(fields.labelled("commitment", dialect)?)
                } else {
                    None
                },
            },
            Kind::Publish => Self::Publish {
                rollup: rollup()?,
                commitment: Commitment::from_json(fields.value("commitment")?, dialect)?,
            },
            Kind::Refute => Self::Refute {
                rollup: rollup()?,
                opponent: fields.parsed("opponent")?,
                refutation: Refutation::from_json(fields.optional("refutation"), form)?,
            },
            Kind::Timeout => {
                let pair = Fields::new("stakers", fields.value("stakers")?)?;
                Self::Timeout {
                    rollup: rollup()?,
                    stakers: Stakers::new(pair.parsed("alice")?, pair.parsed("bob")?),
                }
            }
            Kind::ExecuteOutboxMessage => Self::ExecuteOutboxMessage {
                rollup: rollup()?,
                cemented_commitment: fields.labelled("cemented_commitment", dialect)?,
                output_proof: fields.bytes("output_proof")?,
            },
            Kind::RecoverBond => Self::RecoverBond {
                rollup: rollup()?,
                staker: match form {
                    Form::Modern(_) => fields.parsed("staker")?,
                    Form::Scr1 => source,
                },
            },
        })
    }
}

fn mutez(fields: Fields<'_>, field: &str) -> Result<Mutez, JsonError> {
    let amount: Mutez = fields.parsed(field)?;
    match amount.is_money() {
        true => Ok(amount),
        false => Err(fields.error(field, "is over 2^63 - 1 mutez")),
    }
}

fn parameters(json: &Value) -> Result<Parameters, JsonError> {
    let fields = Fields::new("parameters", json)?;
    let value = Micheline::from_json(fields.value("value")?);
    Ok(Parameters {
        entrypoint: fields.parsed("entrypoint")?,
        value: value.map_err(|e| fields.error("value", e))?,
    })
}

fn messages(fields: Fields<'_>) -> Result<Vec<Vec<u8>>, JsonError> {
    let messages = fields.list("message")?.iter();
    messages
        .map(|message| {
            let text = message.as_str();
            text.and_then(|text| hex::decode(text).ok())
                .ok_or_else(|| fields.error("message", "holds something that is not hexadecimal"))
        })
        .collect()
}

impl Origination {
    fn add_json(&self, form: Form, fields: &mut Map<String, Value>) -> Result<(), FormError> {
        let (proof, _) = self.fitted(form)?;
        let kernel = hex::encode(&self.kernel).into();
        fields.insert("pvm_kind".into(), self.pvm.name().into());
        fields.insert(kernel_field(form.dialect()).into(), kernel);
        if let Some(proof) = proof {
            fields.insert("origination_proof".into(), hex::encode(proof).into());
        }
        fields.insert("parameters_ty".into(), self.parameters_type.to_json());
        if let Some(whitelist) = &self.whitelist {
            fields.insert("whitelist".into(), texts(whitelist));
        }
        Ok(())
    }

    fn from_json(form: Form, fields: Fields<'_>) -> Result<Self, JsonError> {
        let early = form.is_before_oxford();
        let name = fields.text("pvm_kind")?;
        let parameters_type = Micheline::from_json(fields.value("parameters_ty")?);
        Ok(Self {
            pvm: PvmKind::from_name(name)
                .ok_or_else(|| fields.error("pvm_kind", format!("is {name:?}")))?,
            kernel: fields.bytes(kernel_field(form.dialect()))?,
            origination_proof: if early {
                Some(fields.bytes("origination_proof")?)
            } else {
                None
            },
            parameters_type: parameters_type.map_err(|e| fields.error("parameters_ty", e))?,
            whitelist: match fields.optional("whitelist") {
                Some(_) if !early => Some(fields.parsed_list("whitelist")?),
                _ => None,
            },
        })
    }
}
