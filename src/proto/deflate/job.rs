//! The compression of one message, in steps.

use std::mem;

use flate2::{Compress, FlushCompress};

use super::{
    Deflated, STEP,
    pool::{Block, Compressor, Context},
};

/// What a sync flush ends with, and a message leaves out (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A message that is being compressed.
#[derive(Debug)]
pub(in crate::proto) struct Job {
    /// `None` if the connection has a compressor of its own.
    compressor: Option<Compressor>,
    /// How many bytes of the message were compressed.
    taken: usize,
    output: Vec<u8>,
}

impl Job {
    pub(super) fn new(compressor: Option<Compressor>) -> Self {
        Self {
            compressor,
            taken: 0,
            output: Vec::new(),
        }
    }

    pub(super) fn compressor(&mut self) -> Option<&mut Compressor> {
        self.compressor.as_mut()
    }

    /// Compresses the next part of `payload`, which is not empty and the same in each call.
    pub(super) fn step(&mut self, own: Option<&mut Context>, payload: &[u8]) -> Deflated {
        let lent = self.compressor.as_mut().map(Compressor::context);
        match lent.or(own) {
            Some(context) => step(context, &mut self.taken, &mut self.output, payload),
            None => Deflated::Plain,
        }
    }
}

fn step(
    context: &mut Context,
    taken: &mut usize,
    output: &mut Vec<u8>,
    payload: &[u8],
) -> Deflated {
    // Until its end, also if a call panics.
    context.set_inside(true);
    let codec = context.codec();
    // A connection that pauses holds its compressor, so one of 64 KiB does not pause.
    let is_last = payload.len() - *taken <= 2 * STEP;
    let end = if is_last {
        payload.len()
    } else {
        *taken + STEP
    };
    let flush = if is_last {
        FlushCompress::Sync
    } else {
        FlushCompress::None
    };
    if !feed(codec, &payload[*taken..end], flush, output, payload.len()) {
        return Deflated::Plain;
    }
    *taken = end;
    if !is_last {
        return Deflated::Paused;
    }
    context.set_inside(false);
    finish(mem::take(output), payload.len())
}

/// Compresses `input`, and takes all output. Returns `false` if it fails, or if there are `most`
/// bytes before the end: the message does not become smaller.
fn feed(
    codec: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    output: &mut Vec<u8>,
    most: usize,
) -> bool {
    let mut block = Block::take();
    loop {
        let (read, written) = (codec.total_in(), codec.total_out());
        let result = codec.compress(input, &mut block, flush);
        input = &input[count(codec.total_in() - read)..];
        let written = count(codec.total_out() - written);
        output.extend_from_slice(&block[..written]);
        // While the block gets full, the codec may hold more output.
        if result.is_err() || written < block.len() {
            return result.is_ok();
        }
        if output.len() >= most {
            return false;
        }
    }
}

/// Takes the output of a complete message.
fn finish(mut output: Vec<u8>, plain: usize) -> Deflated {
    let compressed = output.strip_suffix(&TAIL).map(<[u8]>::len);
    let Some(length) = compressed.filter(|&length| length < plain) else {
        return Deflated::Plain;
    };
    output.truncate(length);
    output.shrink_to_fit();
    Deflated::Smaller(output.into())
}

/// Returns a count of bytes in memory.
pub(super) fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
