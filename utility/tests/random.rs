//! Random blocks of random messages: whatever comes, money is conserved and everybody agrees.
//! `POCKET_SEED=n` plays another campaign, and a failed one again.

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;

use common::*;
use pocket_types::number::Amount;
use pocket_types::session::SessionHeader;
use pocket_types::sum::SumRoot;
use pocket_types::transaction::{ActorKind, Message, Role, Transaction};
use pocket_utility::ledger::{BlockLimits, DeliverError, Ledger, build_block, execute_block};
use pocket_utility::query;
use pocket_utility::relay::{Servicer, ServicerConfig, StandardPayloads};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const NAMES: [&str; 12] = [
    "val1", "val2", "val3", "val4", "serv1", "serv2", "fish", "app", "gate", "alice", "bob", "new",
];

/// What somebody tries; names by place.
#[derive(Clone, Debug)]
enum Try {
    Send(usize, usize, u128),
    Stake(usize, usize, usize, u128),
    Unstake(usize, usize, usize),
    Delegate(usize, usize),
    Undelegate(usize, usize),
    Claim(usize, u64, u64),
    Relay(usize, u64),
}

fn tries() -> impl Strategy<Value = Try> {
    let name = 0..NAMES.len();
    let application = prop_oneof![3 => Just(7usize), 1 => name.clone()];
    let gateway = prop_oneof![3 => Just(8usize), 1 => name.clone()];
    let amount = prop_oneof![
        0u128..3,
        Just(STAKE.0),
        STAKE.0..STAKE.0 * 3,
        Just(Amount::pokt(100_000).0),
        Just(u128::MAX)
    ];
    prop_oneof![
        4 => (name.clone(), name.clone(), amount.clone()).prop_map(|(a, b, c)| Try::Send(a, b, c)),
        4 => (name.clone(), 0usize..5, name.clone(), amount)
            .prop_map(|(a, b, c, d)| Try::Stake(a, b, c, d)),
        3 => (name.clone(), 0usize..5, name.clone()).prop_map(|(a, b, c)| Try::Unstake(a, b, c)),
        2 => (application.clone(), gateway.clone()).prop_map(|(a, b)| Try::Delegate(a, b)),
        2 => (application, gateway).prop_map(|(a, b)| Try::Undelegate(a, b)),
        4 => (4usize..7, 0u64..3, 0u64..100).prop_map(|(a, b, c)| Try::Claim(a, b, c)),
        4 => (0usize..2, 0u64..50).prop_map(|(a, b)| Try::Relay(a, b)),
    ]
}

fn role(kind: usize, name: &str) -> Role {
    match ActorKind::ALL[kind] {
        ActorKind::Application => application(&["0001", "0002"]),
        ActorKind::Servicer => servicer(&["0001"]),
        ActorKind::Fisherman => fisherman(),
        ActorKind::Validator => validator(name),
        ActorKind::Gateway => gateway(),
    }
}

fn transaction(net: &mut Network, attempt: &Try) -> Option<Transaction> {
    let (signer, message) = match *attempt {
        Try::Send(from, to, amount) => {
            (from, Message::Send { to: address(NAMES[to]), amount: Amount(amount) })
        }
        Try::Stake(signer, kind, operator, amount) => {
            let name = NAMES[operator];
            let message = Message::Stake {
                operator: public(name),
                output: address(NAMES[signer]),
                amount: Amount(amount),
                role: role(kind, name),
            };
            (signer, message)
        }
        Try::Unstake(signer, kind, actor) => {
            let (kind, actor) = (ActorKind::ALL[kind], address(NAMES[actor]));
            (signer, Message::Unstake { kind, actor })
        }
        Try::Delegate(app, gateway) => (app, Message::Delegate { gateway: public(NAMES[gateway]) }),
        Try::Undelegate(app, gateway) => {
            (app, Message::Undelegate { gateway: public(NAMES[gateway]) })
        }
        // Made up, so it will never be proven.
        Try::Claim(servicer, back, count) => {
            let start = net.header().start.0.saturating_sub(5 * back);
            let session =
                SessionHeader { start: pocket_types::number::Height(start), ..net.header() };
            let root = SumRoot { sum: count, count, ..SumRoot::default() };
            (servicer, Message::Claim { session, root })
        }
        Try::Relay(..) => return None,
    };
    Some(net.sign(NAMES[signer], message))
}

/// Real relays for the two servicers of genesis, and the messages that come of them.
fn relay_traffic(
    net: &mut Network,
    servicers: &mut [Servicer<StandardPayloads>; 2],
    block: &[Try],
) -> Vec<Transaction> {
    let names = ["serv1", "serv2"];
    for attempt in block {
        let Try::Relay(place, nonce) = *attempt else { continue };
        if net.height == 0 {
            continue;
        }
        let request = net.request("app", names[place], nonce);
        if let Ok(accepted) = servicers[place].check(&request, &net.state) {
            let answer = pocket_types::codec::Bytes::new(&b"{}"[..]).unwrap();
            let time = pocket_types::number::Timestamp(1);
            drop(servicers[place].complete(accepted, answer, time, &key(names[place])));
        }
    }
    let mut transactions = Vec::new();
    for (servicer, name) in servicers.iter_mut().zip(names) {
        for due in servicer.due(&net.state).unwrap() {
            transactions.push(net.sign(name, due.message));
        }
        servicer.forget_settled(&net.state).unwrap();
    }
    transactions
}

#[test]
fn whatever_comes_money_is_conserved_and_everybody_agrees() {
    let seed: u64 = std::env::var("POCKET_SEED").map_or(0, |seed| seed.parse().unwrap());
    let bytes = beacon(seed).0;
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let blocks = prop::collection::vec(prop::collection::vec(tries(), 0..8), 1..40);
    let happened = RefCell::new(BTreeSet::new());
    let outcome = runner.run(&blocks, |blocks| {
        let net = campaign(&blocks)?;
        happened.borrow_mut().extend(net.events.iter().map(|event| {
            let text = format!("{event:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        }));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("POCKET_SEED={seed}: {error}"));
    // A campaign in which something never happened says nothing about it.
    for event in [
        "Sent",
        "Staked",
        "UnstakingBegan",
        "Unstaked",
        "Delegated",
        "Undelegated",
        "Claimed",
        "ClaimProven",
        "ClaimSettled",
        "ClaimVoid",
        "SessionSettled",
        "Slashed",
        "FeesPaid",
        "ValidatorsChanged",
    ] {
        assert!(happened.borrow().contains(event), "POCKET_SEED={seed}: no {event} happened");
    }
}

/// Builds the blocks one after the other, each in three ways, and all of them twice.
fn campaign(blocks: &[Vec<Try>]) -> Result<Network, TestCaseError> {
    let parameters = [("claim_missing_proof_penalty", STAKE.0 / 2), ("min_active_fisherman", 0)];
    let mut net = Network::new(&genesis_with(&parameters));
    let before = query::supply(&net.state).unwrap();
    let mut servicers = ["serv1", "serv2"].map(|name| {
        let config = ServicerConfig::new(public(name), [chain("0001")].into(), zone("EU01"));
        Servicer::new(config, StandardPayloads)
    });
    let mut again = net.clone();
    let mut log = Vec::new();
    for block in blocks {
        let mut candidates = relay_traffic(&mut net, &mut servicers, block);
        candidates.extend(block.iter().filter_map(|attempt| transaction(&mut net, attempt)));
        let context = net.context();
        let limits = BlockLimits::default();
        let built = build_block(&net.state, &context, candidates.clone(), &limits).unwrap();
        prop_assert_eq!(built.transactions.len() + built.dropped.len(), candidates.len());

        // A replica that executes the block agrees to the byte: what failed left no trace.
        let executed = execute_block(&net.state, &context, &built.transactions).unwrap();
        prop_assert_eq!(&executed, &built.outcome);

        // By hand, with failing transactions tried in between, the same again.
        let mut ledger = Ledger::begin_block(&net.state, &context).unwrap();
        for candidate in &candidates {
            let delivered = ledger.deliver(candidate);
            prop_assert!(!matches!(delivered, Err(DeliverError::Failed(_))), "{:?}", delivered);
        }
        prop_assert_eq!(&ledger.end_block().unwrap(), &built.outcome);
        net.commit(&built.outcome);
        log.push((context, built.transactions));
    }
    let after = query::supply(&net.state).unwrap();
    prop_assert_eq!(after.total.0 + after.burned.0, before.total.0 + after.minted.0);
    prop_assert!(query::treasury(&net.state).unwrap().active(ActorKind::Validator) >= 1);

    // The same blocks once more, from genesis: the same state.
    for (context, transactions) in &log {
        let outcome = execute_block(&again.state, context, transactions).unwrap();
        again.commit(&outcome);
    }
    prop_assert_eq!(&again.state, &net.state);
    Ok(net)
}
