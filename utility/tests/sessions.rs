//! Sessions: the grid, the indexes, the draw, and what stays the same while everything moves.

mod common;

use common::*;
use pocket_types::number::Height;
use pocket_types::session::{self, Seat, SessionProof};
use pocket_types::state::StateRead;
use pocket_types::transaction::{ActorKind, Message};
use pocket_utility::ledger::Event;
use pocket_utility::session::Session;

fn stake(net: &mut Network, name: &str) {
    let message = Message::Stake {
        operator: public(name),
        output: address("alice"),
        amount: STAKE,
        role: servicer(&["0001", "0002"]),
    };
    net.run("alice", message);
}

#[test]
fn sessions_follow_each_other_from_height_one() {
    let mut net = Network::devnet();
    net.advance_to(16);
    let starts: Vec<_> = net
        .events
        .iter()
        .filter_map(|event| match event {
            Event::SessionStarted(clock) => Some((clock.number, clock.start.0, clock.blocks)),
            _ => None,
        })
        .collect();
    assert_eq!(starts, [(1, 1, 5), (2, 6, 5), (3, 11, 5), (4, 16, 5)]);
    let mut net = Network::new(&genesis_with(&[("blocks_per_session", 1)]));
    net.advance_to(3);
    assert_eq!(net.header().start, Height(3));
}

#[test]
fn a_light_clients_verifier_draws_the_same_actors() {
    let mut net = Network::devnet();
    net.advance_to(1);
    let header = net.header();
    let loaded = Session::load(&net.state, &header).unwrap();
    assert_eq!((loaded.servicers.len(), loaded.fishermen.len()), (2, 1));
    for (seat, expected) in
        [(Seat::Servicer, &loaded.servicers), (Seat::Fisherman, &loaded.fishermen)]
    {
        let actors = session::actors(&header, seat, beacon(1), &net.state).unwrap();
        assert_eq!(actors, *expected);
        let keys = SessionProof::keys(&header, seat, beacon(1), &net.state).unwrap();
        assert_eq!(keys.len(), expected.len() + 2);
        for key in keys {
            assert!(net.state.get(session::SESSIONS, &key).unwrap().is_some());
        }
    }
    assert_eq!(loaded.randomness, beacon(1));
    assert_eq!(loaded.id, header.id(beacon(1)));
}

#[test]
fn who_stakes_or_leaves_in_a_session_counts_from_the_next() {
    let mut net = Network::devnet();
    net.advance_to(1);
    let drawn = |net: &Network| {
        let mut servicers = Session::load(&net.state, &net.header()).unwrap().servicers;
        servicers.sort_unstable();
        servicers
    };
    let of = |names: &[&str]| {
        let mut addresses: Vec<_> = names.iter().map(|name| address(name)).collect();
        addresses.sort_unstable();
        addresses
    };
    stake(&mut net, "new");
    net.run("serv1", Message::Unstake { kind: ActorKind::Servicer, actor: address("serv1") });
    net.advance_to(5);
    assert_eq!(drawn(&net), of(&["serv1", "serv2"]));
    net.advance_to(6);
    assert_eq!(drawn(&net), of(&["serv2", "new"]));
    // One that comes and goes within a session never serves.
    stake(&mut net, "brief");
    let message = Message::Unstake { kind: ActorKind::Servicer, actor: address("brief") };
    net.run("alice", message);
    net.advance_to(11);
    assert_eq!(drawn(&net), of(&["serv2", "new"]));
}

#[test]
fn changes_are_applied_in_order_of_address_whatever_the_order_they_came_in() {
    let names = ["a", "b", "c", "d", "e"];
    let mut forward = Network::devnet();
    let mut backward = Network::devnet();
    for name in names {
        stake(&mut forward, name);
    }
    for name in names.iter().rev() {
        stake(&mut backward, name);
    }
    let index = |net: &Network| -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = net.state.iter().filter(|(c, ..)| *c == session::SESSIONS);
        rows.map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect()
    };
    forward.advance_to(6);
    backward.advance_to(6);
    assert_eq!(index(&forward), index(&backward));
}

#[test]
fn a_session_reads_the_same_at_every_height_until_it_is_settled() {
    let mut net = Network::new(&genesis_with(&[("servicers_per_session", 3)]));
    for name in ["a", "b", "c"] {
        stake(&mut net, name);
    }
    net.advance_to(6);
    let header = net.header();
    let first = Session::load(&net.state, &header).unwrap();
    assert_eq!(first.servicers.len(), 3);
    assert_eq!(first.windows.proof_close, Height(16));
    // Servicers leave and come, the application's stake and delegations change, sessions pass.
    for name in ["a", "b"] {
        let message = Message::Unstake { kind: ActorKind::Servicer, actor: address(name) };
        net.run("alice", message);
        assert_eq!(Session::load(&net.state, &header).unwrap(), first);
    }
    net.run("app", Message::Undelegate { gateway: public("gate") });
    let message = Message::Unstake { kind: ActorKind::Application, actor: address("app") };
    net.run("app", message);
    while net.height < 15 {
        net.block(&[]);
        assert_eq!(Session::load(&net.state, &header).unwrap(), first, "height {}", net.height);
        if net.height == 11 {
            assert!(Session::load(&net.state, &net.header()).is_err(), "the application left");
            stake(&mut net, "d");
        }
    }
    net.advance_to(16);
    assert!(Session::load(&net.state, &header).is_err());
}

#[test]
fn a_chain_without_servicers_has_sessions_of_nobody() {
    let mut genesis = genesis();
    genesis.actors.retain(|actor| actor.role.kind() != ActorKind::Servicer);
    let mut net = Network::new(&genesis);
    net.advance_to(1);
    let session = Session::load(&net.state, &net.header()).unwrap();
    assert_eq!(session.servicers, []);
}
