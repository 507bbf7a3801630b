//! Who leads which round.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Round};
use pocket_types::validator::Electorate;

/// How leaders follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum LeaderSchedule {
    /// In turn, as often as their weight says.
    #[default]
    WeightedRoundRobin,
    /// In turn, whatever their weight.
    RoundRobin,
    /// Always this one; the member of greatest weight where it is no member. It can stop the chain:
    /// for experiments.
    Fixed(PublicKey),
    /// In an order that is written down: for tests and experiments in which it matters who leads which
    /// round.
    Listed(Order),
}

/// Up to sixteen turns, over and over, by position in the set; beyond the set it is counted from the
/// beginning again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    turns: [u8; 16],
    length: u8,
}

impl Order {
    /// An order; none if there are no turns or more than sixteen, or if a position is beyond 255.
    pub fn new(positions: impl IntoIterator<Item = usize>) -> Option<Self> {
        let mut order = Self { turns: [0; 16], length: 0 };
        for position in positions {
            *order.turns.get_mut(usize::from(order.length))? = u8::try_from(position).ok()?;
            order.length += 1;
        }
        (order.length > 0).then_some(order)
    }
}

impl LeaderSchedule {
    /// The leaders of an electorate's heights, each for `turns` rounds in a row.
    pub fn leaders(self, electorate: &Electorate, turns: u64) -> Leaders {
        let cycle = match self {
            Self::WeightedRoundRobin => cycle(electorate),
            Self::RoundRobin => (0..electorate.len()).collect(),
            Self::Listed(order) => {
                let turns = order.turns.iter().take(usize::from(order.length));
                turns.map(|&position| usize::from(position) % electorate.len()).collect()
            }
            Self::Fixed(key) => Vec::from([electorate.position(&key).unwrap_or_else(|| {
                let weight = |&position: &usize| electorate.member(position).map(|m| m.weight);
                (0..electorate.len()).max_by_key(weight).unwrap_or_default()
            })]),
        };
        Leaders { cycle, turns: turns.max(1) }
    }
}

/// The leaders of one electorate: a function of height and round alone, so that everybody knows them
/// and none depends on what is being sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaders {
    cycle: Vec<usize>,
    turns: u64,
}

impl Leaders {
    /// Position in the electorate of a round's leader. The round after a leader's last is led by the
    /// next in the cycle, and so is the height after a height: who takes over from a dead leader leads
    /// the next height too.
    pub fn leader(&self, height: Height, round: Round) -> usize {
        let length = self.cycle.len() as u64;
        let turn = (height.0 % length + round.0 / self.turns % length) % length;
        self.cycle[usize::try_from(turn).expect("a turn is below the length of a list")]
    }

    /// The order in which members lead, by position, before it repeats.
    pub fn cycle(&self) -> &[usize] {
        &self.cycle
    }
}

/// Spreads each member's turns evenly: its j-th of s turns falls into the j-th of s equal parts of the
/// cycle, and of the turns that may be taken the one that must be taken soonest comes first. All turns
/// find their place (Baruah et al., "Proportionate progress", 1996). Equal weights give plain
/// round-robin.
fn cycle(electorate: &Electorate) -> Vec<usize> {
    let turns = turns(electorate);
    let length: u64 = turns.iter().sum();
    let mut windows: Vec<(u64, u64, usize)> = turns
        .iter()
        .enumerate()
        .flat_map(|(position, &turns)| {
            let window =
                move |j: u64| (j * length / turns, ((j + 1) * length).div_ceil(turns), position);
            (0..turns).map(window)
        })
        .collect();
    windows.sort_unstable();
    let mut windows = windows.into_iter().peekable();
    let mut open = BinaryHeap::new();
    let take = |now| {
        while let Some((_, end, position)) = windows.next_if(|window| window.0 <= now) {
            open.push(Reverse((end, position)));
        }
        open.pop().map(|Reverse((_, position))| position)
    };
    (0..length).filter_map(take).collect()
}

/// Turns of each member in a cycle: its weight where all weights together, divided by what they have
/// in common, make a short cycle, and otherwise its share of one of [`TURNS_PER_MEMBER`] turns a
/// member by largest remainder. Everybody has at least one.
fn turns(electorate: &Electorate) -> Vec<u64> {
    let weights: Vec<u64> = electorate.set().members.iter().map(|member| member.weight.0).collect();
    let common = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let total = electorate.total().0;
    let limit = weights.len() as u64 * TURNS_PER_MEMBER;
    if total / common <= limit {
        return weights.iter().map(|weight| weight / common).collect();
    }
    let share = |weight: u64| u128::from(weight) * u128::from(limit);
    let whole = |weight: u64| (share(weight) / u128::from(total)) as u64;
    let mut turns: Vec<u64> = weights.iter().map(|&weight| whole(weight)).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&i| (Reverse(share(weights[i]) % u128::from(total)), i));
    let missing = limit - turns.iter().sum::<u64>();
    order.iter().zip(0..missing).for_each(|(&i, _)| turns[i] += 1);
    turns.iter().map(|&turns| turns.max(1)).collect()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// How long a cycle may be, in turns for each member.
const TURNS_PER_MEMBER: u64 = 16;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use pocket_types::key::SecretKey;
    use pocket_types::number::{Epoch, Weight};
    use pocket_types::validator::{Validator, ValidatorSet};
    use pocket_types::vrf::VrfSecret;
    use proptest::prelude::*;

    use super::*;

    fn electorate(weights: &[u64]) -> Electorate {
        let member = |(i, &weight): (usize, &u64)| Validator {
            public_key: SecretKey::from_seed([i as u8; 32]).public_key(),
            vrf_key: VrfSecret::from_seed([i as u8 + 100; 32]).public_key(),
            weight: Weight(weight),
            bls_key: None,
        };
        let members = weights.iter().enumerate().map(member).collect();
        Electorate::new(ValidatorSet::new(Epoch(0), members).unwrap()).unwrap()
    }

    fn leaders(weights: &[u64]) -> (Electorate, Leaders) {
        let electorate = electorate(weights);
        let leaders = LeaderSchedule::default().leaders(&electorate, 1);
        (electorate, leaders)
    }

    #[test]
    fn equal_weights_take_plain_turns() {
        let (_, leaders) = leaders(&[500; 4]);
        assert_eq!(leaders.cycle(), [0, 1, 2, 3]);
        assert_eq!(leaders.leader(Height(6), Round(0)), 2);
        assert_eq!(leaders.leader(Height(6), Round(1)), leaders.leader(Height(7), Round(0)));
        assert_eq!(leaders.leader(Height(u64::MAX), Round(u64::MAX)), 2);
    }

    #[test]
    fn a_heavy_member_leads_often_and_not_in_a_row() {
        let (electorate, leaders) = leaders(&[30, 10, 10, 10]);
        let heavy = (0..4).find(|&i| electorate.member(i).unwrap().weight.0 == 30).unwrap();
        let cycle = leaders.cycle();
        assert_eq!(cycle.len(), 6);
        assert_eq!(cycle.iter().filter(|&&i| i == heavy).count(), 3);
        assert!(cycle.windows(2).all(|pair| pair[0] != heavy || pair[1] != heavy), "{cycle:?}");
    }

    #[test]
    fn an_order_may_be_written_down() {
        let electorate = electorate(&[1; 4]);
        let order = Order::new([3, 3, 6, 0]).unwrap();
        let leaders = LeaderSchedule::Listed(order).leaders(&electorate, 1);
        assert_eq!(leaders.cycle(), [3, 3, 2, 0]);
        assert_eq!(leaders.leader(Height(1), Round(1)), 2);
        assert_eq!(Order::new([]), None);
        assert_eq!(Order::new([256]), None);
        assert!(Order::new([0; 16]).is_some() && Order::new([0; 17]).is_none());
    }

    #[test]
    fn a_leader_may_lead_several_rounds_in_a_row_or_all_of_them() {
        let electorate = electorate(&[7, 1, 1]);
        let leads = |leaders: &Leaders| {
            (0..7).map(|r| leaders.leader(Height(0), Round(r))).collect::<Vec<_>>()
        };
        let twice = LeaderSchedule::RoundRobin.leaders(&electorate, 2);
        assert_eq!(leads(&twice), [0, 0, 1, 1, 2, 2, 0]);
        let key = electorate.member(2).unwrap().public_key;
        assert_eq!(leads(&LeaderSchedule::Fixed(key).leaders(&electorate, 1)), [2; 7]);
        let stranger = SecretKey::from_seed([99; 32]).public_key();
        let heavy = (0..3).find(|&i| electorate.member(i).unwrap().weight.0 == 7).unwrap();
        let fixed = LeaderSchedule::Fixed(stranger).leaders(&electorate, 1);
        assert_eq!(leads(&fixed), [heavy; 7]);
    }

    #[test]
    fn nobody_is_left_out() {
        let (_, leaders) = leaders(&[u64::MAX - 3, 1, 1, 1]);
        let led = |i| leaders.cycle().iter().filter(|&&leader| leader == i).count();
        assert!(vec![0, 1, 2, 3].into_iter().all(|i| led(i) >= 1));
        assert!(leaders.cycle().len() <= 4 * 17);
    }

    proptest! {
        #[test]
        fn turns_follow_the_weights(weights in proptest::collection::vec(1u64..1_000_000, 1..20)) {
            let (electorate, leaders) = leaders(&weights);
            let length = leaders.cycle().len() as u128;
            for (i, member) in electorate.set().members.iter().enumerate() {
                let led = leaders.cycle().iter().filter(|&&leader| leader == i).count() as u128;
                let exact = u128::from(member.weight.0) * length;
                let total = u128::from(electorate.total().0);
                prop_assert!(led >= 1);
                prop_assert!(led * total <= exact + 2 * total, "{led} of {length}");
                prop_assert!((led + 2) * total >= exact, "{led} of {length}");
            }
        }
    }
}
