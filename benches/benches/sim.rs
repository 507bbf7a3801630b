//! The simulator by itself: what a campaign pays before its protocol does anything.
//!
//! Seven nodes store a number every virtual millisecond and tell the others, over links that delay
//! and lose: each virtual second is 7,000 ticks, 7,000 stores and about 42,000 messages, each of them
//! one entry in the queue and one link of the trace's hash chain. No peer runs machines of this
//! convention; the figure to compare it with is the protocol's own time in the consensus bench.

use pocket_benches::{Comparison, Throughput, repeated};
use pocket_sim::{Context, Plan, Process, Simulation};
use pocket_types::machine::{Machine, Outbox, Poisoned, Receipt, Step, Tick};
use pocket_types::number::{Duration, Timestamp};

const NODES: usize = 7;
const MILLISECONDS: u64 = 100;

fn main() {
    let mut comparison = Comparison::new("sim");
    comparison.alone(
        "a message, with its share of ticks and stores",
        Throughput::Elements(MILLISECONDS * (NODES * (NODES - 1)) as u64),
        repeated(|| {
            let mut simulation = Simulation::<Host>::new((), NODES, Plan::calm(7));
            simulation.run_until(Timestamp(MILLISECONDS)).expect("a small run stays in its limits");
            simulation.trace()
        }),
    );
    comparison.finish();
}

/// Stores and says every millisecond how often it has done so.
struct Counter {
    count: u64,
    due: Timestamp,
    outbox: Outbox<u64>,
}

impl Machine for Counter {
    type Input = Tick;
    type Record = u64;
    type Output = u64;
    type Error = Poisoned;

    fn handle(&mut self, now: Timestamp, _: Tick) -> Result<Step<u64, u64>, Poisoned> {
        self.count += 1;
        self.due = now.after(Duration(1));
        Ok(self.outbox.push(vec![self.count], vec![self.count]))
    }

    fn release(&mut self, _: Timestamp, receipt: Receipt) -> Result<Step<u64, u64>, Poisoned> {
        let outputs = self.outbox.release(&receipt)?;
        Ok(Step { records: None, outputs })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        Some(self.due)
    }
}

struct Host(Counter);

impl Process for Host {
    type Machine = Counter;
    type Setup = ();
    type Message = u64;
    type Event = u64;
    type Disk = u64;

    fn boot(context: &mut Context<'_, Self>) -> Self {
        let (count, due) = (*context.disk(), context.now());
        Self(Counter { count, due, outbox: Outbox::new() })
    }

    fn machine(&mut self) -> Option<&mut Counter> {
        Some(&mut self.0)
    }

    fn store(disk: &mut u64, records: &[u64]) {
        *disk = records[records.len() - 1];
    }

    fn receive(&mut self, _: &mut Context<'_, Self>, _: usize, _: u64) -> Option<Tick> {
        None
    }

    fn perform(&mut self, context: &mut Context<'_, Self>, count: u64) {
        context.broadcast(count);
    }
}
