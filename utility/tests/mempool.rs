//! The mempool: bounds, order, replacement, and what it costs to push others out.

mod common;

use common::*;
use pocket_types::id::TransactionId;
use pocket_types::number::{Amount, Height};
use pocket_types::transaction::{Message, Transaction};
use pocket_utility::ledger::Refusal;
use pocket_utility::mempool::{Mempool, MempoolConfig, MempoolRefusal};

/// A payment with a fee of one's choice.
fn pay(net: &mut Network, from: &str, fee: u128) -> Transaction {
    let mut body = net.sign(from, Message::Send { to: address("bob"), amount: Amount(1) }).body;
    body.fee = Amount(fee);
    body.sign(&key(from))
}

fn ids(transactions: &[Transaction]) -> Vec<TransactionId> {
    transactions.iter().map(Transaction::id).collect()
}

fn pool(max_transactions: usize) -> Mempool {
    Mempool::new(MempoolConfig { max_transactions, ..MempoolConfig::default() })
}

#[test]
fn the_best_paying_come_first_then_the_older() {
    let mut net = Network::devnet();
    let mut mempool = pool(10);
    let fees = [10_000, 30_000, 20_000, 30_000];
    let transactions: Vec<_> = fees.map(|fee| pay(&mut net, "alice", fee)).into();
    for transaction in &transactions {
        assert_eq!(mempool.insert(transaction.clone(), &net.state), Ok(vec![]));
    }
    let order = [1, 3, 2, 0].map(|place| transactions[place].id());
    assert_eq!(ids(&mempool.reap(usize::MAX, usize::MAX)), order);
    assert_eq!(ids(&mempool.reap(usize::MAX, 2)), order[..2]);
    let size = pocket_types::codec::encoded_len(&transactions[0]);
    assert_eq!(mempool.reap(3 * size - 1, usize::MAX).len(), 2);
    assert_eq!((mempool.len(), mempool.bytes()), (4, 4 * size));
}

#[test]
fn what_would_fail_is_not_taken() {
    let mut net = Network::devnet();
    let mut mempool = pool(10);
    let good = pay(&mut net, "alice", 10_000);
    mempool.insert(good.clone(), &net.state).unwrap();
    assert_eq!(mempool.insert(good.clone(), &net.state), Err(MempoolRefusal::Duplicate));
    let cheap = pay(&mut net, "alice", 9_999);
    let refused = mempool.insert(cheap, &net.state);
    assert!(matches!(refused, Err(MempoolRefusal::Fails(Refusal::Fee { .. }))));
    let mut forged = pay(&mut net, "alice", 10_000);
    forged.body.expiry.0 += 1;
    let refused = mempool.insert(forged, &net.state);
    assert!(matches!(refused, Err(MempoolRefusal::Fails(Refusal::Signature(_)))));
    assert_eq!(mempool.len(), 1);
}

#[test]
fn a_sender_can_pay_all_its_fees_together() {
    let mut net = Network::devnet();
    let message = Message::Send { to: address("poor"), amount: Amount(25_000) };
    net.run("alice", message);
    let mut mempool = pool(10);
    for _ in 0..2 {
        let transaction = pay(&mut net, "poor", 10_000);
        mempool.insert(transaction, &net.state).unwrap();
    }
    let transaction = pay(&mut net, "poor", 10_000);
    let (balance, fees) = (Amount(25_000), Amount(30_000));
    let refused = mempool.insert(transaction, &net.state);
    assert_eq!(refused, Err(MempoolRefusal::Unfunded { balance, fees }));
}

#[test]
fn a_sender_has_a_share_of_the_pool() {
    let mut net = Network::devnet();
    let mut mempool = Mempool::new(MempoolConfig { max_per_sender: 2, ..MempoolConfig::default() });
    for _ in 0..2 {
        let transaction = pay(&mut net, "alice", 10_000);
        mempool.insert(transaction, &net.state).unwrap();
    }
    let transaction = pay(&mut net, "alice", 99_000);
    let refused = mempool.insert(transaction, &net.state);
    assert_eq!(refused, Err(MempoolRefusal::SenderFull { waiting: 2, max: 2 }));
    let transaction = pay(&mut net, "bob", 10_000);
    mempool.insert(transaction, &net.state).unwrap();
}

#[test]
fn the_same_nonce_replaces_for_a_tenth_more() {
    let mut net = Network::devnet();
    let mut mempool = pool(1);
    let first = pay(&mut net, "alice", 20_000);
    mempool.insert(first.clone(), &net.state).unwrap();
    let with = |fee: u128| {
        let mut body = first.body.clone();
        body.fee = Amount(fee);
        body.sign(&key("alice"))
    };
    let refused = mempool.insert(with(21_999), &net.state);
    let (got, needed) = (Amount(21_999), Amount(22_000));
    assert_eq!(refused, Err(MempoolRefusal::Underpriced { got, needed }));
    let second = with(22_000);
    assert_eq!(mempool.insert(second.clone(), &net.state), Ok(vec![first.id()]));
    assert_eq!(ids(&mempool.reap(usize::MAX, usize::MAX)), [second.id()]);
}

#[test]
fn cheap_transactions_push_nobody_out() {
    let mut net = Network::devnet();
    let mut mempool = pool(3);
    let standing: Vec<_> = [20_000, 30_000, 40_000].map(|fee| pay(&mut net, "alice", fee)).into();
    for transaction in &standing {
        mempool.insert(transaction.clone(), &net.state).unwrap();
    }
    for fee in [10_000, 20_000, 21_999] {
        let transaction = pay(&mut net, "bob", fee);
        assert_eq!(mempool.insert(transaction, &net.state), Err(MempoolRefusal::Full));
    }
    // A failing one pushes nobody out, whatever it offers.
    let mut forged = pay(&mut net, "bob", 90_000);
    forged.body.nonce += 1_000;
    assert!(mempool.insert(forged, &net.state).is_err());
    assert_eq!(mempool.len(), 3);
    let transaction = pay(&mut net, "bob", 22_001);
    assert_eq!(mempool.insert(transaction, &net.state), Ok(vec![standing[0].id()]));
    assert_eq!(mempool.len(), 3);

    let size = pocket_types::codec::encoded_len(&standing[0]);
    let mut mempool =
        Mempool::new(MempoolConfig { max_bytes: 2 * size, ..MempoolConfig::default() });
    for transaction in &standing[..2] {
        mempool.insert(transaction.clone(), &net.state).unwrap();
    }
    let evicted = mempool.insert(standing[2].clone(), &net.state);
    assert_eq!(evicted, Ok(vec![standing[0].id()]));
    assert_eq!(mempool.bytes(), 2 * size);
}

#[test]
fn after_a_block_the_included_the_expired_and_the_failing_leave() {
    let mut net = Network::devnet();
    let mut mempool = pool(10);
    let included = pay(&mut net, "alice", 10_000);
    let mut body = pay(&mut net, "alice", 10_000).body;
    body.expiry = Height(1);
    let expiring = body.sign(&key("alice"));
    let everything = Message::Send { to: address("bob"), amount: Amount::pokt(99_999) };
    let failing = net.sign("alice", everything.clone());
    let staying = pay(&mut net, "bob", 10_000);
    for transaction in [&included, &expiring, &failing, &staying] {
        mempool.insert(transaction.clone(), &net.state).unwrap();
    }
    let other = net.sign("alice", everything);
    net.block(&[included.clone(), other]);
    let update = mempool.update([&included.id()], &net.state).unwrap();
    assert_eq!(update.included, [included.id()]);
    assert_eq!(update.expired, [expiring.id()]);
    let failed: Vec<_> = update.failed.iter().map(|(id, refusal)| (*id, refusal.code())).collect();
    assert_eq!(failed, [(failing.id(), 41)]);
    assert_eq!(ids(&mempool.reap(usize::MAX, usize::MAX)), [staying.id()]);
}

#[test]
fn rechecks_are_bounded_and_come_around() {
    let mut net = Network::devnet();
    let config = MempoolConfig { rechecks_per_block: 2, ..MempoolConfig::default() };
    let mut mempool = Mempool::new(config);
    for _ in 0..5 {
        let transaction = pay(&mut net, "alice", 10_000);
        mempool.insert(transaction, &net.state).unwrap();
    }
    let drain =
        Message::Send { to: address("bob"), amount: Amount(Amount::pokt(100_000).0 - 10_000) };
    net.run("alice", drain);
    let mut failed = Vec::new();
    for expected in [2, 2, 1, 0] {
        let update = mempool.update([], &net.state).unwrap();
        assert_eq!(update.failed.len(), expected);
        failed.extend(update.failed);
    }
    assert!(mempool.is_empty());
    assert_eq!((failed.len(), mempool.bytes()), (5, 0));
}
