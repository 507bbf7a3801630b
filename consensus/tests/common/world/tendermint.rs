//! The forgeries of Tendermint: two blocks in each round, votes for every block and for none, each
//! polka in every later proposal beside the block it is for and beside another, and polkas that are
//! none.

use pocket_consensus::Tendermint;
use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::{Forge, Subject};

const NIL: BlockId = BlockId(pocket_types::hash::Hash::ZERO);

impl Subject for Tendermint {
    const PHASES: &'static [Phase] = &[Phase::Prepare, Phase::Commit];

    fn begin(forge: &mut Forge<'_, '_, Self>) {
        let height = Height(1);
        for (me, round) in forge.places() {
            for phase in [Phase::Prepare, Phase::Commit] {
                let data = forge.data(height, round, phase, NIL);
                forge.cast(me, None, data);
            }
            forge.propose_two(me, height, round);
            let Some(before) = round.checked_sub(1).filter(|_| forge.leader(height, round) == me)
            else {
                continue;
            };
            let block = forge.block(me, height, 2).expect("genesis is known");
            let polka = forge.data(height, before, Phase::Prepare, block.id());
            for lie in [forge.false_certificate(polka), forge.light_certificate(polka)] {
                forge.propose(me, round, block.clone(), Some(lie), None);
            }
        }
    }

    fn proposed(forge: &mut Forge<'_, '_, Self>, vote: &Vote, block: &Block) {
        let VoteData { height, round, .. } = vote.data;
        for me in forge.byzantine() {
            for phase in [Phase::Prepare, Phase::Commit] {
                let data = forge.data(height, round.0, phase, block.id());
                forge.cast(me, None, data);
            }
        }
    }

    fn certified(forge: &mut Forge<'_, '_, Self>, certificate: &Certificate) {
        let VoteData { height, round, block, phase, .. } = certificate.data;
        match phase {
            Phase::Prepare if block != NIL => {
                let body = forge.body(&block).cloned();
                for (me, later) in forge.places() {
                    if later <= round.0 || forge.leader(height, later) != me {
                        continue;
                    }
                    let other = forge.block(me, height, 0);
                    for block in body.clone().into_iter().chain(other) {
                        forge.propose(me, later, block, Some(certificate.clone()), None);
                    }
                }
            }
            Phase::Commit if block != NIL => {
                for (me, round) in forge.places() {
                    forge.propose_two(me, height.next(), round);
                }
            }
            _ => {}
        }
    }
}
