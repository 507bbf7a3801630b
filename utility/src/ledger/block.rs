//! A whole block at once, as a replica and as a proposer does it.

use alloc::vec::Vec;

use pocket_types::codec;
use pocket_types::state::StateRead;
use pocket_types::transaction::Transaction;

use super::transaction::{Signatures, verify_signatures};
use super::{
    BlockContext, BlockError, BlockLimits, BlockOutcome, BuiltBlock, DeliverError, Ledger,
    LedgerError, Refusal,
};

/// Signatures that a proposer checks at once.
const BATCH: usize = 256;

/// Executes a block as a replica: all of it or nothing.
///
/// # Errors
///
/// [`BlockError`] naming the first transaction or piece of evidence that fails; nothing is written.
pub fn execute_block<S: StateRead>(
    state: S,
    context: &BlockContext,
    transactions: &[Transaction],
) -> Result<BlockOutcome, BlockError> {
    let mut ledger = Ledger::begin_block(state, context)?;
    let signatures = verify_signatures(transactions);
    for (index, (transaction, verdict)) in transactions.iter().zip(signatures).enumerate() {
        let delivered = match verdict {
            Ok(()) => ledger.deliver_with(transaction, Signatures::Checked).map(|_| ()),
            Err(error) => Err(Refusal::Signature(error).into()),
        };
        match delivered {
            Ok(()) => {}
            Err(DeliverError::Failed(error)) => return Err(error.into()),
            Err(DeliverError::Refused(refusal)) => {
                return Err(BlockError::Transaction { index, id: transaction.id(), refusal });
            }
        }
    }
    Ok(ledger.end_block()?)
}

/// Makes a block as a proposer: takes candidates in order while there is room, and leaves out what
/// fails. [`execute_block`] accepts the result.
///
/// # Errors
///
/// [`LedgerError`] when the block does not follow the state's or the ledger fails; no candidate is
/// at fault.
pub fn build_block<S: StateRead>(
    state: S,
    context: &BlockContext,
    candidates: impl IntoIterator<Item = Transaction>,
    limits: &BlockLimits,
) -> Result<BuiltBlock, LedgerError> {
    let (mut ledger, verdicts) = Ledger::begin(state, context)?;
    let (mut evidence, mut dropped_evidence) = (Vec::new(), Vec::new());
    for (index, (piece, verdict)) in context.evidence.iter().zip(verdicts).enumerate() {
        match verdict {
            Ok(()) => evidence.push(*piece),
            Err(refusal) => dropped_evidence.push((index, refusal)),
        }
    }
    let (mut transactions, mut dropped, mut bytes) = (Vec::new(), Vec::new(), 0usize);
    let mut candidates = candidates.into_iter();
    while transactions.len() < limits.transactions {
        let room = (limits.transactions - transactions.len()).min(BATCH);
        let batch: Vec<_> = candidates.by_ref().take(room).collect();
        if batch.is_empty() {
            break;
        }
        let signatures = verify_signatures(&batch);
        for (transaction, verdict) in batch.into_iter().zip(signatures) {
            let size = codec::encoded_len(&transaction);
            if bytes.saturating_add(size) > limits.bytes {
                continue;
            }
            let delivered = match verdict {
                Ok(()) => ledger.deliver_with(&transaction, Signatures::Checked).map(|_| ()),
                Err(error) => Err(Refusal::Signature(error).into()),
            };
            match delivered {
                Ok(()) => {
                    bytes += size;
                    transactions.push(transaction);
                }
                Err(DeliverError::Refused(refusal)) => dropped.push((transaction.id(), refusal)),
                Err(DeliverError::Failed(error)) => return Err(error),
            }
        }
    }
    let outcome = ledger.end_block()?;
    Ok(BuiltBlock { transactions, evidence, outcome, dropped, dropped_evidence })
}
