//! From one height to the next, for protocols that decide one height at a time.

use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Timestamp};
use pocket_types::vote::{Certificate, Phase};

use super::effects::Effects;
use super::{Core, Heard};
use crate::protocol::Protocol;
use crate::replica::message::Message;
use crate::tip::Tip;

/// A protocol that forgets everything of a height once that is decided.
pub(crate) trait Heights: Protocol {
    fn core_mut(&mut self) -> &mut Core;

    /// Knows nothing of the height being decided but what the log says.
    fn restore(&mut self);

    /// Begins the height, or takes it up where the log ends.
    fn resume(&mut self, now: Timestamp, fx: &mut Effects);

    /// Takes a certificate.
    fn hear_certificate(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        certificate: Certificate,
        fx: &mut Effects,
    ) -> Heard;

    /// A message for a later height. `decision` may decide ours, and then the message is for now;
    /// otherwise one for the very next height waits, and from further on we need blocks.
    fn later(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        height: Height,
        decision: Option<Certificate>,
        message: Message,
        fx: &mut Effects,
    ) -> Heard {
        let decision = decision.filter(|decision| decision.data.phase == Phase::Commit);
        if height == self.core().height().next()
            && let Some(decision) = decision
        {
            self.hear_certificate(now, from, decision, fx)?;
            if height == self.core().height() {
                return self.receive(now, from, message, fx);
            }
        }
        self.core_mut().later(from, height, message, fx);
        Ok(())
    }

    /// Begins the height after the tip that the core has just moved to.
    fn begin(&mut self, now: Timestamp, fx: &mut Effects) {
        self.restore();
        self.resume(now, fx);
        for (from, message) in self.core_mut().early() {
            self.deliver(now, from, message, fx);
        }
    }

    /// The host has committed blocks up to this tip.
    fn move_to(&mut self, now: Timestamp, tip: Tip, fx: &mut Effects) {
        if tip.height() <= self.core().tip.height() {
            return;
        }
        let adjacent = tip.height() == self.core().height();
        self.core_mut().reset(tip);
        if !adjacent {
            self.core_mut().ahead = Default::default();
        }
        self.begin(now, fx);
    }
}
