//! The targets that Pocket v1's Go code computes, for conformance with its published tables.
//!
//! Each node sees the sorted ring rotated so that it stands at 0 itself. At level L of ceil(log3 n)
//! it takes the first `n (2/3)^(top - L)` nodes and sends to those at one and two thirds of them,
//! cut off to whole numbers in floating point as the Go code does. Without repair this reaches
//! everybody for few sizes only; [`partition`](super::partition) is what to use.

use super::partition::levels;

/// The two targets of the node at 0 at a level from 1 to the [highest](super::partition::levels), as
/// distances along the ring. A distance of 0 is the node itself: nothing is sent.
pub fn targets(nodes: u32, level: u32) -> [u32; 2] {
    let shrunk = (level..levels(nodes)).fold(f64::from(nodes), |size, _| size * (2.0 / 3.0));
    [shrunk / 3.0, shrunk * 2.0 / 3.0].map(|distance| distance as u32)
}
