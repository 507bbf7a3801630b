//! Every message, every rule it obeys, and the error that names the broken one.

mod common;

use common::*;
use pocket_types::codec::{self, List, Text};
use pocket_types::hash::Hash;
use pocket_types::id::{Address, ChainId};
use pocket_types::key::{PublicKey, Signature};
use pocket_types::number::{Amount, Height};
use pocket_types::session::SessionHeader;
use pocket_types::state::StateWrite;
use pocket_types::sum::{SumNode, SumProof, SumRoot};
use pocket_types::transaction::{ActorKind, Message, Role, TransactionError};
use pocket_types::vrf::VrfPublicKey;
use pocket_utility::genesis::{Genesis, GenesisActor};
use pocket_utility::ledger::{
    BlockError, BlockLimits, Event, LedgerError, Refusal, build_block, execute_block,
};
use pocket_utility::query;
use pocket_utility::state::actor::Status;
use pocket_utility::state::treasury::{MAX_SUPPLY, Pool};
use pocket_utility::state::{ONLY, TREASURY};

fn send(to: &str, amount: u128) -> Message {
    Message::Send { to: address(to), amount: Amount(amount) }
}

fn stake(name: &str, role: Role) -> Message {
    Message::Stake { operator: public(name), output: address(name), amount: STAKE, role }
}

fn unstake(kind: ActorKind, name: &str) -> Message {
    Message::Unstake { kind, actor: address(name) }
}

#[test]
fn a_transaction_is_for_this_network_alive_and_included_once() {
    let mut net = Network::devnet();
    let good = net.sign("alice", send("bob", 1));

    let mut body = good.body.clone();
    body.chain = ChainId(Hash([1; 32]));
    let refusal = net.refusal_of(&body.sign(&key("alice")));
    assert!(matches!(refusal, Refusal::WrongNetwork { .. }));

    net.block(&[]);
    let mut body = good.body.clone();
    body.expiry = Height(1);
    let refusal = net.refusal_of(&body.sign(&key("alice")));
    assert_eq!(refusal, Refusal::Expired { expiry: Height(1), height: Height(2) });

    let mut body = good.body.clone();
    body.expiry = Height(103);
    let refusal = net.refusal_of(&body.clone().sign(&key("alice")));
    assert_eq!(refusal, Refusal::ExpiresTooLate { expiry: Height(103), max: Height(102) });
    body.expiry = Height(102);
    net.block(&[body.sign(&key("alice"))]);

    net.block(std::slice::from_ref(&good));
    assert_eq!(net.refusal_of(&good), Refusal::AlreadyIncluded);
    assert_eq!(net.refusal_of(&good).code(), 95);
    // It is remembered as long as it could be included again, and not one block longer.
    net.advance_to(good.body.expiry.0 - 1);
    assert_eq!(net.refusal_of(&good), Refusal::AlreadyIncluded);
    net.advance_to(good.body.expiry.0);
    assert!(matches!(net.refusal_of(&good), Refusal::Expired { .. }));
    net.block(&[]);
    let seen = net.state.iter().filter(|(collection, ..)| collection.as_str() == "transactions");
    assert_eq!(seen.count(), 1, "only the one that expires at height 102");
}

#[test]
fn a_transaction_can_not_be_in_one_block_twice() {
    let mut net = Network::devnet();
    let transaction = net.sign("alice", send("bob", 1));
    let twice = [transaction.clone(), transaction.clone()];
    let refused = execute_block(&net.state, &net.context(), &twice);
    let (id, refusal) = (transaction.id(), Refusal::AlreadyIncluded);
    assert_eq!(refused, Err(BlockError::Transaction { index: 1, id, refusal }));
}

#[test]
fn a_signature_covers_everything_and_is_the_signers() {
    let mut net = Network::devnet();
    let good = net.sign("alice", send("bob", 1));
    let forged = |change: &dyn Fn(&mut pocket_types::transaction::Transaction)| {
        let mut transaction = good.clone();
        change(&mut transaction);
        net.refusal_of(&transaction)
    };
    let wrong = Refusal::Signature(TransactionError::Signature);
    assert_eq!(forged(&|t| t.body.nonce += 1), wrong);
    assert_eq!(forged(&|t| t.body.expiry.0 += 1), wrong);
    assert_eq!(forged(&|t| t.body.fee.0 += 1), wrong);
    assert_eq!(forged(&|t| t.body.message = send("bob", 2)), wrong);
    assert_eq!(forged(&|t| t.body.signer = public("bob")), wrong);
    assert_eq!(forged(&|t| t.signature = Signature([0; 64])), wrong);
    assert_eq!(wrong.code(), 10);
    let mut identity = [0; 32];
    identity[0] = 1;
    let refusal = forged(&|t| t.body.signer = PublicKey(identity));
    assert!(matches!(refusal, Refusal::Signature(TransactionError::Key(_))));
    assert_eq!(refusal.code(), 8);
}

#[test]
fn a_transaction_is_no_longer_than_the_parameter() {
    let mut net = Network::new(&genesis_with(&[("transaction_max_bytes", 1_024)]));
    let request = net.request("gate", "serv1", 1);
    let node = SumNode { hash: Hash::ZERO, sum: 1 };
    let prove = |siblings| Message::ProveClaim {
        relay: Box::new(request.proof.clone()),
        path: SumProof { index: 0, siblings: List::new(vec![node; siblings]).unwrap() },
    };
    let refusal = net.refusal("serv1", prove(40));
    assert!(matches!(refusal, Refusal::TooLong { max: 1_024, .. }), "{refusal}");
    assert_eq!(net.refusal("serv1", prove(1)), Refusal::NoSession(Height(0)));
}

#[test]
fn the_fee_is_asked_charged_and_shared() {
    let mut net = Network::devnet();
    let mut body = net.sign("alice", send("bob", 1)).body;
    body.fee = Amount(FEE.0 - 1);
    let refusal = net.refusal_of(&body.clone().sign(&key("alice")));
    assert_eq!(refusal, Refusal::Fee { got: body.fee, min: FEE });

    // More than asked is charged as offered: a tenth to the proposer, rounded down.
    let (proposer, alice) = (net.balance("val1"), net.balance("alice"));
    let dao = query::treasury(&net.state).unwrap().pool(Pool::Dao);
    body.fee = Amount(10_009);
    net.block(&[body.sign(&key("alice"))]);
    assert_eq!(net.balance("val1").0, proposer.0 + 1_000);
    assert_eq!(net.balance("alice").0, alice.0 - 10_009 - 1);
    let treasury = query::treasury(&net.state).unwrap();
    assert_eq!(treasury.pool(Pool::Dao).0, dao.0 + 9_009);
    assert_eq!(treasury.pool(Pool::FeeCollector), Amount::ZERO);
}

#[test]
fn fees_of_an_unknown_proposer_go_to_the_dao() {
    let mut net = Network::devnet();
    let transaction = net.sign("alice", send("bob", 1));
    let mut context = net.context();
    context.proposer = public("stranger");
    let outcome = execute_block(&net.state, &context, &[transaction]).unwrap();
    let paid = Event::FeesPaid { proposer: None, share: Amount(0), dao: FEE };
    assert!(outcome.events.contains(&paid));
}

#[test]
fn send_moves_what_the_signer_has() {
    let mut net = Network::devnet();
    assert_eq!(net.refusal("alice", send("bob", 0)), Refusal::ZeroAmount);
    let everything = net.balance("alice").0;
    let refusal = net.refusal("alice", send("bob", everything));
    assert_eq!(refusal.code(), 41, "the fee comes first: {refusal}");
    let refusal = net.refusal("alice", send("bob", u128::MAX));
    assert_eq!(refusal.code(), 41);
    for pool in Pool::ALL {
        let message = Message::Send { to: pool.address(), amount: Amount(1) };
        assert_eq!(net.refusal("alice", message), Refusal::PaysPool(pool.address()));
    }
    // The last uPOKT can be sent; the account is gone then, and comes back for nothing.
    net.run("alice", send("newcomer", everything - FEE.0));
    assert_eq!(net.balance("alice"), Amount::ZERO);
    assert_eq!(net.balance("newcomer").0, everything - FEE.0);
}

#[test]
fn sending_to_oneself_costs_the_fee_and_nothing_else() {
    let mut net = Network::devnet();
    let before = net.balance("alice").0;
    net.run("alice", send("alice", before - FEE.0));
    assert_eq!(net.balance("alice").0, before - FEE.0);
}

#[test]
fn every_kind_stakes_into_its_own_pool() {
    let fishermen = vec![address("alice")];
    let mut net = Network::new(&Genesis { fishermen, ..genesis() });
    let roles =
        [application(&["0001"]), servicer(&["0001"]), fisherman(), validator("alice"), gateway()];
    for role in roles {
        let kind = role.kind();
        let before = query::treasury(&net.state).unwrap().pool(Pool::of(kind)).0;
        net.run("alice", stake("alice", role));
        let after = query::treasury(&net.state).unwrap().pool(Pool::of(kind)).0;
        assert_eq!(after - before, STAKE.0, "{kind:?}");
        assert_eq!(net.stake_of(kind, "alice"), STAKE);
    }
    assert_eq!(net.balance("alice").0, Amount::pokt(25_000).0 - 5 * FEE.0);
}

#[test]
fn staking_is_checked() {
    let mut net = Network::devnet();
    let altered = |change: &dyn Fn(&mut PublicKey, &mut Address, &mut Amount, &mut Role)| {
        let (mut operator, mut output, mut amount, mut role) =
            (public("alice"), address("alice"), STAKE, servicer(&["0001"]));
        change(&mut operator, &mut output, &mut amount, &mut role);
        Message::Stake { operator, output, amount, role }
    };
    let mut refused = |message| {
        let refusal = net.refusal("alice", message);
        (refusal.code(), refusal)
    };

    let min = STAKE;
    let got = Amount(STAKE.0 - 1);
    let refusal = refused(altered(&|_, _, amount, _| *amount = got));
    assert_eq!(refusal, (45, Refusal::MinimumStake { got, min }));
    let refusal = refused(altered(&|_, _, amount, _| *amount = Amount::pokt(100_000)));
    assert_eq!(refusal.0, 41);
    let refusal = refused(altered(&|_, _, amount, _| *amount = Amount(u128::MAX)));
    assert_eq!(refusal.0, 41);
    let refusal = refused(altered(&|operator, output, _, _| {
        *operator = public("bob");
        *output = address("bob");
    }));
    assert_eq!(refusal.0, 3);
    let refusal = refused(altered(&|operator, _, _, _| *operator = PublicKey([2; 32])));
    assert_eq!(refusal.0, 8);
    let refusal = refused(altered(&|_, output, _, _| *output = Pool::Dao.address()));
    assert_eq!(refusal.1, Refusal::PaysPool(Pool::Dao.address()));
    for role in [servicer(&[]), application(&[])] {
        let refusal = refused(altered(&|_, _, _, r| *r = role.clone()));
        assert_eq!(refusal, (47, Refusal::NoChains));
    }
    let bad_url = Text::new("http://localhost").unwrap();
    let refusal =
        refused(altered(&|_, _, _, r| *r = Role::Gateway { service_url: bad_url.clone() }));
    assert_eq!(refusal.0, 70);
    let refusal = refused(altered(&|_, _, _, r| {
        *r = Role::Validator { vrf_key: VrfPublicKey([2; 32]), bls_key: None, service_url: url() };
    }));
    assert_eq!(refusal.0, 8);
    let refusal = refused(altered(&|_, _, _, r| *r = fisherman()));
    assert_eq!(refusal, (86, Refusal::FishermanNotAdmitted(address("alice"))));
    let refusal = net.refusal("serv1", stake("serv1", servicer(&["0001"])));
    assert_eq!(refusal.code(), 60);

    let mut net = Network::new(&genesis_with(&[("servicer_max_chains", 2), ("app_max_chains", 1)]));
    let refusal = net.refusal("alice", stake("alice", servicer(&["0001", "0002", "0003"])));
    assert_eq!((refusal.code(), refusal), (52, Refusal::TooManyChains { got: 3, max: 2 }));
    let refusal = net.refusal("alice", stake("alice", application(&["0001", "0002"])));
    assert_eq!(refusal, Refusal::TooManyChains { got: 2, max: 1 });
}

#[test]
fn somebody_else_can_stake_for_an_actor_if_he_is_its_output() {
    let mut net = Network::devnet();
    let message = Message::Stake {
        operator: public("operator"),
        output: address("alice"),
        amount: STAKE,
        role: servicer(&["0001"]),
    };
    net.run("alice", message);
    assert_eq!(net.stake_of(ActorKind::Servicer, "operator"), STAKE);
    // The output can take it back, a stranger can't.
    let message = unstake(ActorKind::Servicer, "operator");
    assert_eq!(net.refusal("bob", message.clone()).code(), 3);
    net.run("alice", message.clone());
    assert_eq!(net.refusal("alice", message).code(), 54);
}

#[test]
fn unstaking_is_checked() {
    let mut net = Network::devnet();
    let refusal = net.refusal("alice", unstake(ActorKind::Servicer, "alice"));
    assert_eq!(refusal.code(), 71);
    let refusal = net.refusal("fish", unstake(ActorKind::Fisherman, "fish"));
    assert_eq!(refusal, Refusal::TooFewFishermen { remaining: 0, min: 1 });
    for name in ["val1", "val2", "val3"] {
        net.run(name, unstake(ActorKind::Validator, name));
    }
    let refusal = net.refusal("val4", unstake(ActorKind::Validator, "val4"));
    assert_eq!(refusal, Refusal::LastValidator);
    // Somebody else comes, and the last one may go.
    net.run("alice", stake("alice", validator("alice")));
    net.run("val4", unstake(ActorKind::Validator, "val4"));
}

#[test]
fn a_stake_returns_after_the_parameters_blocks_and_never_before_the_session_is_settled() {
    let mut net = Network::devnet();
    net.advance_to(1);
    net.run("val4", unstake(ActorKind::Validator, "val4"));
    net.run("serv2", unstake(ActorKind::Servicer, "serv2"));
    let due = |net: &Network, kind, name| match query::actor(&net.state, kind, &address(name))
        .unwrap()
        .unwrap()
        .status
    {
        Status::Unstaking { due, .. } => due.0,
        Status::Staked => panic!("not unstaking"),
    };
    // Five blocks after height 2; for the servicer, session 1 (1 to 5) is settled at 11.
    assert_eq!(due(&net, ActorKind::Validator, "val4"), 7);
    assert_eq!(due(&net, ActorKind::Servicer, "serv2"), 11);
    net.advance_to(6);
    let before = net.balance("val4").0;
    net.advance_to(7);
    assert_eq!(net.balance("val4").0, before + STAKE.0);
    net.advance_to(11);
    assert_eq!(query::actor(&net.state, ActorKind::Servicer, &address("serv2")).unwrap(), None);
    assert_eq!(query::actor_count(&net.state, ActorKind::Servicer).unwrap(), 1);
    // The address can stake anew.
    net.run("serv2", stake("serv2", servicer(&["0001"])));
}

#[test]
fn the_validators_with_the_most_stake_decide_two_blocks_later() {
    let mut net = Network::new(&genesis_with(&[("max_validators", 4)]));
    let members = |net: &Network| query::validators(&net.state).unwrap();
    assert_eq!((members(&net).epoch.0, members(&net).members.len()), (0, 4));
    // One with as much stake as the others has to have a smaller address to get in.
    let outcome = net.run("alice", send("bob", 1));
    assert_eq!(outcome.validator_update, None);
    let message = Message::Stake {
        operator: public("alice"),
        output: address("alice"),
        amount: Amount(STAKE.0 + 1),
        role: validator("alice"),
    };
    let outcome = net.run("alice", message);
    let update = outcome.validator_update.unwrap();
    assert_eq!((update.epoch.0, update.members.len()), (1, 4));
    let alice = update.members.iter().find(|member| member.public_key == public("alice")).unwrap();
    assert_eq!(u128::from(alice.weight.0), STAKE.0 + 1);
    let largest = ["val1", "val2", "val3", "val4"].map(address).into_iter().max().unwrap();
    assert!(update.members.iter().all(|member| Address::of(&member.public_key) != largest));
    assert_eq!(members(&net), update);
    // Waiting ones step up when one leaves.
    let outcome = net.run("alice", unstake(ActorKind::Validator, "alice"));
    assert_eq!(outcome.validator_update.unwrap().epoch.0, 2);
    assert!(outcome.receipts[0].events.iter().any(|e| matches!(e, Event::UnstakingBegan { .. })));
    let changed = outcome.events.last().unwrap();
    let (epoch, from) = (pocket_types::number::Epoch(2), Height(net.height + 2));
    assert_eq!(*changed, Event::ValidatorsChanged { epoch, from });
}

#[test]
fn delegating_is_checked_and_takes_effect_with_the_next_session() {
    let mut net = Network::new(&genesis_with(&[("app_max_delegations", 2)]));
    let ring = |net: &Network| {
        let header = net.header();
        pocket_utility::session::Session::load(&net.state, &header).unwrap().ring
    };
    for name in ["gate2", "gate3"] {
        let message = Message::Stake {
            operator: public(name),
            output: address("alice"),
            amount: STAKE,
            role: gateway(),
        };
        net.run("alice", message);
    }
    let delegate = |name| Message::Delegate { gateway: public(name) };
    let undelegate = |name| Message::Undelegate { gateway: public(name) };
    assert_eq!(net.refusal("alice", delegate("gate")).code(), 71, "alice is no application");
    assert_eq!(net.refusal("app", delegate("nobody")).code(), 71);
    assert_eq!(net.refusal("app", delegate("gate")), Refusal::AlreadyDelegated);
    assert_eq!(net.refusal("app", undelegate("gate2")), Refusal::NotDelegated);
    net.run("app", delegate("gate2"));
    let refusal = net.refusal("app", delegate("gate3"));
    assert_eq!(refusal, Refusal::TooManyDelegations { got: 3, max: 2 });

    let with = |names: &[&str]| {
        let gateways: Vec<_> = names.iter().map(|name| public(name)).collect();
        pocket_types::relay::ring(public("app"), &gateways)
    };
    assert_eq!(ring(&net), with(&["gate"]), "the running session keeps its ring");
    net.advance_to(6);
    assert_eq!(ring(&net), with(&["gate", "gate2"]));
    net.run("app", undelegate("gate"));
    net.run("app", undelegate("gate2"));
    net.run("app", delegate("gate2"));
    assert_eq!(ring(&net), with(&["gate", "gate2"]));
    net.advance_to(11);
    assert_eq!(ring(&net), with(&["gate2"]), "delegating again cancelled the undelegation");

    // A gateway that leaves signs to the session's end, and is not trusted if it comes back.
    net.run("alice", unstake(ActorKind::Gateway, "gate2"));
    assert_eq!(net.refusal("app", delegate("gate2")).code(), 54);
    assert_eq!(ring(&net), with(&["gate2"]));
    net.advance_to(16);
    assert_eq!(ring(&net), with(&[]));
    net.advance_to(21);
    let message = Message::Stake {
        operator: public("gate2"),
        output: address("alice"),
        amount: STAKE,
        role: gateway(),
    };
    net.run("alice", message);
    net.advance_to(26);
    assert_eq!(ring(&net), with(&[]));
    net.run("app", delegate("gate2"));
    net.advance_to(31);
    assert_eq!(ring(&net), with(&["gate2"]));
}

#[test]
fn a_gateway_needs_stake_for_every_application() {
    let mut net = Network::new(&Genesis {
        actors: [genesis().actors, vec![actor("app2", application(&["0001"]))]].concat(),
        ..genesis_with(&[("stake_per_app_delegation", STAKE.0)])
    });
    net.run("bob", send("app2", 1_000_000));
    let refusal = net.refusal("app2", Message::Delegate { gateway: public("gate") });
    let (got, min) = (STAKE, Amount(2 * STAKE.0));
    assert_eq!(refusal, Refusal::MinimumStake { got, min });
    net.run("app", Message::Undelegate { gateway: public("gate") });
    net.run("app2", Message::Delegate { gateway: public("gate") });
}

#[test]
fn a_claim_without_a_session_is_refused() {
    let mut net = Network::devnet();
    net.advance_to(1);
    let header = net.header();
    let root = |count, sum| SumRoot { count, sum, ..SumRoot::default() };
    let claim = |session, root| Message::Claim { session, root };
    let refusal = net.refusal("serv1", claim(header, root(0, 0)));
    assert_eq!(refusal, Refusal::ClaimShape { count: 0, sum: 0 });
    let refusal = net.refusal("serv1", claim(header, root(2, 3)));
    assert_eq!(refusal, Refusal::ClaimShape { count: 2, sum: 3 });
    let refusal = net.refusal("alice", claim(header, root(1, 1)));
    assert_eq!(refusal.code(), 71);
    let other = SessionHeader { start: Height(2), ..header };
    let refusal = net.refusal("serv1", claim(other, root(1, 1)));
    assert_eq!(refusal, Refusal::NoSession(Height(2)));
    let other = SessionHeader { network: ChainId::default(), ..header };
    let refusal = net.refusal("serv1", claim(other, root(1, 1)));
    assert!(matches!(refusal, Refusal::WrongNetwork { .. }));
    let refusal = net.refusal("serv1", claim(header, root(1, 1)));
    let (open, close, height) = (Height(7), Height(8), Height(2));
    assert_eq!(refusal, Refusal::ClaimWindow { open, close, height });
    assert_eq!(refusal.not_before(), Some(open));
    net.advance_to(6);
    let other = SessionHeader { application: address("alice"), ..header };
    let refusal = net.refusal("serv1", claim(other, root(1, 1)));
    assert!(matches!(refusal, Refusal::NoApplicationSession { .. }));
}

#[test]
fn a_proposer_leaves_out_what_fails_and_it_leaves_no_trace() {
    let mut net = Network::devnet();
    let good = net.sign("alice", send("bob", 7));
    let poor = net.sign("nobody", send("bob", 7));
    let broke = net.sign("alice", send("bob", Amount::pokt(200_000).0));
    let mut forged = net.sign("bob", send("alice", 7));
    forged.body.nonce += 1;
    let last = net.sign("bob", send("alice", 9));
    let candidates = [good.clone(), poor.clone(), broke.clone(), forged.clone(), last.clone()];
    let limits = BlockLimits::default();
    let built = build_block(&net.state, &net.context(), candidates, &limits).unwrap();
    assert_eq!(built.transactions, [good, last]);
    let dropped: Vec<_> = built.dropped.iter().map(|(id, refusal)| (*id, refusal.code())).collect();
    assert_eq!(dropped, [(poor.id(), 41), (broke.id(), 41), (forged.id(), 10)]);
    let executed = execute_block(&net.state, &net.context(), &built.transactions).unwrap();
    assert_eq!(executed, built.outcome);

    let limits = BlockLimits { transactions: 1, bytes: 1 << 20 };
    let candidates = built.transactions.clone();
    let built = build_block(&net.state, &net.context(), candidates.clone(), &limits).unwrap();
    assert_eq!((built.transactions.len(), built.dropped.len()), (1, 0));
    let limits = BlockLimits { transactions: 9, bytes: 1 };
    let built = build_block(&net.state, &net.context(), candidates, &limits).unwrap();
    assert!(built.transactions.is_empty());
}

#[test]
fn a_block_follows_the_states_and_a_state_holds_a_genesis() {
    let net = Network::devnet();
    let mut context = net.context();
    context.height = Height(2);
    let refused = execute_block(&net.state, &context, &[]);
    let error = LedgerError::Height { got: Height(2), expected: Height(1) };
    assert_eq!(refused, Err(BlockError::Ledger(error)));
    let empty = pocket_types::state::MemoryState::default();
    let refused = execute_block(&empty, &context, &[]);
    assert_eq!(refused, Err(BlockError::Ledger(LedgerError::NoGenesis)));
}

#[test]
fn the_largest_supply_works_and_one_more_is_refused() {
    let all_but_stakes = MAX_SUPPLY.0 - genesis().build().unwrap().supply.total.0;
    let mut whole = genesis();
    whole.accounts.insert(address("whale"), Amount(all_but_stakes));
    let mut net = Network::new(&whole);
    assert_eq!(query::supply(&net.state).unwrap().total, MAX_SUPPLY);
    net.run("whale", send("alice", all_but_stakes - FEE.0));
    // A stake as large as can be still fits a validator's weight.
    let amount = Amount(net.balance("alice").0 - FEE.0);
    let message = Message::Stake {
        operator: public("alice"),
        output: address("alice"),
        amount,
        role: validator("alice"),
    };
    let update = net.run("alice", message).validator_update.unwrap();
    pocket_types::validator::Electorate::new(update).unwrap();

    whole.accounts.insert(address("whale"), Amount(all_but_stakes + 1));
    assert!(whole.build().unwrap_err().to_string().contains("supply"));
    whole.accounts.insert(address("whale"), Amount(u128::MAX));
    assert!(whole.build().is_err());
    let stake = Amount(u128::MAX);
    let actors = vec![GenesisActor { stake, ..actor("val1", validator("val1")) }];
    assert!(Genesis { actors, ..genesis() }.build().is_err());
}

#[test]
fn a_block_over_books_that_do_not_balance_fails() {
    let mut net = Network::devnet();
    let mut treasury = query::treasury(&net.state).unwrap();
    treasury.supply.total = Amount(treasury.supply.total.0 + 1);
    net.state.put(TREASURY, ONLY.to_vec(), codec::encode(&treasury));
    let failed = execute_block(&net.state, &net.context(), &[]).unwrap_err();
    let BlockError::Ledger(LedgerError::NotConserved { height, .. }) = failed else {
        panic!("{failed}");
    };
    assert_eq!(height, Height(1));
}
