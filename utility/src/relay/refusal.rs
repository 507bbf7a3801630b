//! Why a relay is not served.

use alloc::collections::BTreeMap;

use pocket_types::id::{Address, ChainId, GeoZone, RelayChain};
use pocket_types::key::PublicKey;
use pocket_types::number::Height;
use pocket_types::relay::RelayError;
use thiserror::Error;

use crate::ledger::LedgerError;
use crate::session::NoSession;

/// Why a relay is refused, in the order of the checks. The sender is at fault unless a variant says
/// otherwise; nothing was counted but the refusal.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RelayRefusal {
    /// Larger than this servicer takes.
    #[error("payload of {got} bytes, at most {max} are served")]
    TooLarge {
        /// Bytes of the payload.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not what its kind says.
    #[error("the payload does not fit its kind: {0}")]
    Payload(&'static str),
    /// For another network.
    #[error("session of network {got}, this is {expected}")]
    WrongNetwork {
        /// The network it names.
        got: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// For another servicer.
    #[error("for servicer {got}, this is {expected}")]
    WrongServicer {
        /// The servicer it names.
        got: Address,
        /// Ours.
        expected: Address,
    },
    /// Not served here.
    #[error("chain {chain} in {zone} is not served here")]
    ChainNotServed {
        /// The chain.
        chain: RelayChain,
        /// The zone.
        zone: GeoZone,
    },
    /// Too early or too late.
    #[error("height {height} is outside {start} to {last}, in which this session is served")]
    Height {
        /// Height of the latest block here.
        height: Height,
        /// First height.
        start: Height,
        /// Last height, grace included.
        last: Height,
    },
    /// There is no such session.
    #[error(transparent)]
    Session(#[from] NoSession),
    /// This servicer was not drawn.
    #[error("servicer {0} is not of this session")]
    NotInSession(Address),
    /// The signer may not ask for the application.
    #[error("{0} may not sign for the application in this session")]
    Signer(PublicKey),
    /// The application has used up what it may ask of this servicer.
    #[error("all {limit} relays of this session are used up")]
    NoTokens {
        /// Relays that the session grants here.
        limit: u128,
    },
    /// This servicer keeps as many relays or sessions as it was configured to; its own limit.
    #[error("this servicer is full: {0}")]
    Full(&'static str),
    /// Asked before in this session.
    #[error("this request was served already, or is being served")]
    Replayed,
    /// Payload hash or signature do not hold.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The state failed; nobody's request is at fault.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl RelayRefusal {
    /// A short name of the reason, for counting.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Payload(_) => "payload",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::WrongServicer { .. } => "wrong_servicer",
            Self::ChainNotServed { .. } => "chain_not_served",
            Self::Height { .. } => "height",
            Self::Session(_) => "no_session",
            Self::NotInSession(_) => "not_in_session",
            Self::Signer(_) => "signer",
            Self::NoTokens { .. } => "no_tokens",
            Self::Full(_) => "full",
            Self::Replayed => "replayed",
            Self::Relay(_) => "signature",
            Self::Ledger(_) => "state",
        }
    }
}

/// Refused relays by [`RelayRefusal::reason`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RefusalCounts(pub BTreeMap<&'static str, u64>);

impl RefusalCounts {
    pub(super) fn count(&mut self, refusal: &RelayRefusal) {
        let count = self.0.entry(refusal.reason()).or_default();
        *count = count.saturating_add(1);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}
