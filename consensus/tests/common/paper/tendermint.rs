//! Tendermint (arXiv 1807.04938, algorithm 1). Numbers are its lines.

use pocket_consensus::Tendermint;
use pocket_consensus::replica::message::Message;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::vote::{Phase, Vote, VoteData};

use super::super::Mark;
use super::{Facts, Paper, ROUNDS, of_height, show};

const NIL: BlockId = BlockId(pocket_types::hash::Hash::ZERO);

impl Paper for Tendermint {
    fn may_sign(
        facts: &Facts<'_>,
        me: usize,
        past: &[Vote],
        data: &VoteData,
    ) -> Result<(), String> {
        let VoteData { height, round, phase, block, .. } = *data;
        let polka = |rounds| facts.certified_between(Phase::Prepare, height, block, rounds);
        match phase {
            Phase::Propose if facts.leader_of(data) != me => Err("as no proposer".into()),
            // 15-16
            Phase::Propose => match valid(facts, me, data) {
                Some(valid) if valid.block != block => Err(format!("not {}", show(&valid))),
                _ => Ok(()),
            },
            Phase::Prepare | Phase::Commit if block == NIL => Ok(()),
            // 22-33
            Phase::Prepare => {
                facts.proposed(data)?;
                let Some(lock) = locked(facts, me, past, data) else { return Ok(()) };
                if lock.block == block || polka(lock.round.0..round.0) {
                    return Ok(());
                }
                Err(format!("locked on {}", show(&lock)))
            }
            // 36; who decides by the others' precommits still says that it was there.
            Phase::Commit
                if polka(round.0..round.0 + 1)
                    || facts.certified(Phase::Commit, height, round, block) =>
            {
                Ok(())
            }
            Phase::Commit => Err("which no polka allows".into()),
            Phase::NewRound | Phase::PreCommit => Err("which the protocol has not".into()),
        }
    }

    fn may_say(facts: &Facts<'_>, me: usize, message: &Message) -> Result<(), String> {
        let Message::Proposal(proposal) = message else { return Ok(()) };
        let data = &proposal.vote.data;
        let shown = proposal.justify.as_ref().map(|justify| justify.data.round);
        // 19: the valid round goes along with the value.
        match valid(facts, me, data) {
            Some(valid) if shown < Some(valid.round) => {
                Err(format!("node {me} proposes {} without {}", show(data), show(&valid)))
            }
            _ => Ok(()),
        }
    }

    fn decides(facts: &Facts<'_>, height: Height, block: BlockId) -> bool {
        facts.certified_between(Phase::Commit, height, block, 0..ROUNDS)
    }
}

/// validValue, validRound: the highest polka of an earlier round that somebody stored.
fn valid(facts: &Facts<'_>, me: usize, data: &VoteData) -> Option<VoteData> {
    let stored = facts.disks[me].marks.iter().filter_map(|mark| match mark {
        Mark::High(known) | Mark::Lock(known) => Some(*known),
        _ => None,
    });
    stored
        .filter(|known| known.height == data.height && known.round < data.round)
        .max_by_key(|known| known.round)
}

/// lockedValue, lockedRound: behind the last precommit for a block.
fn locked(facts: &Facts<'_>, me: usize, past: &[Vote], data: &VoteData) -> Option<VoteData> {
    let precommitted = of_height(past, data.height, Phase::Commit).filter(|vote| vote.block != NIL);
    let stored = facts.disks[me].marks.iter().filter_map(|mark| match mark {
        Mark::Lock(lock) if lock.height == data.height && lock.round < data.round => Some(lock),
        _ => None,
    });
    stored.chain(precommitted).max_by_key(|lock| lock.round).copied()
}
