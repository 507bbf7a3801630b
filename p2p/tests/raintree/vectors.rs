//! The tables that Pocket v1's Go code and specification publish.

use std::collections::VecDeque;

use pocket_p2p::raintree::go_v1::targets;
use pocket_p2p::raintree::partition::levels;
use serde_json::Value;

fn vectors(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn levels_follow_the_go_code() {
    let table = vectors(include_str!("../vectors/raintree_levels.json"));
    for case in table["cases"].as_array().unwrap() {
        assert_eq!(levels(number(&case["n"])), number(&case["max_levels"]), "{case}");
    }
}

#[test]
fn targets_follow_the_go_code() {
    let table = vectors(include_str!("../vectors/raintree_targets.json"));
    for case in table["cases"].as_array().unwrap() {
        let peers: Vec<char> = case["peers"].as_str().unwrap().chars().collect();
        let listed = case["targets"].as_array().unwrap();
        assert_eq!(levels(peers.len() as u32) as usize, listed.len());
        for target in listed {
            let found = targets(peers.len() as u32, number(&target["level"]));
            let found = found.map(|distance| peers[distance as usize].to_string());
            assert_eq!(found, ["first", "second"].map(|side| target[side].as_str().unwrap()));
        }
    }
}

/// What each node receives and sends under the table's conditions: node 1 starts, nobody is dead,
/// and every copy is passed on.
fn reads_and_writes(nodes: u32) -> (Vec<u32>, Vec<u32>) {
    let mut reads = vec![0u32; nodes as usize];
    let mut writes = reads.clone();
    let mut waiting = VecDeque::from([(0, levels(nodes) + 1)]);
    while let Some((node, below)) = waiting.pop_front() {
        for level in (1..below).rev() {
            for distance in targets(nodes, level).into_iter().filter(|d| *d != 0) {
                let to = (node + distance) % nodes;
                writes[node as usize] += 1;
                reads[to as usize] += 1;
                waiting.push_back((to, level));
            }
        }
    }
    (reads, writes)
}

#[test]
fn reads_and_writes_follow_the_go_code() {
    let table = vectors(include_str!("../vectors/raintree_reads_writes.json"));
    for case in table["cases"].as_array().unwrap() {
        let nodes = number(&case["n"]);
        let (reads, writes) = reads_and_writes(nodes);
        let listed = |name: &str| -> Vec<u32> {
            case[name].as_array().unwrap().iter().map(number).collect()
        };
        assert_eq!(reads, listed("reads"), "reads of {nodes}");
        assert_eq!(writes, listed("writes"), "writes of {nodes}");
    }
}

/// The specification's table follows closed forms in n and the levels; one row has a misprint, which
/// the vectors name.
#[test]
fn the_specifications_table_follows_its_closed_forms() {
    let table = vectors(include_str!("../vectors/raintree_spec_table.json"));
    for row in table["rows"].as_array().unwrap() {
        let nodes = number(&row["n"]);
        assert_eq!(number(&row["comms"]), 4 * nodes - 1);
        assert_eq!(number(&row["ticks"]), 2 * levels(nodes) + 5);
        let acks = number(&row["acks"]) + if nodes == 19_683 { 10 } else { 0 };
        assert_eq!(acks, 2 * nodes + 2);
    }
}

/// Why the exact partition is the default.
#[test]
fn the_go_codes_tree_leaves_nodes_out_at_most_sizes() {
    let reached = |nodes: u32| {
        let (reads, _) = reads_and_writes(nodes);
        1 + reads[1..].iter().filter(|reads| **reads > 0).count()
    };
    let complete = (1..=1_000).filter(|nodes| reached(*nodes) == *nodes as usize).count();
    assert_eq!((complete, reached(1_000), reached(729)), (139, 915, 486));
}
