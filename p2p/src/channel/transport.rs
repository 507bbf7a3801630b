use alloc::vec::Vec;
use core::{fmt, mem};

use pocket_types::key::PublicKey;

use super::error::{ChannelError, SendError};
use super::session::{MAX_CHUNK, Session, TAG};
use crate::message::{MessageClass, PeerAddress};

/// An established channel to a peer that has proved who it is.
///
/// Hand every byte that the connection delivers to [`receive`](Self::receive), in order, and send
/// what [`send`](Self::send) returns, in order. After an error close the connection: nothing more
/// comes through.
pub struct Channel {
    peer: Peer,
    session: Session,
    /// Part of a Noise message, until the rest of it is here.
    partial: Vec<u8>,
    reading: Reading,
    closed: Option<ChannelError>,
}

/// Who is at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its proven identity.
    pub key: PublicKey,
    /// Where it says that it accepts connections; empty if it doesn't. Unproven: dial it and see.
    pub listen: PeerAddress,
}

/// One message, received whole and authentic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Whom it is for.
    pub class: MessageClass,
    /// At most [`MessageClass::max_bytes`].
    pub body: Vec<u8>,
}

enum Reading {
    Header,
    Body { frame: Frame, length: usize },
}

/// Class, then length.
const HEADER: usize = 1 + 4;

impl Channel {
    pub(super) fn new(peer: Peer, session: Session) -> Self {
        Self { peer, session, partial: Vec::new(), reading: Reading::Header, closed: None }
    }

    /// Who is at the other end.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The bytes to send for one frame.
    ///
    /// # Errors
    ///
    /// [`SendError`]: too long for its class, or the channel is closed.
    pub fn send(&mut self, class: MessageClass, body: &[u8]) -> Result<Vec<u8>, SendError> {
        self.check()?;
        let (got, max) = (body.len(), class.max_bytes());
        let length = u32::try_from(got).ok().filter(|_| got <= max);
        let length = length.ok_or(SendError::TooLong { class, got, max })?;
        let mut header = [0; HEADER];
        header[0] = class.code();
        header[1..].copy_from_slice(&length.to_le_bytes());
        let sealed = HEADER + TAG + got + got.div_ceil(MAX_CHUNK) * TAG;
        let mut out = Vec::with_capacity(sealed);
        for chunk in core::iter::once(&header[..]).chain(body.chunks(MAX_CHUNK)) {
            self.session.seal(chunk, &mut out).map_err(|error| self.close(error))?;
        }
        Ok(out)
    }

    /// Takes bytes from the connection, any number of them, and returns the frames that they
    /// complete. What it keeps for later is at most one Noise message and the received part of one
    /// frame.
    ///
    /// # Errors
    ///
    /// [`ChannelError`] closes the channel; frames completed by the same call are lost with it.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, ChannelError> {
        self.check()?;
        let mut frames = Vec::new();
        while let Some(sealed) = self.next_message(&mut bytes) {
            let frame = self.open(&sealed).map_err(|error| self.close(error))?;
            self.partial = sealed;
            self.partial.clear();
            frames.extend(frame);
        }
        Ok(frames)
    }

    /// The next whole Noise message, taken off the front of `bytes`; none until the rest of it comes.
    fn next_message(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let needed = match &self.reading {
            Reading::Header => HEADER + TAG,
            Reading::Body { frame, length } => (length - frame.body.len()).min(MAX_CHUNK) + TAG,
        };
        let missing = needed - self.partial.len();
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(now);
        *bytes = later;
        (self.partial.len() == needed).then(|| mem::take(&mut self.partial))
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Option<Frame>, ChannelError> {
        let (mut frame, length) = match mem::replace(&mut self.reading, Reading::Header) {
            Reading::Header => {
                let mut header = Vec::with_capacity(HEADER);
                self.session.open(sealed, &mut header)?;
                let (frame, length) = announced(&header)?;
                (frame, length)
            }
            Reading::Body { mut frame, length } => {
                self.session.open(sealed, &mut frame.body)?;
                (frame, length)
            }
        };
        if frame.body.len() == length {
            frame.body.shrink_to_fit();
            return Ok(Some(frame));
        }
        self.reading = Reading::Body { frame, length };
        Ok(None)
    }

    fn check(&self) -> Result<(), ChannelError> {
        self.closed.map_or(Ok(()), Err)
    }

    fn close(&mut self, error: ChannelError) -> ChannelError {
        self.closed = Some(error);
        self.partial = Vec::new();
        self.reading = Reading::Header;
        error
    }
}

/// The frame that an authentic header announces, checked against its class's bound.
fn announced(header: &[u8]) -> Result<(Frame, usize), ChannelError> {
    let [code, length @ ..] = header else { return Err(ChannelError::Authentication) };
    let length = length.try_into().map_err(|_| ChannelError::Authentication)?;
    let got = u32::from_le_bytes(length);
    let class = MessageClass::from_code(*code).ok_or(ChannelError::UnknownClass(*code))?;
    let max = class.max_bytes();
    let length = usize::try_from(got).ok().filter(|length| *length <= max);
    let length = length.ok_or(ChannelError::TooLong { class, got, max })?;
    Ok((Frame { class, body: Vec::new() }, length))
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("peer", &self.peer)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
