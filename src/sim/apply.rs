//! Applying an operation: fees, each content, internal operations, all or nothing per batch
//! (`apply.ml`).
//!
//! Promises: fees and counters stay whatever happens; a failing content undoes the whole batch;
//! inbox messages of what did not stay applied are not kept. What gas
//! costs is in `prices`.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::context::Context;
use super::contracts::{Destination, Emitted, Sender};
use super::errors::{RuleError, Trace};
use super::ledger::{Holder, Movement, Owner};
use super::michelson::Type;
use super::prices::{internal_price, price, signature_price};
use super::receipts::{Effects, Included, Receipt, Status};
use super::rules::{cement, delegation, doors, game, originate, outbox, stake, transfer};
use crate::codec::Micheline;
use crate::crypto::{PublicKey, Signature};
use crate::inbox::{InternalMessage, Message, Transfer};
use crate::protocol::operation::{
    Action, Content, Contract, Entrypoint, Form, Parameters, Refutation, SignedOperation,
};
use crate::protocol::{
    CommitmentHash, Mutez, OperationHash, Protocol, PublicKeyHash, RollupAddress,
};

/// The state of a block under construction.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// The chain's state so far.
    pub context: Context,
    /// Serialized inbox messages so far, the level's opening ones included.
    pub messages: Vec<Vec<u8>>,
    /// Fees gathered for the baker.
    pub fees: Mutez,
    /// Gas used so far.
    pub milligas: u64,
    /// Internal operations so far: the protocol numbers them through the whole block.
    pub nonce: u16,
}

/// What one content carries along while it and its internal operations are applied.
struct Batch {
    operation: OperationHash,
    source: PublicKeyHash,
    /// Gas of checking the signature, which the first content pays.
    signature: u64,
    /// Contracts and rollups originated by the operation so far.
    originated: i32,
    /// Internal operations emitted in the block so far.
    nonce: u16,
    /// Gas left to the content.
    milligas: u64,
    /// Storage to burn for at the end of the content, in bytes.
    storage: u64,
}

impl Pending {
    /// Nothing done yet on this state.
    pub(crate) const fn on(context: Context) -> Self {
        Self {
            context,
            messages: Vec::new(),
            fees: Mutez(0),
            milligas: 0,
            nonce: 0,
        }
    }

    /// Applies a valid operation; what fails is in its receipts.
    pub(crate) fn apply(
        &mut self,
        signed: &SignedOperation,
        form: Form,
        hash: OperationHash,
    ) -> Included {
        let contents = &signed.operation.contents;
        let fees: Vec<_> = contents
            .iter()
            .map(|content| self.take_fee(content))
            .collect();
        let protocol = self.context.protocol;
        let mut receipts = self.apply_contents(contents, hash, signed.operation.size(form));
        for (receipt, fee) in receipts.iter_mut().zip(fees) {
            receipt.fees = fee;
        }
        Included {
            signed: signed.clone(),
            hash,
            receipts,
            protocol,
        }
    }

    fn take_fee(&mut self, content: &Content) -> Vec<Movement> {
        let owner = Owner::Implicit(content.source);
        let ledger = self.context.ledger_mut();
        if let Some(account) = ledger.account_mut(owner) {
            account.counter = content.counter;
        }
        ledger.newest_counter.0 = ledger.newest_counter.0.saturating_add(1);
        // Validation made sure that it is there.
        let moved = ledger
            .transfer(Holder::Spendable(owner), Holder::BlockFees, content.fee)
            .unwrap_or_default();
        if !moved.is_empty() {
            self.fees = self.fees.plus(content.fee).unwrap_or(self.fees);
        }
        moved
    }

    fn apply_contents(
        &mut self,
        contents: &[Content],
        operation: OperationHash,
        bytes: u64,
    ) -> Vec<Receipt> {
        let before = (self.context.clone(), self.messages.len(), self.nonce);
        let mut receipts: Vec<Receipt> = Vec::new();
        let mut originated = 0;
        let mut failed = false;
        for content in contents {
            if failed {
                receipts.push(Receipt {
                    fees: Vec::new(),
                    status: Status::Skipped,
                    internal: Vec::new(),
                });
                continue;
            }
            let signature = if receipts.is_empty() {
                signature_price(self.context.protocol, &content.source, bytes)
            } else {
                0
            };
            let receipt = self.apply_content(content, operation, &mut originated, signature);
            failed = !receipt.status.is_applied();
            receipts.push(receipt);
        }
        if failed {
            self.context = before.0;
            self.messages.truncate(before.1);
            self.nonce = before.2;
            for receipt in &mut receipts {
                receipt.status.backtrack();
                for (_, status) in &mut receipt.internal {
                    status.backtrack();
                }
            }
        }
        receipts
    }

    fn apply_content(
        &mut self,
        content: &Content,
        operation: OperationHash,
        originated: &mut i32,
        signature: u64,
    ) -> Receipt {
        let mut batch = Batch {
            operation,
            signature,
            source: content.source,
            originated: *originated,
            nonce: self.nonce,
            milligas: content.gas_limit.0.saturating_mul(1000),
            storage: 0,
        };
        let mut queue = VecDeque::new();
        let external = match self.apply_action(content, &mut batch, &mut queue) {
            Ok(effects) => effects,
            Err(errors) => return failed(errors),
        };
        let (internal, all_applied) = self.apply_internal(&mut batch, queue);
        *originated = batch.originated;
        self.nonce = batch.nonce;
        let mut receipt = Receipt {
            fees: Vec::new(),
            status: Status::Applied(external),
            internal,
        };
        if !all_applied {
            receipt.status.backtrack();
            return receipt;
        }
        match self.burn(content.source, batch.storage, content.storage_limit.0) {
            Ok(burned) => {
                if let Status::Applied(effects) = &mut receipt.status {
                    effects.movements.extend(burned);
                }
                receipt
            }
            Err(errors) => {
                if let Status::Applied(effects) = &mut receipt.status {
                    let effects = std::mem::take(effects);
                    receipt.status = Status::Backtracked(effects, Some(errors));
                }
                receipt
            }
        }
    }

    /// Depth first: what an internal operation emits comes right after it.
    fn apply_internal(
        &mut self,
        batch: &mut Batch,
        mut queue: VecDeque<Emitted>,
    ) -> (Vec<(Emitted, Status)>, bool) {
        let mut done: Vec<(Emitted, Status)> = Vec::new();
        while let Some(emitted) = queue.pop_front() {
            let mut next = VecDeque::new();
            match self.apply_emitted(&emitted, batch, &mut next) {
                Ok(effects) => {
                    done.push((emitted, Status::Applied(effects)));
                    next.append(&mut queue);
                    queue = next;
                }
                Err(errors) => {
                    for (_, status) in &mut done {
                        status.backtrack();
                    }
                    done.push((emitted, Status::Failed(errors)));
                    done.extend(queue.into_iter().map(|emitted| (emitted, Status::Skipped)));
                    return (done, false);
                }
            }
        }
        (done, true)
    }

    fn apply_emitted(
        &mut self,
        emitted: &Emitted,
        batch: &mut Batch,
        queue: &mut VecDeque<Emitted>,
    ) -> Result<Effects, Trace> {
        let milligas = batch.consume(internal_price(self.context.protocol, emitted))?;
        match emitted.destination {
            Destination::Rollup(rollup) => {
                let Sender::Contract(sender) = emitted.sender else {
                    return Err(RuleError::InvalidTransferToRollup {}.into());
                };
                let transfer = Transfer {
                    payload: emitted.value.clone(),
                    sender,
                    source: batch.source,
                    destination: rollup,
                };
                self.add_message(&Message::Internal(InternalMessage::Transfer(transfer)))?;
                let fields = object(json!({"ticket_receipt": []}));
                Ok(Effects {
                    fields,
                    milligas,
                    ..Effects::default()
                })
            }
            // Internal operations carry no money here, and none may be paid nothing.
            Destination::Contract(Contract::Implicit(account)) if emitted.value.is_unit() => {
                let contract = account.to_string();
                Err(RuleError::EmptyTransaction { contract }.into())
            }
            Destination::Contract(contract) => {
                let value = Some(&emitted.value).filter(|value| !value.is_unit());
                let argument = (value, emitted.of_type.as_ref());
                self.call(contract, &emitted.entrypoint, argument, batch, queue)
                    .map(|effects| Effects {
                        milligas,
                        ..effects
                    })
            }
        }
    }

    fn apply_action(
        &mut self,
        content: &Content,
        batch: &mut Batch,
        queue: &mut VecDeque<Emitted>,
    ) -> Result<Effects, Trace> {
        let own = price(self.context.protocol, &content.action);
        let milligas = batch.consume(own.saturating_add(batch.signature))?;
        let source = content.source;
        let effects = match &content.action {
            Action::Reveal { public_key, proof } => {
                self.check_possession(public_key, proof.as_ref())?;
                self.reveal(source, *public_key)?;
                Effects::default()
            }
            Action::Delegation { delegate } => {
                delegation::set(&mut self.context, source, *delegate)?;
                Effects::default()
            }
            Action::Transaction {
                amount,
                destination,
                parameters,
            } => self.transaction(
                source,
                *amount,
                *destination,
                parameters.as_ref(),
                batch,
                queue,
            )?,
            Action::Originate(origination) => {
                let originated = originate::originate(
                    &mut self.context,
                    &batch.operation,
                    batch.originated,
                    origination,
                )?;
                batch.originated = batch.originated.saturating_add(1);
                batch.storage = batch.storage.saturating_add(originated.size);
                shown(
                    json!({
                        "address": originated.address,
                        "genesis_commitment_hash": originated.genesis,
                        "size": originated.size.to_string(),
                    }),
                    Vec::new(),
                )
            }
            Action::AddMessages { messages } => {
                self.add_external_messages(messages)?;
                Effects::default()
            }
            Action::ExecuteOutboxMessage {
                rollup,
                cemented_commitment,
                output_proof,
            } => self.execute_output(*rollup, cemented_commitment, output_proof, batch, queue)?,
            action => self.rollup_action(source, action)?,
        };
        Ok(Effects {
            milligas,
            ..effects
        })
    }

    fn execute_output(
        &mut self,
        rollup: RollupAddress,
        cemented: &CommitmentHash,
        proof: &[u8],
        batch: &mut Batch,
        queue: &mut VecDeque<Emitted>,
    ) -> Result<Effects, Trace> {
        let done = outbox::execute(&mut self.context, &rollup, cemented, proof)?;
        batch.storage = batch.storage.saturating_add(done.storage);
        for call in done.calls {
            let destination = Destination::Contract(Contract::Originated(call.destination));
            let sender = Sender::Rollup(rollup);
            let mut emitted = batch.emit(sender, destination, call.entrypoint, call.value);
            emitted.of_type = call.of_type;
            queue.push_back(emitted);
        }
        Ok(Effects {
            fields: done.fields,
            shows_balances: true,
            ..Effects::default()
        })
    }

    fn rollup_action(&mut self, source: PublicKeyHash, action: &Action) -> Result<Effects, Trace> {
        let context = &mut self.context;
        match action {
            Action::Cement { rollup, commitment } => {
                let done = cement::cement(context, *rollup, *commitment)?;
                let mut fields = object(json!({"inbox_level": done.inbox_level}));
                if context.protocol >= Protocol::Nairobi {
                    fields.insert("commitment_hash".into(), json!(done.commitment_hash));
                }
                Ok(Effects {
                    fields,
                    ..Effects::default()
                })
            }
            Action::Publish { rollup, commitment } => {
                let done = stake::publish(context, *rollup, source, commitment)?;
                Ok(shown(
                    json!({
                        "staked_hash": done.staked_hash,
                        "published_at_level": done.published_at_level,
                    }),
                    done.movements,
                ))
            }
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } => {
                let done = refute(context, *rollup, source, *opponent, refutation)?;
                Ok(shown(
                    json!({"game_status": done.status_json()}),
                    done.movements,
                ))
            }
            Action::Timeout { rollup, stakers } => {
                let done = game::timeout(context, *rollup, *stakers)?;
                Ok(shown(
                    json!({"game_status": done.status_json()}),
                    done.movements,
                ))
            }
            Action::RecoverBond { rollup, staker } => {
                let movements = stake::recover_bond(context, *rollup, *staker)?;
                Ok(shown(json!({}), movements))
            }
            _ => Err(not_supported("this kind of operation")),
        }
    }

    fn transaction(
        &mut self,
        source: PublicKeyHash,
        amount: Mutez,
        destination: Contract,
        parameters: Option<&Parameters>,
        batch: &mut Batch,
        queue: &mut VecDeque<Emitted>,
    ) -> Result<Effects, Trace> {
        let from = Owner::Implicit(source);
        let is_new = self.context.ledger.account(destination).is_none();
        match destination {
            Contract::Implicit(account) => {
                doors::check(&self.context, source, account, amount, parameters)?;
            }
            Contract::Originated(_) if is_new => {
                return Err(RuleError::NonExistingContract {
                    contract: destination.to_string(),
                }
                .into());
            }
            Contract::Originated(_) => {}
        }
        let movements = self.context.ledger_mut().transfer(
            Holder::Spendable(from),
            Holder::Spendable(destination),
            amount,
        )?;
        let value = parameters.map(|parameters| &parameters.value);
        let entrypoint = parameters.map(|parameters| parameters.entrypoint.clone());
        let entrypoint = entrypoint.unwrap_or_default();
        let mut effects = self.call(destination, &entrypoint, (value, None), batch, queue)?;
        effects.movements = movements;
        if is_new {
            batch.storage = batch
                .storage
                .saturating_add(self.context.parameters.account_size);
            effects
                .fields
                .insert("allocated_destination_contract".into(), true.into());
        }
        Ok(effects)
    }

    /// Runs the script behind `contract`, if it has one.
    fn call(
        &mut self,
        contract: Contract,
        entrypoint: &Entrypoint,
        (argument, of_type): (Option<&Micheline>, Option<&Type>),
        batch: &mut Batch,
        queue: &mut VecDeque<Emitted>,
    ) -> Result<Effects, Trace> {
        let script = self
            .context
            .ledger
            .account(contract)
            .and_then(|account| account.script);
        let (script, hash) = match (script, contract) {
            (Some(script), Contract::Originated(hash)) => (script, hash),
            (None, Contract::Implicit(_)) if argument.is_none_or(Micheline::is_unit) => {
                return Ok(Effects::default());
            }
            (_, Contract::Implicit(_)) => {
                return Err(RuleError::BadContractParameter {
                    contract: contract.to_string(),
                }
                .into());
            }
            (None, Contract::Originated(_)) => {
                return Err(RuleError::NonExistingContract {
                    contract: contract.to_string(),
                }
                .into());
            }
        };
        for asked in script.call(&hash, entrypoint, argument, of_type)? {
            let value = match &asked.destination {
                Destination::Rollup(rollup) => {
                    transfer::payload(&self.context, rollup, &asked.entrypoint, &asked.value)
                        .map_err(|cause| {
                            let contract = hash.to_string();
                            cause.under(RuleError::BadContractParameter { contract })
                        })?
                }
                Destination::Contract(_) => asked.value,
            };
            let sender = Sender::Contract(hash);
            queue.push_back(batch.emit(sender, asked.destination, asked.entrypoint, value));
        }
        let fields =
            object(json!({"storage": script.storage_json(), "storage_size": script.size_json()}));
        Ok(Effects {
            fields,
            ..Effects::default()
        })
    }

    /// Proofs of possession come with BLS keys from Seoul on, and are only verified here, not when
    /// the operation is validated.
    fn check_possession(&self, key: &PublicKey, proof: Option<&Signature>) -> Result<(), Trace> {
        match proof {
            Some(proof)
                if self.context.protocol >= Protocol::Seoul && !key.verifies_possession(proof) =>
            {
                Err(RuleError::IncorrectBlsProof {
                    kind: "manager_pk",
                    public_key: key.to_string(),
                    proof: proof.to_string(),
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    fn reveal(&mut self, source: PublicKeyHash, key: PublicKey) -> Result<(), Trace> {
        let owner = Owner::Implicit(source);
        let account = self
            .context
            .ledger_mut()
            .account_mut(owner)
            .ok_or(RuleError::EmptyImplicitContract { implicit: source })?;
        if account.key.is_some() {
            return Err(RuleError::PreviouslyRevealedKey {
                contract: owner.to_string(),
            }
            .into());
        }
        account.key = Some(key);
        Ok(())
    }

    /// All are written before the first is added.
    fn add_external_messages(&mut self, messages: &[Vec<u8>]) -> Result<(), Trace> {
        let external = messages.iter().cloned().map(Message::External);
        let written: Vec<_> = external
            .map(|message| serialized(&message))
            .collect::<Result<_, _>>()?;
        written.into_iter().try_for_each(|bytes| self.add(bytes))
    }

    fn add_message(&mut self, message: &Message) -> Result<(), Trace> {
        self.add(serialized(message)?)
    }

    fn add(&mut self, message: Vec<u8>) -> Result<(), Trace> {
        let limit = self.context.parameters.messages_per_level as usize;
        if self.messages.len() > limit.saturating_add(1) {
            return Err(RuleError::InboxLevelReachedMessageLimit {}.into());
        }
        self.messages.push(message);
        Ok(())
    }

    fn burn(
        &mut self,
        payer: PublicKeyHash,
        bytes: u64,
        limit: u64,
    ) -> Result<Vec<Movement>, Trace> {
        if bytes > limit {
            return Err(RuleError::StorageExhausted {}.into());
        }
        let cost = Mutez(bytes.saturating_mul(self.context.parameters.cost_per_byte));
        self.context
            .ledger_mut()
            .transfer(
                Holder::Spendable(Owner::Implicit(payer)),
                Holder::StorageFees,
                cost,
            )
            .map_err(|cause| cause.under(RuleError::CannotPayStorageFee {}))
    }

    /// Gives the block's fees to its baker.
    pub(crate) fn pay_baker(&mut self, baker: PublicKeyHash) {
        let fees = std::mem::replace(&mut self.fees, Mutez(0));
        // Fails only over 2^64 mutez, more than there are.
        let _ = self.context.ledger_mut().transfer(
            Holder::BlockFees,
            Holder::Spendable(Owner::Implicit(baker)),
            fees,
        );
    }
}

impl Batch {
    fn consume(&mut self, milligas: u64) -> Result<u64, RuleError> {
        self.milligas = self
            .milligas
            .checked_sub(milligas)
            .ok_or(RuleError::GasExhaustedOperation {})?;
        Ok(milligas)
    }

    fn emit(
        &mut self,
        sender: Sender,
        destination: Destination,
        entrypoint: Entrypoint,
        value: Micheline,
    ) -> Emitted {
        let nonce = self.nonce;
        self.nonce = self.nonce.saturating_add(1);
        Emitted {
            sender,
            nonce,
            destination,
            entrypoint,
            value,
            of_type: None,
        }
    }
}

fn refute(
    context: &mut Context,
    rollup: RollupAddress,
    player: PublicKeyHash,
    opponent: PublicKeyHash,
    refutation: &Refutation,
) -> Result<game::Played, Trace> {
    match refutation {
        Refutation::Start {
            player_commitment,
            opponent_commitment,
        } => game::open(
            context,
            rollup,
            (player, *player_commitment),
            (opponent, *opponent_commitment),
        ),
        Refutation::StartOnConflict => {
            let conflict = game::first_conflict(context, &rollup, &player, &opponent)?;
            let (ours, theirs) = conflict.ok_or(RuleError::NoConflict {})?;
            game::open(context, rollup, (player, ours), (opponent, theirs))
        }
        Refutation::Move { choice, step } => {
            game::play(context, rollup, player, opponent, *choice, step)
        }
    }
}

fn serialized(message: &Message) -> Result<Vec<u8>, RuleError> {
    message
        .serialize()
        .map_err(|_| RuleError::InboxMessageEncoding {})
}

fn failed(errors: Trace) -> Receipt {
    Receipt {
        fees: Vec::new(),
        status: Status::Failed(errors),
        internal: Vec::new(),
    }
}

fn not_supported(what: &str) -> Trace {
    RuleError::NotSupported { what: what.into() }.into()
}

fn shown(fields: Value, movements: Vec<Movement>) -> Effects {
    Effects {
        movements,
        fields: object(fields),
        milligas: 0,
        shows_balances: true,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
