//! The way of a message.

use pocket_types::codec;
use pocket_types::hash::Hash;

use super::Simulation;
use super::queue::Event;
use crate::network::{Envelope, Fate};
use crate::process::Process;

impl<P: Process> Simulation<P> {
    pub(super) fn arrive(&mut self, envelope: Envelope<P::Message>, digest: Hash, forced: bool) {
        let Envelope { from, to, .. } = envelope;
        if !forced && self.plan.parts(from, to, self.now) {
            self.counters.partitioned += 1;
            return;
        }
        if self.nodes[to].process.is_none() {
            self.counters.missed += 1;
            return;
        }
        self.counters.delivered += 1;
        self.counters.skewed += u64::from(self.nodes[to].skew != 0);
        self.record(b"message", to, &[&(from as u64).to_le_bytes(), &digest.0]);
        let input =
            self.call(to, |process, context| process.receive(context, from, envelope.message));
        if let Some(Some(input)) = input {
            self.handle(to, input);
        }
        self.arm(to);
    }

    pub(super) fn send(
        &mut self,
        from: usize,
        to: impl IntoIterator<Item = usize>,
        message: &P::Message,
    ) {
        let encoded = codec::encode(message);
        let digest = Hash(*blake3::hash(&encoded).as_bytes());
        self.record(b"send", from, &[&digest.0]);
        for to in to {
            if to >= self.nodes.len() {
                self.counters.missed += 1;
                continue;
            }
            self.counters.sent[from] += 1;
            self.counters.bytes[from] += encoded.len() as u64;
            *self.counters.kinds.entry(P::kind(message)).or_default() += 1;
            let envelope = Envelope { from, to, sent: self.now, message: message.clone() };
            self.carry(envelope, digest);
        }
    }

    pub(super) fn carry(&mut self, envelope: Envelope<P::Message>, digest: Hash) {
        let fate = self.filter.as_mut().map_or(Fate::Deliver, |filter| filter(&envelope));
        let (from, to) = (envelope.from, envelope.to);
        match fate {
            Fate::Drop => self.counters.filtered += 1,
            Fate::Delay(delay) => {
                self.counters.delayed += 1;
                let at = self.now.after(delay);
                self.schedule(at, Event::Arrive { envelope, digest, forced: true });
            }
            Fate::Deliver => {
                let link = self.plan.link(from, to, self.now);
                if self.plan.parts(from, to, self.now) {
                    self.counters.partitioned += 1;
                    return;
                }
                if self.random.chance(link.loss) {
                    self.counters.lost += 1;
                    return;
                }
                if self.random.chance(link.duplication) {
                    self.counters.duplicated += 1;
                    let at = self.now.after(self.random.duration(link.min, link.max));
                    let envelope = envelope.clone();
                    self.schedule(at, Event::Arrive { envelope, digest, forced: false });
                }
                let at = self.now.after(self.random.duration(link.min, link.max));
                self.schedule(at, Event::Arrive { envelope, digest, forced: false });
            }
        }
    }
}
