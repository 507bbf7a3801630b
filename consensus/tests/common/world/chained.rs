//! The forgeries of chained protocols: two blocks on every certificate in each later round, NewRounds
//! that show old certificates, vouch for others and show false ones, and a vote for everything.

use pocket_consensus::chained::{ChainRules, Chained};
use pocket_consensus::replica::message::{Message, NewRound};
use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::number::{Height, Round};
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::super::paper::Paper;
use super::{Forge, Subject};

impl<R: ChainRules> Subject for Chained<R>
where
    Self: Paper,
{
    const PHASES: &'static [Phase] = &[Phase::Prepare];

    fn begin(forge: &mut Forge<'_, '_, Self>) {
        for (me, round) in forge.places() {
            if round == 0 {
                forge.propose_two(me, Height(1), round);
                continue;
            }
            let honest = new_round(forge, me, round, None, None);
            forge.broadcast(me, honest);
            let block = forge.block(me, Height(1), 0).expect("genesis is known").id();
            let voted = forge.data(Height(1), round - 1, Phase::Prepare, block);
            let leader = forge.leader(Height(1), round);
            for lie in [forge.false_certificate(voted), forge.light_certificate(voted)] {
                let lie = new_round(forge, me, round, Some(lie), Some(Round(round - 1)));
                forge.send(me, leader, lie);
            }
            let unshown = new_round(forge, me, round, None, Some(Round(round - 1)));
            forge.send(me, leader, unshown);
        }
    }

    fn proposed(forge: &mut Forge<'_, '_, Self>, vote: &Vote, block: &Block) {
        let VoteData { height, round, .. } = vote.data;
        let leader = forge.leader(height, round.0 + 1);
        for me in forge.byzantine() {
            let data = forge.data(height, round.0, Phase::Prepare, block.id());
            forge.cast(me, Some(leader), data);
        }
    }

    fn certified(forge: &mut Forge<'_, '_, Self>, certificate: &Certificate) {
        let round = certificate.data.round;
        match certificate.data.phase {
            Phase::Prepare => {
                for (me, later) in forge.led_after(round) {
                    if later == round.0 + 1 {
                        forge.extend(me, later, certificate, None);
                    }
                    for entry in forge.timeouts(later) {
                        forge.extend(me, later, certificate, Some(&entry));
                    }
                }
                for (me, later) in forge.places().into_iter().filter(|(_, later)| *later > round.0)
                {
                    let shown = new_round(forge, me, later, Some(certificate.clone()), Some(round));
                    let leader = forge.leader(Height(1), later);
                    forge.send(me, leader, shown);
                }
            }
            Phase::NewRound => forge.extend_all(certificate),
            _ => {}
        }
    }
}

/// Gives a round up, showing a certificate and vouching for a round where the protocol signs that.
fn new_round<P: Subject>(
    forge: &Forge<'_, '_, P>,
    me: usize,
    round: u64,
    high_qc: Option<Certificate>,
    high: Option<Round>,
) -> Message {
    let data = forge.data(Height::GENESIS, round, Phase::NewRound, BlockId::default());
    let high = high.filter(|_| P::ID.signs_high());
    let vote = forge.vote(me, VoteData { high, ..data });
    Message::NewRound(Box::new(NewRound { vote, high_qc, entry: None, commit: None }))
}
