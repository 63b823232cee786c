//! The refusals of the simulated chain, with the node's ids, kinds and JSON fields.
//!
//! Promises: one value per error the protocol can raise here, so that a client sees the id and
//! shape it would see from a node. Ids and kinds follow `sc_rollup_errors.ml`,
//! `sc_rollup_dissection_chunk_repr.ml`, `contract_storage.ml` and `validate_errors.ml`; texts are ours.

use serde_json::{Map, Value, json};

use super::rollup::WhitelistUpdate;
use crate::protocol::{
    CommitmentHash, Level, Mutez, OperationHash, Protocol, PublicKeyHash, RollupAddress, StateHash,
};

/// How long a refusal lasts, in the node's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// May work later.
    Temporary,
    /// Never works.
    Permanent,
    /// Does not work on this branch.
    Branch,
    /// Worked once, never again.
    Outdated,
}

impl ErrorKind {
    /// The node's word for it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
            Self::Branch => "branch",
            Self::Outdated => "outdated",
        }
    }
}

macro_rules! rule_errors {
    ($($kind:ident $id:literal $name:ident { $($field:ident: $type:ty),* } $message:literal $([$($shown:tt)*])?;)+) => {
        /// One refusal. Fields carry the names of the node's JSON.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[expect(missing_docs, reason = "the message says it, and fields are the node's JSON keys")]
        pub enum RuleError {
            $(#[error($message $(, $($shown)*)?)] $name { $($field: $type),* },)+
        }

        impl RuleError {
            /// Its id without the protocol's prefix.
            #[must_use]
            pub const fn id(&self) -> &'static str {
                match self { $(Self::$name { .. } => $id,)+ }
            }

            /// How long it lasts.
            #[must_use]
            pub const fn kind(&self) -> ErrorKind {
                match self { $(Self::$name { .. } => ErrorKind::$kind,)+ }
            }

            fn fields(&self) -> Map<String, Value> {
                match self {
                    $(Self::$name { $($field),* } => {
                        #[allow(unused_mut)]
                        let mut fields = Map::new();
                        $(fields.insert(stringify!($field).trim_start_matches("r#").into(), json!($field));)*
                        fields
                    })+
                }
            }
        }
    };
}

rule_errors! {
    // Commitments, cementation, bonds.
    Temporary "smart_rollup_does_not_exist" DoesNotExist { rollup: RollupAddress } "rollup {rollup} does not exist";
    Temporary "smart_rollup_unknown_commitment" UnknownCommitment { commitment: CommitmentHash } "commitment {commitment} is not stored";
    Temporary "smart_rollup_bad_inbox_level" BadInboxLevel { expected: Level, provided: Level } "inbox level {provided} where {expected} comes next";
    Temporary "smart_rollup_bad_inbox_level" BadInboxLevelUnnamed { } "not the inbox level that comes next";
    Temporary "smart_rollup_too_far_ahead" TooFarAhead { } "commitment too far above the last cemented one";
    Temporary "smart_rollup_commitment_from_future" CommitmentFromFuture { current_level: Level, inbox_level: Level } "inbox level {inbox_level} is not below the current level {current_level}";
    Permanent "smart_rollup_commitment_past_curfew" CommitmentPastCurfew { } "this inbox level took its last commitment a challenge window ago";
    Permanent "smart_rollup_commitment_too_old" CommitmentTooOld { last_cemented_inbox_level: Level, commitment_inbox_level: Level } "inbox level {commitment_inbox_level} is not above the last cemented one, {last_cemented_inbox_level}";
    Temporary "smart_rollup_commitment_too_recent" CommitmentTooRecent { current_level: Level, min_level: Level } "cementable from level {min_level}, the current level is {current_level}";
    Permanent "smart_rollup_zero_tick_commitment" ZeroTickCommitment { } "a commitment of zero ticks";
    Permanent "smart_rollup_double_publish" DoublePublish { commitment_hash: CommitmentHash } "{commitment_hash} was published by this staker already";
    Temporary "smart_rollup_staker_double_stake" StakerDoubleStake { } "the staker stands on another commitment of this inbox level";
    Temporary "smart_rollup_staker_funds_too_low" StakerFundsTooLow { staker: PublicKeyHash, smart_rollup: RollupAddress, staker_balance: Mutez, min_expected_balance: Mutez } "{staker} has {staker_balance} mutez, the bond takes {min_expected_balance}";
    Temporary "smart_rollup_staker_not_in_whitelist" StakerNotInWhitelist { } "the rollup is private and the staker is not on its list";
    Temporary "smart_rollup_not_staked" NotStaked { } "not a staker of this rollup";
    Temporary "smart_rollup_not_staked_on_lcc_or_ancestor" NotStakedOnLccOrAncestor { } "a commitment of this staker is above the last cemented level";
    Temporary "smart_rollup_commitment_disputed" Disputed { } "two commitments with stakers stand on the next level";
    Temporary "smart_rollup_no_valid_commitment_to_cement" NoValidCommitmentToCement { } "no commitment with a staker stands on the next level";
    Temporary "smart_rollup_parent_not_lcc" ParentNotLcc { } "the predecessor is not the last cemented commitment";
    Permanent "smart_rollup_invalid_commitment_to_cement" InvalidCommitmentToCement { valid_candidate: CommitmentHash, invalid_candidate: CommitmentHash } "{valid_candidate} is the commitment to cement, not {invalid_candidate}";
    Permanent "smart_rollup_empty_whitelist" EmptyWhitelist { } "an empty whitelist";
    Permanent "smart_rollup_invalid_parameters_type" InvalidParametersType { } "layer 1 may not send messages of this type";
    Permanent "smart_rollup_whitelist_disabled" WhitelistDisabled { } "private rollups are not enabled";
    Temporary "smart_rollup_duplicated_key_in_whitelist" DuplicatedKeyInWhitelist { } "the whitelist names an account twice";
    Permanent "smart_rollup_add_zero_messages" AddZeroMessages { } "no message to add";
    Permanent "smart_rollup_inbox_level_reached_message_limit" InboxLevelReachedMessageLimit { } "the level's inbox is full";
    Permanent "smart_rollup_inbox_message_encoding" InboxMessageEncoding { } "the message is over the size limit once encoded";
    Permanent "smart_rollup_invalid_last_cemented_commitment" InvalidLastCementedCommitment { } "the commitment is not among the cemented ones kept";
    Permanent "smart_rollup_invalid_output_proof" InvalidOutputProof { } "not an output proof of this commitment's state";
    Permanent "smart_rollup_wasm_output_proof_verification_failed" WasmOutputProofVerificationFailed { } "the state does not show this outbox message";
    Permanent "smart_rollup_invalid_outbox_level" InvalidOutboxLevel { } "the outbox level is not active";
    Temporary "smart_rollup_invalid_outbox_message_index" InvalidOutboxMessageIndex { } "no level has an outbox message of this index";
    Temporary "smart_rollup_outbox_level_expired" OutboxLevelExpired { } "a newer level took the place of this outbox level";
    Temporary "smart_rollup_outbox_message_already_applied" OutboxMessageAlreadyApplied { } "the outbox message was executed already";
    Permanent "smart_rollup_management_protocol_invalid_destination" InvalidDestination { } "the outbox message calls a contract that does not exist";
    Permanent "smart_rollup_outdated_whitelist_update" OutdatedWhitelistIndex { message_index: Decimal, last_whitelist_update: WhitelistUpdate } "a later message of the level changed the whitelist";
    Permanent "smart_rollup_outdated_whitelist_update" OutdatedWhitelistLevel { outbox_level: Level, last_whitelist_update: WhitelistUpdate } "a later level changed the whitelist";
    Permanent "smart_rollup_rollup_is_public" RollupIsPublic { } "the rollup is public and stays so";
    Permanent "michelson_v1.no_such_entrypoint" NoSuchEntrypoint { entrypoint: String } "the contract has no entrypoint {entrypoint}";
    Permanent "operation.arith_pvm_disabled" ArithPvmDisabled { } "the arith PVM is not enabled";
    Permanent "operation.riscv_pvm_disabled" RiscvPvmDisabled { } "the riscv PVM is not enabled";
    // Games.
    Temporary "smart_rollup_game_already_started" GameAlreadyStarted { } "these two stakers play already";
    Temporary "smart_rollup_no_game" NoGame { } "these two stakers play no game";
    Temporary "smart_rollup_wrong_turn" WrongTurn { } "it is the other player's turn";
    Temporary "smart_rollup_timeout_level_not_reached" TimeoutLevelNotReached { level_timeout: i32, staker: PublicKeyHash } "{staker} has {level_timeout} blocks left";
    Temporary "smart_rollup_no_conflict" NoConflict { } "the two commitments are one";
    Permanent "smart_rollup_not_valid_commitments_conflict" NotValidCommitmentsConflict { commitment: CommitmentHash, player: PublicKeyHash, opponent_commitment: CommitmentHash, opponent: PublicKeyHash } "{commitment} and {opponent_commitment} have different predecessors";
    Permanent "smart_rollup_wrong_staker_for_conflict_commitment" WrongStakerForConflictCommitment { player: PublicKeyHash, commitment: CommitmentHash } "{player} does not stand on {commitment}";
    Temporary "smart_rollup_maximal_number_of_parallel_games_reached" MaximalNumberOfParallelGamesReached { staker: PublicKeyHash } "{staker} plays as many games as allowed";
    Temporary "smart_rollup_dissection_number_of_sections_mismatch" NumberOfSectionsMismatch { expected: Decimal, given: Decimal } "{given} sections where {expected} are due";
    Permanent "smart_rollup_dissection_invalid_number_of_sections" InvalidNumberOfSections { value: Decimal } "{value} sections can never be right";
    Temporary "smart_rollup_dissection_start_hash_mismatch" StartHashMismatch { expected: Option<StateHash>, given: Option<StateHash> } "the dissection starts from another state";
    Temporary "smart_rollup_dissection_stop_hash_mismatch" StopHashMismatch { hash: Option<StateHash> } "the dissection ends in the state it disputes";
    Temporary "smart_rollup_dissection_edge_ticks_mismatch" EdgeTicksMismatch { dissection_start_tick: Decimal, dissection_stop_tick: Decimal, chunk_start_tick: Decimal, chunk_stop_tick: Decimal } "the dissection spans other ticks than the section";
    Permanent "smart_rollup_dissection_ticks_not_increasing" TicksNotIncreasing { } "ticks do not increase";
    Permanent "smart_rollup_dissection_invalid_distribution" InvalidDistribution { section_max_size: Decimal } "a section is longer than {section_max_size} ticks";
    Permanent "smart_rollup_dissection_invalid_successive_states_shape" InvalidSuccessiveStatesShape { } "a state after the machine stopped";
    Permanent "smart_rollup_wasm_invalid_dissection_distribution" WasmInvalidDissectionDistribution { } "a tick off the snapshot boundaries";
    Temporary "Dissection_choice_not_found" ChoiceNotFound { choice: Decimal } "no section starts at tick {choice}";
    Temporary "Dissecting_during_final_move" DissectingDuringFinalMove { } "a dissection where the final move is due";
    Permanent "smart_rollup_proof_check" ProofCheck { reason: String } "invalid proof: {reason}";
    // Why a proof decides nothing. The protocol keeps these to itself and goes on to the final move.
    Permanent "smart_rollup_invalid_serialized_inbox_proof" InvalidSerializedInboxProof { } "the inbox proof cannot be read";
    Permanent "internal.smart_rollup_inbox_proof_error" InboxProof { error: String } "inbox proof: {error}";
    Permanent "internal.smart_rollup_merklized_payload_hashes_proof" PayloadHashesProof { error: String } "inbox proof: {error}";
    Permanent "smart_rollup_wasm_proof_verification_failed" WasmProofVerificationFailed { } "the step does not follow from what the proof shows";
    Permanent "Dissection_unexpected_section_size" UnexpectedSectionSize { n: Decimal } "a proof settles one tick, the section has {n}";
    Temporary "Proof_start_state_hash_mismatch" ProofStartMismatch { start_state_hash: Option<StateHash>, start_proof: StateHash } "the proof starts from {start_proof}";
    Temporary "Proof_stop_state_hash_failed_to_refute" ProofFailsToRefute { stop_state_hash: Option<StateHash>, stop_proof: Option<StateHash> } "the proof ends in the state it should refute";
    Temporary "Proof_stop_state_hash_failed_to_validate" ProofFailsToValidate { stop_state_hash: Option<StateHash>, stop_proof: Option<StateHash> } "the proof ends in another state than the one it should confirm";
    Temporary "validate.operation.sc_rollup_refutation_game_start_too_early" GameStartTooEarly { current_level: Level, earliest_start_level: Level, conflict_inbox_level: Level, commitment_period_in_blocks: u32 } "the game may start from level {earliest_start_level}, the current level is {current_level}";
    // Manager level.
    Branch "contract.counter_in_the_past" CounterInThePast { contract: String, expected: Decimal, found: Decimal } "Counter {found} already used for contract {contract} (expected {expected})";
    Temporary "contract.counter_in_the_future" CounterInTheFuture { contract: String, expected: Decimal, found: Decimal } "Counter {found} not yet reached for contract {contract} (expected {expected})";
    Temporary "contract.balance_too_low" BalanceTooLow { contract: String, balance: Mutez, amount: Mutez } "Balance of contract {contract} too low ({}) to spend {}" [tez(*.balance), tez(*.amount)];
    Temporary "tez.subtraction_underflow" SubtractionUnderflow { amounts: [Mutez; 2] } "Underflowing subtraction of {} tez and {} tez" [tez(.amounts[0]), tez(.amounts[1])];
    Temporary "contract.non_existing_contract" NonExistingContract { contract: String } "Contract {contract} does not exist";
    Branch "implicit.empty_implicit_delegated_contract" EmptyDelegatedContract { implicit: PublicKeyHash } "Emptying implicit delegated account ({implicit})";
    Branch "implicit.empty_implicit_contract" EmptyImplicitContract { implicit: PublicKeyHash } "Empty implicit contract ({implicit})";
    Branch "contract.unrevealed_key" UnrevealedKey { contract: String } "Unrevealed manager key for contract {contract}.";
    Branch "contract.previously_revealed_key" PreviouslyRevealedKey { contract: String } "Previously revealed manager key for contract {contract}.";
    Permanent "contract.manager.inconsistent_hash" InconsistentHash { public_key: String, expected_hash: PublicKeyHash, provided_hash: PublicKeyHash } "The hash of the manager public key {public_key} is not {provided_hash} as announced but {expected_hash}";
    Temporary "contract.cannot_pay_storage_fee" CannotPayStorageFee { } "Cannot pay storage fee";
    Temporary "storage_exhausted.operation" StorageExhausted { } "more storage than the operation allows";
    Temporary "gas_exhausted.operation" GasExhaustedOperation { } "more gas than the operation allows";
    Temporary "gas_exhausted.block" GasExhaustedBlock { } "the block is full";
    Permanent "gas_limit_too_high" GasLimitTooHigh { } "gas limit over the protocol's";
    Permanent "storage_limit_too_high" StorageLimitTooHigh { } "storage limit over the protocol's";
    Branch "contract.empty_transaction" EmptyTransaction { contract: String } "Transactions of 0ꜩ towards a contract without code are forbidden ({contract}).";
    Temporary "michelson_v1.runtime_error" RuntimeError { contract_handle: String, contract_code: String } "contract {contract_handle} failed";
    Temporary "michelson_v1.script_rejected" ScriptRejected { location: i32, with: Value } "the contract refused its argument";
    Permanent "michelson_v1.bad_contract_parameter" BadContractParameter { contract: String } "{contract} cannot take this argument";
    Permanent "context.storage_error" StorageError { missing_key: Vec<String>, function: &'static str } "Missing key '{}'." [missing_key.join("/")];
    Permanent "context.storage_error" StorageExists { existing_key: Vec<String> } "Existing key '{}'." [existing_key.join("/")];
    // Delegates.
    Permanent "contract.manager.unregistered_delegate" UnregisteredDelegate { hash: PublicKeyHash } "The provided public key (with hash {hash}) is not registered as valid delegate key.";
    Temporary "delegate.already_active" AlreadyActiveDelegate { } "The delegate is still active, no need to refresh it";
    Permanent "delegate.no_deletion" NoDelegateDeletion { delegate: PublicKeyHash } "Delegate deletion is forbidden ({delegate})";
    Temporary "delegate.unchanged" UnchangedDelegate { } "The contract is already delegated to the same delegate";
    Temporary "delegate_service.balance_rpc_on_non_delegate" BalanceOfNoDelegate { pkh: PublicKeyHash } "The implicit account ({pkh}) whose balance was requested is not a registered delegate.";
    Temporary "delegate.not_registered" NotRegisteredDelegate { pkh: PublicKeyHash } "The provided public key hash ({pkh}) is not the address of a registered delegate.";
    Permanent "operations.invalid_self_transaction_destination" InvalidSelfDestination { } "a pseudo operation whose destination is not its source";
    Permanent "operations.stake_modification_with_no_delegate_set" StakeWithoutDelegate { } "staking without a delegate";
    Permanent "operations.invalid_nonzero_transaction_amount" InvalidNonzeroAmount { amount: Mutez } "{amount} mutez where none may be sent";
    // Types and data of Michelson.
    Permanent "michelson_v1.invalid_arity" InvalidArity { location: usize, primitive_name: String, expected_arity: usize, wrong_arity: usize } "{primitive_name} takes {expected_arity} arguments, not {wrong_arity}";
    Permanent "michelson_v1.invalid_seq_arity" InvalidSeqArity { location: usize, minimal_expected_arity: usize, wrong_arity: usize } "a sequence of {wrong_arity} where {minimal_expected_arity} are the least";
    Permanent "michelson_v1.invalid_primitive" InvalidPrimitive { location: usize, expected_primitive_names: Vec<&'static str>, wrong_primitive_name: String } "{wrong_primitive_name} is none of {expected_primitive_names:?}";
    Permanent "michelson_v1.invalid_expression_kind" InvalidExpressionKind { location: usize, expected_kinds: Vec<&'static str>, wrong_kind: &'static str } "{wrong_kind} where one of {expected_kinds:?} is due";
    Permanent "michelson_v1.invalid_primitive_namespace" InvalidNamespace { location: usize, primitive_name: String, expected_namespace: &'static str, wrong_namespace: &'static str } "{primitive_name} is of the namespace {wrong_namespace}, not {expected_namespace}";
    Permanent "michelson_v1.invalid_never_expr" InvalidNeverExpr { location: usize } "nothing is of the type never";
    Permanent "michelson_v1.unexpected_annotation" UnexpectedAnnotation { location: usize } "no annotation may be here";
    Permanent "michelson_v1.unexpected_operation" UnexpectedOperation { loc: usize } "the type operation may not be here";
    Permanent "michelson_v1.unexpected_contract" UnexpectedContract { loc: usize } "the type contract may not be here";
    Permanent "michelson_v1.unexpected_ticket" UnexpectedTicket { loc: usize } "the type ticket may not be here";
    Permanent "michelson_v1.unexpected_lazy_storage" UnexpectedLazyStorage { loc: usize } "a type of stored data may not be here";
    Permanent "michelson_v1.comparable_type_expected" ComparableTypeExpected { location: usize, wrong_type: Value } "values of {wrong_type} have no order";
    Permanent "michelson_v1.invalid_constant" InvalidConstant { location: usize, expected_type: Box<Value>, wrong_expression: Box<Value> } "{wrong_expression} is not of the type {expected_type}";
    Permanent "michelson_v1.invalid_syntactic_constant" InvalidSyntacticConstant { location: usize, expected_form: &'static str, wrong_expression: Value } "{wrong_expression} is not {expected_form}";
    Permanent "michelson_v1.unexpected_default_entrypoint" UnexpectedDefault { location: usize } "the usual door goes unnamed";
    Permanent "michelson_v1.inconsistent_types" InconsistentTypes { loc: i64, first_type: Box<Value>, other_type: Box<Value> } "{first_type} and {other_type} differ";
    Permanent "michelson_v1.unordered_map_literal" UnorderedMapKeys { location: usize, item: Value } "the keys of a map go up";
    Permanent "michelson_v1.duplicate_map_keys" DuplicateMapKeys { location: usize, item: Value } "a map has each key once";
    Permanent "michelson_v1.unordered_set_literal" UnorderedSetValues { location: usize, value: Value } "the values of a set go up";
    Permanent "michelson_v1.duplicate_set_values_in_literal" DuplicateSetValues { location: usize, value: Value } "a set has each value once";
    Temporary "michelson_v1.typechecking_too_many_recursive_calls" TooManyRecursiveCalls { } "an expression nested too deep";
    Permanent "michelson_v1.unexpected_forged_value" UnexpectedForgedValue { location: usize } "a value that only code makes, at {location}";
    Permanent "operations.invalid_transfer_to_smart_rollup_from_implicit_account" InvalidTransferToRollup { } "Invalid sender for transfer operation to smart rollup. Only originated contracts are allowed.";
    Permanent "michelson_v1.forbidden_zero_amount_ticket" ForbiddenZeroTicket { } "a ticket of nothing";
    Permanent "michelson_v1.unexpected_ticket_owner" UnexpectedTicketOwner { ticketer: RollupAddress } "only contracts make tickets, {ticketer} is a rollup";
    Permanent "Negative_ticket_balance" NegativeTicketBalance { key: String, balance: String } "the rollup owns too few of the ticket {key}: {balance}";
    Temporary "validate.operation.manager_restriction" ManagerRestriction { r#source: PublicKeyHash, conflict: Value } "Manager {source} already has an operation in the current block.";
    Permanent "validate.operation.inconsistent_sources" InconsistentSources { first_source: PublicKeyHash, unexpected_source: PublicKeyHash } "Inconsistent sources in operation batch. All operations in a batch must have the same source.";
    Permanent "validate.operation.inconsistent_counters" InconsistentCounters { r#source: PublicKeyHash, previous_counter: Decimal, wrong_counter: Decimal } "Non-consecutive counters for source {source}: jumped from {previous_counter} to {wrong_counter}.";
    Permanent "validate.operation.incorrect_reveal_position" IncorrectRevealPosition { } "Incorrect reveal operation position in batch: only allowed in first position.";
    Permanent "validate.operation.missing_bls_proof" MissingBlsProof { kind: &'static str, r#source: PublicKeyHash, public_key: String } "Reveal of a BLS key {public_key} from {source} should contain a proof of possession.";
    Permanent "validate.operation.incorrect_bls_proof" IncorrectBlsProof { kind: &'static str, public_key: String, proof: String } "Reveal of a BLS key {public_key} contains an incorrect proof of possession {proof}.";
    Permanent "validate.operation.unused_bls_proof" UnusedBlsProof { kind: &'static str, r#source: PublicKeyHash, public_key: String } "Reveal of key {public_key} from {source} contains an unused proof of possession.";
    Permanent "validate.operation.tz5_account_disabled" Tz5AccountDisabled { } "tz5 accounts are disabled";
    Permanent "validate.operation.insufficient_gas_for_manager" InsufficientGasForManager { } "less gas than any manager operation takes";
    Permanent "validate.operation.gas_quota_exceeded_init_deserialize" GasForReadingExceeded { } "less gas than reading the expressions takes";
    Permanent "operation.invalid_signature" InvalidSignature { } "The operation signature is invalid";
    Permanent "operation.missing_signature" MissingSignature { } "The operation requires a signature";
    Branch "operation.cannot_parse" CannotParse { } "The operation cannot be parsed";
    Permanent "operation.contents_list_error" ContentsListError { message: String } "An operation contents list has an unexpected shape: {message}";
    // The data-availability layer's, which is off.
    Permanent "operation.dal_disabled" DalDisabled { } "Data-availability layer will be enabled in a future proposal.";
    Permanent "published_slot_headers_not_initialized" PublishedSlotHeadersNotInitialized { level: Level } "The published slot headers bucket is not initialized in the context at level {level}";
    // The plugin's, in front of blocks and mempools.
    Temporary "block_validation_plugin.sc_rollup_refute_dal_proof_future_published_level" FuturePublishedLevel { published_level: Level, level: Level } "Smart-rollup refutation rejected: its DAL page proof has published_level {published_level}, which is greater than the current level {level}.";
    // What this chain does not judge; no node answers these ids.
    Permanent "simulated_chain.not_supported" NotSupported { what: String } "{what} is not judged by this simulated chain";
    // The shell's, without protocol prefix.
    Temporary "failure" Failure { msg: String } "{msg}";
    Permanent "node.prevalidation.oversized_operation" OversizedOperation { size: usize, max_size: usize } "Oversized operation (size: {size}, max: {max_size})";
    Permanent "node.prevalidation.parse_error" ParseError { } "Operation parsing error in prevalidation.";
    Branch "prevalidation.future_or_unknown_branch" UnknownBranch { branch: String } "branch {branch} is not among the live blocks";
    Temporary "prevalidation.operation_conflict" OperationConflict { new_hash: OperationHash, needed_fee_in_mutez: Decimal } "The operation {new_hash} cannot be added because the mempool already contains a conflicting operation. To replace the latter, this particular operation would need a total fee of at least {needed_fee_in_mutez} mutez.";
    Temporary "prevalidation.operation_replacement" OperationReplacement { old_hash: OperationHash, new_hash: OperationHash } "The operation {old_hash} has been replaced with {new_hash}.";
    Temporary "node.mempool.rejected_by_full_mempool" RejectedByFullMempool { operation_hash: OperationHash, needed_fee_in_mutez: Option<Decimal> } "Operation {operation_hash} has been rejected because the mempool is full.";
    Temporary "node.mempool.removed_from_full_mempool" RemovedFromFullMempool { operation_hash: OperationHash } "Operation {operation_hash} has been removed from a full mempool because it had the lowest fee/gas ratio.";
    Permanent "async_injection_failed" AsyncInjectionFailed { } "Asynchronous injection failed with:";
    Permanent "prefilter.fees_too_low" FeesTooLow { } "Operation fees are too low";
}

/// A number that the node writes as a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub u128);

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl RuleError {
    /// Whether the shell raises it, so that its id has no protocol prefix.
    const fn is_of_the_shell(&self) -> bool {
        matches!(
            self,
            Self::Failure { .. }
                | Self::OversizedOperation { .. }
                | Self::ParseError { .. }
                | Self::UnknownBranch { .. }
                | Self::OperationConflict { .. }
                | Self::OperationReplacement { .. }
                | Self::RejectedByFullMempool { .. }
                | Self::RemovedFromFullMempool { .. }
                | Self::AsyncInjectionFailed {}
        )
    }

    /// Whether it said nothing but its id until Paris.
    const fn is_bare_before_quebec(&self) -> bool {
        matches!(
            self,
            Self::InconsistentSources { .. } | Self::InconsistentCounters { .. }
        )
    }

    /// The node's JSON for it under `protocol`.
    #[must_use]
    pub fn json(&self, protocol: Protocol) -> Value {
        let id = if self.is_of_the_shell() {
            self.id().to_owned()
        } else {
            format!("proto.{}.{}", protocol.error_name(), self.id())
        };
        let mut object = Map::new();
        object.insert("kind".into(), self.kind().text().into());
        object.insert("id".into(), id.into());
        if !(self.is_bare_before_quebec() && protocol < Protocol::Quebec) {
            object.extend(self.fields());
        }
        Value::Object(object)
    }
}

/// A refusal with its causes, outermost first, as the node prints error traces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(": "))]
pub struct Trace(pub Vec<RuleError>);

impl Trace {
    /// The outermost error.
    #[must_use]
    pub fn first(&self) -> Option<&RuleError> {
        self.0.first()
    }

    /// Puts `outer` around it.
    #[must_use]
    pub fn under(mut self, outer: RuleError) -> Self {
        self.0.insert(0, outer);
        self
    }

    /// The node's JSON: a list.
    #[must_use]
    pub fn json(&self, protocol: Protocol) -> Value {
        self.0.iter().map(|error| error.json(protocol)).collect()
    }
}

/// Mutez as the node prints them: in tez, without what follows the last digit that counts.
fn tez(amount: Mutez) -> String {
    let (whole, part) = (amount.0 / 1_000_000, amount.0 % 1_000_000);
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:06}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

impl Trace {
    /// The text the node prints for it (`TzTrace.pp_print`).
    #[must_use]
    pub fn printed(&self) -> String {
        match self.0.as_slice() {
            [] => String::new(),
            [error] => format!("Error:\n  {error}\n"),
            [first, ..] => {
                let causes: Vec<_> = self.0.iter().rev().map(ToString::to_string).collect();
                format!("Error:\n  {first},\n  trace:\n  {}\n", causes.join("\n  "))
            }
        }
    }

    /// What a refused injection of `hash` answers: the trace only as text, as `on_inject` has it.
    #[must_use]
    pub fn of_injection(&self, hash: OperationHash, live_blocks: usize) -> Self {
        let msg = match self.first() {
            Some(RuleError::UnknownBranch { branch }) => format!(
                "Operation {hash} is branched on either:\n - a block {branch} which is too old \
                 ({live_blocks} blocks in the past)\n - a predecessor block from an alternative \
                 branch which is now unknown"
            ),
            Some(RuleError::ParseError {} | RuleError::OversizedOperation { .. }) => {
                format!("Invalid operation {hash}: {}", self.printed())
            }
            _ => format!(
                "Error while validating injected operation {hash}:\n{}",
                self.printed()
            ),
        };
        RuleError::Failure { msg }
            .into_trace()
            .under(RuleError::AsyncInjectionFailed {})
    }
}

impl RuleError {
    fn into_trace(self) -> Trace {
        self.into()
    }
}

impl From<RuleError> for Trace {
    fn from(error: RuleError) -> Self {
        Self(vec![error])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_nodes_shape() {
        let error = RuleError::BadInboxLevel {
            expected: Level::new(40),
            provided: Level::new(41),
        };
        assert_eq!(
            error.json(Protocol::Ushuaia).to_string(),
            r#"{"kind":"temporary","id":"proto.025-PsUshuai.smart_rollup_bad_inbox_level","expected":40,"provided":41}"#
        );
        let error = RuleError::InconsistentCounters {
            source: PublicKeyHash::Tz1([0; 20]),
            previous_counter: Decimal(1),
            wrong_counter: Decimal(3),
        };
        let fields = |protocol| error.json(protocol).as_object().map(Map::len);
        assert_eq!(fields(Protocol::ParisC), Some(2));
        assert_eq!(fields(Protocol::Quebec), Some(5));
        let error = RuleError::Failure { msg: "no".into() };
        assert_eq!(
            error.json(Protocol::Mumbai).to_string(),
            r#"{"kind":"temporary","id":"failure","msg":"no"}"#
        );
    }
}
