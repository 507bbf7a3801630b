//! The soup finds what random plans miss, says how to see it again, and visits everything within a
//! bound.

#[path = "common/lock.rs"]
mod lock;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};

use lock::{Flaw, Message, NODES, Node, agree};
use pocket_sim::soup::{
    Bounds, Choice, Failure, Fingerprint, Forged, Local, Script, Sent, Tally, View, Walks, World,
    exhaust, replay, walk,
};
use pocket_sim::{Context, Plan, PlanConfig, Process, Simulation};
use pocket_types::machine::{Machine, Receipt, Step, Tick};
use pocket_types::number::Timestamp;

struct Lock {
    flaw: Flaw,
    views: u64,
    /// Proposals in the name of a Byzantine node.
    forged: Vec<Message>,
    /// Whether what votes say is checked, not only what is decided in the end.
    strict: bool,
}

const BYZANTINE: usize = 1;

impl Lock {
    const fn new(flaw: Flaw, views: u64) -> Self {
        Self { flaw, views, forged: Vec::new(), strict: false }
    }

    const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

impl World for Lock {
    type Process = Node;

    fn setup(&self) -> &Flaw {
        &self.flaw
    }

    fn nodes(&self) -> usize {
        NODES
    }

    fn check(&self, view: &View<'_, Node>) -> Result<(), String> {
        agree(view.nodes().map(|node| node.disk().decided))?;
        if self.strict {
            for new in view.sent() {
                votes_once(new, view)?;
            }
            if view
                .sent()
                .any(|new| matches!(new.message, Message::Lock { .. } | Message::Commit { .. }))
            {
                stays_chosen(view)?;
            }
        }
        Ok(())
    }

    fn is_within(&self, node: &Local<Node>) -> bool {
        node.process().0.state.view < self.views
    }

    fn forge(&self, view: &View<'_, Node>) -> Vec<Forged<Message>> {
        if view.messages().any(|sent| self.forged.contains(&sent.message)) {
            return Vec::new();
        }
        let to: Vec<usize> = (0..NODES).filter(|&to| to != BYZANTINE).collect();
        let forged = self.forged.iter();
        forged.map(|&message| Forged { from: BYZANTINE, to: to.clone(), message }).collect()
    }

    fn fingerprint(&self, node: &Local<Node>, to: &mut Fingerprint) {
        node.process().0.state.hash(to);
        node.disk().hash(to);
    }
}

/// A node prepares one value in a view.
fn votes_once(new: &Sent<Message>, view: &View<'_, Node>) -> Result<(), String> {
    let Message::Prepare { view: round, .. } = new.message else { return Ok(()) };
    let other = view.messages().find(|sent| {
        let same = matches!(sent.message, Message::Prepare { view, .. } if view == round);
        same && sent.from == new.from && sent.message != new.message
    });
    other.map_or(Ok(()), |other| Err(format!("{:?} after {other:?}", new.message)))
}

/// Once a quorum has committed, its leader included, no later view has a certificate for another
/// value.
fn stays_chosen(view: &View<'_, Node>) -> Result<(), String> {
    let locks = || {
        view.messages().filter_map(|sent| match sent.message {
            Message::Lock { view, value } => Some((view, value)),
            _ => None,
        })
    };
    for (round, value) in locks() {
        let commit = Message::Commit { view: round, value };
        let commits = view.messages().filter(|sent| sent.message == commit);
        let chosen = commits.map(|sent| sent.from).collect::<BTreeSet<_>>().len() >= 2;
        if chosen && locks().any(|(later, other)| later > round && other != value) {
            return Err(format!("{value} was chosen in view {round} and overturned"));
        }
    }
    Ok(())
}

/// Steps that walks take to the first failure, and the failure.
fn first_failure(world: &Lock, walks: &Walks, most: u64) -> Option<(u64, Failure)> {
    let mut steps = 0;
    for seed in 0.. {
        match walk(world, [seed], walks) {
            Ok(tally) if steps + tally.steps > most => break,
            Ok(tally) => steps += tally.steps,
            Err(failure) => return Some((steps + failure.length as u64, *failure)),
        }
    }
    None
}

fn forks(flaw: Flaw, plans: std::ops::Range<u64>) -> usize {
    let config = PlanConfig::new(NODES, Timestamp(1_500));
    let failing = plans.filter(|&seed| {
        let mut run = Simulation::<Node>::new(flaw, NODES, Plan::random(seed, &config));
        run.run_until(Timestamp(3_000)).unwrap();
        agree((0..NODES).map(|node| run.disk(node).decided)).is_err()
    });
    failing.count()
}

#[test]
fn walks_find_a_missing_lock_check_that_random_plans_miss() {
    let world = Lock::new(Flaw::NoLockCheck, 3).strict();
    let (steps, failure) = first_failure(&world, &Walks::new(60), 100_000).unwrap();
    assert!(steps < 20_000, "{steps} steps, then {failure}");
    assert_eq!(forks(Flaw::NoLockCheck, 0..500), 0, "one plan in 20,000 does");
}

#[test]
fn walks_find_a_lock_that_comes_too_late() {
    let world = Lock::new(Flaw::LocksLate, 3).strict();
    let (_, failure) = first_failure(&world, &Walks::new(60), 1_000_000).unwrap();
    assert!(failure.last.contains("overturned"), "{failure}");
}

#[test]
fn walks_find_what_a_crash_makes_a_node_forget() {
    let mut world = Lock::new(Flaw::Forgets, 2).strict();
    world.forged = [0, 1].map(|value| Message::Propose { view: 1, value, justify: None }).into();
    let (_, failure) = first_failure(&world, &Walks::new(40), 100_000).unwrap();
    assert!(failure.script.0.iter().any(|step| matches!(step, Choice::Crash { .. })), "{failure}");
    assert_eq!(first_failure(&world, &Walks::new(40).without_crashes(), 50_000), None);
}

#[test]
fn walks_of_a_sound_protocol_find_nothing() {
    let mut world = Lock::new(Flaw::None, 4).strict();
    world.forged = [0, 1].map(|value| Message::Propose { view: 1, value, justify: None }).into();
    let mut total = Tally::default();
    for seed in 0..1_000 {
        total.add(&walk(&world, [seed], &Walks::new(100)).unwrap_or_else(|e| panic!("{e}")));
    }
    assert!(total.steps > 30_000);
    assert!(total.faults().iter().all(|(_, count)| *count > 0), "{total:?}");
}

#[test]
fn a_failure_is_shrunk_to_what_it_needs_and_its_text_runs_again() {
    let world = Lock::new(Flaw::NoLockCheck, 3);
    let (_, failure) = first_failure(&world, &Walks::new(60), 1_000_000).unwrap();
    let text = failure.to_string();
    let steps = text.lines().skip(2).collect::<Vec<_>>().join("\n");
    let script: Script = steps.parse().unwrap();
    assert_eq!(script, failure.script);
    assert_eq!(script.to_string().parse(), Ok(script.clone()));
    assert_eq!(replay(&world, &script), Err(failure.last));
    for index in 0..script.0.len() {
        let mut fewer = script.clone();
        fewer.0.remove(index);
        assert_eq!(replay(&world, &fewer), Ok(()), "step {index} is not needed:\n{text}");
    }
    assert_eq!(replay(&Lock::new(Flaw::None, 3), &script), Ok(()), "the mended protocol");
    assert_eq!(
        walk(&world, [failure.seed.unwrap()], &Walks::new(60)).unwrap_err().to_string(),
        text
    );
}

/// Nodes 0, 1 and 3 choose 0 in the first view, though 3 stores its lock after it said that it had
/// none; then 1 leads 2 and 3 to another value.
const FORK: &str = "
0>1 #1 // proposal
0>3 #1
1>0 #1 // prepare
tick 1
3>0 #1 // prepare
0>1 #2 // lock
tick 2
2>1 #1 // new view
tick 3
3>1 #1
1>2 #1 // proposal
2>1 #2 // prepare
0>3 #2 cut 2 // the lock is stored, and the vote has left
1>3 #1 // proposal
3>1 #2 // prepare
";

#[test]
fn a_script_is_a_fixture() {
    let script: Script = FORK.parse().unwrap();
    let broken = replay(&Lock::new(Flaw::NoLockCheck, 3).strict(), &script);
    assert_eq!(broken, Err("0 was chosen in view 0 and overturned".into()));
    assert_eq!(replay(&Lock::new(Flaw::None, 3).strict(), &script), Ok(()));
    for (text, line) in [("0>1 #1\n1>2", 2), ("tick", 1), ("crash 1 cut 2", 1), ("0>1 #1 cut", 1)] {
        let error = text.parse::<Script>().unwrap_err();
        assert_eq!(error.line, line, "{error}");
    }
}

#[test]
fn a_search_visits_every_state_and_counts_them() {
    let bounds = Bounds { states: 100_000, crashes: false };
    let calm = exhaust(&Lock::new(Flaw::None, 1), &bounds).unwrap();
    assert!(calm.complete);
    assert_eq!(calm, exhaust(&Lock::new(Flaw::None, 1), &bounds).unwrap());
    assert_eq!((calm.states, calm.depth), (5_760, 18));
    let crashes = Bounds { crashes: true, ..bounds };
    let rough = exhaust(&Lock::new(Flaw::None, 1), &crashes).unwrap();
    assert!(rough.complete && rough.states > calm.states);
    let cut = exhaust(&Lock::new(Flaw::None, 1), &Bounds { states: 5_759, ..bounds }).unwrap();
    assert_eq!((cut.complete, cut.states), (false, 5_759));
}

/// Where nothing is sent, each node's deadlines are all that happens: (views + 1)^nodes states.
#[test]
fn a_search_counts_what_can_be_counted_by_hand() {
    struct Idle;
    #[derive(Clone)]
    struct Sleeper(Timer);
    #[derive(Clone)]
    struct Timer(u64);
    impl Machine for Timer {
        type Input = Tick;
        type Record = Infallible;
        type Output = Infallible;
        type Error = Infallible;
        fn handle(
            &mut self,
            now: Timestamp,
            _: Tick,
        ) -> Result<Step<Infallible, Infallible>, Infallible> {
            assert_eq!(now.0, self.0 * 10, "the clock shows the deadline");
            self.0 += 1;
            Ok(Step::empty())
        }
        fn release(
            &mut self,
            _: Timestamp,
            _: Receipt,
        ) -> Result<Step<Infallible, Infallible>, Infallible> {
            Ok(Step::empty())
        }
        fn next_deadline(&self) -> Option<Timestamp> {
            Some(Timestamp(self.0 * 10))
        }
    }
    impl Process for Sleeper {
        type Machine = Timer;
        type Setup = ();
        type Message = ();
        type Event = ();
        type Disk = ();
        fn boot(_: &mut Context<'_, Self>) -> Self {
            Self(Timer(1))
        }
        fn machine(&mut self) -> Option<&mut Timer> {
            Some(&mut self.0)
        }
        fn store(_: &mut (), _: &[Infallible]) {}
        fn receive(&mut self, _: &mut Context<'_, Self>, _: usize, _: ()) -> Option<Tick> {
            None
        }
        fn perform(&mut self, _: &mut Context<'_, Self>, output: Infallible) {
            match output {}
        }
    }
    impl World for Idle {
        type Process = Sleeper;
        fn setup(&self) -> &() {
            &()
        }
        fn nodes(&self) -> usize {
            3
        }
        fn check(&self, _: &View<'_, Sleeper>) -> Result<(), String> {
            Ok(())
        }
        fn is_within(&self, node: &Local<Sleeper>) -> bool {
            node.process().0.0 < 5
        }
        fn fingerprint(&self, node: &Local<Sleeper>, to: &mut Fingerprint) {
            to.write_u64(node.process().0.0);
        }
    }
    let explored = exhaust(&Idle, &Bounds { states: 1_000, crashes: false }).unwrap();
    // Each of 125 states lets each node that is below 5 go on: 3 * 4 * 25 steps.
    assert_eq!((explored.states, explored.steps, explored.depth), (125, 300, 12));
    assert_eq!((explored.locals, explored.messages), (15, 0));
}

#[test]
fn a_search_finds_a_shortest_failure() {
    let mut world = Lock::new(Flaw::Forgets, 2).strict();
    world.forged = [0, 1].map(|value| Message::Propose { view: 1, value, justify: None }).into();
    let bounds = Bounds { states: 1_000_000, crashes: true };
    let failure = exhaust(&world, &bounds).unwrap_err();
    assert_eq!((failure.length, failure.script.0.len()), (3, 3), "{failure}");
    let bounds = Bounds { states: 20_000, crashes: false };
    assert!(!exhaust(&world, &bounds).unwrap().complete);
}
