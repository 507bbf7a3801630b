//! The serving side: a function from a request and a block store to a bounded answer.

use alloc::vec::Vec;

use pocket_types::codec::{self, List};
use pocket_types::number::Height;
use thiserror::Error;

use super::message::{DecidedBlock, MAX_RANGE, MAX_RANGE_BYTES, Range, RangeRequest};

/// Why a request is not answered. Its sender is at fault, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Asks for nothing.
    #[error("asks for no blocks")]
    Nothing,
    /// Asks for too much.
    #[error("asks for {got} blocks, at most {MAX_RANGE} are given at once")]
    TooMany {
        /// Blocks asked for.
        got: u64,
    },
    /// Asks for the genesis, which is no block.
    #[error("asks for height 0, the first block has height 1")]
    Genesis,
    /// The first block asked for fits no message. The host is at fault: it stores a block larger than
    /// [`MAX_BLOCK_BYTES`](crate::replica::config::MAX_BLOCK_BYTES).
    #[error("block {height} and its proof take {got} bytes, a message at most {MAX_RANGE_BYTES}")]
    TooLarge {
        /// The block's height.
        height: Height,
        /// The bytes that it takes with its proof.
        got: usize,
    },
}

/// Checks a request before the store is touched.
///
/// # Errors
///
/// [`RequestError`] when no honest peer asks this.
pub fn check(request: &RangeRequest) -> Result<(), RequestError> {
    match request {
        RangeRequest { from: Height::GENESIS, .. } => Err(RequestError::Genesis),
        RangeRequest { count: 0, .. } => Err(RequestError::Nothing),
        &RangeRequest { count: got, .. } if got > MAX_RANGE as u64 => {
            Err(RequestError::TooMany { got })
        }
        _ => Ok(()),
    }
}

/// The answer to a request: blocks from the store in order, until one is missing or the answer is
/// full. It reads at most one block more than it gives.
///
/// A request of a few bytes is answered with up to [`MAX_RANGE_BYTES`], and nothing here counts who
/// asks how often: the host limits its peers' requests, as it does for everything that it serves.
///
/// # Errors
///
/// [`RequestError`] as [`check`], and whatever reading the store yields.
pub fn respond<E: From<RequestError>>(
    request: &RangeRequest,
    mut block: impl FnMut(Height) -> Result<Option<DecidedBlock>, E>,
) -> Result<Range, E> {
    check(request)?;
    let (mut blocks, mut bytes, mut height) = (Vec::new(), 0, request.from);
    for _ in 0..request.count {
        let Some(block) = block(height)? else { break };
        bytes += codec::encoded_len(&block);
        if bytes > MAX_RANGE_BYTES {
            if blocks.is_empty() {
                return Err(RequestError::TooLarge { height, got: bytes }.into());
            }
            break;
        }
        blocks.push(block);
        height = height.next();
    }
    let blocks = List::new(blocks).expect("a checked request asks for no more than the bound");
    Ok(Range { from: request.from, blocks })
}
