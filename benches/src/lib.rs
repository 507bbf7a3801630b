//! How the benches of this folder measure, and print what they found.
//!
//! [`Comparison`] measures a piece of work twice: by criterion, for its statistics and its history,
//! and, beside a peer that does the same work, by turns in one loop, so that whatever else the
//! machine does hits both. What counts is the ratio of the two medians; absolute times are this
//! machine's. See `benches/README.md` for how to run and read them.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod fixture;

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
pub use criterion::Throughput;

/// The README's example is compiled and run like every other.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Rounds in which the two sides of a comparison take turns: this many, or as many as fit into
/// [`TURNS`], but no fewer than [`MIN_ROUNDS`], unless that takes more than [`PATIENCE`].
const MAX_ROUNDS: usize = 401;
const MIN_ROUNDS: usize = 31;
const TURNS: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one side of a round lasts at least. Schedulers let a thread run for some milliseconds, so
/// that on a busy machine most rounds are not interrupted, and the median is of those.
const ROUND: Duration = Duration::from_micros(500);

/// Work that can be timed: does itself as often as it is told, and says how long that took.
pub trait Work: FnMut(u64) -> Duration {}

impl<F: FnMut(u64) -> Duration> Work for F {}

/// Work that can be repeated as it is.
pub fn repeated<T>(mut work: impl FnMut() -> T) -> impl Work {
    move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        start.elapsed()
    }
}

/// Work that needs something made afresh each time. Neither making that nor dropping what the work
/// returns is timed.
pub fn prepared<S, T>(mut prepare: impl FnMut() -> S, mut work: impl FnMut(S) -> T) -> impl Work {
    move |times| {
        let mut total = Duration::ZERO;
        for _ in 0..times {
            let input = black_box(prepare());
            let start = Instant::now();
            let output = black_box(work(input));
            total += start.elapsed();
            drop(output);
        }
        total
    }
}

/// One bench file's measurements.
pub struct Comparison {
    criterion: Criterion,
    /// False when `--test` asks for one quick round of everything.
    measure: bool,
    group: &'static str,
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    name: String,
    peer: Option<String>,
    ours: Duration,
    theirs: Option<Duration>,
    /// What one piece of work consists of.
    throughput: Throughput,
}

impl Comparison {
    /// Measurements under a name, as the command line asks for.
    pub fn new(group: &'static str) -> Self {
        let criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(2))
            .configure_from_args();
        let given = |flag| std::env::args().any(|argument| argument == flag);
        // As criterion has it: `cargo bench` says `--bench`, `cargo test` doesn't.
        let measure = given("--bench") && !given("--test") && !given("--list");
        Self { criterion, measure, group, rows: Vec::new(), notes: Vec::new() }
    }

    /// Whether figures are wanted, and not just one quick round of everything.
    pub const fn measures(&self) -> bool {
        self.measure
    }

    /// Measures our way of doing some work beside a peer's way of doing the same.
    pub fn beside(
        &mut self,
        name: impl fmt::Display,
        throughput: Throughput,
        mut ours: impl Work,
        (peer, mut theirs): (&str, impl Work),
    ) {
        let asked_for = self.by_criterion(&format!("{name}/ours"), &throughput, &mut ours)
            | self.by_criterion(&format!("{name}/{peer}"), &throughput, &mut theirs);
        if asked_for && self.measure {
            let (ours, theirs) = by_turns(&mut ours, &mut theirs);
            self.row(name, throughput, ours, Some((peer, theirs)));
        }
    }

    /// Measures work that no peer does in the same way; gives the median back, if it was asked for.
    pub fn alone(
        &mut self,
        name: impl fmt::Display,
        throughput: Throughput,
        mut ours: impl Work,
    ) -> Option<Duration> {
        let asked_for = self.by_criterion(&name.to_string(), &throughput, &mut ours);
        (asked_for && self.measure).then(|| {
            let times = times_for(ROUND, &mut ours);
            let (median, _) = rounds(|_| (per_time(&mut ours, times), Duration::ZERO));
            self.row(name, throughput, median, None);
            median
        })
    }

    /// Prints a count beside the times.
    pub fn note(&mut self, note: impl fmt::Display) {
        self.notes.push(note.to_string());
    }

    /// Prints what was found.
    pub fn finish(self) {
        self.criterion.final_summary();
        println!("\n{}", self.group);
        for row in &self.rows {
            println!("  {row}");
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }

    fn row(
        &mut self,
        name: impl fmt::Display,
        throughput: Throughput,
        ours: Duration,
        theirs: Option<(&str, Duration)>,
    ) {
        let (peer, theirs) = theirs.map(|(peer, time)| (peer.to_owned(), time)).unzip();
        self.rows.push(Row { name: name.to_string(), peer, ours, theirs, throughput });
    }

    /// Whether the command line asked for it.
    fn by_criterion(&mut self, name: &str, throughput: &Throughput, work: &mut impl Work) -> bool {
        let mut asked_for = false;
        let mut group = self.criterion.benchmark_group(self.group);
        group.throughput(throughput.clone());
        group.bench_function(name, |bencher| {
            asked_for = true;
            bencher.iter_custom(&mut *work);
        });
        group.finish();
        asked_for
    }
}

/// The median times of two pieces of work that take turns.
fn by_turns(ours: &mut impl Work, theirs: &mut impl Work) -> (Duration, Duration) {
    let times = (times_for(ROUND, ours), times_for(ROUND, theirs));
    rounds(|round| {
        // Who comes second finds other caches: change places.
        if round % 2 == 0 {
            let first = per_time(ours, times.0);
            (first, per_time(theirs, times.1))
        } else {
            let first = per_time(theirs, times.1);
            (per_time(ours, times.0), first)
        }
    })
}

/// The medians over as many rounds as there is time for.
fn rounds(mut round: impl FnMut(usize) -> (Duration, Duration)) -> (Duration, Duration) {
    let start = Instant::now();
    let limit = |number| if number < MIN_ROUNDS { PATIENCE } else { TURNS };
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..MAX_ROUNDS)
        .take_while(|&number| number == 0 || start.elapsed() < limit(number))
        .map(&mut round)
        .unzip();
    (median(ours), median(theirs))
}

/// How often to do some work so that it lasts.
fn times_for(least: Duration, work: &mut impl Work) -> u64 {
    let mut times = 1;
    while work(times) < least {
        times *= 2;
    }
    times
}

fn per_time(work: &mut impl Work, times: u64) -> Duration {
    Duration::from_nanos((work(times).as_nanos() / u128::from(times)) as u64)
}

fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable();
    times[times.len() / 2]
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:>12}", self.name, format!("{:.2?}", self.ours))?;
        match self.throughput {
            Throughput::Elements(count) if count > 1 => {
                let each = self.ours.as_nanos() as f64 / count as f64;
                write!(f, " = {count} x {:.2?}", Duration::from_nanos(each as u64))?;
            }
            Throughput::Bytes(bytes) => {
                let rate = bytes as f64 / self.ours.as_secs_f64() / 1e6;
                write!(f, " = {rate:.0} MB/s")?;
            }
            _ => {}
        }
        if let (Some(peer), Some(theirs)) = (&self.peer, self.theirs) {
            let ratio = self.ours.as_secs_f64() / theirs.as_secs_f64();
            write!(f, "; {peer} {theirs:.2?}; ours / {peer} = {ratio:.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ignore_outliers_and_order() {
        let times = [9, 1, 5, 1_000, 4].map(Duration::from_nanos);
        assert_eq!(median(times), Duration::from_nanos(5));
    }

    #[test]
    fn work_says_its_time_by_the_piece() {
        let mut work = |times: u64| Duration::from_micros(3 * times);
        assert_eq!(times_for(Duration::from_micros(20), &mut work), 8);
        assert_eq!(per_time(&mut work, 8), Duration::from_micros(3));
        let (ours, theirs) = by_turns(&mut work, &mut |times| Duration::from_micros(6 * times));
        assert_eq!(theirs, 2 * ours);
    }
}
