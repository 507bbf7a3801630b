//! Every target over its corpus and seeded mutations of it, on any toolchain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use pocket_fuzz::TARGETS;
use pocket_fuzz::seeds::{Seed, seeds};
use pocket_sim::Random;
use pocket_types::hash::Domain;

const MUTATIONS: u64 = 400;

/// The targets of `pocket-types`, JSON aside.
const TYPES: &[&str] = &["blocks", "proofs", "relays", "sessions", "transactions", "votes"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().into(), fs::read(&path).unwrap()))
        .collect()
}

/// What a target starts from: its committed corpus, which a fuzzer may have added to, its seeds, and
/// the golden files that it accepts.
fn inputs() -> BTreeMap<&'static str, BTreeMap<String, Vec<u8>>> {
    let mut inputs = BTreeMap::new();
    for (target, _) in TARGETS {
        inputs.insert(*target, files(&here("corpus").join(target)));
    }
    for (target, name, content) in fresh() {
        inputs.get_mut(target).unwrap().insert(name, content);
    }
    inputs
}

/// What the code as it stands makes of seeds and golden files.
fn fresh() -> Vec<Seed> {
    let mut fresh = seeds();
    for (file, content) in files(&here("../types/tests/golden")) {
        let (name, form) = file.split_once('.').unwrap();
        let json = form == "json";
        let content = if json { content } else { unhex(&content) };
        let of_the_types = TARGETS.iter().filter(|(target, _)| match *target {
            "json" => json,
            target => !json && TYPES.contains(&target),
        });
        let taken = of_the_types.filter(|(_, body)| body(&content) > 0);
        fresh.extend(taken.map(|(target, _)| (*target, name.to_string(), content.clone())));
    }
    fresh
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    hex::decode(digits.collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_target_survives_its_corpus_and_what_becomes_of_it() {
    let inputs = inputs();
    for (name, target) in TARGETS {
        let corpus = &inputs[name];
        let mut accepted = 0;
        for (file, data) in corpus {
            target(data);
            // Seeded by the file's name: a failure comes back in every run.
            let seed = u64::from_le_bytes(
                *Domain::custom("fuzz smoke").hash(file.as_bytes()).0.first_chunk().unwrap(),
            );
            let mut random = Random::new(seed);
            for _ in 0..MUTATIONS {
                let other = corpus.values().nth(random.below(corpus.len() as u64) as usize);
                accepted += target(&mutate(&mut random, data, other.unwrap()));
            }
        }
        assert!(accepted > 0, "no mutation of {name} got past the decoders");
        for length in 0..64 {
            target(&vec![0; length]);
            target(&vec![255; length]);
        }
    }
}

/// Up to four damages of the kinds that coverage-guided fuzzers use.
fn mutate(random: &mut Random, data: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=random.below(4) {
        if data.is_empty() {
            data.push(0);
        }
        let length = data.len() as u64;
        let at = random.below(length) as usize;
        let end = (at + 1 + random.below(40) as usize).min(data.len());
        match random.below(8) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.below(256) as u8,
            2 => data[at] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6) as usize],
            3 => data[at..end].fill(random.below(256) as u8),
            4 => drop(data.drain(at..end)),
            5 => {
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
            6 => data.truncate(at),
            _ => {
                let from = random.below(other.len() as u64) as usize;
                data.splice(at.., other[from..].iter().copied());
            }
        }
    }
    data
}

#[test]
fn each_target_has_its_binary_and_its_corpus() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(here(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().into()).collect()
    };
    let targets = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = fs::read_to_string(here("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let source = fs::read_to_string(here("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("pocket_fuzz::target!(pocket_fuzz::{name});")));
    }
}

/// `POCKET_CORPUS=write cargo test -p pocket-fuzz` brings the committed corpus up to date; a fuzzer
/// starts from it.
#[test]
fn every_target_can_use_its_seeds_and_every_golden_file_is_one() {
    let fresh = fresh();
    for (target, name, content) in &fresh {
        let (_, body) = TARGETS.iter().find(|(name, _)| name == target).unwrap();
        assert!(body(content) > 0, "{target}/{name}");
        if env::var("POCKET_CORPUS").is_ok() {
            fs::write(here("corpus").join(target).join(name), content).unwrap();
        }
    }
    let decoded = fresh.iter().filter(|(target, ..)| *target != "json");
    let used: BTreeSet<_> = decoded.map(|(_, name, _)| name.clone()).collect();
    let golden = files(&here("../types/tests/golden")).into_keys();
    let wire = golden.filter_map(|file| Some(file.strip_suffix(".hex")?.to_string()));
    // Parts of other types, which nobody decodes by themselves.
    let parts: Vec<_> = wire.filter(|name| !used.contains(name)).collect();
    assert_eq!(
        parts,
        ["index_fishermen", "index_servicers", "offence", "offence_vrf_misuse", "sum_root"]
    );
}
