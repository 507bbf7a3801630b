//! The forgeries of Simplex: two blocks in each view on every notarized parent, with and without what
//! leads there, and a notarization, a finalization and a nullification of everything.

use pocket_consensus::Simplex;
use pocket_types::block::Block;
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

use super::{Forge, Subject};

impl Subject for Simplex {
    const PHASES: &'static [Phase] = &[Phase::Prepare, Phase::Commit];

    fn begin(forge: &mut Forge<'_, '_, Self>) {
        for (me, view) in forge.places() {
            let nullify =
                forge.data(Height::GENESIS, view + 1, Phase::NewRound, BlockId::default());
            forge.cast(me, None, nullify);
            forge.propose_two(me, Height(1), view);
            if view > 0 && forge.leader(Height(1), view) == me {
                let block = forge.block(me, Height(1), 2).expect("genesis is known");
                let entry = forge.data(Height::GENESIS, view, Phase::NewRound, BlockId::default());
                for lie in [forge.false_certificate(entry), forge.light_certificate(entry)] {
                    forge.propose(me, view, block.clone(), None, Some(lie));
                }
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
        let VoteData { round, phase, .. } = certificate.data;
        match phase {
            Phase::Prepare => {
                for (me, later) in forge.led_after(round) {
                    forge.extend(me, later, certificate, None);
                    for entry in forge.timeouts(later) {
                        forge.extend(me, later, certificate, Some(&entry));
                    }
                }
            }
            Phase::NewRound => forge.extend_all(certificate),
            _ => {}
        }
    }
}
