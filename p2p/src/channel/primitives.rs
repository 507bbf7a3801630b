//! The primitives that Noise runs on here: the workspace's curve, secrets wiped when dropped, and no
//! way to the operating system's generator.

use alloc::boxed::Box;
use core::mem;

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::IsIdentity;
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Resolves to the primitives of this module and to one given ephemeral secret.
pub(super) struct Primitives {
    pub(super) ephemeral: Zeroizing<[u8; 32]>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::<ChaChaPoly>::default() as _)
    }
}

/// A generator of one secret: a handshake draws exactly one, and two draws must never be equal.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Error> {
        let secret = self.0.take().filter(|secret| secret.len() == target.len());
        target.copy_from_slice(&*secret.ok_or(Error::Rng)?);
        Ok(())
    }
}

/// RFC 7748's X25519, refusing shared secrets that don't depend on ours.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct X25519 {
    secret: [u8; 32],
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(secret);
        self.public = MontgomeryPoint::mul_base_clamped(self.secret).to_bytes();
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *secret)?;
        self.set(&*secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.get(..32).and_then(|bytes| bytes.try_into().ok()).ok_or(Error::Dh)?;
        let shared = MontgomeryPoint(public).mul_clamped(self.secret);
        // Noise 12.1 leaves this check to us; a zero secret would be known to everybody.
        if shared.is_identity() {
            return Err(Error::Dh);
        }
        out.get_mut(..32).ok_or(Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&mem::take(&mut self.0).finalize());
    }
}

/// RFC 8439's AEAD with Noise's nonce: four zero bytes, then the count in little-endian.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct ChaChaPoly {
    key: [u8; 32],
}

impl ChaChaPoly {
    fn nonce(count: u64) -> Nonce {
        let mut nonce = Nonce::default();
        nonce[4..].copy_from_slice(&count.to_le_bytes());
        nonce
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.key = *key;
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (sealed, rest) = out.split_at_mut(plaintext.len());
        sealed.copy_from_slice(plaintext);
        let tag = ChaCha20Poly1305::new(&self.key.into())
            .encrypt_inout_detached(&Self::nonce(nonce), authtext, sealed.into())
            .expect("a Noise message is far shorter than the cipher's 256 GiB");
        rest[..tag.len()].copy_from_slice(&tag);
        plaintext.len() + tag.len()
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (sealed, tag) = ciphertext.split_last_chunk::<16>().ok_or(Error::Decrypt)?;
        let opened = out.get_mut(..sealed.len()).ok_or(Error::Decrypt)?;
        opened.copy_from_slice(sealed);
        ChaCha20Poly1305::new(&self.key.into())
            .decrypt_inout_detached(&Self::nonce(nonce), authtext, opened.into(), &Tag::from(*tag))
            .map_err(|_| Error::Decrypt)?;
        Ok(sealed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two handshakes on one ephemeral secret would share their keys.
    #[test]
    fn a_secret_is_drawn_once() {
        let mut random = Once(Some(Zeroizing::new([7; 32])));
        let mut drawn = [0; 32];
        assert_eq!(random.try_fill_bytes(&mut drawn), Ok(()));
        assert_eq!(drawn, [7; 32]);
        assert_eq!(random.try_fill_bytes(&mut drawn), Err(Error::Rng));
    }
}
