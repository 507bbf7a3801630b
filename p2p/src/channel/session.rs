//! Noise messages after the handshake, each direction with its own key and count.

use alloc::vec::Vec;

use snow::StatelessTransportState;

use super::error::ChannelError;

/// Each direction of a channel changes its key after this many bytes on the wire.
pub const REKEY_BYTES: u64 = 64 << 20;

/// Longest plaintext of one Noise message.
pub(super) const MAX_CHUNK: usize = 65_535 - TAG;

/// What sealing adds to a message.
pub(super) const TAG: usize = 16;

/// Noise 5.1 keeps the last number for rekeying.
const LAST_NUMBER: u64 = u64::MAX - 1;

pub(super) struct Session {
    keys: StatelessTransportState,
    sending: Direction,
    receiving: Direction,
}

#[derive(Default)]
struct Direction {
    next: u64,
    bytes_under_key: u64,
}

impl Session {
    pub(super) fn new(keys: StatelessTransportState) -> Self {
        Self { keys, sending: Direction::default(), receiving: Direction::default() }
    }

    /// Appends the sealed plaintext, at most [`MAX_CHUNK`] bytes, to `out`.
    pub(super) fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), ChannelError> {
        let number = self.sending.number()?;
        let start = out.len();
        out.resize(start + plaintext.len() + TAG, 0);
        self.keys
            .write_message(number, plaintext, &mut out[start..])
            .map_err(|_| ChannelError::Exhausted)?;
        if self.sending.advance(plaintext.len() + TAG) {
            self.keys.rekey_outgoing();
        }
        Ok(())
    }

    /// Appends the opened message to `out`; after a failure `out` is not to be used.
    pub(super) fn open(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), ChannelError> {
        let number = self.receiving.number()?;
        let length = sealed.len().checked_sub(TAG).ok_or(ChannelError::Authentication)?;
        let start = out.len();
        out.resize(start + length, 0);
        self.keys
            .read_message(number, sealed, &mut out[start..])
            .map_err(|_| ChannelError::Authentication)?;
        if self.receiving.advance(sealed.len()) {
            self.keys.rekey_incoming();
        }
        Ok(())
    }
}

impl Direction {
    fn number(&self) -> Result<u64, ChannelError> {
        if self.next > LAST_NUMBER { Err(ChannelError::Exhausted) } else { Ok(self.next) }
    }

    /// Counts a message; whether the key must change after it.
    fn advance(&mut self, bytes: usize) -> bool {
        self.next += 1;
        self.bytes_under_key += bytes as u64;
        let rekey = self.bytes_under_key >= REKEY_BYTES;
        if rekey {
            self.bytes_under_key = 0;
        }
        rekey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_closes_when_its_numbers_are_used_up() {
        let mut direction = Direction { next: LAST_NUMBER, bytes_under_key: 0 };
        assert_eq!(direction.number(), Ok(u64::MAX - 1));
        direction.advance(1);
        assert_eq!(direction.number(), Err(ChannelError::Exhausted));
    }

    #[test]
    fn the_key_changes_when_its_volume_is_reached_and_not_before() {
        let mut direction = Direction::default();
        assert!(!direction.advance(REKEY_BYTES as usize - 1));
        assert!(direction.advance(1));
        assert!(!direction.advance(1));
        assert_eq!(direction.next, 3);
    }
}
