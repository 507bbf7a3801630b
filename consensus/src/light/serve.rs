//! The serving side: a function from a request and a block store to a bounded answer.

use alloc::boxed::Box;

use pocket_types::codec;
use pocket_types::id::BlockId;
use pocket_types::light::LightBlock;
use pocket_types::number::Height;
use thiserror::Error;

use super::message::{LightAnswer, LightRequest, MAX_ANSWER_BYTES};

/// Why a request is not answered. Its sender is at fault, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Asks for the genesis, which is no block.
    #[error("asks for height 0, the first block has height 1")]
    Genesis,
    /// The block fits no message. The host is at fault: its sets and certificates exceed what the
    /// network's parameters may allow.
    #[error(
        "header, proof and sets of height {} take {got} bytes, a message at most {MAX_ANSWER_BYTES}",
        height.0
    )]
    TooLarge {
        /// The block's height.
        height: Height,
        /// The bytes that it takes.
        got: usize,
    },
}

/// The answer to a request; exactly one of the two readers is called, once. What is missing is
/// answered as such, so that the asker need not wait.
///
/// # Errors
///
/// [`RequestError`], or whatever reading the store yields.
pub fn respond<E: From<RequestError>>(
    request: &LightRequest,
    id: impl FnOnce(Height) -> Result<Option<BlockId>, E>,
    block: impl FnOnce(Height) -> Result<Option<LightBlock>, E>,
) -> Result<LightAnswer, E> {
    let height = request.height();
    if height == Height::GENESIS {
        return Err(RequestError::Genesis.into());
    }
    if let LightRequest::Id { .. } = request {
        return Ok(LightAnswer::Id { height, id: id(height)? });
    }
    let block = block(height)?;
    let got = block.as_ref().map_or(0, codec::encoded_len);
    if got > MAX_ANSWER_BYTES {
        return Err(RequestError::TooLarge { height, got }.into());
    }
    Ok(LightAnswer::Block { height, block: block.map(Box::new) })
}
