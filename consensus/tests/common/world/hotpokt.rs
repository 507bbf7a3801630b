//! The forgeries of HotPOKT: proposals of any known block beside any certificate, NewRounds with old
//! certificates and false ones, a vote for everything, and every certificate as soon as it can be made.

use pocket_consensus::HotPokt;
use pocket_consensus::replica::message::{Message, NewRound};
use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::{Forge, Subject};

impl Subject for HotPokt {
    const PHASES: &'static [Phase] = &[Phase::Prepare, Phase::PreCommit, Phase::Commit];

    fn begin(forge: &mut Forge<'_, '_, Self>) {
        let height = Height(1);
        for (me, round) in forge.places() {
            let data = forge.data(height, round, Phase::NewRound, BlockId::default());
            let new_round = |high_qc, entry| {
                let vote = forge.vote(me, data);
                Message::NewRound(Box::new(NewRound { vote, high_qc, entry, commit: None }))
            };
            let block = forge.block(me, height, 0).expect("genesis is known").id();
            let honest = new_round(None, None);
            let mut lies = Vec::new();
            if let Some(before) = round.checked_sub(1) {
                let prepared = forge.data(height, before, Phase::Prepare, block);
                lies.push(new_round(Some(forge.false_certificate(prepared)), None));
                lies.push(new_round(Some(forge.light_certificate(prepared)), None));
                lies.push(new_round(None, Some(forge.false_certificate(data))));
            }
            let leader = forge.leader(height, round);
            forge.broadcast(me, honest);
            lies.into_iter().for_each(|lie| forge.send(me, leader, lie));
            forge.propose_two(me, height, round);
        }
    }

    fn proposed(forge: &mut Forge<'_, '_, Self>, vote: &Vote, block: &Block) {
        let VoteData { height, round, .. } = vote.data;
        let leader = forge.leader(height, round.0);
        for me in forge.byzantine() {
            for phase in [Phase::Prepare, Phase::PreCommit, Phase::Commit] {
                let data = forge.data(height, round.0, phase, block.id());
                forge.cast(me, Some(leader), data);
            }
        }
    }

    fn certified(forge: &mut Forge<'_, '_, Self>, certificate: &Certificate) {
        let VoteData { height, round, block, phase, .. } = certificate.data;
        let later = forge.places().into_iter().filter(|(_, later)| *later > round.0);
        match phase {
            Phase::Prepare => {
                let body = forge.body(&block).cloned();
                for (me, later) in later {
                    let leader = forge.leader(height, later);
                    let data = forge.data(height, later, Phase::NewRound, BlockId::default());
                    let (vote, high_qc) = (forge.vote(me, data), Some(certificate.clone()));
                    let message = NewRound { vote, high_qc, entry: None, commit: None };
                    forge.send(me, leader, Message::NewRound(Box::new(message)));
                    if leader == me {
                        let other = forge.block(me, height, 0);
                        for block in body.clone().into_iter().chain(other) {
                            forge.propose(me, later, block, Some(certificate.clone()), None);
                        }
                    }
                }
            }
            Phase::Commit => {
                for (me, round) in forge.places() {
                    forge.propose_two(me, height.next(), round);
                }
            }
            _ => {}
        }
    }
}
