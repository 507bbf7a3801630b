//! The ledger of Pocket Network v1: accounts, actors, sessions, relays, claims, rewards, parameters
//! and the mempool.
//!
//! These are **functions, not a machine**: nothing here waits, sends, stores or reads a clock. The
//! [`ledger`] turns the state after one block into the changes that the next one makes, over
//! [`StateRead`](pocket_types::state::StateRead), which a database, a map or a light client's proven
//! view implements. Proposer and replica run the same path, and the same blocks give the same
//! changes, byte for byte.
//!
//! | module | what |
//! |---|---|
//! | [`genesis`] | the first state, from JSON and three presets |
//! | [`ledger`] | blocks and transactions: begin, deliver, end |
//! | [`session`] | who serves an application, and how much |
//! | [`relay`] | a servicer's side: check, answer, count, claim, prove |
//! | [`mempool`] | transactions that wait |
//! | [`params`] | every parameter, in one table |
//! | [`query`] | reads of any state |
//! | [`state`] | every object and collection, with its encoding |
//!
//! # A chain in memory
//!
//! ```
//! use pocket_types::codec::Text;
//! use pocket_types::hash::Hash;
//! use pocket_types::id::Address;
//! use pocket_types::key::SecretKey;
//! use pocket_types::number::{Amount, Height, Timestamp};
//! use pocket_types::state::MemoryState;
//! use pocket_types::transaction::{Message, Role, TransactionBody};
//! use pocket_types::vrf::VrfSecret;
//! use pocket_utility::genesis::{Genesis, GenesisActor};
//! use pocket_utility::ledger::{BlockContext, BlockLimits, build_block, execute_block};
//! use pocket_utility::{params, query};
//!
//! let alice = SecretKey::from_seed([1; 32]); // from the host's key store
//! let output = Address::of(&alice.public_key());
//! let service_url = Text::new("https://validator.example:443")?;
//! let vrf_key = VrfSecret::from_seed([2; 32]).public_key();
//! let genesis = Genesis {
//!     name: Text::new("example")?,
//!     time: Timestamp(0),
//!     preset: params::Preset::Devnet,
//!     block_time: params::TARGET_BLOCK_TIME,
//!     parameters: Default::default(),
//!     accounts: [(output, Amount::pokt(10))].into(),
//!     dao: Amount::ZERO,
//!     actors: vec![GenesisActor {
//!         public_key: alice.public_key(),
//!         output,
//!         stake: Amount::pokt(15_000),
//!         role: Role::Validator { vrf_key, bls_key: None, service_url },
//!     }],
//!     delegations: vec![],
//!     fishermen: vec![],
//!     scheme: Default::default(),
//! };
//! let start = genesis.build()?;
//! let mut state = MemoryState::default(); // the host's storage
//! state.apply(&start.changes);
//!
//! let bob = Address([7; 20]);
//! let payment = TransactionBody {
//!     chain: start.chain,
//!     nonce: 0,
//!     expiry: Height(10),
//!     fee: Amount(10_000),
//!     signer: alice.public_key(),
//!     message: Message::Send { to: bob, amount: Amount::pokt(3) },
//! };
//! let context = BlockContext {
//!     height: Height(1),
//!     time: Timestamp(1_000),
//!     proposer: alice.public_key(),
//!     randomness: Hash([9; 32]), // the block's beacon value
//!     evidence: vec![],
//! };
//! // The proposer makes the block; a replica executes it and gets the same changes.
//! let candidates = [payment.sign(&alice)];
//! let built = build_block(&state, &context, candidates, &BlockLimits::default())?;
//! assert_eq!(execute_block(&state, &context, &built.transactions)?, built.outcome);
//! // Consensus decides it: the host commits the changes.
//! state.apply(&built.outcome.changes);
//! assert_eq!(query::balance(&state, &bob)?, Amount::pokt(3));
//! assert_eq!(query::supply(&state)?, start.supply);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Faults
//!
//! Errors say by type whose fault they are: a [`Refusal`](ledger::Refusal) is the transaction's, a
//! [`BlockError`](ledger::BlockError) the proposer's, a [`LedgerError`](ledger::LedgerError) the
//! storage's or ours, and then the block must not be decided on. Nothing that a transaction holds
//! may cause the last; nothing at all panics.
//!
//! # Not here yet
//!
//! Editing stakes, pausing, fishermen's scores and report cards, changes of parameters and the rest
//! of governance, applicability of relays by committed secrets, substitution within a session.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod genesis;
pub mod ledger;
pub mod mempool;
pub mod params;
pub mod query;
pub mod relay;
pub mod session;
pub mod state;
