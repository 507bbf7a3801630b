//! What BLS certificates cost: `cargo run --release -p pocket-types --features bls --example
//! bls_figures` prints the median of each operation, in microseconds.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use pocket_types::bls::{BlsKeys, BlsSecretKey, BlsVerifyingKey, verify, verify_batch};
use pocket_types::hash::Hash;

const MEMBERS: usize = 1000;
const SIGNERS: usize = 667;

fn main() -> Result<(), Box<dyn Error>> {
    let digest = Hash([7; 32]);
    let mut secrets = Vec::new();
    for number in 0..MEMBERS as u64 {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        secrets.push(BlsSecretKey::from_seed(seed)?);
    }
    let secret = &secrets[0];
    let (key, signature) = (BlsVerifyingKey::new(secret.public_key())?, secret.sign(&digest));
    let proof = secret.prove_possession();
    show("sign", 101, || secret.sign(&digest));
    show("verify one", 101, || verify(&key, &digest, &signature));
    show("decompress and check a key", 101, || BlsVerifyingKey::new(secret.public_key()));
    show("admit a key with its proof", 101, || secret.public_key().validate(&proof));

    let decompress = || {
        let keys = secrets.iter().map(|secret| BlsVerifyingKey::new(secret.public_key()));
        keys.collect::<Result<Vec<_>, _>>()
    };
    let set = BlsKeys::new(decompress()?)?;
    show("a set of 1000 keys from bytes", 5, || decompress().map(BlsKeys::new));
    let votes: Vec<_> =
        (0..SIGNERS).map(|n| n * 1499 / 1000).map(|n| (n, secrets[n].sign(&digest))).collect();
    let signers: Vec<_> = votes.iter().map(|(position, _)| *position).collect();
    let aggregate = set.aggregate(&digest, &votes)?;
    show("sum of 667 of 1000 keys", 101, || set.sum(&signers));
    show("sum of 500 of 1000 keys", 101, || set.sum(&signers[..500]));
    show("verify an aggregate of 667 of 1000", 101, || set.verify(&signers, &digest, &aggregate));

    show("check and aggregate 667 signatures", 11, || set.aggregate(&digest, &votes));
    for bad in [1, 10, 222, SIGNERS] {
        let mut spoilt = votes.clone();
        for n in 0..bad {
            let place = n * SIGNERS / bad;
            spoilt[place].1 = votes[(place + 1) % SIGNERS].1;
        }
        let found = set.aggregate(&digest, &spoilt).map_err(|error| error.refused().len());
        assert_eq!(found, Err(bad));
        show(&format!("the same with {bad} of them bad"), 3, || set.aggregate(&digest, &spoilt));
    }

    let sum = set.sum(&signers)?;
    let mut batch = Vec::new();
    for n in 0..32 {
        let digest = Hash([n; 32]);
        let votes: Vec<_> = signers.iter().map(|&n| (n, secrets[n].sign(&digest))).collect();
        batch.push((&sum, digest, set.aggregate(&digest, &votes)?));
    }
    show("verify a batch of 32 aggregates, summed", 11, || verify_batch(&batch));
    Ok(())
}

fn show<T>(name: &str, rounds: usize, mut run: impl FnMut() -> T) {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name:<42} {:>9} us", times[rounds / 2].as_micros());
}
