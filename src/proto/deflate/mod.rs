//! Compression of messages: permessage-deflate (RFC 7692). Payloads in, payloads out.
//!
//! Every compressed message ends with a sync flush, at the border of a block and of a byte. So all
//! that an end takes over from one message to the next is its *history*, the last bytes of
//! plaintext, as many as the window has. A codec that was reset and given the history continues
//! where the last message has ended, and no peer can tell. Codecs therefore belong to the thread
//! ([`pool`]), and only the history belongs to the connection. An idle connection without takeover
//! has neither.
//!
//! Without the feature `deflate`, the same types exist and cannot be created.

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod history;
#[cfg(feature = "deflate")]
mod inflater;
#[cfg(feature = "deflate")]
mod job;
#[cfg(feature = "deflate")]
mod pool;
#[cfg(feature = "deflate")]
mod variants;

#[cfg(not(feature = "deflate"))]
pub(crate) use self::absent::CAN_COMPRESS;
#[cfg(not(feature = "deflate"))]
pub(super) use self::absent::{Deflater, Inflater, Job, Variants};
#[cfg(feature = "deflate")]
pub(crate) use self::deflater::CAN_COMPRESS;
#[cfg(feature = "deflate")]
pub(super) use self::{deflater::Deflater, inflater::Inflater, job::Job, variants::Variants};
use crate::message::Bytes;

/// How much of a message is compressed at once: a quarter of a millisecond's work at level 3. A
/// runtime may poll a busy task some sixty times before it looks at its streams again.
pub(super) const STEP: usize = 32 * 1024;

/// What has become of a message that arrives compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "without the feature, none is created")]
pub(super) enum Inflated {
    /// More bytes of the peer are needed.
    Hungry,
    /// As much came out as one call returns. The next call continues.
    Paused,
    /// The message is complete.
    Done,
}

/// What has become of a message that is being compressed.
#[derive(Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "without the feature, none is created")]
pub(super) enum Deflated {
    /// The next call continues.
    Paused,
    /// The message is smaller now.
    Smaller(Bytes),
    /// It would not be smaller, and has to be sent as it is.
    Plain,
}
