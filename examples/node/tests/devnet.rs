//! The program as people meet it: what it refuses, and that it tells why in one line.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn devnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pocket-node"))
        .arg("devnet")
        .args(arguments)
        .output()
        .expect("the program was built with this test")
}

/// The program failed, and said so in one line with these words.
fn refuses(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "accepted: {text}");
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for word in words {
        assert!(errors[0].contains(word), "no word of {word:?}: {text}");
    }
}

fn report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_chain_is_continued_and_refused_once_it_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("net");
    let json = directory.path().join("report.json");
    let (data_text, json_text) = (data.to_str().unwrap(), json.to_str().unwrap());
    let run = |blocks| {
        devnet(&[
            "--blocks",
            blocks,
            "--block-time",
            "300ms",
            "--data-dir",
            data_text,
            "--json",
            json_text,
        ])
    };

    let first = run("4");
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let first = report(&json);
    assert_eq!(first["state_roots_equal"], true);
    assert_eq!(first["supply"]["conserved"], true);
    assert!(first["relays"]["answered"].as_u64().unwrap() > 0, "{first}");

    let second = run("3");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let second = report(&json);
    assert!(second["heights"]["before"].as_u64() >= first["heights"]["after"].as_u64());

    refuses(&devnet(&["--data-dir", data_text, "--port-base", "20000"]), &["--port-base"]);
    let late =
        &["--blocks", "2", "--processes", "--kill", "validator-1@99", "--data-dir", data_text];
    refuses(&devnet(late), &["validator-1@99"]);

    let genesis = data.join("genesis.json");
    let original = fs::read_to_string(&genesis).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&original).unwrap();
    other["name"] = "another network".into();
    fs::write(&genesis, other.to_string()).unwrap();
    refuses(&run("1"), &["database", "genesis"]);
    fs::write(&genesis, "{").unwrap();
    refuses(&run("1"), &["genesis.json"]);
    fs::remove_file(&genesis).unwrap();
    refuses(&run("1"), &["genesis.json", "--data-dir"]);
    fs::write(&genesis, original).unwrap();

    let database = data.join("validator-1").join("chain.redb");
    let mut bytes = fs::read(&database).unwrap();
    fs::write(&database, []).unwrap();
    refuses(&run("1"), &["validator-1", "is empty"]);
    bytes[..64].fill(0xAA);
    fs::write(&database, bytes).unwrap();
    refuses(&run("1"), &["validator-1", "chain.redb"]);
}

#[test]
fn a_killed_node_comes_back_and_catches_up() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("report.json");
    let output = devnet(&[
        "--blocks",
        "8",
        "--block-time",
        "300ms",
        "--processes",
        "--kill",
        "validator-2@2",
        "--kill",
        "servicer-1@3",
        "--json",
        json.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&json);
    assert_eq!(report["state_roots_equal"], true);
    for node in report["nodes"].as_array().unwrap() {
        let killed = ["validator-2", "servicer-1"].contains(&node["name"].as_str().unwrap());
        assert_eq!(node["restarts"], u64::from(killed), "{node}");
    }
}

#[test]
fn what_goes_wrong_says_so_in_one_line() {
    refuses(&devnet(&["--block", "3"]), &["--block"]);
    refuses(&devnet(&["--block-time", "1h"]), &["block-time"]);
    refuses(&devnet(&["--kill", "nobody@3", "--processes"]), &["nobody"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refuses(&devnet(&["--port-base", &port]), &["port", &port, "--port-base"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let not_a_directory = file.path().join("net");
    refuses(&devnet(&["--data-dir", not_a_directory.to_str().unwrap()]), &["data directory"]);
}
