//! Twenty blocks of a devnet, told from beginning to end.

mod common;

use common::*;
use pocket_types::codec::Bytes;
use pocket_types::number::{Amount, Height, Timestamp};
use pocket_types::transaction::{ActorKind, Message};
use pocket_utility::ledger::Event;
use pocket_utility::query;
use pocket_utility::relay::{Servicer, ServicerConfig, StandardPayloads};
use pocket_utility::session::Session;

/// The gateway sends `count` requests for the application to both servicers of the session.
fn serve(net: &Network, servicers: &mut [(&str, Servicer<StandardPayloads>)], count: u64) {
    let header = net.header();
    let session = Session::load(&net.state, &header).unwrap();
    for (name, servicer) in servicers {
        assert!(session.has_servicer(&servicer.address()));
        for nonce in 0..count {
            let request = net.request("gate", name, nonce);
            let accepted = servicer.check(&request, &net.state).unwrap();
            let answer = Bytes::new(&b"{\"result\":7}"[..]).unwrap();
            let answered = servicer.complete(accepted, answer, Timestamp(5), &key(name));
            assert_eq!(answered.response.verify(&request.proof.head), Ok(()));
            assert_eq!(answered.record, Some(request.proof));
        }
    }
}

#[test]
fn a_devnet_serves_relays_rewards_them_and_pays_an_unstake_out_within_twenty_blocks() {
    let mut net = Network::devnet();
    let before = query::supply(&net.state).unwrap();
    let mut servicers = ["serv1", "serv2"].map(|name| {
        let chains = [chain("0001")].into();
        let config = ServicerConfig::new(public(name), chains, zone("EU01"));
        (name, Servicer::new(config, StandardPayloads))
    });

    while net.height < 20 {
        let mut transactions = Vec::new();
        for (name, servicer) in &mut servicers {
            for due in servicer.due(&net.state).unwrap() {
                assert!(due.until > Height(net.height));
                transactions.push(net.sign(name, due.message));
            }
        }
        match net.height + 1 {
            2 => {
                let (to, amount) = (address("bob"), Amount::pokt(5));
                transactions.push(net.sign("alice", Message::Send { to, amount }));
            }
            3 => {
                let (kind, actor) = (ActorKind::Validator, address("val4"));
                transactions.push(net.sign("val4", Message::Unstake { kind, actor }));
            }
            _ => {}
        }
        net.block(&transactions);
        for (_, servicer) in &mut servicers {
            servicer.forget_settled(&net.state).unwrap();
        }
        // In each session's second block, the gateway sends ten requests to each servicer.
        if net.height % 5 == 2 {
            serve(&net, &mut servicers, 10);
        }
    }

    // The validator asked to leave at height 3 and was paid five blocks later.
    let unstaked = net.events.iter().find_map(|event| match event {
        Event::Unstaked { kind: ActorKind::Validator, actor, amount, .. } => Some((actor, amount)),
        _ => None,
    });
    assert_eq!(unstaked, Some((&address("val4"), &STAKE)));
    assert_eq!(net.balance("val4"), Amount(Amount::pokt(115_000).0 - FEE.0));

    // Two sessions were settled: ten relays of each servicer in each of them.
    let salaries: Vec<_> = net
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ClaimSettled { session, proven, settled, salary, .. } => {
                Some((session.start.0, *proven, *settled, salary.0))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        salaries,
        [(1, 10, 10, 90_000); 2].into_iter().chain([(6, 10, 10, 90_000); 2]).collect::<Vec<_>>()
    );
    let volume = query::volume(&net.state, chain("0001"), zone("EU01")).unwrap();
    assert_eq!((volume.proven, volume.settled), (40, 40));

    // A relay burns 10,000 uPOKT of the application's stake and mints 9,000.
    let after = query::supply(&net.state).unwrap();
    assert_eq!(after.minted, Amount(40 * 9_000));
    assert_eq!(after.burned, Amount(40 * 10_000));
    assert_eq!(after.total.0, before.total.0 + after.minted.0 - after.burned.0);
    assert_eq!(net.balance("bob"), Amount::pokt(100_005));
}
