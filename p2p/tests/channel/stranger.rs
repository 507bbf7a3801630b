//! The other end of a channel, written a second time from the description in `channel` and with
//! snow's own primitives, so that it can also say what an honest peer wouldn't.

use pocket_types::hash::{Domain, Hash};
use pocket_types::id::ChainId;
use pocket_types::key::SecretKey;
use snow::resolvers::{CryptoResolver, DefaultResolver, FallbackResolver};
use snow::types::Random;
use snow::{Builder, HandshakeState, TransportState};

pub(crate) const INITIATOR: u64 = 0;
pub(crate) const RESPONDER: u64 = 1;

/// What it says of itself.
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) chain: ChainId,
    pub(crate) listen: Vec<u8>,
}

impl Hello {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = (self.listen.len() as u64).to_le_bytes();
        [&self.version.to_le_bytes()[..], &self.chain.0.0, &length, &self.listen].concat()
    }
}

/// Key and signature, as an honest peer of that side makes them.
pub(crate) fn proof(key: &SecretKey, hash: Hash, chain: ChainId, side: u64) -> Vec<u8> {
    let hasher = Domain::CHANNEL_IDENTITY.hasher();
    let digest = hasher.fixed(&hash.0).fixed(&chain.0.0).number(side).finish();
    [&key.public_key().0[..], &key.sign(&digest).0].concat()
}

/// With its length before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_le_bytes(), message].concat()
}

/// The messages in a stream of framed ones.
pub(crate) fn unframed(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = stream.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(u32::from_le_bytes(*prefix) as usize);
        messages.push(message.to_vec());
        stream = rest;
    }
    messages
}

pub(crate) struct Stranger {
    noise: HandshakeState,
}

impl Stranger {
    pub(crate) fn new(side: u64) -> Self {
        let resolver = FallbackResolver::new(Box::new(OnlyRandom), Box::new(DefaultResolver));
        let name = "Noise_XX_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
        let builder = Builder::with_resolver(name, Box::new(resolver))
            .local_private_key(&[77; 32])
            .unwrap()
            .prologue(b"pocket v1 channel")
            .unwrap();
        let noise = match side {
            INITIATOR => builder.build_initiator(),
            _ => builder.build_responder(),
        };
        Self { noise: noise.unwrap() }
    }

    pub(crate) fn write(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = [0; 2_000];
        let length = self.noise.write_message(payload, &mut message).unwrap();
        framed(&message[..length])
    }

    pub(crate) fn read(&mut self, message: &[u8]) -> Vec<u8> {
        let mut payload = [0; 2_000];
        let length = self.noise.read_message(message, &mut payload).unwrap();
        payload[..length].to_vec()
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash(self.noise.get_handshake_hash().try_into().unwrap())
    }

    pub(crate) fn into_transport(self) -> Transport {
        Transport(self.noise.into_transport_mode().unwrap())
    }
}

pub(crate) struct Transport(TransportState);

impl Transport {
    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut message = vec![0; plaintext.len() + 16];
        let length = self.0.write_message(plaintext, &mut message).unwrap();
        assert_eq!(length, message.len());
        message
    }

    pub(crate) fn open(&mut self, message: &[u8]) -> Vec<u8> {
        let mut plaintext = vec![0; message.len()];
        let length = self.0.read_message(message, &mut plaintext).unwrap();
        plaintext.truncate(length);
        plaintext
    }
}

struct OnlyRandom;

impl CryptoResolver for OnlyRandom {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Self))
    }
    fn resolve_dh(&self, _: &snow::params::DHChoice) -> Option<Box<dyn snow::types::Dh>> {
        None
    }
    fn resolve_hash(&self, _: &snow::params::HashChoice) -> Option<Box<dyn snow::types::Hash>> {
        None
    }
    fn resolve_cipher(
        &self,
        _: &snow::params::CipherChoice,
    ) -> Option<Box<dyn snow::types::Cipher>> {
        None
    }
}

impl Random for OnlyRandom {
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), snow::Error> {
        target.fill(78);
        Ok(())
    }
}
