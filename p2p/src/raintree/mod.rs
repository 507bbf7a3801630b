//! RainTree: broadcast to every node of a segment.
//!
//! # The tree
//!
//! Every member of a [`View`] knows the same sorted list. The message's id seeds a [permutation] of
//! it, so that each message has a tree of its own and nobody can choose a place at which everyone's
//! messages depend on him. Read as a ring, the permuted list starts at the originator, who is
//! responsible for all of it. Whoever is responsible for a range stands at its head, splits it in
//! three, keeps the third in which it stands and hands each of the other two to the node at its
//! head; then it splits its own third, until it is alone. So every node is reached exactly once,
//! after at most ceil(log3 n) hops, and nobody sends more than twice for each of as many levels
//! ([`partition`]).
//!
//! When the host finds a target [unreachable](Input::Unreachable), the next node of that target's
//! range gets the rest of the range.
//!
//! # What is checked
//!
//! An envelope's sender must be a member of the view that it names, what it asks us to pass on must
//! be possible in that view, and its id must be the hash of its content, before anything is done
//! with it. A message by a view that we don't have is delivered if its sender is a member of one that
//! we do have, and not passed on.
//!
//! A message is delivered once, and each node of it is served once: an envelope of a message that was
//! seen before costs nothing, unless it asks for more than was asked before. Then only what is new is
//! passed on, one send at most, so that nobody can cut nodes off by being first with a small range.
//!
//! A message is passed on before the host has judged its content: what members of a segment may
//! send is the host's to limit ([`crate::limit`], [`crate::peers`]).
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//!
//! use pocket_p2p::raintree::{Input, Output, Payload, RainTree, RainTreeConfig, Segment, View};
//! use pocket_types::machine::Machine;
//! use pocket_types::{key::PublicKey, number::Timestamp};
//!
//! let members: Vec<_> = (0..100).map(|index| PublicKey([index; 32])).collect();
//! let view = Arc::new(View::new(Segment::Everyone, members.clone())?);
//! let mut nodes = Vec::new();
//! for member in &members {
//!     let mut node = RainTree::new(*member, RainTreeConfig::default());
//!     let _ = node.handle(Timestamp(0), Input::ViewChanged(view.clone()))?;
//!     nodes.push(node);
//! }
//!
//! let payload = Payload::new(*b"a transaction")?;
//! let mut inputs =
//!     VecDeque::from([(7, Input::Broadcast { segment: Segment::Everyone, payload })]);
//! let mut delivered = 0;
//! while let Some((at, input)) = inputs.pop_front() {
//!     for output in nodes[at].handle(Timestamp(0), input)?.into_outputs() {
//!         match output {
//!             // A host sends the envelope on its channel with `to`, in the class `Gossip`.
//!             Output::Send { to, envelope } => {
//!                 let receiver = usize::from(to.0[0]);
//!                 inputs.push_back((receiver, Input::Received { from: members[at], envelope }));
//!             }
//!             Output::Deliver { .. } => delivered += 1,
//!             other => panic!("{other:?}"),
//!         }
//!     }
//! }
//! assert_eq!(delivered, 99);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod config;
mod envelope;
mod error;
pub mod go_v1;
mod input;
mod output;
pub mod partition;
pub mod permutation;
mod repair;
mod seen;
mod state;
mod view;

pub use config::{RainTreeConfig, Topology};
pub use envelope::{Envelope, MessageId, Payload, Route, Segment};
pub use error::{EnvelopeError, RainTreeError, ViewError};
pub use input::Input;
pub use output::Output;
pub use state::{RainTree, Stats};
pub use view::{MAX_MEMBERS, View, ViewId};
