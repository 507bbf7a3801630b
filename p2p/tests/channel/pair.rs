//! Two peers and the wire between them.

use std::error::Error;

use pocket_p2p::channel::{Channel, ChannelConfig, Frame, Handshake, HandshakeError, Progress};
use pocket_p2p::message::PeerAddress;
use pocket_types::hash::Hash;
use pocket_types::id::ChainId;
use pocket_types::key::{PublicKey, SecretKey};

pub(crate) fn chain(byte: u8) -> ChainId {
    ChainId(Hash([byte; 32]))
}

pub(crate) fn config() -> ChannelConfig {
    ChannelConfig { chain: chain(1), listen: PeerAddress::default() }
}

/// One end: a handshake, then a channel, or the reason why neither is left.
pub(crate) struct End {
    pub(crate) key: SecretKey,
    pub(crate) state: Result<State, HandshakeError>,
    /// What it wants sent, since the last look.
    pub(crate) out: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
}

pub(crate) enum State {
    Handshake(Handshake),
    Channel(Channel),
}

impl End {
    pub(crate) fn dial(
        config: &ChannelConfig,
        key: u8,
        expected: Option<PublicKey>,
        seed: u8,
    ) -> Self {
        let (handshake, out) = Handshake::dial(config, expected, [seed; 32]);
        Self { out, ..Self::new(key, handshake) }
    }

    pub(crate) fn accept(config: &ChannelConfig, key: u8, seed: u8) -> Self {
        Self::new(key, Handshake::accept(config, [seed; 32]))
    }

    fn new(key: u8, handshake: Handshake) -> Self {
        let (key, state) = (SecretKey::from_seed([key; 32]), Ok(State::Handshake(handshake)));
        Self { key, state, out: Vec::new(), frames: Vec::new() }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let closed = Err(HandshakeError::Authentication);
        self.state = match std::mem::replace(&mut self.state, closed) {
            Ok(State::Handshake(handshake)) => {
                handshake.receive(&self.key, bytes).map(|progress| match progress {
                    Progress::Pending { handshake, send } => {
                        self.out.extend(send);
                        State::Handshake(handshake)
                    }
                    Progress::Established { channel, send, frames } => {
                        self.out.extend(send);
                        self.frames.extend(frames);
                        State::Channel(channel)
                    }
                })
            }
            Ok(State::Channel(mut channel)) => channel
                .receive(bytes)
                .map(|frames| self.frames.extend(frames))
                .map(|()| State::Channel(channel))
                .map_err(HandshakeError::Channel),
            Err(error) => Err(error),
        };
    }

    pub(crate) fn error(&self) -> Option<&HandshakeError> {
        self.state.as_ref().err()
    }

    pub(crate) fn is_established(&self) -> bool {
        matches!(self.state, Ok(State::Channel(_)))
    }

    pub(crate) fn channel(&mut self) -> &mut Channel {
        match &mut self.state {
            Ok(State::Channel(channel)) => channel,
            Ok(State::Handshake(_)) => panic!("the handshake isn't done"),
            Err(error) => panic!("closed: {error}"),
        }
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// A dialler and whom it reaches.
pub(crate) struct Pair {
    pub(crate) dialler: End,
    pub(crate) listener: End,
}

impl Pair {
    pub(crate) fn new(dialler: End, listener: End) -> Self {
        Self { dialler, listener }
    }

    /// Two peers of one network that know each other: keys 1 and 2.
    pub(crate) fn friends() -> Self {
        let expected = SecretKey::from_seed([2; 32]).public_key();
        let dialler = End::dial(&config(), 1, Some(expected), 11);
        Self::new(dialler, End::accept(&config(), 2, 12))
    }

    /// Carries bytes both ways, in pieces of at most `piece`, until neither end has more to say.
    pub(crate) fn run(mut self, piece: usize) -> Self {
        loop {
            let (there, back) = (self.dialler.take(), self.listener.take());
            if there.is_empty() && back.is_empty() {
                return self;
            }
            there.chunks(piece).for_each(|bytes| self.listener.receive(bytes));
            back.chunks(piece).for_each(|bytes| self.dialler.receive(bytes));
        }
    }

    pub(crate) fn established() -> Result<(Channel, Channel), Box<dyn Error>> {
        let pair = Self::friends().run(usize::MAX);
        match (pair.dialler.state?, pair.listener.state?) {
            (State::Channel(dialler), State::Channel(listener)) => Ok((dialler, listener)),
            _ => Err("the handshake isn't done".into()),
        }
    }
}
