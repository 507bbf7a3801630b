//! Words: signatures, the codec, the session draw.
//!
//! **One signature** of a 32-byte digest, keys decompressed before. ed25519-zebra follows the same
//! rule (ZIP-215) by the same steps: decompress R, SHA-512 of 96 bytes, one double-base scalar
//! multiplication, a multiplication by eight. ed25519-dalek's `verify` multiplies as much, but
//! compresses the result where the others decompress R, and follows another rule.
//!
//! **Batches** of n signatures by n keys over one digest, as in a certificate; n = 67 and 667 are the
//! quorums of 100 and 1,000 validators. Both sides start from bytes: 2n decompressions, n + 1
//! hashes on our side (the coefficients come from a hash over the batch) and n hashes and 16n bytes
//! of ChaCha20 on zebra's, one multiscalar multiplication of 2n + 1 points. `certificate` is what
//! the protocol does: keys are decompressed once per validator set, n decompressions less.
//!
//! **The codec**, on a block of 1,000 transfers with a parent certificate of 67 of 100: both sides
//! run the same serde implementations, bounds included, into a fresh buffer and back. postcard
//! writes integers at variable length, ours at fixed length, so ours makes more bytes (printed). One
//! allocation per variable-length part: two in the certificate and one for the list; a transfer has
//! none.
//!
//! **The session draw**: 24 different places out of a million in random order, from a 32-byte seed.
//! rand does it by Floyd's algorithm over 96 bytes of ChaCha20, we by a sparse Fisher-Yates over
//! BLAKE3's extendable output, which any implementation can repeat from the specification: one
//! compression for the domain, one for each of 24 words (eight of them share a block of output, which
//! is computed anew for each), one small map. It is done once per session and reader.

use std::hint::black_box;

use ed25519_dalek::Verifier as _;
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use pocket_benches::fixture::{CHAIN, Validators, key, transfers};
use pocket_benches::{Comparison, Throughput, repeated};
use pocket_types::block::Block;
use pocket_types::codec;
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::SessionId;
use pocket_types::key::{PublicKey, Signature, VerifyingKey};
use pocket_types::number::Height;
use pocket_types::session::{Seat, draw};
use pocket_types::signature::{verify, verify_batch};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn main() {
    let mut comparison = Comparison::new("types");
    signatures(&mut comparison);
    blocks(&mut comparison);
    sessions(&mut comparison);
    comparison.finish();
}

fn signatures(comparison: &mut Comparison) {
    let digest = Domain::custom("pocket benches digest").hash(b"a vote");
    let signed: Vec<(PublicKey, Signature)> =
        (0..667).map(key).map(|key| (key.public_key(), key.sign(&digest))).collect();

    let (public, signature) = signed[0];
    let ours = VerifyingKey::new(public).unwrap();
    let zebra = VerificationKey::try_from(public.0).unwrap();
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(&public.0).unwrap();
    let (for_zebra, for_dalek) =
        (zebra_signature(&signature), ed25519_dalek::Signature::from_bytes(&signature.0));
    let one = Throughput::Elements(1);
    let by_us = || repeated(|| verify(&ours, black_box(&digest), &signature).unwrap());
    let by_zebra = repeated(|| zebra.verify(&for_zebra, black_box(&digest.0)).unwrap());
    comparison.beside("verify", one.clone(), by_us(), ("ed25519-zebra", by_zebra));
    let by_dalek = repeated(|| dalek.verify(black_box(&digest.0), &for_dalek).unwrap());
    comparison.beside("verify, another rule", one, by_us(), ("ed25519-dalek", by_dalek));

    for n in [1, 67, 667] {
        let signed = &signed[..n];
        let count = Throughput::Elements(n as u64);
        let by_us = repeated(|| {
            let keys: Vec<_> =
                signed.iter().map(|(key, _)| VerifyingKey::new(*key).unwrap()).collect();
            let items = keys
                .iter()
                .zip(signed)
                .map(|(key, (_, signature))| (key, *black_box(&digest), *signature));
            verify_batch(&items.collect::<Vec<_>>()).unwrap();
        });
        let bytes: Vec<_> = signed
            .iter()
            .map(|(key, signature)| (VerificationKeyBytes::from(key.0), zebra_signature(signature)))
            .collect();
        let mut coefficients = ChaCha20Rng::from_seed([1; 32]);
        let by_zebra = repeated(|| {
            let mut batch = batch::Verifier::new();
            for (key, signature) in &bytes {
                batch.queue((*key, *signature, black_box(&digest.0)));
            }
            batch.verify(&mut coefficients).unwrap();
        });
        let name = format!("verify_batch n={n}");
        comparison.beside(name, count.clone(), by_us, ("ed25519-zebra", by_zebra));

        let keys: Vec<_> = signed.iter().map(|(key, _)| VerifyingKey::new(*key).unwrap()).collect();
        let items: Vec<(&VerifyingKey, Hash, Signature)> = keys
            .iter()
            .zip(signed)
            .map(|(key, (_, signature))| (key, digest, *signature))
            .collect();
        let by_us = repeated(|| verify_batch(black_box(&items)).unwrap());
        comparison.alone(format!("certificate n={n}"), count, by_us);
    }
}

fn zebra_signature(signature: &Signature) -> ed25519_zebra::Signature {
    ed25519_zebra::Signature::from(signature.0)
}

fn blocks(comparison: &mut Comparison) {
    let validators = Validators::new(100);
    let holders: Vec<_> = (0..1_000).map(key).collect();
    let parent = validators.decide(validators.block(None, Hash::ZERO, Vec::new()).header);
    let transactions = transfers(CHAIN, &holders, Height(100));
    let block = validators.block(Some(&parent), Hash::ZERO, transactions);

    let bytes = codec::encode(&block);
    let theirs = postcard::to_allocvec(&block).unwrap();
    comparison.note(format_args!(
        "a block of 1,000 transfers: {} bytes, postcard {}",
        bytes.len(),
        theirs.len()
    ));
    let size = || Throughput::Bytes(bytes.len() as u64);
    comparison.beside(
        "encode a block",
        size(),
        repeated(|| codec::encode(black_box(&block))),
        ("postcard", repeated(|| postcard::to_allocvec(black_box(&block)).unwrap())),
    );
    comparison.beside(
        "decode a block",
        size(),
        repeated(|| codec::decode::<Block>(black_box(&bytes)).unwrap()),
        ("postcard", repeated(|| postcard::from_bytes::<Block>(black_box(&theirs)).unwrap())),
    );
}

fn sessions(comparison: &mut Comparison) {
    const N: u64 = 1_000_000;
    const K: u64 = 24;
    let session = SessionId(Hash([3; 32]));
    let by_rand = repeated(|| {
        let mut random = ChaCha20Rng::from_seed(black_box(session.0.0));
        rand::seq::index::sample(&mut random, N as usize, K as usize).into_vec()
    });
    comparison.beside(
        "draw 24 of 1,000,000",
        Throughput::Elements(K),
        repeated(|| draw(black_box(session), Seat::Servicer, N, K)),
        ("rand", by_rand),
    );
}
