//! Basic HotStuff (arXiv 1803.05069, algorithm 2).

use pocket_consensus::HotPokt;
use pocket_consensus::replica::message::Message;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::vote::{Phase, Vote, VoteData};

use super::super::Mark;
use super::{Facts, Paper, ROUNDS, of_height, show};

impl Paper for HotPokt {
    fn may_sign(
        facts: &Facts<'_>,
        me: usize,
        past: &[Vote],
        data: &VoteData,
    ) -> Result<(), String> {
        let VoteData { height, round, phase, block, .. } = *data;
        let of_round = |phase| facts.certified(phase, height, round, block);
        match phase {
            Phase::NewRound => Ok(()),
            Phase::Propose if facts.leader(height, round) != me => Err("as no leader".into()),
            Phase::Propose => Ok(()),
            Phase::Prepare => {
                facts.proposed(data)?;
                // safeNode, where lockedQC is the PreCommit certificate behind a Commit vote.
                let locked = of_height(past, height, Phase::Commit).max_by_key(|data| data.round);
                let stored = facts.disks[me].marks.iter().filter_map(|mark| match mark {
                    Mark::Lock(data) if data.height == height && data.round < round => Some(data),
                    _ => None,
                });
                let Some(lock) = stored.chain(locked).max_by_key(|data| data.round) else {
                    return Ok(());
                };
                let later = lock.round.0 + 1..round.0;
                if lock.block == block
                    || facts.certified_between(Phase::Prepare, height, block, later)
                {
                    return Ok(());
                }
                Err(format!("locked on {}", show(lock)))
            }
            Phase::PreCommit if of_round(Phase::Prepare) => Ok(()),
            // Who decides by another's certificate still says that it was there.
            Phase::Commit if of_round(Phase::PreCommit) || of_round(Phase::Commit) => Ok(()),
            Phase::PreCommit | Phase::Commit => Err("which no certificate allows".into()),
        }
    }

    fn may_say(facts: &Facts<'_>, me: usize, message: &Message) -> Result<(), String> {
        let (vote, shown) = match message {
            Message::NewRound(message) => (&message.vote, &message.high_qc),
            Message::Proposal(proposal) => (&proposal.vote, &proposal.justify),
            _ => return Ok(()),
        };
        let data = &vote.data;
        let seen = of_height(&facts.disks[me].signed, data.height, Phase::PreCommit);
        let highest = seen.map(|data| data.round).filter(|round| *round < data.round).max();
        if shown.as_ref().map(|shown| shown.data.round) < highest {
            return Err(format!("node {me} hides a certificate at {}", show(data)));
        }
        Ok(())
    }

    fn decides(facts: &Facts<'_>, height: Height, block: BlockId) -> bool {
        facts.certified_between(Phase::Commit, height, block, 0..ROUNDS)
    }
}
