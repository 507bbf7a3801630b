//! Bodies: taken in, checked, executed, stored, handed out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use pocket_types::block::{Block, Header};
use pocket_types::finality::FinalityProof;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Timestamp;
use pocket_types::trap;
use pocket_types::vote::Vote;

use super::effects::Effects;
use super::tree::{Identified, Node, State, Valid};
use super::{Core, header};
use crate::replica::error::{Refusal, ReplicaError};
use crate::replica::input::Verdict;
use crate::replica::output::Output;
use crate::replica::record::Record;
use crate::tip::Tip;

/// Bodies of the last blocks that were decided, and of what they left behind: stragglers ask for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent(VecDeque<(BlockId, Block)>);

impl Recent {
    pub(crate) fn get(&self, id: &BlockId) -> Option<&Block> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, block)| block)
    }
}

/// What became of a waiting block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Examined {
    /// It is executed, or known to be valid or invalid.
    Settled,
    /// Its time lies ahead of our clock. Who of us has the wrong one is unknown, so it is forgotten:
    /// its leader says it again until then.
    Ahead,
}

impl Core {
    /// Takes a block in, unless it is here. Only what isn't `needed`, by a certificate or a proposal of
    /// ours, may be pushed out.
    pub(crate) fn keep(
        &mut self,
        block: impl Into<Identified>,
        state: State,
        needed: &[BlockId],
    ) -> BlockId {
        let block = block.into();
        let id = block.id;
        self.tree.insert(block, state, self.config.max_bodies, needed);
        id
    }

    /// Takes in a block of our own log.
    pub(crate) fn recall_body(&mut self, block: Block) -> BlockId {
        let id = self.keep(block, State::Waiting, &[]);
        if let Some(node) = self.tree.get_mut(&id) {
            node.recorded = true;
        }
        id
    }

    /// Has a block executed that passed the header's checks upon the tip, unless it is known.
    pub(crate) fn accept(
        &mut self,
        block: impl Into<Identified>,
        needed: &[BlockId],
        fx: &mut Effects,
    ) {
        let block = block.into();
        if !self.tree.contains(&block.id) {
            fx.emit(Output::Check(Box::new(block.block.clone())));
            self.keep(block, State::Checking(self.tip.clone()), needed);
        }
    }

    /// Checks a waiting block upon its parent, which is valid, and has it executed. The leader who
    /// proposed an invalid one (`proposed`) is charged. `rules` are the protocol's own; they say whether
    /// the block is a filler, which needs no execution.
    pub(crate) fn examine(
        &mut self,
        now: Timestamp,
        id: &BlockId,
        parent: Tip,
        proposed: Option<Vote>,
        rules: impl FnOnce(&Node) -> Result<bool, Refusal>,
        fx: &mut Effects,
    ) -> Examined {
        let Some(node) = self.tree.get(id) else { return Examined::Settled };
        let checked = if node.recorded {
            // What we signed before a restart had passed.
            Ok(())
        } else if node.certified {
            header::check_certified(&node.block, &parent, self.protocol)
        } else {
            header::check(&node.block, &parent, self.protocol, &self.config, now)
        };
        let state = match checked.and_then(|()| rules(node)) {
            Ok(true) => {
                let next = Arc::clone(parent.next_validators());
                State::Valid(Valid { parent, next, filler: true })
            }
            Ok(false) => {
                fx.emit(Output::Check(Box::new(node.block.clone())));
                State::Checking(parent)
            }
            Err(Refusal::TimeAhead { .. }) => {
                let peer = proposed.map_or(node.block.header.proposer, |vote| vote.signer);
                fx.emit(Output::Dropped { peer, what: "proposal ahead of our clock" });
                self.tree.remove(id);
                return Examined::Ahead;
            }
            Err(reason) => return self.refuse(id, reason, proposed, fx),
        };
        self.tree.set(id, state);
        Examined::Settled
    }

    /// A block that can't be valid, and the proposal of it, whose signer is charged.
    pub(crate) fn refuse(
        &mut self,
        id: &BlockId,
        reason: Refusal,
        proposed: Option<Vote>,
        fx: &mut Effects,
    ) -> Examined {
        self.tree.set(id, State::Invalid(reason.to_string()));
        if let Some(vote) = proposed {
            fx.emit(Output::Misbehaviour { peer: vote.signer, reason });
        }
        Examined::Settled
    }

    /// Takes in a body that was asked for, where heights are decided one at a time; false if it was not.
    pub(crate) fn on_block(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        block: Block,
        needed: &[BlockId],
        fx: &mut Effects,
    ) -> Result<bool, Refusal> {
        let block = Identified::from(block);
        if self.fetched(from, &block, fx)?.is_none() {
            return Ok(false);
        }
        let id = self.keep(block, State::Waiting, needed);
        self.tree.certify(&id);
        self.examine_waiting(now, fx);
        Ok(true)
    }

    /// [`examine`](Self::examine)s what waits upon the tip, where heights are decided one at a time.
    pub(crate) fn examine_waiting(&mut self, now: Timestamp, fx: &mut Effects) {
        while let Some(id) = self.tree.next_waiting(&self.tip) {
            self.examine(now, &id, self.tip.clone(), None, |_| Ok(false), fx);
        }
    }

    /// The host's verdict on a block; false if it was not asked for. The leader who proposed an invalid
    /// one is charged.
    pub(crate) fn on_checked(
        &mut self,
        block: &BlockId,
        verdict: Verdict,
        proposer: Option<PublicKey>,
        fx: &mut Effects,
    ) -> Result<bool, ReplicaError> {
        let Some(State::Checking(parent)) = self.tree.get(block).map(|node| &node.state) else {
            return Ok(false);
        };
        let state = match verdict {
            Verdict::Valid { change } => {
                let next = parent.electorate_of(change).map_err(ReplicaError::Set)?;
                State::Valid(Valid { parent: parent.clone(), next, filler: false })
            }
            Verdict::Invalid(reason) => {
                if let Some(peer) = proposer {
                    let reason = Refusal::Execution(reason.clone());
                    fx.emit(Output::Misbehaviour { peer, reason });
                }
                State::Invalid(reason)
            }
        };
        self.tree.set(block, state);
        Ok(true)
    }

    /// A body is durable before a signature for it leaves.
    pub(crate) fn record_body(&mut self, id: &BlockId, fx: &mut Effects) {
        if let Some(node) = self.tree.get_mut(id).filter(|node| !node.recorded) {
            node.recorded = true;
            if trap!("body_not_durable") {
                return;
            }
            fx.record(Record::Body(Box::new(node.block.clone())));
        }
    }

    /// Whether all of these are found valid. One that is not, but decided, stops us for good.
    pub(crate) fn all_valid(&mut self, decided: &[BlockId], fx: &mut Effects) -> bool {
        for id in decided {
            match self.tree.get(id).map(|node| &node.state) {
                Some(State::Valid(_)) => {}
                Some(State::Invalid(reason)) => {
                    let reason = reason.clone();
                    self.diverge(*id, reason, fx);
                    return false;
                }
                _ => return false,
            }
        }
        true
    }

    /// Hands a decided block out; gives its header and what executing it showed.
    pub(crate) fn hand_out(
        &mut self,
        id: &BlockId,
        proof: FinalityProof,
        fx: &mut Effects,
    ) -> Option<(Header, Valid)> {
        let Node { block, state: State::Valid(valid), .. } = self.tree.remove(id)? else {
            return None;
        };
        for evidence in block.evidence.iter() {
            self.evidence.remove(&evidence.id());
        }
        self.remember(*id, block.clone());
        let header = block.header.clone();
        fx.emit(Output::Decided { block: Box::new(block), proof: Box::new(proof) });
        Some((header, valid))
    }

    /// Keeps the body of a block that somebody may still ask for.
    pub(crate) fn remember(&mut self, id: BlockId, block: Block) {
        self.recent.0.push_back((id, block));
        let max = if self.protocol.is_chained() { RECENT } else { 1 };
        if self.recent.0.len() > max {
            self.recent.0.pop_front();
        }
    }

    /// A quorum decided what our host found invalid: nothing more is signed.
    fn diverge(&mut self, block: BlockId, reason: String, fx: &mut Effects) {
        if self.diverged.is_none() {
            fx.emit(Output::Diverged { block, reason });
            self.diverged = Some(block);
        }
    }
}

/// Why a block is invalid whose parent is.
pub(crate) const INVALID_PARENT: Refusal = Refusal::Header("parent");

/// Bodies of decided blocks that are kept for stragglers where blocks are decided before all have them:
/// those of a chain from the oldest to the newest that replicas in step with each other may be at.
const RECENT: usize = 8;
