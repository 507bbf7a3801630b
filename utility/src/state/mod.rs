//! What the ledger keeps: every collection, the objects in it, and their canonical encoding.
//!
//! Keys and values are encoded by [`pocket_types::codec`]; a key is the canonical encoding of what
//! the table names.
//!
//! | collection | key | value |
//! |---|---|---|
//! | [`ACCOUNTS`] | [`Address`] | [`Amount`](pocket_types::number::Amount); absent is 0 |
//! | [`TREASURY`] | nothing | [`Treasury`](treasury::Treasury): pools, totals, supply |
//! | [`CHAIN`] | nothing | [`Tip`](tip::Tip): network, height, time, scheme |
//! | [`PARAMS`] | nothing | [`Params`](crate::params::Params) |
//! | [`ACTORS`] | kind, address | [`Actor`](actor::Actor) |
//! | [`REGISTRY`] | kind, place | address: a dense list of the actors of a kind |
//! | [`DELEGATIONS`] | application's address | [`Delegations`](delegation::Delegations) |
//! | [`DELEGATORS`] | gateway's address | number of applications that delegate to it |
//! | [`FISHERMAN_ACL`] | address | nothing: who may stake as a fisherman |
//! | [`session::SESSIONS`](pocket_types::session::SESSIONS) | | the layout of [`pocket_types::session`] |
//! | [`PLACES`] | index, address | place in the dense index |
//! | [`SESSION_RECORDS`] | first block | [`SessionRecord`](session::SessionRecord) |
//! | [`HISTORY`] | collection and key | what the value was in unsettled sessions |
//! | [`CLAIMS`] | session header, servicer | [`Claim`](claim::Claim) |
//! | [`CLAIMANTS`] | session header | its claimants, in order of address |
//! | [`VOLUME`] | chain, zone | [`Volume`](claim::Volume) settled so far |
//! | [`VALIDATORS`] | nothing | the latest validator set |
//! | [`MEMBERSHIPS`] | public key | heights at which the validator voted |
//! | [`BLS_KEYS`] | BLS key | address of the validator that has it |
//! | [`OFFENCES`] | offence | nothing: already punished |
//! | [`TRANSACTIONS`] | transaction id | nothing: seen, until it expires |
//! | [`QUEUES`] | queue, height, place | work due at a height ([`queue`]) |

pub mod actor;
pub mod claim;
pub mod delegation;
pub mod queue;
pub mod session;
pub mod tip;
pub mod treasury;

pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod registry;
pub(crate) mod store;

use pocket_types::id::Address;
use pocket_types::state::Collection;

/// Balances by address.
pub const ACCOUNTS: Collection = Collection::new("accounts");
/// Pools, totals and supply, in one value.
pub const TREASURY: Collection = Collection::new("treasury");
/// Network, height and time of the latest block, and how validators sign, in one value.
pub const CHAIN: Collection = Collection::new("chain");
/// Parameters, in one value.
pub const PARAMS: Collection = Collection::new("params");
/// Actors by kind and address.
pub const ACTORS: Collection = Collection::new("actors");
/// Dense list of the actors of each kind.
pub const REGISTRY: Collection = Collection::new("registry");
/// Gateways by application.
pub const DELEGATIONS: Collection = Collection::new("delegations");
/// Number of applications by gateway.
pub const DELEGATORS: Collection = Collection::new("delegators");
/// Who may stake as a fisherman.
pub const FISHERMAN_ACL: Collection = Collection::new("fisherman_acl");
/// Where in a session index an address stands.
pub const PLACES: Collection = Collection::new("places");
/// Unsettled sessions by their first block.
pub const SESSION_RECORDS: Collection = Collection::new("session_records");
/// What values were in unsettled sessions.
pub const HISTORY: Collection = Collection::new("history");
/// Claims by session and servicer.
pub const CLAIMS: Collection = Collection::new("claims");
/// Claimants by session.
pub const CLAIMANTS: Collection = Collection::new("claimants");
/// Settled volume by chain and zone.
pub const VOLUME: Collection = Collection::new("volume");
/// The latest validator set.
pub const VALIDATORS: Collection = Collection::new("validators");
/// Heights at which a validator voted, by public key.
pub const MEMBERSHIPS: Collection = Collection::new("memberships");
/// Validators by BLS key.
pub const BLS_KEYS: Collection = Collection::new("bls_keys");
/// Punished offences.
pub const OFFENCES: Collection = Collection::new("offences");
/// Transactions that were included and have not expired.
pub const TRANSACTIONS: Collection = Collection::new("transactions");
/// Work due at a height.
pub const QUEUES: Collection = Collection::new("queues");

/// Key of a collection that holds one value.
pub const ONLY: &[u8] = b"";

/// Whether nobody can sign for this address because it is a pool's.
pub fn is_pool(address: &Address) -> bool {
    treasury::Pool::ALL.iter().any(|pool| pool.address() == *address)
}
