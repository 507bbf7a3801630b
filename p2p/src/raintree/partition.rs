//! The exact-partition tree: who serves which part of a range.
//!
//! Pocket v1's peer-to-peer specification, section 3 (RainTree), splits by overlapping thirds and
//! leaves nodes out at most sizes; these thirds are exact, so that every node is in one of them.

use core::iter;

/// A part of a range, handed to the node at its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Distance of the part's head from the head of the range.
    pub offset: u32,
    /// Nodes in the part, its head included; at least 1.
    pub length: u32,
}

/// Depth of the tree over so many nodes: ceil(log3 n), and 0 for none.
///
/// ```
/// use pocket_p2p::raintree::partition::levels;
/// assert_eq!([1, 2, 3, 4, 9, 10].map(levels), [0, 1, 1, 2, 2, 3]);
/// ```
pub fn levels(nodes: u32) -> u32 {
    iter::successors(Some(nodes), |&length| (length > 1).then(|| length.div_ceil(3)))
        .skip(1)
        .map(|_| 1)
        .sum()
}

/// The most nodes that anybody but the originator is asked to serve, itself included.
pub const fn largest_share(nodes: u32) -> u32 {
    nodes.div_ceil(3)
}

/// What the head of a range of `length` nodes hands to others, the largest parts first: at most two
/// a level. Together with the head itself they are the whole range.
///
/// ```
/// use pocket_p2p::raintree::partition::{Share, shares};
/// let share = |offset, length| Share { offset, length };
/// assert!(shares(9).eq([share(3, 3), share(6, 3), share(1, 1), share(2, 1)]));
/// ```
pub fn shares(length: u32) -> impl Iterator<Item = Share> {
    iter::successors(Some(length), |&own| (own > 1).then(|| own.div_ceil(3))).flat_map(|range| {
        let own = range.div_ceil(3);
        let second = (range - own).div_ceil(2);
        let third = range - own - second;
        [Share { offset: own, length: second }, Share { offset: own + second, length: third }]
            .into_iter()
            .filter(|share| share.length > 0)
    })
}
