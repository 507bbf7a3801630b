//! RainTree machines on a loop: what one sends, the other receives a hop later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pocket_p2p::raintree::{
    Envelope, Input, MessageId, Output, Payload, RainTree, RainTreeConfig, Segment, View,
};
use pocket_types::hash::Domain;
use pocket_types::key::PublicKey;
use pocket_types::machine::Machine;
use pocket_types::number::Timestamp;

pub(crate) const NOW: Timestamp = Timestamp(1_000);

/// Distinct keys; RainTree never looks inside them.
pub(crate) fn key(index: u32) -> PublicKey {
    PublicKey(Domain::custom("test key").hash(&index.to_le_bytes()).0)
}

pub(crate) fn view(segment: Segment, nodes: u32) -> Arc<View> {
    Arc::new(View::new(segment, (0..nodes).map(key).collect()).unwrap())
}

pub(crate) fn payload(bytes: &[u8]) -> Payload {
    Payload::new(bytes).unwrap()
}

pub(crate) struct Network {
    pub(crate) nodes: BTreeMap<PublicKey, RainTree>,
    pub(crate) dead: BTreeSet<PublicKey>,
    flying: VecDeque<(u32, PublicKey, PublicKey, Envelope)>,
    pub(crate) report: Report,
}

/// What a broadcast did.
#[derive(Default)]
pub(crate) struct Report {
    /// By receiver, the hop at which each delivery happened.
    pub(crate) deliveries: BTreeMap<PublicKey, Vec<u32>>,
    pub(crate) sends: BTreeMap<PublicKey, u32>,
    pub(crate) refused: Vec<Output>,
}

impl Network {
    /// So many nodes, all with the same view of everyone.
    pub(crate) fn new(nodes: u32, config: &RainTreeConfig) -> Self {
        let view = view(Segment::Everyone, nodes);
        let node = |index| {
            let mut tree = RainTree::new(key(index), config.clone());
            let _ = tree.handle(NOW, Input::ViewChanged(view.clone())).unwrap();
            (key(index), tree)
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            dead: BTreeSet::new(),
            flying: VecDeque::new(),
            report: Report::default(),
        }
    }

    /// Broadcasts and lets everything arrive.
    pub(crate) fn broadcast(&mut self, from: PublicKey, bytes: &[u8]) -> &Report {
        self.report = Report::default();
        let input = Input::Broadcast { segment: Segment::Everyone, payload: payload(bytes) };
        self.handle(0, from, input);
        while let Some((hop, from, to, envelope)) = self.flying.pop_front() {
            if self.dead.contains(&to) {
                let id: MessageId = envelope.id;
                self.handle(hop - 1, from, Input::Unreachable { peer: to, id });
            } else {
                self.handle(hop, to, Input::Received { from, envelope });
            }
        }
        &self.report
    }

    fn handle(&mut self, hop: u32, at: PublicKey, input: Input) {
        let outputs = self.nodes.get_mut(&at).unwrap().handle(NOW, input).unwrap().into_outputs();
        for output in outputs {
            match output {
                Output::Send { to, envelope } => {
                    *self.report.sends.entry(at).or_default() += 1;
                    self.flying.push_back((hop + 1, at, to, envelope));
                }
                Output::Deliver { .. } => self.report.deliveries.entry(at).or_default().push(hop),
                other => self.report.refused.push(other),
            }
        }
    }
}
