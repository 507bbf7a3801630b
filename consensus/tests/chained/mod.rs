//! Chained protocols: what they cost, when they are live, and what nothing may break.

mod faults;
mod lab;
mod oracles;
mod rules;

/// Runs a generic scenario by each variant.
macro_rules! each {
    ($scenario:ident($($argument:expr),*)) => {
        $scenario::<pocket_consensus::ChainedHotStuff>($($argument),*);
        $scenario::<pocket_consensus::HotStuff2>($($argument),*);
        $scenario::<pocket_consensus::Jolteon>($($argument),*);
        $scenario::<pocket_consensus::FastHotStuff>($($argument),*);
    };
}
pub(crate) use each;
