//! What a consensus protocol is here.

use alloc::vec::Vec;
use core::fmt;

use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp};
use pocket_types::validator::ValidatorSet;
use pocket_types::vote::{self, Vote};

use crate::common::Core;
use crate::common::effects::Effects;
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::message::Message;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

/// A protocol that a [`Replica`](crate::Replica) can run: its state, and what each input does to it.
///
/// Everything is said through [`Effects`]: records, outputs, and the replica's own signatures, which
/// enter its own tallies by [`own`](Self::own) once they are durable. The replica sees to it that
/// nothing leaves before the records of its step are stored; the signer in [`Core`] that no position
/// is signed twice, whatever the protocol does.
///
/// To change only the rules by which a chain of certified blocks is voted for, locked and committed,
/// write [`ChainRules`](crate::chained::ChainRules) instead: about a hundred lines.
pub trait Protocol: Clone + fmt::Debug + Sized {
    /// The name under which votes are signed.
    const ID: vote::Protocol;

    /// Begins after the tip of `core`, with what the log says of later heights, in order.
    fn recover(core: Core, log: Vec<Record>) -> Self;

    /// What all protocols share.
    fn core(&self) -> &Core;

    /// The round that it is in.
    fn round(&self) -> Round;

    /// The first tick of a replica's life.
    fn start(&mut self, now: Timestamp, fx: &mut Effects);

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when no honest peer sends this; nothing has changed then.
    fn receive(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        message: Message,
        fx: &mut Effects,
    ) -> Result<(), Refusal>;

    /// Our own signature is durable: count it.
    fn own(&mut self, now: Timestamp, vote: Vote, fx: &mut Effects);

    /// The host's answer to a Build.
    ///
    /// # Errors
    ///
    /// [`ReplicaError`] when the host's block is not what was asked for.
    fn built(
        &mut self,
        now: Timestamp,
        block: Block,
        change: Option<ValidatorSet>,
        fx: &mut Effects,
    ) -> Result<(), ReplicaError>;

    /// The host's answer to a Check.
    ///
    /// # Errors
    ///
    /// [`ReplicaError`] when the validator set that it names can't be used.
    fn checked(
        &mut self,
        now: Timestamp,
        block: BlockId,
        verdict: Verdict,
        fx: &mut Effects,
    ) -> Result<(), ReplicaError>;

    /// The host has committed blocks up to this tip.
    fn advance(&mut self, now: Timestamp, tip: Tip, fx: &mut Effects);

    /// Time has passed.
    fn tick(&mut self, now: Timestamp, fx: &mut Effects);

    /// When it next wants to be told.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Takes a message; a refusal is charged to its sender.
    fn deliver(&mut self, now: Timestamp, from: PublicKey, message: Message, fx: &mut Effects) {
        if let Err(reason) = self.receive(now, from, message, fx) {
            fx.emit(Output::Misbehaviour { peer: from, reason });
        }
    }
}
