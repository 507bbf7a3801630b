//! Consensus for Pocket Network v1, without I/O: messages in; votes, certificates and decisions out.
//!
//! Four machines, all following [the one convention](pocket_types::machine):
//!
//! - [`Replica`] decides one block per height, by the [`Protocol`] that its type names. A validator
//!   runs it with its keys; without keys, or while they are not in the set, it only watches.
//! - [`Sync`] brings blocks that others have decided, in order and verified, from several peers. A
//!   follower needs nothing else.
//! - [`FastSync`] brings the state of a recent block instead of the blocks up to it.
//! - [`LightClient`] follows headers instead of blocks, skipping most of them.
//!
//! # Seven protocols
//!
//! | protocol | blocks | all decide after | messages a block | in |
//! |---|---|---|---|---|
//! | [`HotPokt`]: Basic HotStuff, and a pacemaker made for steady block times | one by one | 7 delays | 8(n-1) | [`hotpokt`] |
//! | [`ChainedHotStuff`] | a chain | 7 | 2(n-1) | [`chained::hotstuff`] |
//! | [`HotStuff2`] | a chain | 5 | 2(n-1) | [`chained::hotstuff2`] |
//! | [`Jolteon`], which is DiemBFT v4 | a chain | 5 | 2(n-1) | [`chained::jolteon`] |
//! | [`FastHotStuff`] | a chain | 5 | 2(n-1) | [`chained::fast_hotstuff`] |
//! | [`Tendermint`] | one by one | 3 | (n-1)+2n(n-1) | [`tendermint`] |
//! | [`Simplex`] | a chain | 3 | O(n²) | [`simplex`] |
//!
//! The counts are asserted in the tests. [`manual::new_variant`] writes another from an empty file.
//! Leaders take turns ([`schedule`]), or in HotPOKT are elected by verifiable random functions
//! ([`election`]).
//!
//! The host brings clock, transport, storage and execution: it answers [`Output::Build`] with a
//! block, [`Output::Check`] with a verdict, and commits what [`Output::Decided`] hands out.
//!
//! # Embedding
//!
//! A validator that is alone in its network decides its first block. With others, send what
//! [`Output::Send`] and [`Output::Broadcast`] say and hand in what arrives; nothing else changes.
//!
//! ```
//! use pocket_consensus::{Config, HotPokt, Identity, Input, Output, Replica, Tip};
//! use pocket_types::block::Block;
//! use pocket_types::codec::List;
//! use pocket_types::hash::Hash;
//! use pocket_types::id::ChainId;
//! use pocket_types::key::SecretKey;
//! use pocket_types::machine::Machine;
//! use pocket_types::number::{Epoch, Timestamp, Weight};
//! use pocket_types::validator::{Validator, ValidatorSet};
//! use pocket_types::vrf::VrfSecret;
//!
//! let identity =
//!     Identity::new(SecretKey::from_seed([1; 32]), VrfSecret::from_seed([2; 32]));
//! let alone = Validator {
//!     public_key: identity.public_key(),
//!     vrf_key: identity.vrf_key(),
//!     weight: Weight(1),
//!     bls_key: identity.bls_key(),
//! };
//! let set = ValidatorSet::new(Epoch(0), vec![alone])?;
//! let tip = Tip::genesis(ChainId::default(), Timestamp(0), Hash::ZERO, set)?;
//! let mut log = Vec::new(); // your write-ahead log
//! let mut replica =
//!     Replica::<HotPokt>::recover(Config::default(), Some(identity), tip, log.clone())?;
//!
//! let now = Timestamp(5_000);
//! let mut inputs = vec![Input::Tick];
//! let mut decided = None;
//! while let Some(input) = inputs.pop() {
//!     let mut step = replica.handle(now, input)?;
//!     loop {
//!         for output in step.outputs {
//!             match output {
//!                 Output::Build(request) => {
//!                     let mut header = request.header; // your transactions and state root go here
//!                     header.transactions_root = Block::transactions_root(&[]);
//!                     header.evidence_root = Block::evidence_root(&[]);
//!                     let (transactions, evidence) = (List::empty(), List::empty());
//!                     let block = Box::new(Block { header, transactions, evidence });
//!                     inputs.push(Input::Built { block, change: None });
//!                 }
//!                 Output::Decided { block, proof } => decided = Some((block, proof)),
//!                 _ => {}
//!             }
//!         }
//!         let Some(unstored) = step.records else { break };
//!         log.extend(unstored.records().iter().cloned());
//!         step = replica.release(now, unstored.stored())?;
//!     }
//! }
//!
//! let (block, proof) = decided.expect("a quorum of one");
//! assert_eq!(block.header.height.0, 1);
//! assert_eq!(proof.header(), Some(&block.header));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is safe, and why
//!
//! Fewer than a third of the weight may behave arbitrarily. Two honest replicas never decide
//! different blocks at a height, whatever the network does and however often they crash, because
//! every signature is made in one place that only moves forward ([`signer`]), is durable before it
//! leaves, and each protocol's rule about what may be voted for beside what one is locked on is
//! argued for where it stands. Blocks are decided whenever messages between more than two thirds of the
//! weight arrive within the (growing) timeouts; in chained protocols, also enough leaders in a row must
//! be up. Of four validators with one down, that is never so in chained HotStuff, which needs four
//! rounds in a row, unless each leads several
//! ([`leader_rounds`](replica::config::Config::leader_rounds)).
//!
//! # Memory
//!
//! Counted among a thousand validators that sign by Ed25519 (`cargo bench -p pocket-benches --bench
//! memory`): a replica holds 0.2 MiB, the next leader with everybody's votes 0.3 MiB, and all replicas of
//! a process share another 0.3 MiB of the set's decompressed keys. What peers can add is bounded by
//! [`Config`]; by its defaults that is 3.3 MiB of votes within [`Config::round_window`], 32 MiB that came
//! early ([`Config::max_early_bytes`]), and blocks of at most 4 MiB: [`Config::max_bodies`] that nobody
//! certified, and in Tendermint a proposal for each round of the window.
//!
//! # Planted bugs
//!
//! A test that never failed shows little. So known bugs are planted, one at a time, in a build of their
//! own, and `.ci/traps` sees the test beside each fail. These break what all protocols rely on; those
//! of [HotPOKT](hotpokt), [the chained ones](chained), [Simplex](simplex) and [Tendermint](tendermint)
//! stand with their rules.
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `6` | VRF keys follow from public data | `all::candidacies::trap_6_nobody_foresees_a_leader_from_what_is_public` |
//! | `8` | blocks may be of any size | `all::traps::trap_8_the_block_size_limit_bites` |
//! | `votes_twice` | the signer signs two things in one place | `pocket_consensus::signer::tests::a_place_is_signed_for_one_block` |
//! | `amnesia` | a restart forgets what was signed | `all::traps::a_restart_doesn_t_make_a_replica_vote_twice` |
//! | `body_not_durable` | votes leave before their block is durable | `all::traps::nothing_leaves_and_nothing_counts_before_it_is_stored` |
//! | `forged_votes` | votes count unchecked | `all::traps::bad_signatures_in_a_batch_are_charged_to_their_signers_and_the_rest_counts` |
//! | `relayed` | votes count whoever sends them | `all::traps::votes_and_new_rounds_come_from_their_signers_only` |
//! | `out_of_turn` | anybody may propose | `all::traps::trap_4_a_round_is_adopted_only_after_signatures_are_checked` |
//! | `beacon_unproved` | the proposer chooses the randomness | `all::traps::trap_6_only_the_registered_vrf_key_makes_a_block_s_randomness` |
//! | `parent_unproved` | the parent's certificate isn't checked | `all::traps::the_parent_s_certificate_is_checked_in_full` |
//! | `other_body` | a header comes with whatever body | `all::traps::every_wrong_header_is_refused_by_its_name_and_leaves_no_trace` |
//! | `evidence_lost` | nobody is convicted | `all::traps::two_proposals_of_a_leader_are_evidence` |
//! | `early_flood` | what comes early is kept without bound | `all::traps::early_messages_are_bounded_in_all` |
//! | `late_votes_lost` | headers name the first two thirds only | `all::happy::the_next_header_names_everybody_who_was_there` |
//! | `sync_unproved` | blocks of peers need no proof | `all::sync::lies_are_charged_dropped_and_asked_for_elsewhere` |
//! | `sync_waits_unproved` | a proof by a later block needn't hold before the blocks between are awaited | `all::sync::a_false_proof_by_a_later_block_is_charged_at_once_and_waited_for_by_nobody` |
//! | `fast_sync_any_root` | a snapshot needs no certified header | `all::fast_sync::who_offers_another_state_than_the_certified_header_names_is_charged` |
//! | `fast_sync_any_whole` | nobody looks at the root of the whole | `all::fast_sync::chunks_that_are_not_the_whole_state_are_discarded` |
//! | `fast_sync_blames_peers` | what the host lost is charged to who served | `all::fast_sync::a_chunk_that_the_host_lost_is_charged_to_nobody` |
//! | `fast_sync_forgets` | a liar need only come back | `all::fast_sync::a_liar_that_comes_back_is_not_let_in` |
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod candidates;
pub mod chained;
mod common;
pub mod election;
pub mod fast_sync;
pub mod hotpokt;
pub mod light;
pub mod manual;
pub mod protocol;
pub mod replica;
pub mod schedule;
pub mod signer;
pub mod simplex;
pub mod sync;
pub mod tendermint;
pub mod tip;

pub use chained::{ChainRules, Chained, ChainedHotStuff, FastHotStuff, HotStuff2, Jolteon};
pub use common::Core;
pub use common::effects::Effects;
pub use election::{ElectionConfig, SeedRule};
pub use fast_sync::FastSync;
pub use hotpokt::HotPokt;
pub use light::LightClient;
pub use protocol::Protocol;
pub use replica::Replica;
pub use replica::config::Config;
pub use replica::error::{RecoverError, Refusal, ReplicaError};
pub use replica::input::{Input, Verdict};
pub use replica::message::Message;
pub use replica::output::{BuildRequest, Output};
pub use replica::record::Record;
pub use signer::Identity;
pub use simplex::Simplex;
pub use sync::Sync;
pub use tendermint::Tendermint;
pub use tip::Tip;
