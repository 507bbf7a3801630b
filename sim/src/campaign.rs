//! Many seeds.

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::plan::{Plan, PlanConfig, shrink};
use crate::soup::Tally;

/// Runs a range of seeds, and fails if one of them does, or if a kind of fault never took effect.
///
/// `POCKET_SEEDS=1000000` runs so many seeds from the first of the range, `POCKET_SEEDS=17..18` runs
/// those and no others, `POCKET_THREADS=2` runs them on two threads; the result is the same on any
/// number. A campaign whose seeds somebody asked for says on the standard error stream what it came
/// to, and one that is long says every five seconds how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Campaign {
    name: &'static str,
    seeds: Range<u64>,
    threads: u64,
    /// Fewer seeds than the test has by itself: too few for every fault to take effect.
    partial: bool,
    /// Whether somebody asked for these seeds, and wants to know what they came to.
    asked: bool,
}

/// What runs add up to.
pub trait Total: Default {
    /// Adds another run's.
    fn add(&mut self, other: &Self);

    /// How often each kind of fault took effect, by name.
    fn faults(&self) -> Vec<(&'static str, u64)>;

    /// Steps in the soup, for the rate that is reported; none elsewhere.
    fn steps(&self) -> u64 {
        0
    }
}

/// Failures after which no more seeds are run.
const ENOUGH: usize = 10;
const PROGRESS: Duration = Duration::from_secs(5);

impl Campaign {
    /// A campaign over a range of seeds, if the environment doesn't say otherwise.
    ///
    /// # Panics
    ///
    /// When a variable can't be read.
    pub fn new(name: &'static str, seeds: Range<u64>) -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::with(name, seeds, variable("POCKET_SEEDS"), variable("POCKET_THREADS"))
    }

    fn with(
        name: &'static str,
        own: Range<u64>,
        seeds: Option<String>,
        threads: Option<String>,
    ) -> Self {
        let asked = seeds.is_some();
        let seeds = match seeds {
            None => own.clone(),
            Some(text) => range(&text, own.start).unwrap_or_else(|| {
                panic!("POCKET_SEEDS is `{text}`, expected a number of seeds or a range `17..18`")
            }),
        };
        let threads = threads.map_or(1, |text| match text.parse() {
            Ok(threads @ 1..=64) => threads,
            _ => panic!("POCKET_THREADS is `{text}`, expected 1 to 64"),
        });
        let partial = seeds.end.saturating_sub(seeds.start) < own.end.saturating_sub(own.start);
        Self { name, seeds, threads, partial, asked }
    }

    /// The seeds that it runs.
    pub fn seeds(&self) -> Range<u64> {
        self.seeds.clone()
    }

    /// Runs each seed; returns what the runs add up to.
    ///
    /// # Panics
    ///
    /// When a seed fails, with the lowest that does; when a kind of fault never took effect.
    pub fn run<T, E>(&self, run: impl Fn(u64) -> Result<T, E> + Sync) -> T
    where
        T: Total + Send,
        E: fmt::Display,
    {
        match self.all(&run) {
            Ok(total) => total,
            Err(failures) => panic!("{}: {}", self.name, Listed(&failures)),
        }
    }

    /// Runs the random plan of each seed; the lowest seed that fails is shrunk, and printed.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn plans<E: fmt::Display>(
        &self,
        config: &PlanConfig,
        run: impl Fn(&Plan) -> Result<Counters, E> + Sync,
    ) -> Counters {
        let failures = match self.all(&|seed| run(&Plan::random(seed, config))) {
            Ok(total) => return total,
            Err(failures) => failures,
        };
        let plan = Plan::random(failures[0].0, config);
        let least = shrink(plan.clone(), |plan| run(plan).is_err());
        let last = run(&least).err().map_or_else(String::new, |reason| reason.to_string());
        let listed = Listed(&failures);
        panic!("{}: {listed}\n{plan}shrunk, it fails: {last}\n{least}", self.name);
    }

    /// The failures in order of their seeds, of which the first is the lowest that there is.
    fn all<T, E>(
        &self,
        run: &(impl Fn(u64) -> Result<T, E> + Sync),
    ) -> Result<T, Vec<(u64, String)>>
    where
        T: Total + Send,
        E: fmt::Display,
    {
        let progress = Progress {
            begun: Instant::now(),
            next: AtomicU64::new(self.seeds.start),
            done: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            told: Mutex::new(Instant::now()),
            failures: Mutex::new(Vec::new()),
        };
        let totals = std::thread::scope(|scope| {
            let work = || self.work(&progress, run);
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let mut total = work();
            for other in others {
                match other.join() {
                    Ok(other) => total.add(&other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            total
        });
        if self.asked || progress.begun.elapsed() >= PROGRESS {
            progress.tell(self);
        }
        let mut failures = progress.failures.into_inner().unwrap_or_default();
        if !failures.is_empty() {
            failures.sort();
            return Err(failures);
        }
        for (fault, count) in totals.faults() {
            let name = self.name;
            assert!(
                count > 0 || self.partial,
                "{name}: no {fault} took effect: the campaign has not tested it"
            );
        }
        Ok(totals)
    }

    fn work<T: Total, E: fmt::Display>(
        &self,
        progress: &Progress,
        run: &impl Fn(u64) -> Result<T, E>,
    ) -> T {
        let mut total = T::default();
        loop {
            // Seeds are handed out in order: below one that fails none is left out.
            let seed = progress.next.fetch_add(1, Ordering::Relaxed);
            if !self.seeds.contains(&seed) || progress.failed() >= ENOUGH {
                return total;
            }
            match run(seed) {
                Ok(one) => {
                    progress.steps.fetch_add(one.steps(), Ordering::Relaxed);
                    total.add(&one);
                }
                Err(reason) => progress.fail(seed, &reason),
            }
            progress.done.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut told) = progress.told.try_lock()
                && told.elapsed() >= PROGRESS
            {
                *told = Instant::now();
                progress.tell(self);
            }
        }
    }
}

struct Progress {
    begun: Instant,
    next: AtomicU64,
    done: AtomicU64,
    steps: AtomicU64,
    told: Mutex<Instant>,
    failures: Mutex<Vec<(u64, String)>>,
}

impl Progress {
    fn failed(&self) -> usize {
        self.failures.lock().map_or(ENOUGH, |failures| failures.len())
    }

    fn fail(&self, seed: u64, reason: &impl fmt::Display) {
        if let Ok(mut failures) = self.failures.lock() {
            failures.push((seed, reason.to_string()));
        }
    }

    fn tell(&self, campaign: &Campaign) {
        let rate = |count: u64| u128::from(count) * 1_000 / self.begun.elapsed().as_millis().max(1);
        let (done, steps) =
            [&self.done, &self.steps].map(|count| count.load(Ordering::Relaxed)).into();
        let all = campaign.seeds.end - campaign.seeds.start;
        let seconds = self.begun.elapsed().as_secs();
        let steps = match steps {
            0 => String::new(),
            steps => format!(", {steps} steps, {} a second", rate(steps)),
        };
        let (name, rate, failed) = (campaign.name, rate(done), self.failed());
        // Not `eprintln`, which a test's harness keeps to itself; nobody may be listening.
        let line = format!(
            "{name}: {done} of {all} in {seconds} s, {rate} a second{steps}, {failed} failures\n"
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

fn range(text: &str, first: u64) -> Option<Range<u64>> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    match text.split_once("..") {
        Some((from, to)) => Some(number(from)?..number(to)?).filter(|range| !range.is_empty()),
        None => Some(first..first.checked_add(number(text).filter(|&count| count > 0)?)?),
    }
}

struct Listed<'a>(&'a [(u64, String)]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(seed, reason), others @ ..] = self.0 else { return Ok(()) };
        write!(f, "seed {seed} fails: {reason}")?;
        if !others.is_empty() {
            write!(f, "\nand so do")?;
            others.iter().try_for_each(|(seed, _)| write!(f, " {seed}"))?;
        }
        Ok(())
    }
}

impl Total for Counters {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        Self::faults(self)
    }
}

impl Total for Tally {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        Self::faults(self).to_vec()
    }

    fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(own: Range<u64>, seeds: &str, threads: &str) -> Campaign {
        Campaign::with("a test", own, Some(seeds.into()), Some(threads.into()))
    }

    #[test]
    fn the_environment_says_how_many_seeds_or_which() {
        assert_eq!(campaign(100..200, "1_000_000", "1").seeds(), 100..1_000_100);
        assert_eq!(campaign(100..200, "17..18", "1").seeds(), 17..18);
        assert!(campaign(100..200, "17..18", "1").partial);
        assert!(!campaign(100..200, "100", "1").partial);
        for bad in ["", "0", "x", "5..5", "9..2", "-1"] {
            assert_eq!(range(bad, 1), None, "{bad}");
        }
    }

    /// Counts seeds, in thirds.
    #[derive(Default, PartialEq, Debug)]
    struct Thirds([u64; 3]);

    impl Total for Thirds {
        fn add(&mut self, other: &Self) {
            self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
        }

        fn faults(&self) -> Vec<(&'static str, u64)> {
            vec![("nought", self.0[0]), ("one", self.0[1]), ("two", self.0[2])]
        }
    }

    fn third(seed: u64) -> Thirds {
        let mut thirds = Thirds::default();
        thirds.0[(seed % 3) as usize] += 1;
        thirds
    }

    #[test]
    fn threads_change_nothing() {
        for threads in ["1", "2", "5"] {
            let total = campaign(0..10, "301", threads).run(|seed| Ok::<_, String>(third(seed)));
            assert_eq!(total, Thirds([101, 100, 100]));
            let fails = |seed| if seed > 40 { Err(seed) } else { Ok(third(seed)) };
            let failures = campaign(0..10, "301", threads).all(&fails).unwrap_err();
            assert!(failures.is_sorted() && failures.len() >= ENOUGH);
            assert_eq!(failures[0], (41, "41".into()), "the lowest, whoever is first");
        }
    }

    #[test]
    #[should_panic(expected = "a test: no two took effect")]
    fn a_fault_that_never_took_effect_fails_the_campaign() {
        campaign(0..2, "2", "1").run(|seed| Ok::<_, String>(third(seed)));
    }

    #[test]
    fn a_part_of_a_campaign_is_not_asked_for_every_fault() {
        campaign(0..9, "4..5", "1").run(|seed| Ok::<_, String>(third(seed)));
    }
}
