//! Peers: what travels on a channel, the handshake that opens one, and the tree.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use pocket_p2p::channel::{Channel, ChannelConfig, Handshake, Progress};
use pocket_p2p::message::{MessageClass, Request, Response};
use pocket_p2p::raintree::{
    Envelope, Input, MessageId, Output, Payload, RainTree, RainTreeConfig, Route, Segment, View,
    ViewId,
};
use pocket_types::codec;
use pocket_types::hash::Hash;
use pocket_types::id::ChainId;
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::machine::{Machine, Tick};
use pocket_types::number::{Duration, Timestamp};

use crate::script::Script;
use crate::types::decoded;

/// What frames of each class hold.
pub fn frames(data: &[u8]) -> usize {
    decoded::<Envelope>(data, |_| {})
        + decoded::<Request>(data, |_| {})
        + decoded::<Response>(data, |_| {})
}

/// Two peers shake hands and talk while a script changes what passes between them. A change makes
/// the connection fail: never a panic, another peer's name, or a word that wasn't said.
///
/// The bytes are handed to a fresh side as they are as well.
pub fn channel(data: &[u8]) -> usize {
    for start in [|| dial().0, || Handshake::accept(&config(), [2; 32])] {
        let _ = start().receive(&SecretKey::from_seed([3; 32]), data);
    }
    converse(&mut Script::new(data)).0
}

fn config() -> ChannelConfig {
    ChannelConfig { chain: ChainId(Hash([7; 32])), listen: Default::default() }
}

fn dial() -> (Handshake, Vec<u8>) {
    Handshake::dial(&config(), Some(SecretKey::from_seed([3; 32]).public_key()), [1; 32])
}

enum Side {
    Shaking(Box<Handshake>),
    Open(Box<Channel>),
}

const TURNS: usize = 12;
const WORDS: &[u8] = b"what was said";

/// How many turns it lasts, and how many frames are taken.
fn converse(script: &mut Script<'_>) -> (usize, usize) {
    let keys = [4, 3].map(|seed| SecretKey::from_seed([seed; 32]));
    let (dialer, mut wire) = dial();
    let accepter = Handshake::accept(&config(), [2; 32]);
    let mut sides = [dialer, accepter].map(|side| Some(Side::Shaking(Box::new(side))));
    let mut frames = 0;
    for turn in 0..TURNS {
        let to = (turn + 1) % 2;
        let changed = change(&mut wire, script);
        let heard = match sides[to].take() {
            Some(Side::Shaking(handshake)) => match handshake.receive(&keys[to], &wire) {
                Err(_) => return (turn, frames),
                Ok(Progress::Pending { handshake, send }) => {
                    sides[to] = Some(Side::Shaking(Box::new(handshake)));
                    wire = send;
                    Vec::new()
                }
                Ok(Progress::Established { channel, send, frames }) => {
                    assert_eq!(channel.peer().key, keys[1 - to].public_key());
                    sides[to] = Some(Side::Open(Box::new(channel)));
                    wire = send;
                    frames
                }
            },
            Some(Side::Open(mut channel)) => {
                let Ok(taken) = channel.receive(&std::mem::take(&mut wire)) else {
                    return (turn, frames);
                };
                sides[to] = Some(Side::Open(channel));
                taken
            }
            None => return (turn, frames),
        };
        frames += heard.len();
        for frame in heard {
            assert!(!changed, "a changed frame was taken");
            assert_eq!((frame.class, &frame.body[..]), (MessageClass::Sync, WORDS));
        }
        if let Some(Side::Open(channel)) = &mut sides[to] {
            wire.extend(channel.send(MessageClass::Sync, WORDS).unwrap_or_default());
        }
    }
    (TURNS, frames)
}

/// Changes what passes, if the script says so: one byte, a cut, or bytes in between.
fn change(wire: &mut Vec<u8>, script: &mut Script<'_>) -> bool {
    let before = wire.clone();
    let mut edit = || -> Option<()> {
        let place = script.pick(4).filter(|_| !before.is_empty())?;
        let at = usize::from(script.byte()?) % before.len();
        match place {
            0 => {}
            1 => wire[at] ^= script.byte()?,
            2 => wire.truncate(at),
            _ => {
                let chunk = script.chunk()?;
                wire.splice(at..at, chunk.iter().copied());
            }
        }
        Some(())
    };
    edit();
    *wire != before
}

/// A node of a tree of nine, and a script of what the others send it. It passes on only what it was
/// sent and only to members, and delivers a message once.
pub fn raintree(data: &[u8]) -> usize {
    let members = members();
    let views: Vec<_> = [members, &members[..4]]
        .into_iter()
        .map(|part| Arc::new(View::new(Segment::Everyone, part.to_vec()).expect("nine members")))
        .collect();
    let mut tree = RainTree::new(members[0], RainTreeConfig::default());
    let mut now = Timestamp(0);
    let mut delivered = BTreeSet::new();
    let mut script = Script::new(data);
    let mut lines = 0;
    while lines < 200 {
        let Some(input) = tree_input(&mut script, members, &views, &mut now) else { break };
        lines += 1;
        let forwards = matches!(input, Input::Broadcast { .. } | Input::Received { .. });
        let Ok(step) = tree.handle(now, input) else { continue };
        let outputs = step.into_outputs();
        assert!(outputs.len() <= 2 * members.len() + 2, "{} outputs", outputs.len());
        for output in outputs {
            match output {
                Output::Send { to, envelope } => {
                    assert!(members[1..].contains(&to), "sent to itself or a stranger");
                    assert_eq!(envelope.id, MessageId::of(envelope.segment, &envelope.payload));
                }
                Output::Deliver { id, .. } => {
                    assert!(forwards && delivered.insert(id), "delivered twice");
                }
                _ => {}
            }
        }
    }
    lines
}

fn members() -> &'static [PublicKey] {
    static MEMBERS: OnceLock<Vec<PublicKey>> = OnceLock::new();
    MEMBERS
        .get_or_init(|| (1..10).map(|seed| SecretKey::from_seed([seed; 32]).public_key()).collect())
}

fn tree_input(
    script: &mut Script<'_>,
    members: &[PublicKey],
    views: &[Arc<View>],
    now: &mut Timestamp,
) -> Option<Input> {
    let payload = |byte: u8| Payload::new([byte % 8]).expect("one byte");
    Some(match script.pick(6)? {
        0 => {
            // Far less than messages are remembered.
            *now = now.after(Duration(script.byte()?.into()));
            Input::from(Tick)
        }
        1 => Input::ViewChanged(Arc::clone(&views[script.pick(views.len())?])),
        2 => Input::Broadcast { segment: Segment::Everyone, payload: payload(script.byte()?) },
        3 => {
            let peer = members[script.pick(members.len())?];
            let id = MessageId::of(Segment::Everyone, &payload(script.byte()?));
            Input::Unreachable { peer, id }
        }
        4 => {
            let from = members[script.pick(members.len())?];
            let payload = payload(script.byte()?);
            let view =
                views.get(script.pick(views.len() + 1)?).map_or(ViewId(Hash::ZERO), |v| v.id());
            let amount = script.byte()?;
            let amount = if amount > 250 { u32::MAX - u32::from(amount) } else { amount.into() };
            let route =
                if script.byte()? % 8 == 0 { Route::Level(amount) } else { Route::Range(amount) };
            let segment = Segment::Everyone;
            let id = MessageId::of(segment, &payload);
            Input::Received { from, envelope: Envelope { segment, view, id, route, payload } }
        }
        _ => {
            let from = members[script.pick(members.len())?];
            let Ok(envelope) = codec::decode(script.chunk()?) else { return Some(Tick.into()) };
            Input::Received { from, envelope }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_that_nobody_disturbs_hear_each_other() {
        let (turns, frames) = converse(&mut Script::new(&[0; 24]));
        assert_eq!(turns, TURNS);
        assert!(frames >= TURNS - 4, "{frames} frames");
    }

    #[test]
    fn a_changed_handshake_fails() {
        for turn in 0..4 {
            let script = [&[0; 8][..2 * turn], &[1, 60, 1]].concat();
            let (turns, frames) = converse(&mut Script::new(&script));
            assert!(turns < TURNS && frames == 0, "turn {turn}: {turns}, {frames}");
        }
    }
}
