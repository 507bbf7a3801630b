use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;

use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Receipt, Step};
use pocket_types::number::Timestamp;

use super::config::{RainTreeConfig, Topology};
use super::envelope::{Envelope, MessageId, Payload, Route, Segment};
use super::error::{EnvelopeError, RainTreeError};
use super::go_v1;
use super::input::Input;
use super::output::Output;
use super::partition::{Share, largest_share, levels, shares};
use super::permutation::Permutation;
use super::repair::{Range, Repair};
use super::seen::Seen;
use super::view::View;

/// One node's part in RainTree, as a [`Machine`] without durable state.
///
/// Hand in a view of each segment first ([`Input::ViewChanged`]). A restarted node remembers no
/// messages: what is still under way may be delivered to it once more.
#[derive(Debug)]
pub struct RainTree {
    config: RainTreeConfig,
    own: PublicKey,
    /// By segment, the current one first.
    views: BTreeMap<Segment, VecDeque<Arc<View>>>,
    seen: Seen,
    repair: Repair,
    stats: Stats,
}

/// What a machine has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Envelopes sent, repairs included.
    pub sent: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Envelopes of messages that we had seen and served as far as they ask.
    pub duplicates: u64,
    /// Envelopes refused.
    pub refused: u64,
    /// Messages delivered and not passed on, for want of the view.
    pub unknown_views: u64,
    /// Ranges handed on because their head was unreachable.
    pub repaired: u64,
    /// Messages forgotten before their time, for want of room.
    pub forgotten_early: u64,
}

impl RainTree {
    /// A machine for the node of this identity.
    pub fn new(own: PublicKey, config: RainTreeConfig) -> Self {
        let seen = Seen::new(config.max_remembered, config.max_views, config.remember);
        let repair = Repair::new(config.max_repair_bytes, config.repair);
        Self { config, own, views: BTreeMap::new(), seen, repair, stats: Stats::default() }
    }

    /// What it has done so far.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// The current view of a segment.
    pub fn view(&self, segment: Segment) -> Option<&Arc<View>> {
        self.views.get(&segment)?.front()
    }

    fn broadcast(
        &mut self,
        now: Timestamp,
        segment: Segment,
        payload: Payload,
    ) -> Result<Vec<Output>, RainTreeError> {
        let view = self.view(segment).ok_or(RainTreeError::NoView(segment))?.clone();
        let rank = view.rank(&self.own).ok_or(RainTreeError::NotMember(segment))?;
        let id = MessageId::of(segment, &payload);
        if self.seen.contains(&id) {
            return Ok(Vec::new());
        }
        self.remember(now, id);
        // As if received from above the top.
        let route = match self.config.topology {
            Topology::ExactPartition => Route::Range(view.len()),
            Topology::GoV1 => Route::Level(levels(view.len()) + 1),
        };
        Ok(self.serve(now, &view, rank, id, route, &payload))
    }

    fn receive(&mut self, now: Timestamp, from: PublicKey, envelope: Envelope) -> Vec<Output> {
        let is_new = !self.seen.contains(&envelope.id);
        if !is_new && !self.asks_for_more(&envelope) {
            self.stats.duplicates += 1;
            return Vec::new();
        }
        let place = match self.check(&from, &envelope) {
            Ok(place) => place,
            Err(reason) => {
                self.stats.refused += 1;
                return [Output::Refused { peer: from, reason }].into();
            }
        };
        let Envelope { segment, view: view_id, id, route, payload } = envelope;
        if is_new {
            self.remember(now, id);
        }
        let mut outputs = match place {
            Some((view, rank)) => self.serve(now, &view, rank, id, route, &payload),
            None => {
                self.stats.unknown_views += 1;
                [Output::UnknownView { peer: from, segment, view: view_id }].into()
            }
        };
        if is_new {
            self.stats.delivered += 1;
            outputs.push(Output::Deliver { from, id, segment, payload });
        }
        outputs
    }

    /// Whether an envelope of a message that we have seen asks us to serve nodes that we haven't
    /// served. Without this, whoever is first to send us the message with little to serve would cut
    /// off all the rest.
    fn asks_for_more(&self, envelope: &Envelope) -> bool {
        let mut views = self.views.get(&envelope.segment).into_iter().flatten();
        let is_known = views.any(|view| view.id() == envelope.view);
        is_known && envelope.route.amount() > self.seen.served(&envelope.id, &envelope.view)
    }

    /// The view of an envelope and our rank in it; none if we don't have that view. What is cheap to
    /// check comes first, so that a stranger can't make us hash.
    fn check(
        &self,
        from: &PublicKey,
        envelope: &Envelope,
    ) -> Result<Option<(Arc<View>, u32)>, EnvelopeError> {
        let segment = envelope.segment;
        let views = self.views.get(&segment).ok_or(EnvelopeError::UnknownSegment(segment))?;
        let view = views.iter().find(|view| view.id() == envelope.view);
        let is_member = match view {
            Some(view) => view.rank(from).is_some(),
            None => views.iter().any(|view| view.rank(from).is_some()),
        };
        if !is_member {
            return Err(EnvelopeError::NotMember { sender: *from, segment });
        }
        let place = match view {
            Some(view) => {
                self.check_route(envelope.route, view.len())?;
                let rank = view.rank(&self.own).ok_or(EnvelopeError::Misdirected(segment))?;
                Some((view.clone(), rank))
            }
            None => None,
        };
        let (claimed, actual) = (envelope.id, MessageId::of(segment, &envelope.payload));
        if claimed != actual {
            return Err(EnvelopeError::ContentHash { claimed, actual });
        }
        Ok(place)
    }

    fn check_route(&self, route: Route, nodes: u32) -> Result<(), EnvelopeError> {
        match (self.config.topology, route) {
            (Topology::ExactPartition, Route::Range(got)) => {
                let max = largest_share(nodes);
                let possible = (1..=max).contains(&got);
                possible.then_some(()).ok_or(EnvelopeError::Range { got, max })
            }
            (Topology::GoV1, Route::Level(got)) => {
                let max = levels(nodes);
                (got <= max).then_some(()).ok_or(EnvelopeError::Level { got, max })
            }
            _ => Err(EnvelopeError::Topology),
        }
    }

    /// Sends to those that a route asks us to serve, but for those that we have served before.
    fn serve(
        &mut self,
        now: Timestamp,
        view: &Arc<View>,
        rank: u32,
        id: MessageId,
        route: Route,
        payload: &Payload,
    ) -> Vec<Output> {
        let served = self.seen.served(&id, &view.id());
        self.seen.serve(&id, view.id(), route.amount());
        let nodes = view.len();
        let targets: Vec<_> = match route {
            Route::Range(length) => {
                let order = Permutation::new(id, nodes);
                let own = order.place_of(rank);
                let parts: Vec<_> = match served {
                    0 => shares(length).collect(),
                    // Ranges start at our own place, so what is new is one range.
                    _ => [Share { offset: served, length: length.saturating_sub(served) }].into(),
                };
                let target = |share: Share| {
                    let start = (own + share.offset) % nodes;
                    let to = view.member(order.rank_at(start))?;
                    if share.length > 1 {
                        let range = Range { view: view.clone(), start, length: share.length };
                        self.repair.keep(now, id, payload, to, range);
                    }
                    Some((to, Route::Range(share.length)))
                };
                parts.into_iter().filter_map(target).collect()
            }
            Route::Level(below) => (served.max(1)..below)
                .rev()
                .flat_map(|level| go_v1::targets(nodes, level).map(|distance| (level, distance)))
                .filter(|(_, distance)| *distance != 0)
                .filter_map(|(level, distance)| {
                    Some((view.member((rank + distance) % nodes)?, Route::Level(level)))
                })
                .collect(),
        };
        self.stats.sent += targets.len() as u64;
        targets.into_iter().map(|(to, route)| send(view, to, id, route, payload)).collect()
    }

    /// Hands the range of an unreachable head to the next node in it.
    fn hand_on(&mut self, now: Timestamp, peer: &PublicKey, id: MessageId) -> Vec<Output> {
        let Some(kept) = self.repair.get_mut(&id) else { return Vec::new() };
        let Some(Range { view, start, length }) = kept.ranges.remove(peer) else {
            return Vec::new();
        };
        let payload = kept.payload.clone();
        let (start, length) = ((start + 1) % view.len(), length - 1);
        let Some(to) = view.member(Permutation::new(id, view.len()).rank_at(start)) else {
            return Vec::new();
        };
        let output = send(&view, to, id, Route::Range(length), &payload);
        if length > 1 {
            self.repair.keep(now, id, &payload, to, Range { view, start, length });
        }
        self.stats.sent += 1;
        self.stats.repaired += 1;
        [output].into()
    }

    fn change_view(&mut self, view: Arc<View>) -> Result<(), RainTreeError> {
        let (segment, max) = (view.segment(), self.config.max_segments);
        if !self.views.contains_key(&segment) && self.views.len() >= max {
            return Err(RainTreeError::TooManySegments { segment, max });
        }
        let views = self.views.entry(segment).or_default();
        views.retain(|known| known.id() != view.id());
        views.push_front(view);
        views.truncate(self.config.max_views.max(1));
        Ok(())
    }

    fn remember(&mut self, now: Timestamp, id: MessageId) {
        if self.seen.insert(now, id) {
            self.stats.forgotten_early += 1;
        }
    }
}

fn send(view: &View, to: PublicKey, id: MessageId, route: Route, payload: &Payload) -> Output {
    let (segment, view) = (view.segment(), view.id());
    Output::Send { to, envelope: Envelope { segment, view, id, route, payload: payload.clone() } }
}

impl Machine for RainTree {
    type Input = Input;
    type Record = Infallible;
    type Output = Output;
    type Error = RainTreeError;

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Step<Infallible, Output>, RainTreeError> {
        self.seen.expire(now);
        self.repair.expire(now);
        let outputs = match input {
            Input::Tick => Vec::new(),
            Input::Broadcast { segment, payload } => self.broadcast(now, segment, payload)?,
            Input::Received { from, envelope } => self.receive(now, from, envelope),
            Input::Unreachable { peer, id } => self.hand_on(now, &peer, id),
            Input::ViewChanged(view) => {
                self.change_view(view)?;
                Vec::new()
            }
        };
        Ok(Step { records: None, outputs })
    }

    fn release(
        &mut self,
        _now: Timestamp,
        _receipt: Receipt,
    ) -> Result<Step<Infallible, Output>, RainTreeError> {
        Ok(Step::empty())
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.repair.next_expiry()
    }
}
