//! When to propose, when to give a round up, when to say something again.

use pocket_types::number::{Duration, Round, Timestamp};
use pocket_types::trap;

use crate::replica::config::{Config, Pace};

/// The clockwork of one round. Timeouts grow with the round, so that whatever the network's delay
/// is, rounds become long enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pacemaker {
    /// Until when candidates for leading are listened to.
    pub(crate) settles: Timestamp,
    /// From when the leader may propose.
    pub(crate) due: Timestamp,
    /// Whether that has come: a leader without a quorum waits for messages, not for the clock.
    pub(crate) is_due: bool,
    /// When the round is given up.
    pub(crate) timeout: Timestamp,
    /// When to say again what was said last.
    pub(crate) resend: Timestamp,
}

impl Pacemaker {
    /// Enters a round at `now`, when the last decided block's time was `parent`: blocks are proposed
    /// a steady block time apart, however long the decision took.
    pub(crate) fn enter(config: &Config, now: Timestamp, parent: Timestamp, round: Round) -> Self {
        let due = match config.pace {
            Pace::Steady => now.max(parent.after(config.block_time)),
            Pace::AfterDecision if round == Round::ZERO => now.after(config.block_time),
            Pace::AfterDecision => now,
        };
        // A parent from the future (within the drift) must not stretch the wait beyond a block time.
        let due = due.min(now.after(config.block_time));
        let wait = config.election.map_or(Duration(0), |e| grown(config, e.wait, round));
        let wait = if trap!("vrf_no_wait") { Duration(0) } else { wait };
        let settles = now.after(wait);
        let due = due.max(settles);
        Self {
            settles,
            due,
            is_due: due <= now,
            timeout: due.after(timeout(config, round)),
            resend: due.after(config.resend),
        }
    }
}

/// How long a round may take.
pub(crate) fn timeout(config: &Config, round: Round) -> Duration {
    grown(config, config.timeout, round)
}

/// `first · (growth %)^round`, capped.
fn grown(config: &Config, first: Duration, round: Round) -> Duration {
    let mut timeout = first.0;
    for _ in 0..round.0 {
        let grown = u128::from(timeout) * u128::from(config.timeout_growth) / 100;
        if grown >= u128::from(config.timeout_cap.0) || grown == u128::from(timeout) {
            timeout = u64::try_from(grown).unwrap_or(u64::MAX);
            break;
        }
        timeout = grown as u64;
    }
    Duration(timeout.min(config.timeout_cap.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            block_time: Duration(1_000),
            timeout: Duration(100),
            timeout_growth: 200,
            timeout_cap: Duration(1_000),
            ..Config::default()
        }
    }

    #[test]
    fn timeouts_double_up_to_the_cap() {
        let timeouts =
            [0, 1, 2, 3, 4, 5, u64::MAX].map(|r| grown(&config(), Duration(100), Round(r)).0);
        assert_eq!(timeouts, [100, 200, 400, 800, 1_000, 1_000, 1_000]);
        let flat = Config { timeout_growth: 100, ..config() };
        assert_eq!(grown(&flat, flat.timeout, Round(u64::MAX)).0, 100);
    }

    #[test]
    fn proposals_are_a_block_time_apart_and_never_in_the_past() {
        let due = |now, parent| {
            let pacemaker =
                Pacemaker::enter(&config(), Timestamp(now), Timestamp(parent), Round::ZERO);
            assert_eq!(pacemaker.timeout.0, pacemaker.due.0 + 100);
            pacemaker.due.0
        };
        assert_eq!(due(5_200, 5_000), 6_000);
        assert_eq!(due(7_000, 5_000), 7_000);
        assert_eq!(due(5_000, 5_400), 6_000);
    }
}
