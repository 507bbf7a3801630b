//! Random steps.

use super::World;
use super::script::Failure;
use super::state::{Act, Soup};
use crate::random::Random;

/// How walks go. Weights are relative; each walk draws from them a mix of its own, in which some are
/// heavier and some are nothing: a walk that does a little of everything finds less than many that
/// each do a few things often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walks {
    /// Steps of a walk.
    pub depth: u32,
    /// Weight of a message that was not taken yet; it stays when the others are nothing.
    pub fresh: u32,
    /// Weight of any message again.
    pub old: u32,
    /// Weight of a deadline that comes.
    pub tick: u32,
    /// Weight of a crash at rest.
    pub crash: u32,
    /// Of 1,000 steps, how many end in a crash between two effects.
    pub cut: u32,
}

impl Walks {
    /// Walks of so many steps in which everything happens.
    pub const fn new(depth: u32) -> Self {
        Self { depth, fresh: 60, old: 15, tick: 8, crash: 2, cut: 10 }
    }

    /// Walks in which nobody loses his memory.
    #[must_use]
    pub const fn without_crashes(mut self) -> Self {
        (self.crash, self.cut) = (0, 0);
        self
    }

    fn mix(&self, random: &mut Random) -> Self {
        let mut draw = |weight: u32, factors: [u32; 4]| {
            weight.saturating_mul(factors[random.below(4) as usize])
        };
        Self {
            old: draw(self.old, [0, 1, 1, 4]),
            tick: draw(self.tick, [1, 1, 2, 4]),
            crash: draw(self.crash, [0, 0, 1, 4]),
            cut: draw(self.cut, [0, 0, 1, 4]),
            ..*self
        }
    }
}

/// What walks did, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Walks.
    pub walks: u64,
    /// Steps, each to a state that was checked.
    pub steps: u64,
    /// Messages taken for the first time.
    pub fresh: u64,
    /// Messages taken again.
    pub old: u64,
    /// Forged messages taken, among both.
    pub forged: u64,
    /// Deadlines that came.
    pub ticks: u64,
    /// Crashes at rest.
    pub crashes: u64,
    /// Steps cut by a crash, if they had so many effects.
    pub cuts: u64,
}

impl Tally {
    /// Adds another walk's, to judge a campaign.
    pub const fn add(&mut self, other: &Self) {
        self.walks += other.walks;
        self.steps += other.steps;
        self.fresh += other.fresh;
        self.old += other.old;
        self.forged += other.forged;
        self.ticks += other.ticks;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
    }

    /// How often each kind of step was taken, by name.
    pub const fn faults(&self) -> [(&'static str, u64); 6] {
        [
            ("fresh message", self.fresh),
            ("old message", self.old),
            ("forged message", self.forged),
            ("tick", self.ticks),
            ("crash at rest", self.crashes),
            ("crash between effects", self.cuts),
        ]
    }
}

/// Takes a random walk for each seed, all from one beginning: booting the nodes and forging what
/// comes first costs more than a walk.
///
/// # Errors
///
/// The promise is broken: the shortest path that shrinking finds.
pub fn walk<W: World>(
    world: &W,
    seeds: impl IntoIterator<Item = u64>,
    walks: &Walks,
) -> Result<Tally, Box<Failure>> {
    let mut soup = Soup::new(world).map_err(|e| Failure::new(world, None, Vec::new(), e))?;
    let mut tally = Tally::default();
    for seed in seeds {
        soup.reset();
        walk_once(&mut soup, seed, walks, &mut tally)
            .map_err(|(acts, reason)| Failure::new(world, Some(seed), acts, reason))?;
    }
    Ok(tally)
}

fn walk_once<W: World>(
    soup: &mut Soup<'_, W>,
    seed: u64,
    walks: &Walks,
    tally: &mut Tally,
) -> Result<(), (Vec<Act>, String)> {
    let mut random = Random::new(seed);
    let ranked = random.below(2) == 0;
    let mut walker =
        Walker { seed, ranked, acts: Vec::new(), fresh: Vec::new(), taken: Vec::new() };
    walker.hear(soup, &mut random);
    let mix = walks.mix(&mut random);
    tally.walks += 1;
    for _ in 0..walks.depth {
        let Some(act) = walker.choose(soup, &mix, &mut random, tally) else { continue };
        walker.acts.push(act);
        match soup.apply(act) {
            Ok(_) => walker.hear(soup, &mut random),
            Err(reason) => return Err((std::mem::take(&mut walker.acts), reason)),
        }
        tally.steps += 1;
    }
    Ok(())
}

/// How many untaken messages are looked at for the one of highest rank.
const LOOKED_AT: u64 = 4;

struct Walker {
    seed: u64,
    /// Whether messages have ranks, by which some stay behind for long; uniformly random orders hardly
    /// ever let several of one phase arrive after a later phase.
    ranked: bool,
    acts: Vec<Act>,
    /// What its receiver has not taken yet, by number, with its rank.
    fresh: Vec<(u64, u32)>,
    /// What it has.
    taken: Vec<u32>,
}

impl Walker {
    /// Takes note of what the last step sent.
    fn hear<W: World>(&mut self, soup: &Soup<'_, W>, random: &mut Random) {
        for &id in &soup.sent {
            let rank = if self.ranked { random.word() } else { 0 };
            self.fresh.push((rank, id));
        }
    }

    fn choose<W: World>(
        &mut self,
        soup: &Soup<'_, W>,
        mix: &Walks,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Option<Act> {
        let weights = [mix.fresh, mix.old, mix.tick, mix.crash].map(u64::from);
        let mut ticket = random.below(weights.iter().sum());
        let kind = weights.iter().position(|&weight| {
            let mine = ticket < weight;
            ticket = ticket.wrapping_sub(weight);
            mine
        })?;
        let cut = (random.below(1_000) < mix.cut.into()).then(|| 1 + random.below(3) as u32);
        let node = random.below(soup.nodes.len() as u64) as usize;
        let act = match kind {
            0 => {
                let looks = (0..LOOKED_AT).map(|_| random.below(self.fresh.len() as u64) as usize);
                let at = looks.max_by_key(|&at| self.fresh.get(at).map(|(rank, _)| *rank))?;
                let (_, id) = *self.fresh.get(at)?;
                self.fresh.swap_remove(at);
                if !soup.nodes[soup.pool.get(id).to].within {
                    return None;
                }
                self.taken.push(id);
                tally.fresh += 1;
                tally.forged += u64::from(soup.pool.forged(id));
                Act::Deliver { key: soup.pool.key(id), cut }
            }
            1 => {
                let id = *self.taken.get(random.below(self.taken.len() as u64) as usize)?;
                if !soup.nodes[soup.pool.get(id).to].within {
                    return None;
                }
                tally.old += 1;
                tally.forged += u64::from(soup.pool.forged(id));
                Act::Deliver { key: soup.pool.key(id), cut }
            }
            _ if !soup.nodes[node].within => return None,
            2 => {
                soup.nodes[node].deadline?;
                tally.ticks += 1;
                Act::Tick { node, cut }
            }
            _ => {
                tally.crashes += 1;
                return Some(Act::Crash { node });
            }
        };
        tally.cuts += u64::from(cut.is_some());
        Some(act)
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the walk of seed {}, after {} steps", self.seed, self.acts.len());
        }
    }
}
