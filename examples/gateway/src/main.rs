//! A gateway that trusts nobody, with `pocket-types` alone among the crates of this workspace.
//!
//! It starts from a checkpoint, follows certified headers from any node to the first block of the
//! application's session, proves the session and its servicers against that header, signs a relay to
//! one of them, and checks the signed answer. A lying node can only make it stop with an error that
//! names the lie, or show an older session than the newest: who cares asks several nodes.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use pocket_types::block::Header;
use pocket_types::codec::{self, Bytes, Wire};
use pocket_types::finality::{FinalityProof, TrustedTip};
use pocket_types::id::{Address, RelayChain};
use pocket_types::key::SecretKey;
use pocket_types::number::Height;
use pocket_types::relay::{PayloadKind, RelayRequest, RelayResponse};
use pocket_types::session::{Seat, SessionHeader, SessionProof};
use pocket_types::validator::{Electorate, ValidatorSet};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const HELP: &str = "\
A gateway that trusts nobody: proves a session, then relays one request and checks the answer.

Usage: pocket-gateway --node URL --checkpoint FILE --keys FILE --application ADDRESS [PAYLOAD]

  --node URL             any node's JSON-RPC, such as http://127.0.0.1:26609
  --checkpoint FILE      the header to start from; a devnet writes checkpoint.json for its genesis
  --keys FILE            keys.json of a gateway that the application delegated to
  --application ADDRESS  the application, 40 hex digits
  --chain CODE           the chain to read [default: 0001, Pocket itself]
  PAYLOAD                a JSON-RPC request [default: pocket_height]
  --help                 this text
";

/// Largest answer of a node: a proof in hex, with its envelope.
const MAX_ANSWER: u64 = 64 << 20;

struct Options {
    node: String,
    checkpoint: PathBuf,
    keys: PathBuf,
    application: Address,
    chain: RelayChain,
    payload: String,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what failed and why: the whole chain of causes.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(options) = options().context("see --help")? else {
        print!("{HELP}");
        return Ok(());
    };
    let node = Node { url: options.node };
    let key = read_key(&options.keys)?;

    let asked = json!({ "application": options.application, "chain": options.chain });
    let claimed: ClaimedSession = node.ask("pocket_session", &asked)?;
    let session = claimed.header;
    ensure!(
        session.application == options.application,
        "the node named another application's session"
    );
    ensure!(session.chain == options.chain, "the node named a session of another chain");
    let header = follow(&node, &options.checkpoint, session.start)?;
    ensure!(session.network == header.chain, "the node named a session of another network");
    println!("header {} is certified by more than two thirds of the stake", header.height);

    let servicers = prove_session(&node, &header, session)?;
    ensure!(!servicers.is_empty(), "the session has no servicers: is its zone the application's?");
    println!("the session from block {} has {} servicers, proved", header.height, servicers.len());

    for servicer in servicers {
        match relay(&node, &key, session, servicer, &options.payload) {
            Ok(answer) => {
                println!("servicer {servicer} answered, and signed: {answer}");
                return Ok(());
            }
            Err(error) => eprintln!("servicer {servicer}: {error:#}"),
        }
    }
    bail!("no servicer of the session answered")
}

/// Verifies every header from the checkpoint to a height; returns the last.
fn follow(node: &Node, checkpoint: &Path, height: Height) -> Result<Header> {
    let text = fs::read_to_string(checkpoint)
        .with_context(|| format!("reading {}", checkpoint.display()))?;
    let mut tip: TrustedTip = serde_json::from_str(&text)
        .with_context(|| format!("{} is no checkpoint", checkpoint.display()))?;
    ensure!(tip.height < height, "the checkpoint {} is not before {height}", tip.height);
    let mut electorate: Option<Electorate> = None;
    loop {
        let next = json!({ "height": tip.height.next() });
        if electorate.as_ref().is_none_or(|e| e.hash() != tip.next_validators) {
            let set: ValidatorSet = node.ask_encoded("pocket_validators", &next)?;
            electorate = Some(Electorate::new(set)?);
        }
        let electorate = electorate.as_ref().context("just set")?;
        let proof: FinalityProof = node.ask_encoded("pocket_finality", &next)?;
        let header = tip.advance(&proof, electorate)?;
        if header.height == height {
            return Ok(header.clone());
        }
    }
}

/// The servicers that the beacon drew for a session, from proofs against its first header.
fn prove_session(node: &Node, header: &Header, session: SessionHeader) -> Result<Vec<Address>> {
    let params = json!({ "session": session, "seat": Seat::Servicer });
    let proof: SessionProof = node.ask_encoded("pocket_sessionProof", &params)?;
    ensure!(proof.session == session, "the node proved another session");
    ensure!(proof.seat == Seat::Servicer, "the node proved another seat");
    Ok(proof.verify(header)?)
}

/// Sends one request to one servicer and checks its signed answer.
fn relay(
    node: &Node,
    key: &SecretKey,
    session: SessionHeader,
    servicer: Address,
    payload: &str,
) -> Result<String> {
    // The URL needs no proof: whoever answers there must sign with the servicer's key.
    let actor: Actor =
        node.ask("pocket_actor", &json!({ "kind": "Servicer", "address": servicer }))?;
    let nonce = getrandom::u64()?;
    let payload = Bytes::new(payload.as_bytes())?;
    let request = RelayRequest::sign(session, servicer, nonce, PayloadKind::JsonRpc, payload, key);
    let hex = hex::encode(codec::encode(&request));
    let at_servicer = Node { url: actor.service_url };
    let response: RelayResponse =
        at_servicer.ask_encoded("pocket_relay", &json!({ "hex": hex }))?;
    response.verify(&request.proof.head)?;
    Ok(String::from_utf8_lossy(&response.payload).into_owned())
}

#[derive(Deserialize)]
struct ClaimedSession {
    header: SessionHeader,
}

#[derive(Deserialize)]
struct Actor {
    service_url: String,
}

#[derive(Deserialize)]
struct KeyFile {
    #[serde(with = "pocket_types::codec::array")]
    identity_seed: [u8; 32],
}

fn read_key(path: &Path) -> Result<SecretKey> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let file: KeyFile =
        serde_json::from_str(&text).with_context(|| format!("{} holds no keys", path.display()))?;
    Ok(SecretKey::from_seed(file.identity_seed))
}

/// A node that answers JSON-RPC, and may lie.
struct Node {
    url: String,
}

impl Node {
    fn ask<T: DeserializeOwned>(&self, method: &str, params: &Value) -> Result<T> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = minreq::post(&self.url)
            .with_header("content-type", "application/json")
            .with_body(body.to_string())
            .with_timeout(10)
            .send_lazy()
            .with_context(|| format!("calling {}", self.url))?;
        let mut bytes = Vec::new();
        response
            .take(MAX_ANSWER)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading the answer of {}", self.url))?;
        let mut answer: Value = serde_json::from_slice(&bytes).context("the answer is no JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {}", error["message"].as_str().unwrap_or("unnamed error"));
        }
        let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
        serde_json::from_value(result).with_context(|| format!("{method} answered unexpectedly"))
    }

    /// A value in its canonical encoding, which the answer holds as hex.
    fn ask_encoded<T: Wire>(&self, method: &str, params: &Value) -> Result<T> {
        let text: String = self.ask(method, params)?;
        ensure!(text.len() / 2 <= T::MAX_BYTES, "{method} answered more than any proof needs");
        let bytes = hex::decode(text).with_context(|| format!("{method} answered no hex"))?;
        codec::decode(&bytes).with_context(|| format!("{method} answered something malformed"))
    }
}

fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut node, mut checkpoint, mut keys, mut application) = (None, None, None, None);
    let mut chain = "0001".to_owned();
    let mut payload = r#"{"jsonrpc":"2.0","id":1,"method":"pocket_height"}"#.to_owned();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("node") => node = Some(parser.value()?.string()?),
            Long("checkpoint") => checkpoint = Some(parser.value()?.into()),
            Long("keys") => keys = Some(parser.value()?.into()),
            Long("application") => application = Some(parser.value()?.parse()?),
            Long("chain") => chain = parser.value()?.string()?,
            Value(value) => payload = value.string()?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Options {
        node: node.context("--node is missing")?,
        checkpoint: checkpoint.context("--checkpoint is missing")?,
        keys: keys.context("--keys is missing")?,
        application: application.context("--application is missing")?,
        chain: chain.parse()?,
        payload,
    }))
}
