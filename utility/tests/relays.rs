//! A servicer checks, answers, counts, claims and proves.

mod common;

use common::*;
use pocket_types::codec::Bytes;
use pocket_types::hash::Hash;
use pocket_types::id::ChainId;
use pocket_types::number::{Height, Timestamp};
use pocket_types::relay::{PayloadKind, RelayError, RelayProof, RelayRequest};
use pocket_types::session::SessionHeader;
use pocket_types::transaction::{ActorKind, Message};
use pocket_utility::relay::{
    PayloadCheck, RelayRefusal, Servicer, ServicerConfig, StandardPayloads,
};
use pocket_utility::session::{NoSession, Session};

fn config(name: &str) -> ServicerConfig {
    ServicerConfig::new(public(name), [chain("0001")].into(), zone("EU01"))
}

fn servicer_of(name: &str) -> Servicer<StandardPayloads> {
    Servicer::new(config(name), StandardPayloads)
}

fn answer<P: PayloadCheck>(
    servicer: &mut Servicer<P>,
    net: &Network,
    request: &RelayRequest,
) -> RelayProof {
    let accepted = servicer.check(request, &net.state).unwrap();
    let body = Bytes::new(&b"{}"[..]).unwrap();
    servicer.complete(accepted, body, Timestamp(1), &key("serv1")).record.unwrap()
}

/// A request with a head of one's own, correctly signed.
fn signed(session: SessionHeader, kind: PayloadKind, payload: &[u8]) -> RelayRequest {
    let payload = Bytes::new(payload).unwrap();
    RelayRequest::sign(session, address("serv1"), 1, kind, payload, &key("app"))
}

#[test]
fn each_reason_to_refuse_a_relay_is_named_and_counted() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let header = net.header();
    let mut servicer =
        Servicer::new(ServicerConfig { max_payload: 100, ..config("serv1") }, StandardPayloads);
    let mut reasons = Vec::new();
    let mut refused = |net: &Network, request: &RelayRequest| {
        let refusal = servicer.check(request, &net.state).unwrap_err();
        reasons.push(refusal.reason());
        assert_eq!(servicer.refusals().total(), reasons.len() as u64);
        refusal
    };
    let json = PayloadKind::JsonRpc;

    let refusal = refused(&net, &signed(header, PayloadKind::Raw, &[0; 101]));
    assert_eq!(refusal, RelayRefusal::TooLarge { got: 101, max: 100 });
    let refusal = refused(&net, &signed(header, json, b"{}"));
    assert!(matches!(refusal, RelayRefusal::Payload(_)));
    let refusal = refused(&net, &signed(header, PayloadKind::Rest, b""));
    assert_eq!(refusal, RelayRefusal::Payload("it is empty"));

    let refusal = refused(&net, &net.request("app", "serv2", 1));
    let (got, expected) = (address("serv2"), address("serv1"));
    assert_eq!(refusal, RelayRefusal::WrongServicer { got, expected });
    let other = SessionHeader { chain: chain("0002"), ..header };
    let refusal = refused(&net, &signed(other, json, CALL));
    assert!(matches!(refusal, RelayRefusal::ChainNotServed { .. }));
    let other = SessionHeader { zone: zone("US01"), ..header };
    let refusal = refused(&net, &signed(other, json, CALL));
    assert!(matches!(refusal, RelayRefusal::ChainNotServed { .. }));
    let other = SessionHeader { network: ChainId(Hash([1; 32])), ..header };
    let refusal = refused(&net, &signed(other, json, CALL));
    assert!(matches!(refusal, RelayRefusal::WrongNetwork { .. }));

    let other = SessionHeader { start: Height(2), ..header };
    let refusal = refused(&net, &signed(other, json, CALL));
    assert_eq!(refusal, RelayRefusal::Session(NoSession::UnknownStart(Height(2))));
    let other = SessionHeader { application: address("alice"), ..header };
    let refusal = refused(&net, &signed(other, json, CALL));
    assert!(matches!(refusal, RelayRefusal::Session(NoSession::NotStaked { .. })));

    let refusal = refused(&net, &net.request("alice", "serv1", 1));
    assert_eq!(refusal, RelayRefusal::Signer(public("alice")));
    let mut forged = net.request("app", "serv1", 1);
    forged.proof.head.nonce += 1;
    let refusal = refused(&net, &forged);
    assert_eq!(refusal, RelayRefusal::Relay(RelayError::Signature));
    let mut forged = net.request("app", "serv1", 1);
    forged.payload = Bytes::new(&br#"{"jsonrpc":"2.0","method":"other"}"#[..]).unwrap();
    let refusal = refused(&net, &forged);
    assert!(matches!(refusal, RelayRefusal::Relay(RelayError::Payload { .. })));

    // The last height of grace is 6; the state after it refuses.
    let late = net.request("app", "serv1", 2);
    net.advance_to(6);
    drop(servicer.check(&late, &net.state).unwrap());
    net.advance_to(7);
    let refusal = servicer.check(&signed(header, json, CALL), &net.state).unwrap_err();
    let (height, start, last) = (Height(7), Height(1), Height(6));
    assert_eq!(refusal, RelayRefusal::Height { height, start, last });
    assert_eq!(servicer.refusals().0["no_session"], 2);
}

#[test]
fn the_application_and_its_gateways_may_sign_and_each_request_counts_once() {
    let mut net = Network::devnet();
    net.advance_to(1);
    let mut servicer = servicer_of("serv1");
    answer(&mut servicer, &net, &net.request("app", "serv1", 1));
    answer(&mut servicer, &net, &net.request("gate", "serv1", 2));
    let again = servicer.check(&net.request("app", "serv1", 1), &net.state);
    assert_eq!(again, Err(RelayRefusal::Replayed));
    // The same question from somebody else of the ring has the same digest.
    let again = servicer.check(&net.request("gate", "serv1", 1), &net.state);
    assert_eq!(again, Err(RelayRefusal::Replayed));
    let pending = servicer.check(&net.request("app", "serv1", 3), &net.state).unwrap();
    let again = servicer.check(&net.request("app", "serv1", 3), &net.state);
    assert_eq!(again, Err(RelayRefusal::Replayed));
    servicer.abandon(pending);
    answer(&mut servicer, &net, &net.request("app", "serv1", 3));
    assert_eq!(servicer.served().map(|(_, count)| count).collect::<Vec<_>>(), [3]);
}

#[test]
fn tokens_are_the_stakes_and_come_back_when_a_request_is_abandoned() {
    // 10 uPOKT for a relay each, over one chain and two servicers, and a fifth more: 6.
    let parameters = [
        ("app_minimum_stake", 1),
        ("app_session_tokens_multiplier", 1),
        ("app_burn_per_relay", 0),
        ("usage_to_reward_numerator", 0),
    ];
    let mut genesis = genesis_with(&parameters);
    let app = genesis.actors.iter_mut().find(|actor| actor.public_key == public("app")).unwrap();
    app.stake = pocket_types::number::Amount(10);
    let mut net = Network::new(&genesis);
    net.advance_to(1);
    let budget = Session::load(&net.state, &net.header()).unwrap().budget;
    assert_eq!((budget.total, budget.share, budget.bucket), (10, 5, 6));
    let mut servicer = servicer_of("serv1");
    for nonce in 0..5 {
        answer(&mut servicer, &net, &net.request("app", "serv1", nonce));
    }
    let last = servicer.check(&net.request("app", "serv1", 5), &net.state).unwrap();
    let refused = servicer.check(&net.request("app", "serv1", 6), &net.state);
    assert_eq!(refused, Err(RelayRefusal::NoTokens { limit: 6 }));
    servicer.abandon(last);
    answer(&mut servicer, &net, &net.request("app", "serv1", 6));
}

#[test]
fn a_servicer_keeps_no_more_than_it_was_configured_to() {
    let mut net = Network::devnet();
    net.advance_to(1);
    let mut servicer = Servicer::new(
        ServicerConfig { max_relays_per_session: 2, max_sessions: 1, ..config("serv1") },
        StandardPayloads,
    );
    answer(&mut servicer, &net, &net.request("app", "serv1", 1));
    answer(&mut servicer, &net, &net.request("app", "serv1", 2));
    let refused = servicer.check(&net.request("app", "serv1", 3), &net.state);
    assert_eq!(refused, Err(RelayRefusal::Full("relays of this session")));
    net.advance_to(6);
    let refused = servicer.check(&net.request("app", "serv1", 3), &net.state);
    assert_eq!(refused, Err(RelayRefusal::Full("sessions")));
    net.advance_to(11);
    assert_eq!(servicer.forget_settled(&net.state).unwrap().len(), 1);
    answer(&mut servicer, &net, &net.request("app", "serv1", 3));
}

#[test]
fn one_that_was_not_drawn_serves_nobody() {
    let mut net = Network::new(&genesis_with(&[("servicers_per_session", 1)]));
    net.advance_to(1);
    let session = Session::load(&net.state, &net.header()).unwrap();
    let out = ["serv1", "serv2"].into_iter().find(|name| !session.has_servicer(&address(name)));
    let out = out.unwrap();
    let refused = servicer_of(out).check(&net.request("app", out, 1), &net.state);
    assert_eq!(refused, Err(RelayRefusal::NotInSession(address(out))));
}

#[test]
fn a_restart_loses_nothing_that_was_stored() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let mut servicer = servicer_of("serv1");
    let records: Vec<_> = (0..5)
        .map(|nonce| answer(&mut servicer, &net, &net.request("app", "serv1", nonce)))
        .collect();
    net.advance_to(6);
    let before = servicer.due(&net.state).unwrap();
    let mut restarted = servicer_of("serv1");
    assert_eq!(restarted.restore(records.clone(), &net.state).unwrap(), []);
    assert_eq!(restarted.due(&net.state).unwrap(), before);
    let transaction = net.sign("serv1", before[0].message.clone());
    net.block(&[transaction]);
    // After the claim, before the proof: everything comes from the records and the state.
    net.advance_to(9);
    let mut restarted = servicer_of("serv1");
    restarted.restore(records.clone(), &net.state).unwrap();
    let due = restarted.due(&net.state).unwrap();
    assert!(matches!(due[0].message, Message::ProveClaim { .. }));
    let transaction = net.sign("serv1", due[0].message.clone());
    net.block(&[transaction]);
    assert_eq!(restarted.due(&net.state).unwrap(), [], "proven once is enough");
    net.advance_to(11);
    let stale = servicer_of("serv1").restore(records.clone(), &net.state).unwrap();
    assert_eq!(stale, records, "settled: the host can delete them");
    assert_eq!(net.stake_of(ActorKind::Servicer, "serv1"), STAKE);
}

#[test]
fn an_answer_that_comes_after_the_claim_is_sent_but_does_not_count() {
    let mut net = Network::devnet();
    net.advance_to(2);
    let mut servicer = servicer_of("serv1");
    answer(&mut servicer, &net, &net.request("app", "serv1", 1));
    let slow = servicer.check(&net.request("app", "serv1", 2), &net.state).unwrap();
    net.advance_to(6);
    let claimed = servicer.due(&net.state).unwrap();
    let body = Bytes::new(&b"{}"[..]).unwrap();
    let answered = servicer.complete(slow, body, Timestamp(1), &key("serv1"));
    assert_eq!(answered.record, None);
    assert_eq!(servicer.due(&net.state).unwrap(), claimed);
}
