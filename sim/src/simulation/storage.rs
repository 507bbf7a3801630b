//! What becomes durable, and crashes in between.

use pocket_types::machine::Machine;

use super::Simulation;
use super::queue::Event;
use super::trace::Entry;
use crate::plan::Fault;
use crate::process::Process;

impl<P: Process> Simulation<P> {
    pub(super) fn stored(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        let Some(unstored) = host.unstored.pop_front() else {
            return;
        };
        host.stores += 1;
        let (stores, life) = (host.stores, host.life);
        let first_failure = (!host.disk_failed)
            .then(|| {
                self.plan.faults.iter().find_map(|fault| match fault {
                    Fault::FailedStore { node: whose, store, until_crash }
                        if (*whose, *store) == (node, stores) =>
                    {
                        Some(*until_crash)
                    }
                    _ => None,
                })
            })
            .flatten();
        if let Some(until_crash) = first_failure {
            host.disk_failed = true;
            self.schedule(self.now.after(until_crash), Event::CrashLife(node, life));
        }
        let torn = self.plan.faults.iter().find_map(|fault| match fault {
            Fault::TornStore { node: whose, store, records, down }
                if (*whose, *store) == (node, stores) =>
            {
                Some((*records, *down))
            }
            _ => None,
        });
        let host = &mut self.nodes[node];
        if let Some((records, down)) = torn.filter(|_| !host.disk_failed) {
            let all = unstored.records();
            self.counters.torn_stores += u64::from(records > 0 && records < all.len());
            let written = &all[..records.min(all.len())];
            if !written.is_empty() {
                P::store(&mut host.disk, written);
            }
            self.trace.record(Entry::Stored, node, self.now).number(written.len() as u64);
            self.crash(node, down);
            return;
        }
        let receipt = if host.disk_failed {
            self.counters.failed_stores += 1;
            self.trace.record(Entry::StoreFailed, node, self.now);
            unstored.failed()
        } else {
            P::store(&mut host.disk, unstored.records());
            self.trace.record(Entry::Stored, node, self.now);
            if !self.effect(node) {
                return;
            }
            unstored.stored()
        };
        let now = self.local(node);
        let machine = self.nodes[node].process.as_mut().and_then(P::machine);
        if let Some(result) = machine.map(|machine| machine.release(now, receipt)) {
            self.step(node, result);
        }
        while !self.is_backlogged(node)
            && let Some(input) = self.nodes[node].held.pop_front()
        {
            self.handle(node, input);
        }
        self.arm(node);
    }

    /// Counts an effect; false if the node crashed at it.
    pub(super) fn effect(&mut self, node: usize) -> bool {
        self.counters.effects[node] += 1;
        let effects = self.counters.effects[node];
        let crash = self.plan.faults.iter().find_map(|fault| match fault {
            Fault::CrashAtEffect { node: whose, effect, down }
                if (*whose, *effect) == (node, effects) =>
            {
                Some(*down)
            }
            _ => None,
        });
        if let Some(down) = crash {
            self.counters.effect_crashes += 1;
            self.crash(node, down);
        }
        crash.is_none()
    }
}
