//! All the way to the tip: a checkpoint, the light client, a snapshot, and the blocks since.

use std::collections::BTreeMap;
use std::rc::Rc;

use pocket_consensus::fast_sync::{
    self, Chunk, FastSync, FastSyncMessage, Input as FastInput, Output as FastOutput, Snapshot,
};
use pocket_consensus::light::{self, Start, Target};
use pocket_consensus::sync::{self, DecidedBlock, Range, SyncMessage};
use pocket_consensus::{Sync, Tip};
use pocket_sim::Plan;
use pocket_types::codec::{Bytes, List};
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::light::{Checkpoint, LightBlock};
use pocket_types::machine::Machine;
use pocket_types::number::{Height, Timestamp};
use pocket_types::validator::ValidatorSet;

use crate::common::{Setup, height, light_chain, public, simulate};

const NOW: Timestamp = Timestamp(2_100);

/// A chain of twenty blocks whose validators change, and what its nodes serve: blocks, certified
/// headers, and the sets two heights later, which a state holds.
struct Served {
    setup: Setup,
    chain: Vec<DecidedBlock>,
    headers: Rc<Vec<LightBlock>>,
    sets: BTreeMap<Height, ValidatorSet>,
}

fn served() -> Served {
    let mut setup = Setup::new(&[10; 4]);
    setup.changes.insert(6, vec![10, 10, 25, 10]);
    setup.changes.insert(11, vec![10, 12, 25, 10]);
    let mut sim = simulate(setup.clone(), 4, Plan::calm(1));
    sim.run_until(Timestamp(2_050)).unwrap();
    assert_eq!(height(&sim, 0), 20);
    let chain = sim.disk(0).chain.clone();
    let (mut tip, mut headers, mut sets) = (setup.genesis(), vec![], BTreeMap::new());
    for block in &chain {
        let at = block.block.header.height;
        let [own, next] = [tip.validators(), tip.next_validators()].map(|set| set.set().clone());
        headers.push(LightBlock::new(block.proof.clone(), own, next));
        tip = tip.after(&block.proof, setup.change(at)).unwrap();
        sets.insert(at, tip.next_validators().set().clone());
    }
    Served { setup, chain, headers: Rc::new(headers), sets }
}

impl Served {
    /// What a light client that starts from block 3 comes to trust of a height, among three nodes.
    fn certify(&self, wanted: Height) -> Option<LightBlock> {
        let config = light::Config { target: Target::Height(wanted), ..light_chain::config() };
        let third = self.headers[2].header().unwrap();
        let checkpoint = Checkpoint { chain: third.chain, height: third.height, block: third.id() };
        let mut lab = light_chain::Lab::new(config, Start::Checkpoint(checkpoint), NOW);
        for peer in 0..3 {
            let headers = Rc::clone(&self.headers);
            let node: light_chain::Node =
                Box::new(move |request| Some(light_chain::answer(&headers, request)));
            lab.nodes.insert(light_chain::peer(peer), node);
        }
        lab.announce(20).unwrap();
        lab.newest.filter(|block| block.header().unwrap().height == wanted)
    }

    fn snapshot(&self, height: u64) -> Snapshot {
        let root = self.chain[height as usize - 1].block.header.state_root;
        Snapshot { height: Height(height), root, chunks: 3 }
    }

    /// Restores the snapshot that peers offer, and gives the block that certifies it.
    fn restore(&self, offers: &[(usize, Snapshot)]) -> (LightBlock, Vec<PublicKey>) {
        let mut sync = FastSync::new(fast_sync::Config::default()).unwrap();
        let offer = |&(peer, snapshot): &(usize, Snapshot)| {
            let message = FastSyncMessage::Offers(List::new(vec![snapshot]).unwrap());
            FastInput::Message { from: public(peer), message }
        };
        let mut inputs: Vec<FastInput> = offers.iter().map(offer).collect();
        let (mut certified, mut liars, mut root) = (None, vec![], None);
        while let Some(input) = inputs.pop() {
            for output in sync.handle(NOW, input).unwrap().into_outputs() {
                inputs.push(match output {
                    FastOutput::Send { to, message: FastSyncMessage::Request(request) } => {
                        let bytes = Bytes::new(vec![1]).ok();
                        let message = FastSyncMessage::Chunk(Chunk { request, bytes });
                        FastInput::Message { from: to, message }
                    }
                    // A client for each question: the one before may be beyond this height.
                    FastOutput::Trust { height } => {
                        certified = self.certify(height);
                        root =
                            certified.as_ref().and_then(LightBlock::header).map(|h| h.state_root);
                        FastInput::Trusted { height, root }
                    }
                    FastOutput::Restore { index, .. } => FastInput::Restored { index, holds: true },
                    FastOutput::Finish { .. } => FastInput::Finished { root: root.unwrap() },
                    FastOutput::Done { .. } => return (certified.unwrap(), liars),
                    FastOutput::Misbehaviour { peer, .. } => {
                        liars.push(peer);
                        continue;
                    }
                    _ => continue,
                });
            }
        }
        panic!("not done: {sync:?}");
    }

    /// Brings all blocks after a tip.
    fn follow(&self, tip: Tip) -> Tip {
        let mut sync = Sync::new(sync::Config::default(), tip).unwrap();
        let mut inputs = vec![sync::Input::Announced { peer: public(0), height: Height(20) }];
        while let Some(input) = inputs.pop() {
            for output in sync.handle(NOW, input).unwrap().into_outputs() {
                inputs.push(match output {
                    sync::Output::Send { to, message: SyncMessage::Request(request) } => {
                        let answer: Result<Range, sync::serve::RequestError> =
                            sync::serve::respond(&request, |height| {
                                Ok(self.chain.get(height.0 as usize - 1).cloned())
                            });
                        let message = SyncMessage::Range(answer.unwrap());
                        sync::Input::Message { from: to, message }
                    }
                    sync::Output::Apply(block) => sync::Input::Applied {
                        block: block.block.id(),
                        change: self.setup.change(block.block.header.height),
                    },
                    other => panic!("{other:?}"),
                });
            }
        }
        sync.tip().clone()
    }
}

#[test]
fn from_a_checkpoint_by_a_snapshot_to_the_tip() {
    let served = served();
    // Snapshots before, between and after changes of the validators.
    for height in [5, 7, 8, 12, 18] {
        let (block, liars) = served.restore(&[(0, served.snapshot(height))]);
        assert_eq!(liars, []);
        let later = served.sets[&Height(height)].clone();
        let tip = Tip::certified(block, later).unwrap();
        assert_eq!(tip.height(), Height(height));
        let tip = served.follow(tip);
        assert_eq!((tip.height(), tip.block()), (Height(20), served.chain[19].block.id()));
    }
}

#[test]
fn a_false_snapshot_at_a_greater_height_leaves_the_true_one_below_it() {
    let served = served();
    let lie = Snapshot { root: Hash([9; 32]), ..served.snapshot(15) };
    let (block, liars) = served.restore(&[(1, served.snapshot(12)), (2, lie)]);
    assert_eq!(liars, [public(2)]);
    assert_eq!(block.header().unwrap().height, Height(12), "below what was certified before");
}
