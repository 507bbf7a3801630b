//! Longer reading. These modules hold text and compiled examples only.

pub mod new_variant;
