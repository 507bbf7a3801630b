//! Broadcast: transactions and decided blocks go to everybody by RainTree.

use std::sync::Arc;

use anyhow::Result;
use pocket_p2p::message::MessageClass;
use pocket_p2p::raintree::{
    Envelope, Input, Output, Payload, RainTree, RainTreeConfig, Segment, View,
};
use pocket_types::block::Block;
use pocket_types::codec::{self, Wire};
use pocket_types::evidence::Evidence;
use pocket_types::finality::FinalityProof;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::Timestamp;
use pocket_types::transaction::Transaction;
use serde::{Deserialize, Serialize};

use super::{Node, PENALTY};
use crate::config::NodeConfig;

/// What travels by broadcast.
#[derive(Serialize, Deserialize)]
pub(super) enum News {
    Transaction(Box<Transaction>),
    Decided(Box<Block>, Box<FinalityProof>),
    Evidence(Box<Evidence>),
}

impl Wire for News {
    const MAX_BYTES: usize = pocket_p2p::message::MAX_MESSAGE;
}

/// The broadcast of a node.
pub(super) struct Gossip {
    tree: RainTree,
}

impl Gossip {
    pub(super) fn new(config: &NodeConfig, own: PublicKey) -> Result<Self> {
        let mut tree = RainTree::new(own, RainTreeConfig::default());
        let members = config.peers.iter().map(|peer| peer.public_key).collect();
        let view = Arc::new(View::new(Segment::Everyone, members)?);
        let _ = tree.handle(Timestamp::ZERO, Input::ViewChanged(view))?.into_outputs();
        Ok(Self { tree })
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.tree.next_deadline()
    }
}

impl Node {
    /// Tells everybody.
    pub(super) fn broadcast(&mut self, news: &News) -> Result<()> {
        let bytes = codec::encode(news);
        let Ok(payload) = Payload::new(bytes) else {
            self.log(format_args!("news too large to broadcast"));
            return Ok(());
        };
        self.spread(Input::Broadcast { segment: Segment::Everyone, payload })
    }

    /// An envelope came from a peer.
    pub(super) fn gossiped(&mut self, from: PublicKey, envelope: Envelope) -> Result<()> {
        self.spread(Input::Received { from, envelope })
    }

    pub(super) fn tick_gossip(&mut self) -> Result<()> {
        self.spread(Tick.into())
    }

    /// Hands RainTree an input and does what it says.
    fn spread(&mut self, input: Input) -> Result<()> {
        let now = self.now();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.gossip.tree.handle(now, input)?.into_outputs() {
                match output {
                    Output::Send { to, envelope } => {
                        let body = Arc::new(codec::encode(&envelope));
                        if !self.links.send(&to, MessageClass::Gossip, body) {
                            inputs.push(Input::Unreachable { peer: to, id: envelope.id });
                        }
                    }
                    Output::Deliver { from, payload, .. } => self.news(from, &payload)?,
                    Output::Refused { peer, reason } => {
                        self.misbehaved(peer, PENALTY, &reason.to_string())?;
                    }
                    other => self.log(format_args!("{other:?}")),
                }
            }
        }
        Ok(())
    }

    /// What came by broadcast. Whoever passed it on has not judged it either, so nobody is charged
    /// for what it says: what doesn't hold is dropped.
    fn news(&mut self, from: PublicKey, payload: &[u8]) -> Result<()> {
        match codec::decode(payload) {
            Ok(News::Transaction(transaction)) => {
                let _ = self.admit(*transaction);
            }
            Ok(News::Decided(block, proof)) => self.decided_elsewhere(from, *block, *proof)?,
            Ok(News::Evidence(evidence)) => self.keep_evidence(*evidence),
            Err(malformed) => self.log(format_args!("malformed news: {malformed}")),
        }
        Ok(())
    }
}
