//! A new protocol from an empty file.
//!
//! Say somebody wants to know what chained HotStuff gains if timeouts go to everybody, as Jolteon's do:
//! after a dead leader nobody waits for a second one to show the Timeout QC. All that this changes is a
//! line of [`ChainRules`](crate::ChainRules); here is the whole variant, and four replicas that run it.
//!
//! # The rules
//!
//! A rule sees certificates ([`Certified`](crate::chained::Certified): block, height, round) and may ask
//! which one a certified block extends ([`Chain::justify`](crate::chained::Chain::justify)), and what
//! descends from what ([`Chain::extends`](crate::chained::Chain::extends)). It is a pure function: the
//! engine calls it whenever a certificate becomes known, also after a restart, from the log.
//!
//! What the engine promises, whatever the rules answer: one vote a round, never in an earlier round or
//! one that was given up; nothing leaves before it is stored; only valid blocks are voted for, handed
//! out once each, in order of height, with proof.
//!
//! What the rules must see to: **two quorums meet in an honest replica**. If a certificate decides a
//! block, that replica voted for it and for its descendants; `lock` and `may_vote` must make it refuse
//! whatever would decide otherwise later. Write down why; then break it, and see a test fail
//! (`tests/chained/rules.rs` has a lab for that).
//!
//! [`ID`](crate::ChainRules::ID) is the name under which votes are signed, and says how many links prove
//! a decision: an experiment takes the name of the protocol that decides alike. In a network, all use
//! the same rules.
//!
//! ```
//! use std::collections::{BTreeMap, VecDeque};
//!
//! use pocket_consensus::chained::{Candidate, Certified, Chain, Timeouts};
//! use pocket_consensus::{ChainRules, Chained, Config, Identity, Input, Output, Replica, Tip, Verdict};
//! use pocket_types::block::Block;
//! use pocket_types::codec::List;
//! use pocket_types::hash::Hash;
//! use pocket_types::id::ChainId;
//! use pocket_types::key::SecretKey;
//! use pocket_types::machine::Machine;
//! use pocket_types::number::{Duration, Epoch, Timestamp, Weight};
//! use pocket_types::validator::{Validator, ValidatorSet};
//! use pocket_types::vote::Protocol;
//! use pocket_types::vrf::VrfSecret;
//!
//! /// Chained HotStuff whose timeouts everybody hears.
//! #[derive(Clone, Debug)]
//! struct LoudRules;
//!
//! impl ChainRules for LoudRules {
//!     const ID: Protocol = Protocol::ChainedHotStuff;
//!     const TIMEOUTS: Timeouts = Timeouts::ToAll;
//!
//!     fn may_vote(proposal: &Candidate, chain: &Chain<'_>) -> bool {
//!         let lock = chain.lock();
//!         chain.extends(&proposal.block, &lock) || proposal.justify.round > lock.round
//!     }
//!
//!     fn lock(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
//!         chain.justify(certified)
//!     }
//!
//!     fn commits(certified: &Certified, chain: &Chain<'_>) -> Option<Certified> {
//!         let second = chain.justify(certified)?;
//!         let first = chain.justify(&second)?;
//!         (certified.follows(&second) && second.follows(&first)).then_some(first)
//!     }
//! }
//!
//! // Four validators of equal weight.
//! let identity = |node: u8| {
//!     Identity::new(SecretKey::from_seed([node; 32]), VrfSecret::from_seed([node + 100; 32]))
//! };
//! let member = |node| Validator {
//!     public_key: identity(node).public_key(),
//!     vrf_key: identity(node).vrf_key(),
//!     weight: Weight(10),
//!     bls_key: None,
//! };
//! let set = ValidatorSet::new(Epoch(0), (0..4).map(member).collect())?;
//! let tip = Tip::genesis(ChainId::default(), Timestamp(0), Hash::ZERO, set)?;
//! let config = Config { block_time: Duration(0), ..Config::default() };
//! let mut replicas = BTreeMap::new();
//! for node in 0..4 {
//!     let replica =
//!         Replica::<Chained<LoudRules>>::recover(config, Some(identity(node)), tip.clone(), [])?;
//!     replicas.insert(identity(node).public_key(), replica);
//! }
//!
//! // A network in which everything arrives in order, and a host that stores and executes at once.
//! let mut queue: VecDeque<_> = replicas.keys().map(|key| (*key, Input::Tick)).collect();
//! let mut decided: BTreeMap<_, Vec<_>> = BTreeMap::new();
//! let mut now = Timestamp(1_000);
//! while decided.len() < 4 || decided.values().any(|blocks| blocks.len() < 10) {
//!     now = now.after(Duration(1));
//!     let (me, input) = queue.pop_front().expect("nobody falls silent");
//!     let replica = replicas.get_mut(&me).expect("a member");
//!     let mut step = replica.handle(now, input)?;
//!     loop {
//!         for output in step.outputs {
//!             match output {
//!                 Output::Send { to, message } => {
//!                     queue.push_back((to, Input::Message { from: me, message }));
//!                 }
//!                 Output::Broadcast { to, message } => {
//!                     for member in to.set().members.iter().filter(|m| m.public_key != me) {
//!                         let message = message.clone();
//!                         queue.push_back((member.public_key, Input::Message { from: me, message }));
//!                     }
//!                 }
//!                 Output::Build(request) => {
//!                     let mut header = request.header;
//!                     header.transactions_root = Block::transactions_root(&[]);
//!                     header.evidence_root = Block::evidence_root(&[]);
//!                     let (transactions, evidence) = (List::empty(), List::empty());
//!                     let block = Box::new(Block { header, transactions, evidence });
//!                     queue.push_back((me, Input::Built { block, change: None }));
//!                 }
//!                 Output::Check(block) => {
//!                     let verdict = Verdict::Valid { change: None };
//!                     queue.push_back((me, Input::Checked { block: block.id(), verdict }));
//!                 }
//!                 Output::Decided { block, proof } => {
//!                     assert_eq!(proof.verify(tip.validators())?, &block.header);
//!                     decided.entry(me).or_default().push(block.id());
//!                 }
//!                 Output::Misbehaviour { peer, reason } => panic!("{peer}: {reason}"),
//!                 _ => {}
//!             }
//!         }
//!         let Some(unstored) = step.records else { break };
//!         step = replica.release(now, unstored.stored())?;
//!     }
//! }
//!
//! let first: Vec<_> = decided.values().map(|blocks| &blocks[..10]).collect();
//! assert!(first.windows(2).all(|pair| pair[0] == pair[1]), "they decide the same chain");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What next
//!
//! Run it under the simulator: `tests/chained/` takes any [`ChainRules`](crate::ChainRules). The oracles
//! there count delays and messages, the campaigns crash, part and lie. A protocol that is more than
//! rules over a chain implements [`Protocol`](crate::Protocol) itself, as [`crate::hotpokt`] does.
