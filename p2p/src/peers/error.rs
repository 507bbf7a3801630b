use thiserror::Error;

use super::input::ConnectionId;

/// Why an input was refused. The host is at fault; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The name of one connection was given to another.
    #[error("connection {0:?} exists already; give every connection a name of its own")]
    ConnectionInUse(ConnectionId),
    /// The list is longer than the configuration allows.
    #[error("{got} listed peers where at most {max} are allowed")]
    TooManyListed {
        /// Peers given.
        got: usize,
        /// The bound.
        max: usize,
    },
}
