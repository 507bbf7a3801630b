//! The way of every transaction: cheap checks, signature, fee, message.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::id::{Address, TransactionId};
use pocket_types::key::{KeyError, PublicKey, VerifyingKey};
use pocket_types::number::Height;
use pocket_types::signature;
use pocket_types::state::StateRead;
use pocket_types::transaction::{Message, Transaction, TransactionError};

use super::{DeliverError, Ledger, Receipt, Refusal};
use crate::state::TRANSACTIONS;
use crate::state::queue::Queue;
use crate::state::treasury::Pool;

/// Whether the signature still has to be checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signatures {
    Check,
    Checked,
}

impl<S: StateRead> Ledger<S> {
    /// Executes a transaction between two savepoints; a failure is taken back entirely.
    pub(crate) fn attempt(
        &mut self,
        transaction: &Transaction,
        signatures: Signatures,
    ) -> Result<(), DeliverError> {
        self.store.savepoint();
        let (treasury, events, validators_changed) =
            (self.treasury, self.events.len(), self.validators_changed);
        let result = self.execute(transaction, signatures);
        if result.is_err() {
            self.store.rollback();
            self.treasury = treasury;
            self.events.truncate(events);
            self.validators_changed = validators_changed;
        }
        result
    }

    /// [`attempt`](Self::attempt), taken back in any case.
    pub(crate) fn rehearse(
        &mut self,
        transaction: &Transaction,
        signatures: Signatures,
    ) -> Result<(), DeliverError> {
        let (treasury, events, validators_changed) =
            (self.treasury, self.events.len(), self.validators_changed);
        self.attempt(transaction, signatures)?;
        self.store.rollback();
        self.treasury = treasury;
        self.events.truncate(events);
        self.validators_changed = validators_changed;
        Ok(())
    }

    fn execute(
        &mut self,
        transaction: &Transaction,
        signatures: Signatures,
    ) -> Result<(), DeliverError> {
        let id = transaction.id();
        self.check_envelope(transaction, &id)?;
        if signatures == Signatures::Check {
            transaction.verify().map_err(Refusal::Signature)?;
        }
        self.check_message(&transaction.body.message)?;
        self.charge_fee(transaction)?;
        self.mark_included(id, transaction.body.expiry)?;
        self.dispatch(transaction)
    }

    /// Size, network, lifetime, replay.
    fn check_envelope(
        &self,
        transaction: &Transaction,
        id: &TransactionId,
    ) -> Result<(), DeliverError> {
        let body = &transaction.body;
        let (got, max) = (codec::encoded_len(transaction), self.params.transaction_max_bytes);
        if got as u64 > max {
            return Err(Refusal::TooLong { got, max }.into());
        }
        if body.chain != self.tip.chain {
            return Err(Refusal::WrongNetwork { got: body.chain, expected: self.tip.chain }.into());
        }
        let (height, expiry) = (self.tip.height, body.expiry);
        if expiry < height {
            return Err(Refusal::Expired { expiry, height }.into());
        }
        let lifetime = self.params.transaction_max_lifetime_blocks;
        let max = Height(height.0.saturating_add(lifetime));
        if expiry > max {
            return Err(Refusal::ExpiresTooLate { expiry, max }.into());
        }
        if self.store.bytes(TRANSACTIONS, &codec::encode(id))?.is_some() {
            return Err(Refusal::AlreadyIncluded.into());
        }
        Ok(())
    }

    /// What can be said of a message without looking at the state.
    fn check_message(&self, message: &Message) -> Result<(), Refusal> {
        match message {
            Message::Send { to, amount } => self.check_send(to, *amount),
            Message::Stake { operator, output, role, .. } => {
                self.check_stake(operator, output, role)
            }
            _ => Ok(()),
        }
    }

    fn charge_fee(&mut self, transaction: &Transaction) -> Result<(), DeliverError> {
        let (got, min) = (transaction.body.fee, self.params.fee(&transaction.body.message));
        if got < min {
            return Err(Refusal::Fee { got, min }.into());
        }
        self.account_to_pool(&transaction.sender(), Pool::FeeCollector, got)
    }

    fn mark_included(&mut self, id: TransactionId, expiry: Height) -> Result<(), DeliverError> {
        self.store.put(TRANSACTIONS, codec::encode(&id), &());
        Ok(self.store.push(Queue::Transactions, expiry.next(), &id)?)
    }

    fn dispatch(&mut self, transaction: &Transaction) -> Result<(), DeliverError> {
        let signer = &transaction.body.signer;
        let sender = Address::of(signer);
        match &transaction.body.message {
            Message::Send { to, amount } => self.send(sender, *to, *amount),
            Message::Stake { operator, output, amount, role } => {
                self.stake(sender, *operator, *output, *amount, role)
            }
            Message::Unstake { kind, actor } => self.unstake(sender, *kind, *actor),
            Message::Delegate { gateway } => self.delegate(sender, *gateway),
            Message::Undelegate { gateway } => self.undelegate(sender, *gateway),
            Message::Claim { session, root } => self.claim(sender, session, *root),
            Message::ProveClaim { relay, path } => self.prove_claim(sender, relay, path),
            _ => Err(Refusal::UnknownMessage.into()),
        }
    }

    /// The receipt of the transaction that was just executed.
    pub(super) fn receipt(&mut self, transaction: &Transaction) -> Receipt {
        Receipt {
            id: transaction.id(),
            fee: transaction.body.fee,
            events: self.events.split_off(self.block_events),
        }
    }
}

/// Checks the signatures of many transactions in one batch: one verdict for each.
pub(super) fn verify_signatures(transactions: &[Transaction]) -> Vec<Result<(), TransactionError>> {
    let mut keys: BTreeMap<PublicKey, Result<VerifyingKey, KeyError>> = BTreeMap::new();
    for transaction in transactions {
        let signer = transaction.body.signer;
        keys.entry(signer)
            .or_insert_with(|| signer.validate().and_then(|()| VerifyingKey::new(signer)));
    }
    let mut verdicts = Vec::with_capacity(transactions.len());
    let (mut batch, mut places) = (Vec::new(), Vec::new());
    for (place, transaction) in transactions.iter().enumerate() {
        match &keys[&transaction.body.signer] {
            Ok(key) => {
                batch.push((key, transaction.body.signing_digest(), transaction.signature));
                places.push(place);
                verdicts.push(Ok(()));
            }
            Err(error) => verdicts.push(Err(TransactionError::Key(*error))),
        }
    }
    if let Err(refused) = signature::verify_batch(&batch) {
        for index in refused.indices() {
            verdicts[places[index]] = Err(TransactionError::Signature);
        }
    }
    verdicts
}
