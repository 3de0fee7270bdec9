//! A peer's codec: flate2 as it is, with a window of exactly the bits that were agreed.

use std::{future::Future, pin::pin, sync::Arc};

use anyws::{DeflateConfig, Runtime, WebSocketConfig};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use futures::FutureExt;
use support::{config, frames::Frame};

/// The first reserved bit: the message is compressed.
pub(crate) const RSV1: u8 = 0x40;

/// What a sync flush ends with, and a message leaves out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Compresses as a peer does that takes over from message to message.
pub(crate) struct Sender(Compress);

impl Sender {
    pub(crate) fn new(level: u32, bits: u8) -> Self {
        let level = Compression::new(level);
        Self(Compress::new_with_window_bits(level, false, bits))
    }

    pub(crate) fn message(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut output = self.flushed(plain, FlushCompress::Sync);
        assert_eq!(output.split_off(output.len() - 4), TAIL);
        output
    }

    /// Compresses with any flush. What a sync flush ends with is there.
    pub(crate) fn flushed(&mut self, plain: &[u8], flush: FlushCompress) -> Vec<u8> {
        let before = self.0.total_in();
        let mut output = Vec::new();
        loop {
            let taken = usize::try_from(self.0.total_in() - before).unwrap();
            output.reserve(plain.len() + 64);
            let length = output.len();
            let rest = &plain[taken..];
            self.0.compress_vec(rest, &mut output, flush).unwrap();
            if output.capacity() > output.len() || output.len() == length {
                return output;
            }
        }
    }
}

/// Inflates as a peer does that keeps a window of the agreed bits, and no more.
pub(crate) struct Receiver {
    codec: Decompress,
    takes_over: bool,
}

impl Receiver {
    pub(crate) fn new(bits: u8, takes_over: bool) -> Self {
        Self {
            codec: Decompress::new_with_window_bits(false, bits),
            takes_over,
        }
    }

    pub(crate) fn message(&mut self, compressed: &[u8]) -> Vec<u8> {
        let compressed = [compressed, &TAIL].concat();
        let before = self.codec.total_in();
        let mut output = Vec::new();
        loop {
            let taken = usize::try_from(self.codec.total_in() - before).unwrap();
            output.reserve(64 * 1024);
            let rest = &compressed[taken..];
            let flush = FlushDecompress::Sync;
            let status = self.codec.decompress_vec(rest, &mut output, flush);
            let status = status.expect("the peer's window is enough");
            assert_ne!(status, Status::StreamEnd, "a final block");
            if output.capacity() > output.len() {
                break;
            }
        }
        if !self.takes_over {
            self.codec.reset(false);
        }
        output
    }

    /// The plaintext of a frame, compressed or not.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Vec<u8> {
        if frame.has_bits(RSV1) {
            self.message(&frame.payload)
        } else {
            frame.payload.clone()
        }
    }
}

/// A message that is compressed by itself.
pub(crate) fn deflated(plain: &[u8]) -> Vec<u8> {
    Sender::new(6, 15).message(plain)
}

/// A compressed frame with a whole message.
pub(crate) fn frame(opcode: u8, plain: &[u8]) -> Frame {
    Frame::new(opcode, deflated(plain)).with_bits(RSV1)
}

/// Drives a future that has only turns to wait for, such as those of a socket that compresses.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
    }
    panic!("it waits for something else");
}

/// Settings that compress, on `runtime`.
pub(crate) fn with(runtime: &Arc<dyn Runtime>, deflate: DeflateConfig) -> WebSocketConfig {
    config(runtime).set_deflate(deflate)
}

impl Sender {
    /// A sender that knows `dictionary` already.
    pub(crate) fn with_dictionary(bits: u8, dictionary: &[u8]) -> Self {
        let mut this = Self::new(6, bits);
        this.0.set_dictionary(dictionary).unwrap();
        this
    }
}
