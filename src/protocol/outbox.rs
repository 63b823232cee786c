//! Outbox messages: what a rollup asks layer 1 to do once a commitment is cemented.
//!
//! Source: `sc_rollup_outbox_message_repr.ml`.

use super::operation::{Contract, Entrypoint};
use super::{ContractHash, PublicKeyHash};
use crate::codec::{DecodeError, Micheline, Reader, Writer};

/// Longest serialized message, in bytes.
const MAX_MESSAGE: usize = 4096;

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxMessage {
    /// Calls to contracts, all or none; with their types since Nairobi.
    Transactions {
        /// The calls.
        transactions: Vec<OutboxTransaction>,
        /// Whether each carries the type of its argument.
        is_typed: bool,
    },
    /// Who may stake from now on; none = anybody. Since Oxford.
    Whitelist(Option<Vec<PublicKeyHash>>),
    /// Signal of the canonical rollup. Since Ushuaia.
    Signal(Vec<u8>),
}

/// A call to a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxTransaction {
    /// Its argument.
    pub parameters: Micheline,
    /// Type of the argument, in typed batches.
    pub parameters_type: Option<Micheline>,
    /// The contract called.
    pub destination: ContractHash,
    /// Which of its doors.
    pub entrypoint: Entrypoint,
}

impl OutboxMessage {
    /// What serialized bytes say.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > MAX_MESSAGE {
            let problem = format!("{} bytes, over {MAX_MESSAGE}", bytes.len());
            return Err(reader.invalid("outbox message", problem));
        }
        let start = reader.clone();
        let message = match reader.u8("outbox message")? {
            tag @ (0 | 1) => {
                let mut items = reader.sized("transactions")?;
                let mut transactions = Vec::new();
                while !items.is_empty() {
                    transactions.push(OutboxTransaction::read(tag == 1, &mut items)?);
                }
                Self::Transactions {
                    transactions,
                    is_typed: tag == 1,
                }
            }
            2 => Self::Whitelist(reader.option("whitelist", |reader| {
                let mut items = reader.sized("whitelist")?;
                let mut accounts = Vec::new();
                while !items.is_empty() {
                    accounts.push(PublicKeyHash::read(&mut items)?);
                }
                Ok(accounts)
            })?),
            3 => Self::Signal(reader.dynamic("signal", MAX_MESSAGE)?.into()),
            tag => return Err(start.invalid("outbox message", format!("unknown tag {tag}"))),
        };
        reader.finish()?;
        Ok(message)
    }

    /// The serialized message.
    #[must_use]
    pub fn serialize(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Transactions {
                transactions,
                is_typed,
            } => {
                writer.u8(u8::from(*is_typed)).sized(|writer| {
                    for transaction in transactions {
                        transaction.write(writer);
                    }
                });
            }
            Self::Whitelist(accounts) => {
                writer.u8(2).option(accounts.as_ref(), |writer, accounts| {
                    writer.sized(|writer| {
                        for account in accounts {
                            account.write(writer);
                        }
                    });
                });
            }
            Self::Signal(signal) => {
                writer.u8(3).dynamic(signal);
            }
        }
        writer.into_bytes()
    }
}

impl OutboxTransaction {
    fn write(&self, writer: &mut Writer) {
        self.parameters.write(writer);
        if let Some(parameters_type) = &self.parameters_type {
            parameters_type.write(writer);
        }
        Contract::Originated(self.destination).write(writer);
        writer.dynamic(self.entrypoint.name().as_bytes());
    }

    fn read(is_typed: bool, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let parameters = Micheline::read(reader)?;
        let parameters_type = if is_typed {
            Some(Micheline::read(reader)?)
        } else {
            None
        };
        let at = reader.clone();
        let Contract::Originated(destination) = Contract::read(reader)? else {
            return Err(at.invalid("destination", "is an account, not a contract"));
        };
        let at = reader.clone();
        let name = reader.dynamic("entrypoint", 31)?;
        Ok(Self {
            parameters,
            parameters_type,
            destination,
            entrypoint: Entrypoint::of_bytes(name)
                .map_err(|error| at.invalid("entrypoint", error.to_string()))?,
        })
    }
}
