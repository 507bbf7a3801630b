//! Evidence until it is in a block: bounded, and fair to all who are accused of something.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;

/// Evidence by its identity.
pub(crate) type Pool = BTreeMap<Hash, Evidence>;

/// Makes room for another piece: the oldest of whoever has the most in it goes, so that who offends
/// without end can't hide what others did.
pub(crate) fn make_room(pool: &mut Pool, max: usize) {
    while pool.len() >= max {
        let mut of: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for evidence in pool.values() {
            *of.entry(evidence.offence().offender).or_default() += 1;
        }
        let worst = pool.iter().min_by_key(|(_, evidence)| {
            let offence = evidence.offence();
            (of.get(&offence.offender).copied().map(Reverse), offence.height, offence.round)
        });
        let Some(worst) = worst.map(|(id, _)| *id) else { return };
        pool.remove(&worst);
    }
}

#[cfg(test)]
mod tests {
    use pocket_types::id::{BlockId, ChainId};
    use pocket_types::key::SecretKey;
    use pocket_types::number::{Epoch, Height, Round};
    use pocket_types::vote::{Phase, Protocol, Vote, VoteData};

    use super::*;

    fn two_votes(offender: u8, height: u64) -> Evidence {
        let vote = |block: u8| {
            let data = VoteData {
                protocol: Protocol::HotPokt,
                chain: ChainId::default(),
                epoch: Epoch(0),
                validators: Hash::ZERO,
                height: Height(height),
                round: Round(0),
                phase: Phase::Prepare,
                block: BlockId(Hash([block; 32])),
                high: None,
            };
            Vote::sign(data, &SecretKey::from_seed([offender; 32]))
        };
        Evidence::equivocation(vote(1), vote(2))
    }

    #[test]
    fn who_offends_without_end_hides_nobody_else_s_offence() {
        let (mut pool, max) = (Pool::new(), 3);
        let other = two_votes(1, 1);
        pool.insert(other.id(), other);
        for height in 2..50 {
            make_room(&mut pool, max);
            let evidence = two_votes(2, height);
            pool.insert(evidence.id(), evidence);
            assert!(pool.len() <= max && pool.contains_key(&other.id()), "height {height}");
        }
        let heights: Vec<u64> =
            pool.values().map(|evidence| evidence.offence().height.0).filter(|h| *h > 1).collect();
        assert_eq!(heights.iter().copied().min(), Some(48), "its own oldest went");
    }
}
