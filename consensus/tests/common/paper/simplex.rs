//! Simplex (IACR eprint 2023/463): views end notarized or nullified, never finalized and nullified.

use pocket_consensus::Simplex;
use pocket_consensus::replica::message::Message;
use pocket_types::block::Header;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Phase, Vote, VoteData};

use super::{Facts, Paper};

impl Paper for Simplex {
    fn may_sign(
        facts: &Facts<'_>,
        me: usize,
        past: &[Vote],
        data: &VoteData,
    ) -> Result<(), String> {
        let VoteData { height, round, phase, block, .. } = *data;
        let said = |phase, round| {
            past.iter().any(|vote| vote.data.phase == phase && vote.data.round == round)
        };
        match phase {
            Phase::Propose if facts.leader_of(data) != me => Err("as no leader".into()),
            Phase::Propose => Ok(()),
            Phase::Prepare => {
                facts.proposed(data)?;
                rests(facts, data)
            }
            // A NewRound signature nullifies the view before.
            Phase::Commit if said(Phase::NewRound, round.next()) => {
                Err("a view that it nullified".into())
            }
            Phase::Commit if facts.certified(Phase::Prepare, height, round, block) => Ok(()),
            Phase::Commit => Err("which is not notarized".into()),
            Phase::NewRound => match round.0.checked_sub(1) {
                None => Err("of no view".into()),
                Some(view) if said(Phase::Commit, Round(view)) => {
                    Err("of a view that it finalized".into())
                }
                Some(_) => Ok(()),
            },
            Phase::PreCommit => Err("which the protocol has not".into()),
        }
    }

    fn may_say(_: &Facts<'_>, _: usize, _: &Message) -> Result<(), String> {
        Ok(())
    }

    fn decides(facts: &Facts<'_>, _: Height, block: BlockId) -> bool {
        facts.finalized().any(|last| facts.descends(last, block))
    }
}

/// The parent is notarized, and all views between are nullified.
fn rests(facts: &Facts<'_>, data: &VoteData) -> Result<(), String> {
    let header = facts.header(&data.block).ok_or("without the block")?;
    let parent = parent(header);
    if let Some(parent) = parent
        && !facts.certified(Phase::Prepare, parent.height, parent.round, parent.block)
        && !facts.certified(Phase::Commit, parent.height, parent.round, parent.block)
    {
        return Err("on a parent that is not notarized".into());
    }
    let first = parent.map_or(0, |parent| parent.round.0 + 1);
    match (first..data.round.0).find(|&view| !facts.timed_out(Round(view + 1))) {
        Some(view) => Err(format!("though view {view} is not nullified")),
        None => Ok(()),
    }
}

fn parent(header: &Header) -> Option<&VoteData> {
    header.parent_certificate.as_ref().map(|certificate| &certificate.data)
}

impl Facts<'_> {
    /// Blocks with a finalization.
    fn finalized(&self) -> impl Iterator<Item = BlockId> {
        let signed = self.disks.iter().flat_map(|disk| &disk.signed).map(|vote| &vote.data);
        let finalized = signed.filter(|data| {
            data.phase == Phase::Commit
                && self.certified(Phase::Commit, data.height, data.round, data.block)
        });
        finalized.map(|data| data.block)
    }

    /// Whether a block is an ancestor of another, or that itself.
    pub fn descends(&self, block: BlockId, ancestor: BlockId) -> bool {
        let parents = |block: &BlockId| self.header(block).map(|header| header.parent);
        std::iter::successors(Some(block), parents).any(|block| block == ancestor)
    }
}
