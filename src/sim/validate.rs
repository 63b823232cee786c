//! What an operation must satisfy before it may enter a block or the mempool (`validate.ml`).
//!
//! Promises: source, counters, key, limits, fees, signature, and the few rollup checks that the
//! protocol makes this early. Everything else is judged when it is applied.

use super::context::Context;
use super::errors::{Decimal, RuleError, Trace};
use super::ledger::{Account, Owner};
use super::prices::{POSSESSION, manager_price, reading_price, signature_price};
use super::rules::{game, originate};
use crate::crypto::{BlsSuite, PublicKey, Signature};
use crate::protocol::operation::{Action, Content, Contract, Form, Refutation, SignedOperation};
use crate::protocol::{Mutez, Protocol, PublicKeyHash};

/// Whether the signature counts: simulation has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// It must be the source's.
    Checked,
    /// Anything goes.
    Ignored,
}

/// What the mempool wants to know of a valid operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Valid {
    /// Who signed and pays.
    pub source: PublicKeyHash,
    /// Sum of the fees.
    pub fee: Mutez,
    /// Sum of the gas limits.
    pub gas: u64,
}

/// Judges `signed` against the state before the block it would enter, whose level the context has.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn validate(
    context: &Context,
    form: Form,
    signed: &SignedOperation,
    signatures: Signatures,
) -> Result<Valid, Trace> {
    let contents = &signed.operation.contents;
    let first = contents.first().ok_or(RuleError::ContentsListError {
        message: "no content".into(),
    })?;
    let source = first.source;
    check_batch(contents, source)?;
    check_curve(source)?;
    let account = context
        .ledger
        .account(Owner::Implicit(source))
        .filter(|account| account.balance > Mutez(0) || account.stays_empty())
        .ok_or(RuleError::EmptyImplicitContract { implicit: source })?;
    check_counter(account, first)?;
    let key = key_of(account, first)?;
    let mut gas: u64 = 0;
    let mut signature_gas = signature_price(context.protocol, &source, signed.operation.size(form));
    let (mut left, mut fee, mut is_there) = (account.balance, Mutez(0), true);
    for content in contents {
        gas = gas.saturating_add(content.gas_limit.0);
        let gas_left = check_gas(context, content, gas, signature_gas)?;
        check_storage(context, content)?;
        if !is_there {
            return Err(RuleError::EmptyImplicitContract { implicit: source }.into());
        }
        check_kind(context, content, gas_left)?;
        left = spent(account, source, left, content.fee)?;
        // The sum is at most the balance.
        fee = fee.plus(content.fee).unwrap_or(fee);
        is_there = left > Mutez(0) || account.stays_empty();
        signature_gas = 0;
    }
    if signatures == Signatures::Checked {
        check_signature(context.protocol, form, signed, &key)?;
    }
    Ok(Valid { source, fee, gas })
}

fn check_batch(contents: &[Content], source: PublicKeyHash) -> Result<(), RuleError> {
    let mut previous: Option<u64> = None;
    for content in contents {
        if content.source != source {
            return Err(RuleError::InconsistentSources {
                first_source: source,
                unexpected_source: content.source,
            });
        }
        if let Some(previous) = previous
            && previous.checked_add(1) != Some(content.counter.0)
        {
            return Err(RuleError::InconsistentCounters {
                source,
                previous_counter: Decimal(previous.into()),
                wrong_counter: Decimal(content.counter.0.into()),
            });
        }
        if previous.is_some() && matches!(content.action, Action::Reveal { .. }) {
            return Err(RuleError::IncorrectRevealPosition {});
        }
        previous = Some(content.counter.0);
    }
    Ok(())
}

/// Accounts of the newest curve, which mainnet does not enable.
const fn check_curve(account: PublicKeyHash) -> Result<(), RuleError> {
    match account {
        PublicKeyHash::Tz5(_) => Err(RuleError::Tz5AccountDisabled {}),
        _ => Ok(()),
    }
}

fn check_counter(account: &Account, first: &Content) -> Result<(), RuleError> {
    let expected = account.counter.0.saturating_add(1);
    let found = first.counter.0;
    let contract = first.source.to_string();
    let (expected, found) = (Decimal(expected.into()), Decimal(found.into()));
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(RuleError::CounterInThePast {
            contract,
            expected,
            found,
        }),
        std::cmp::Ordering::Greater => Err(RuleError::CounterInTheFuture {
            contract,
            expected,
            found,
        }),
    }
}

fn key_of(account: &Account, first: &Content) -> Result<PublicKey, RuleError> {
    match &first.action {
        Action::Reveal { public_key, .. } => Ok(*public_key),
        _ => account.key.ok_or_else(|| RuleError::UnrevealedKey {
            contract: first.source.to_string(),
        }),
    }
}

fn check_gas(
    context: &Context,
    content: &Content,
    gas_so_far: u64,
    signature_gas: u64,
) -> Result<u64, Trace> {
    let parameters = &context.parameters;
    if content.gas_limit.0 > parameters.gas_per_operation {
        return Err(RuleError::GasLimitTooHigh {}.into());
    }
    if gas_so_far > parameters.gas_per_block {
        return Err(
            Trace::from(RuleError::GasExhaustedBlock {}).under(RuleError::GasLimitTooHigh {})
        );
    }
    let fixed = manager_price(context.protocol).saturating_add(signature_gas);
    let milligas = content.gas_limit.0.saturating_mul(1000);
    milligas
        .checked_sub(fixed)
        .ok_or_else(|| out_of_gas(RuleError::InsufficientGasForManager {}))
}

fn out_of_gas(for_what: RuleError) -> Trace {
    Trace::from(RuleError::GasExhaustedOperation {}).under(for_what)
}

fn check_storage(context: &Context, content: &Content) -> Result<(), RuleError> {
    if content.storage_limit.0 > context.parameters.storage_per_operation {
        return Err(RuleError::StorageLimitTooHigh {});
    }
    Ok(())
}

fn check_key(
    protocol: Protocol,
    source: PublicKeyHash,
    key: &PublicKey,
    proof: Option<&Signature>,
    gas_left: u64,
) -> Result<(), Trace> {
    let owner = PublicKeyHash::of_key(key);
    if owner != source {
        return Err(RuleError::InconsistentHash {
            public_key: key.to_string(),
            expected_hash: source,
            provided_hash: owner,
        }
        .into());
    }
    let is_bls = matches!(key, PublicKey::Bls(_));
    let public_key = || key.to_string();
    match (is_bls, proof) {
        _ if protocol < Protocol::Seoul => Ok(()),
        (true, None) => Err(RuleError::MissingBlsProof {
            kind: "manager_pk",
            source,
            public_key: public_key(),
        }
        .into()),
        (true, Some(_)) if gas_left < POSSESSION => {
            Err(out_of_gas(RuleError::InsufficientGasForManager {}))
        }
        (false, Some(_)) => Err(RuleError::UnusedBlsProof {
            kind: "manager_pk",
            source,
            public_key: public_key(),
        }
        .into()),
        _ => Ok(()),
    }
}

fn check_kind(context: &Context, content: &Content, gas_left: u64) -> Result<(), Trace> {
    match &content.action {
        Action::Reveal { public_key, proof } => check_key(
            context.protocol,
            content.source,
            public_key,
            proof.as_ref(),
            gas_left,
        ),
        Action::Transaction { destination, .. } => {
            if let Contract::Implicit(account) = destination {
                check_curve(*account)?;
            }
            match gas_left < reading_price(&content.action) {
                true => Err(out_of_gas(RuleError::GasForReadingExceeded {})),
                false => Ok(()),
            }
        }
        Action::AddMessages { messages } if messages.is_empty() => {
            Err(RuleError::AddZeroMessages {}.into())
        }
        Action::Originate(origination) => Ok(originate::check_kind(origination.pvm)?),
        Action::Refute {
            rollup,
            opponent,
            refutation:
                Refutation::Start {
                    player_commitment,
                    opponent_commitment,
                },
        } => game::check_opening_before_inclusion(
            context,
            rollup,
            (content.source, *player_commitment),
            (*opponent, *opponent_commitment),
        ),
        _ => Ok(()),
    }
}

/// What is left of the account's money after a fee (`simulate_spending`).
fn spent(
    account: &Account,
    source: PublicKeyHash,
    balance: Mutez,
    fee: Mutez,
) -> Result<Mutez, Trace> {
    let left = balance.minus(fee).ok_or_else(|| {
        Trace(vec![
            RuleError::BalanceTooLow {
                contract: source.to_string(),
                balance,
                amount: fee,
            },
            RuleError::SubtractionUnderflow {
                amounts: [balance, fee],
            },
        ])
    })?;
    if left == Mutez(0) {
        account.check_emptiable(source)?;
    }
    Ok(left)
}

/// How the BLS signatures of operations are made under `protocol`.
#[must_use]
pub(crate) fn bls_suite(protocol: Protocol) -> BlsSuite {
    if protocol >= Protocol::Seoul {
        BlsSuite::ProofOfPossession
    } else {
        BlsSuite::Augmented
    }
}

fn check_signature(
    protocol: Protocol,
    form: Form,
    signed: &SignedOperation,
    key: &PublicKey,
) -> Result<(), RuleError> {
    if signed.signature == Signature::ABSENT {
        return Err(RuleError::MissingSignature {});
    }
    let message = signed
        .operation
        .to_sign(form)
        .map_err(|error| RuleError::ContentsListError {
            message: error.to_string(),
        })?;
    if key.verifies(&message, &signed.signature, bls_suite(protocol)) {
        Ok(())
    } else {
        Err(RuleError::InvalidSignature {})
    }
}
