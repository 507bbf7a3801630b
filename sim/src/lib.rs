//! The deterministic network in one thread: virtual time, seeded links, crashes with durable state,
//! adversaries, and fault plans that print, replay and shrink.
//!
//! It runs any protocol that is a [`Machine`](pocket_types::machine::Machine), and knows nothing of
//! what the protocol does. A test wraps the machine in a [`Process`], which does the duties of its
//! host, and looks at what comes out:
//!
//! ```
//! use pocket_sim::{Context, Fault, Plan, Process, Simulation};
//! use pocket_types::machine::{Machine, Outbox, Poisoned, Receipt, Step, Tick};
//! use pocket_types::number::{Duration, Timestamp};
//!
//! /// Says every second how often it has done so, ever: it stores a number before it says it.
//! struct Clock { count: u64, due: Timestamp, outbox: Outbox<u64> }
//!
//! impl Machine for Clock {
//!     type Input = Tick;
//!     type Record = u64;
//!     type Output = u64;
//!     type Error = Poisoned;
//!     fn handle(&mut self, now: Timestamp, _: Tick) -> Result<Step<u64, u64>, Poisoned> {
//!         self.count += 1;
//!         self.due = now.after(Duration::seconds(1));
//!         Ok(self.outbox.push(vec![self.count], vec![self.count]))
//!     }
//!     fn release(&mut self, _: Timestamp, receipt: Receipt) -> Result<Step<u64, u64>, Poisoned> {
//!         let outputs = self.outbox.release(&receipt)?;
//!         Ok(Step { records: None, outputs })
//!     }
//!     fn next_deadline(&self) -> Option<Timestamp> {
//!         Some(self.due)
//!     }
//! }
//!
//! struct Host(Clock);
//!
//! impl Process for Host {
//!     type Machine = Clock;
//!     type Setup = ();
//!     type Message = u64;
//!     type Event = (usize, u64);
//!     type Disk = u64;
//!     fn boot(context: &mut Context<'_, Self>) -> Self {
//!         let (count, due) = (*context.disk(), context.now());
//!         Self(Clock { count, due, outbox: Outbox::new() })
//!     }
//!     fn machine(&mut self) -> Option<&mut Clock> {
//!         Some(&mut self.0)
//!     }
//!     fn store(disk: &mut u64, records: &[u64]) {
//!         *disk = records[records.len() - 1];
//!     }
//!     fn receive(&mut self, context: &mut Context<'_, Self>, from: usize, said: u64) -> Option<Tick> {
//!         context.observe((from, said));
//!         None
//!     }
//!     fn perform(&mut self, context: &mut Context<'_, Self>, count: u64) {
//!         context.broadcast(count);
//!     }
//! }
//!
//! // Node 0 loses its memory after its third effect: the second number is stored but not said.
//! let crash = Fault::CrashAtEffect { node: 0, effect: 3, down: Some(Duration(500)) };
//! let mut simulation = Simulation::<Host>::new((), 2, Plan::calm(7).with(crash));
//! simulation.run_until(Timestamp(4_000)).unwrap();
//! let said = simulation.observations().iter().map(|seen| seen.event);
//! assert_eq!(said.filter(|said| said.0 == 0).map(|said| said.1).collect::<Vec<_>>(), [1, 3, 4, 5]);
//! ```
//!
//! # What is promised
//!
//! - One thread, one queue ordered by (virtual time, sequence), one generator seeded by the plan: two
//!   runs of a plan are the same, event by event, on any machine. [`Simulation::trace`] is a chained
//!   hash over all of them.
//! - Records are on the disk when their store completes, not before; a crash takes away everything
//!   else. [`Fault::CrashAtEffect`] puts crashes between any two effects.
//! - A run is bounded ([`Limits`]), and machines that break the convention in a way that can be seen
//!   from outside are caught ([`SimulationError`]).
//!
//! # Plans
//!
//! A [`Plan`] is a seed and a list of [`Fault`]s; `Display` prints it. Faults strike at times, at
//! effects of a node, or at a [`Stage`] of the protocol, which [`Process::stage`] knows.
//! [`Plan::random`] expands a seed, [`explore`] runs many, shrinks the first that fails and prints it
//! with its seed: a range of that one seed runs it again, and [`Plan::random`] of it makes the fixture
//! of a regression test. A test that panics while a [`Simulation`] is alive prints its plan too.
//! [`Counters`] say how often each kind of fault took effect: a campaign in which one never did has
//! not tested it, and [`Campaign`] fails it.
//!
//! # Beside plans
//!
//! The [`soup`] lets the same processes take any message ever sent, in any order; bugs of locks are
//! found there. [`twins`] numbers the schedules under which validators run twice with one key.
//!
//! # Adversaries
//!
//! A node may be an adversary: make the process an enum, and let one variant lie, or wrap an honest
//! machine and send its outputs to some nodes only. An adversary of the network, who sees everything
//! and drops or delays what it likes, is a [filter](Simulation::filter).
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod campaign;
pub mod cheap;
mod counters;
mod error;
mod network;
mod plan;
mod process;
mod random;
mod simulation;
pub mod soup;
pub mod twins;

pub use campaign::{Campaign, Total};
pub use counters::Counters;
pub use error::SimulationError;
pub use network::{Envelope, Fate, Link, Window};
pub use plan::{Fault, Plan, PlanConfig, Stage, explore, shrink};
pub use process::{Context, Error, Input, Output, Process, Record};
pub use random::Random;
pub use simulation::{Limits, Observation, Simulation};
