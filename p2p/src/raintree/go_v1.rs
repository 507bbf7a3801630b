//! The targets that Pocket v1's Go code computes, for conformance with its published tables.
//!
//! Each node sees the sorted ring rotated so that it stands at 0 itself. At level L of ceil(log3 n)
//! it takes the first `n (2/3)^(top - L)` nodes and sends to those at one and two thirds of them.
//! Both are computed in floating point and cut off to whole numbers, and the last bit decides: even
//! at 729 nodes, a power of 3, a third of them is left out. Without repair this reaches everybody at
//! 139 of the sizes up to 1,000; [`partition`](super::partition) is what to use.

use super::partition::levels;

/// The two targets of the node at 0 at a level from 1 to the [highest](super::partition::levels), as
/// distances along the ring. A distance of 0 is the node itself: nothing is sent.
pub fn targets(nodes: u32, level: u32) -> [u32; 2] {
    let depth = levels(nodes).saturating_sub(level);
    let size = (f64::from(nodes) * power(2.0 / 3.0, depth)) as u32;
    [1.0 / 3.0, 2.0 / 3.0].map(|share| (share * f64::from(size)) as u32)
}

/// By repeated squaring, as Go's `math.Pow`: other ways differ in the last bit.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut power = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            power *= base;
        }
        base *= base;
        exponent /= 2;
    }
    power
}
