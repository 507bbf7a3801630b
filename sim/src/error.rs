//! Why a simulation can't go on.

use pocket_types::number::Timestamp;
use thiserror::Error;

/// A simulation stopped because what it runs is broken. It can't be continued; the plan that led
/// here replays it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// More messages, stores, answers and ticks are under way than
    /// [`Limits::queue`](crate::Limits::queue) allows: something multiplies.
    #[error("more than {max} events are under way at {at:?}: something multiplies")]
    QueueFull {
        /// The limit.
        max: usize,
        /// Virtual time.
        at: Timestamp,
    },
    /// More has happened than [`Limits::events`](crate::Limits::events) allows: a scenario without
    /// end, perhaps at one instant.
    #[error("more than {max} events happened by {at:?}: the scenario does not end")]
    TooManyEvents {
        /// The limit.
        max: u64,
        /// Virtual time.
        at: Timestamp,
    },
    /// A machine's deadline stays in the past however often it is ticked. A poisoned machine must
    /// have no deadline, or its host would spin.
    #[error(
        "node {node} was ticked {ticks} times at {at:?} and still wants a tick at {deadline:?}"
    )]
    DeadlineStuck {
        /// Index of the node.
        node: usize,
        /// Its deadline, by its own clock.
        deadline: Timestamp,
        /// Ticks at this instant.
        ticks: u32,
        /// Virtual time.
        at: Timestamp,
    },
    /// A machine whose store failed put something out: it breaks the machine convention.
    #[error("node {node} put something out at {at:?} although a store of its had failed")]
    OutputAfterFailedStore {
        /// Index of the node.
        node: usize,
        /// Virtual time.
        at: Timestamp,
    },
}
