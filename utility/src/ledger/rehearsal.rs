//! What a transaction would do in the next block.

use alloc::vec::Vec;

use pocket_types::key::PublicKey;
use pocket_types::state::StateRead;
use pocket_types::transaction::Transaction;

use super::transaction::Signatures;
use super::{BlockContext, DeliverError, Ledger, LedgerError};
use crate::query;

/// Executes transactions on top of a state, each for itself, and keeps nothing of what they do.
pub struct Rehearsal<S>(Ledger<S>);

impl<S: StateRead> Rehearsal<S> {
    /// A rehearsal of the block after the state's.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the state can't be read or holds no ledger.
    pub fn new(state: S) -> Result<Self, LedgerError> {
        let tip = query::tip(&state)?;
        let context = BlockContext {
            height: tip.height.next(),
            time: tip.time,
            proposer: PublicKey([0; 32]),
            randomness: tip.chain.0,
            evidence: Vec::new(),
        };
        Ledger::open(state, &context).map(Self)
    }

    /// Whether a transaction would succeed, signature included.
    ///
    /// # Errors
    ///
    /// [`DeliverError`] as [`Ledger::deliver`].
    pub fn check(&mut self, transaction: &Transaction) -> Result<(), DeliverError> {
        self.0.rehearse(transaction, Signatures::Check)
    }

    /// [`check`](Self::check) without the signature, for transactions that passed it once.
    pub(crate) fn check_signed(&mut self, transaction: &Transaction) -> Result<(), DeliverError> {
        self.0.rehearse(transaction, Signatures::Checked)
    }
}
