//! Where fuzzing starts from: a value of each kind, and scripts in which something happens.

use pocket_consensus::fast_sync::{Chunk, ChunkRequest, FastSyncMessage, Snapshot};
use pocket_consensus::replica::message::{BlockRequest, NewRound, Proposal};
use pocket_consensus::sync::{DecidedBlock, Range, RangeRequest, SyncMessage};
use pocket_consensus::{Message, Record};
use pocket_p2p::message::{Outcome, Request, RequestId, RequestKind, Response};
use pocket_p2p::raintree::{Envelope, MessageId, Payload, Route, Segment, ViewId};
use pocket_persistence::store::Op;
use pocket_types::block::Block;
use pocket_types::candidacy::Candidacy;
use pocket_types::codec::{self, Bytes, List, Text};
use pocket_types::finality::FinalityProof;
use pocket_types::hash::Hash;
use pocket_types::number::Height;
use pocket_types::vote::{Certificate, Vote};
use serde::Serialize;

use crate::types::golden;
use crate::{persistence, utility};

/// An input: its target, its name and its content.
pub type Seed = (&'static str, String, Vec<u8>);

/// Inputs for the targets that the golden files of `pocket-types` do not feed.
pub fn seeds() -> Vec<Seed> {
    let genesis = serde_json::to_vec_pretty(&utility::beginning()).expect("plain data");
    let mut seeds = vec![("genesis", "devnet".into(), genesis)];
    seeds.extend(messages());
    seeds.extend(frames());
    seeds.extend(rows());
    let script = |(target, name, bytes): (_, &str, &[u8])| (target, name.into(), bytes.to_vec());
    seeds.extend(SCRIPTS.iter().copied().map(script));
    seeds
}

fn seed(target: &'static str, name: &str, value: &impl Serialize) -> Seed {
    (target, name.into(), codec::encode(value))
}

fn messages() -> Vec<Seed> {
    let block: Block = golden(include_str!("../../types/tests/golden/block.hex"));
    let proof: FinalityProof = golden(include_str!("../../types/tests/golden/finality_proof.hex"));
    let certificate: Certificate = golden(include_str!("../../types/tests/golden/certificate.hex"));
    let vote: Vote = golden(include_str!("../../types/tests/golden/vote_new_round.hex"));
    let candidacy: Candidacy = golden(include_str!("../../types/tests/golden/candidacy.hex"));
    let decided = DecidedBlock { block: block.clone(), proof };
    let new_round = NewRound {
        vote,
        high_qc: Some(certificate.clone()),
        entry: Some(certificate.clone()),
        commit: Some(vote),
    };
    let proposal =
        Proposal { vote, block: block.clone(), justify: Some(certificate.clone()), entry: None };
    let request = BlockRequest { height: Height(7), block: block.id() };
    let blocks = List::new(vec![decided.clone(); 2]).expect("two blocks");
    let snapshot = Snapshot { height: Height(7), root: Hash([7; 32]), chunks: 3 };
    let wanted = ChunkRequest { height: Height(7), root: Hash([7; 32]), index: 2 };
    let chunk = Chunk { request: wanted, bytes: Some(Bytes::new(*b"state").expect("short")) };
    let offers = List::new(vec![snapshot; 2]).expect("two offers");
    let message = |name: &str, message: Message| seed("consensus", name, &message);
    let sync = |name: &str, message: SyncMessage| seed("consensus", name, &message);
    let fast = |name: &str, message: FastSyncMessage| seed("consensus", name, &message);
    let record = |name: &str, record: Record| seed("consensus", name, &record);
    vec![
        message("message_new_round", Message::NewRound(Box::new(new_round))),
        message("message_proposal", Message::Proposal(Box::new(proposal))),
        message("message_vote", Message::Vote(vote)),
        message("message_certificate", Message::Certificate(Box::new(certificate.clone()))),
        message("message_block_request", Message::BlockRequest(request)),
        message("message_block", Message::Block(Box::new(block.clone()))),
        message("message_candidacy", Message::Candidacy(Box::new(candidacy))),
        sync("sync_status", SyncMessage::Status { height: Height(7) }),
        sync("sync_request", SyncMessage::Request(RangeRequest { from: Height(7), count: 9 })),
        sync("sync_range", SyncMessage::Range(Range { from: Height(7), blocks })),
        sync("sync_decided", SyncMessage::Decided(Box::new(decided))),
        fast("fast_sync_offers", FastSyncMessage::Offers(offers)),
        fast("fast_sync_request", FastSyncMessage::Request(wanted)),
        fast("fast_sync_chunk", FastSyncMessage::Chunk(chunk)),
        record("record_vote", Record::Vote { vote, height: Height(7) }),
        record("record_body", Record::Body(Box::new(block))),
        record(
            "record_entry",
            Record::Entry { certificate: Box::new(certificate.clone()), height: Height(7) },
        ),
        record("record_high_qc", Record::HighQc(Box::new(certificate.clone()))),
        record("record_lock", Record::Lock(Box::new(certificate))),
    ]
}

fn frames() -> Vec<Seed> {
    let payload = Payload::new(*b"news").expect("short");
    let envelope = |segment, route| Envelope {
        segment,
        view: ViewId(Hash([1; 32])),
        id: MessageId::of(segment, &payload),
        route,
        payload: payload.clone(),
    };
    let chain = "0001".parse().expect("a chain");
    let request =
        |kind| Request { id: RequestId(3), kind, body: Bytes::new(*b"question").expect("short") };
    let response = |outcome| Response { id: RequestId(3), outcome };
    let answered = Outcome::Answered(Bytes::new(*b"answer").expect("short"));
    let refused = Outcome::Refused(Text::new("too many").expect("short"));
    vec![
        seed("frames", "envelope_range", &envelope(Segment::Everyone, Route::Range(9))),
        seed("frames", "envelope_level", &envelope(Segment::Validators, Route::Level(2))),
        seed("frames", "envelope_chain", &envelope(Segment::Servicers(chain), Route::Range(1))),
        seed("frames", "request_relay", &request(RequestKind::Relay)),
        seed("frames", "request_transaction", &request(RequestKind::Transaction)),
        seed("frames", "request_query", &request(RequestKind::Query)),
        seed("frames", "response_answered", &response(answered)),
        seed("frames", "response_refused", &response(refused)),
    ]
}

/// Each row of the small database as it is.
fn rows() -> Vec<Seed> {
    let rows = persistence::chain_rows().iter().enumerate();
    let seeds = rows.filter_map(|(place, op)| {
        let Op::Put { table, value, .. } = op else { return None };
        let place = u16::try_from(place).ok()?;
        let script = [&place.to_le_bytes()[..], value.get(32..)?].concat();
        Some(("rows", format!("{place:02}_{table}"), script))
    });
    seeds.collect()
}

const SCRIPTS: &[(&str, &str, &[u8])] = &[
    // Nothing is changed; then one byte of each of the first messages is.
    ("channel", "honest", &[0; 24]),
    ("channel", "first_message", &[1, 9, 1]),
    ("channel", "second_message", &[0, 0, 1, 60, 1]),
    ("channel", "third_message", &[0, 0, 0, 0, 1, 60, 1]),
    ("channel", "cut_in_the_middle", &[0, 0, 0, 0, 0, 0, 2, 50]),
    ("channel", "words_in_between", &[0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 3, 0, 1, 2, 3]),
    // A view, broadcasts, envelopes from members, a target that can't be reached, time.
    (
        "raintree",
        "busy",
        &[
            1, 0, 2, 3, 4, 2, 5, 0, 9, 1, 4, 2, 5, 0, 9, 1, 4, 3, 6, 0, 3, 1, 3, 4, 3, 0, 200, 1,
            1, 4, 2, 7, 0, 4, 1, 4, 5, 1, 2, 255, 1, 3, 2, 6, 4, 1, 2, 1, 4, 0,
        ],
    ),
    // Money, stakes, delegations and claims, over several blocks.
    (
        "ledger",
        "busy",
        &[
            1, 8, 4, 7, 5, 7, 7, 40, 6, 7, 4, 13, 6, 5, 0, 17, 6, 5, 0, 9, 1, 2, 2, 0, 0, 0, 0, 21,
            1, 5, 5, 2, 21, 1, 1, 1, 3, 0, 21, 1, 5, 5, 2, 21, 1, 1, 1, 3, 0, 5, 8, 8, 40, 2, 8, 9,
            4, 6, 6, 0, 0, 0, 0, 0, 0, 1, 9, 255, 0, 1, 9, 0, 3, 0, 0, 0,
        ],
    ),
    // One height: the leader proposes, the replica checks and votes, three certificates decide.
    (
        "replica",
        "decides",
        &[
            0, 1, 1, 1, 9, 0, 30, 5, 64, 0, 0, 0, 0, 0, 0, 9, 1, 3, 66, 0, 1, 0, 3, 67, 0, 1, 0, 3,
            68, 0, 1, 0, 0, 200, 10, 0, 30,
        ],
    ),
    // The leader proposes two blocks, with a crash in between; then the same without one.
    (
        "replica",
        "equivocating_leader",
        &[
            0, 1, 1, 1, 9, 1, 1, 8, 0, 30, 5, 64, 0, 0, 0, 0, 0, 0, 9, 1, 10, 0, 30, 5, 64, 0, 1,
            0, 0, 0, 0, 9, 1, 5, 64, 0, 0, 0, 0, 0, 0, 9, 1, 0, 30, 5, 64, 0, 1, 0, 0, 0, 0, 9, 1,
        ],
    ),
    // Timeouts, NewRounds with and without certificates, a crash after a lock, a second block.
    (
        "replica",
        "changes_rounds",
        &[
            0, 1, 1, 1, 9, 0, 30, 5, 64, 0, 0, 0, 0, 0, 0, 9, 1, 3, 66, 0, 1, 0, 3, 67, 0, 1, 0,
            10, 0, 200, 0, 200, 4, 72, 1, 0, 1, 0, 1, 1, 4, 72, 1, 0, 1, 0, 2, 2, 3, 72, 1, 1, 0,
            0, 10, 1, 2, 40, 2, 66, 0, 0, 0, 2, 66, 0, 1, 1, 5, 64, 0, 0, 0, 2, 1, 1, 9, 1, 10, 0,
            250, 0, 250,
        ],
    ),
];
