//! The way of a message.

use std::rc::Rc;

use pocket_types::codec;
use pocket_types::number::{Duration, Ppm};

use super::Simulation;
use super::queue::{Arrival, Event};
use super::trace::Entry;
use crate::network::{Envelope, Fate, Link};
use crate::plan::Stage;
use crate::process::Process;

impl<P: Process> Simulation<P> {
    pub(super) fn arrive(&mut self, arrival: Arrival<P::Message>) {
        let Arrival { from, to, message, sending, forced } = arrival;
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
        self.trace.record(Entry::Message, to, self.now).number(from as u64).number(sending);
        let message = Rc::unwrap_or_clone(message);
        let input = self.call(to, |process, context| process.receive(context, from, message));
        match input {
            Some(Some(input)) => self.handle(to, input),
            _ => self.arm(to),
        }
    }

    pub(super) fn send(
        &mut self,
        from: usize,
        to: impl IntoIterator<Item = usize>,
        message: P::Message,
    ) {
        let encoded = codec::encode(&message);
        self.trace.record(Entry::Send, from, self.now).bytes(&encoded);
        let sending = self.sendings;
        self.sendings += 1;
        let (kind, stage) = (P::kind(&message), P::stage(&message));
        let message = Rc::new(message);
        let mut sent = 0;
        for to in to {
            if to >= self.nodes.len() {
                self.counters.missed += 1;
                continue;
            }
            sent += 1;
            let message = message.clone();
            self.carry(Arrival { from, to, message, sending, forced: false }, stage);
        }
        self.counters.sent[from] += sent;
        self.counters.bytes[from] += sent * encoded.len() as u64;
        if sent > 0 {
            *self.counters.kinds.entry(kind).or_default() += sent;
        }
    }

    fn carry(&mut self, mut arrival: Arrival<P::Message>, stage: Option<Stage>) {
        let (from, to) = (arrival.from, arrival.to);
        let fate = self.filter.as_mut().map_or(Fate::Deliver, |filter| {
            let message = P::Message::clone(&arrival.message);
            filter(&Envelope { from, to, sent: self.now, message })
        });
        match fate {
            Fate::Drop => self.counters.filtered += 1,
            Fate::Delay(delay) => {
                self.counters.delayed += 1;
                arrival.forced = true;
                self.schedule(self.now.after(delay), Event::Arrive(Box::new(arrival)));
            }
            Fate::Deliver => {
                let (link, own) = self.plan.link(from, to, self.now);
                self.counters.linked += u64::from(own);
                if self.plan.parts(from, to, self.now) {
                    self.counters.partitioned += 1;
                    return;
                }
                let struck = stage.map(|stage| self.plan.at(stage, from, to, self.now));
                let struck = struck.unwrap_or_default();
                if struck.parted {
                    self.counters.stage_partitioned += 1;
                    return;
                }
                if self.random.chance(link.loss) {
                    self.counters.lost += 1;
                    return;
                }
                if struck.loss > Ppm(0) && self.random.chance(struck.loss) {
                    self.counters.stage_lost += 1;
                    return;
                }
                self.counters.stage_delayed += u64::from(struck.more > Duration(0));
                if self.random.chance(link.duplication) {
                    self.counters.duplicated += 1;
                    let message = arrival.message.clone();
                    self.depart(Arrival { message, ..arrival }, link, struck.more);
                }
                self.depart(arrival, link, struck.more);
            }
        }
    }

    fn depart(&mut self, arrival: Arrival<P::Message>, link: Link, more: Duration) {
        let takes = self.random.duration(link.min, link.max);
        self.counters.slowed += u64::from(takes > Link::PERFECT.max);
        let at = self.now.after(takes).after(more);
        self.schedule(at, Event::Arrive(Box::new(arrival)));
    }
}
