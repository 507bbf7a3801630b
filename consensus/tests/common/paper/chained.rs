//! What chained protocols have in common: a vote is for a block that extends a certificate, and
//! certificates of consecutive rounds decide.

use pocket_consensus::replica::message::Message;
use pocket_consensus::{ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon, Protocol};
use pocket_types::block::Header;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Phase, Vote, VoteData};

use super::{Facts, Paper};

/// A block, and the round in which it was certified; none for the one that the epoch began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Certified {
    block: BlockId,
    height: Height,
    round: Option<Round>,
}

impl Certified {
    fn next_round(&self) -> Round {
        self.round.map_or(Round(0), |round| Round(round.0 + 1))
    }
}

/// The certificate that a block extends.
fn justify(header: &Header) -> Certified {
    let round = header.parent_certificate.as_ref().map(|certificate| certificate.data.round);
    Certified { block: header.parent, height: Height(header.height.0 - 1), round }
}

/// A vote for a block, with what that extends.
struct Ballot {
    round: Round,
    block: BlockId,
    justify: Certified,
}

/// What tells one chained protocol from another.
trait ChainPaper: Protocol {
    /// How many certified blocks in a row decide the first of them.
    const ROW: usize;

    /// Whether the rules let somebody vote that has voted like this.
    fn may_vote(facts: &Facts<'_>, past: &[Ballot], ballot: &Ballot) -> Result<(), String>;
}

impl<P: ChainPaper> Paper for P {
    fn may_sign(
        facts: &Facts<'_>,
        me: usize,
        past: &[Vote],
        data: &VoteData,
    ) -> Result<(), String> {
        match data.phase {
            Phase::Propose if facts.leader_of(data) != me => Err("as no leader".into()),
            Phase::Propose => Ok(()),
            Phase::Prepare => {
                facts.proposed(data)?;
                let ballot = ballot(facts, data).ok_or("without the block")?;
                is_certified(facts, &ballot.justify)?;
                let next = ballot.justify.next_round();
                if next > ballot.round {
                    return Err("of no later round than its parent's certificate".into());
                }
                if next < ballot.round && !facts.timed_out(ballot.round) {
                    return Err("in a round that nothing leads to".into());
                }
                P::may_vote(facts, &ballots(facts, past), &ballot)
            }
            Phase::NewRound => {
                let Some(high) = data.high else {
                    return match seen(facts, past) {
                        Some(seen) if signs_high(data) => {
                            Err(format!("and hides a certificate of round {seen}"))
                        }
                        _ => Ok(()),
                    };
                };
                if !signs_high(data) || seen(facts, past) > Some(high) || high >= data.round {
                    return Err(format!("and vouches for round {high}"));
                }
                let signed = facts.disks.iter().flat_map(|disk| &disk.signed);
                let mut blocks = signed
                    .filter(|vote| (vote.data.phase, vote.data.round) == (Phase::Prepare, high));
                let certified = blocks.any(|vote| {
                    facts.certified(Phase::Prepare, vote.data.height, high, vote.data.block)
                });
                if certified { Ok(()) } else { Err(format!("vouching for round {high}, in vain")) }
            }
            Phase::PreCommit | Phase::Commit => Err("which the protocol has not".into()),
        }
    }

    fn may_say(facts: &Facts<'_>, me: usize, message: &Message) -> Result<(), String> {
        let Message::NewRound(message) = message else { return Ok(()) };
        let round = message.vote.data.round;
        let signed = &facts.disks[me].signed;
        let before = signed.iter().filter(|vote| vote.data.round < round).copied();
        let shown = message.high_qc.as_ref().map(|shown| shown.data.round);
        if shown < seen(facts, &before.collect::<Vec<_>>()) {
            return Err(format!("node {me} hides a certificate from round {round}"));
        }
        Ok(())
    }

    fn decides(facts: &Facts<'_>, _: Height, block: BlockId) -> bool {
        let signed = facts.disks.iter().flat_map(|disk| &disk.signed).map(|vote| &vote.data);
        let votes = signed.filter(|data| data.phase == Phase::Prepare);
        let rows = votes.filter_map(|data| row::<P>(facts, data));
        rows.into_iter().any(|first| facts.descends(first, block))
    }
}

/// The block that a certificate for this vote would decide, if there is one.
fn row<P: ChainPaper>(facts: &Facts<'_>, data: &VoteData) -> Option<BlockId> {
    let mut last = Certified { block: data.block, height: data.height, round: Some(data.round) };
    for _ in 1..P::ROW {
        let before = justify(facts.header(&last.block)?);
        if last.round != Some(before.next_round()) {
            return None;
        }
        last = before;
    }
    let certified = facts.certified(Phase::Prepare, data.height, data.round, data.block);
    (certified && last.round.is_some()).then_some(last.block)
}

fn ballot(facts: &Facts<'_>, data: &VoteData) -> Option<Ballot> {
    let justify = justify(facts.header(&data.block)?);
    Some(Ballot { round: data.round, block: data.block, justify })
}

fn ballots(facts: &Facts<'_>, past: &[Vote]) -> Vec<Ballot> {
    let votes = past.iter().filter(|vote| vote.data.phase == Phase::Prepare);
    votes.filter_map(|vote| ballot(facts, &vote.data)).collect()
}

/// The highest certificate that somebody must know, for it has voted on top of it.
fn seen(facts: &Facts<'_>, past: &[Vote]) -> Option<Round> {
    ballots(facts, past).iter().filter_map(|ballot| ballot.justify.round).max()
}

const fn signs_high(data: &VoteData) -> bool {
    use pocket_types::vote::Protocol;
    matches!(data.protocol, Protocol::Jolteon | Protocol::FastHotStuff)
}

fn is_certified(facts: &Facts<'_>, certified: &Certified) -> Result<(), String> {
    let Some(round) = certified.round else { return Ok(()) };
    if facts.certified(Phase::Prepare, certified.height, round, certified.block) {
        return Ok(());
    }
    Err("on a parent that is not certified".into())
}

/// arXiv 1803.05069, algorithm 5: safeNode, where the lock is two certificates back.
impl ChainPaper for ChainedHotStuff {
    const ROW: usize = 3;

    fn may_vote(facts: &Facts<'_>, past: &[Ballot], ballot: &Ballot) -> Result<(), String> {
        let locks =
            past.iter().filter_map(|past| Some(justify(facts.header(&past.justify.block)?)));
        let Some(lock) = locks.max_by_key(|lock| lock.round) else { return Ok(()) };
        if ballot.justify.round > lock.round || facts.descends(ballot.block, lock.block) {
            return Ok(());
        }
        Err(format!("locked on round {:?}", lock.round))
    }
}

/// IACR eprint 2023/397: nothing that ranks below the lock, the highest certificate seen.
impl ChainPaper for HotStuff2 {
    const ROW: usize = 2;

    fn may_vote(_: &Facts<'_>, past: &[Ballot], ballot: &Ballot) -> Result<(), String> {
        let lock = past.iter().map(|past| past.justify.round).max().flatten();
        if ballot.justify.round >= lock {
            return Ok(());
        }
        Err(format!("locked on round {lock:?}"))
    }
}

/// A certificate of the round before, or one as high as some Timeout QC of the round demands.
fn as_high_as_a_timeout(facts: &Facts<'_>, ballot: &Ballot) -> Result<(), String> {
    let allows = |vote: &Vote| {
        vote.data.phase == Phase::NewRound
            && vote.data.round == ballot.round
            && vote.data.high <= ballot.justify.round
    };
    let timeout = facts.quorum(|node| facts.disks[node].signed.iter().any(allows));
    if ballot.justify.next_round() == ballot.round || timeout {
        return Ok(());
    }
    Err(format!("below what any Timeout QC of round {} demands", ballot.round))
}

/// arXiv 2106.10362, figure 1.
impl ChainPaper for Jolteon {
    const ROW: usize = 2;

    fn may_vote(facts: &Facts<'_>, _: &[Ballot], ballot: &Ballot) -> Result<(), String> {
        as_high_as_a_timeout(facts, ballot)
    }
}

/// arXiv 2010.11454, algorithm 3.
impl ChainPaper for FastHotStuff {
    const ROW: usize = 2;

    fn may_vote(facts: &Facts<'_>, _: &[Ballot], ballot: &Ballot) -> Result<(), String> {
        as_high_as_a_timeout(facts, ballot)
    }
}
