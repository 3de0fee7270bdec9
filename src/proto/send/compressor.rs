//! The messages of a connection on their way through compression.

use super::Outgoing;
use crate::{
    config::Compression,
    message::Bytes,
    proto::deflate::{Deflated, Deflater, Job, STEP},
};

/// How many bytes take about as long as a frame.
const BYTES_PER_FRAME: usize = STEP / 256;

/// Compresses messages before they are buffered, a long one in several turns.
#[derive(Debug)]
pub(crate) struct Compressor {
    deflater: Deflater,
    current: Option<Box<Current>>,
}

/// A message that is being compressed.
#[derive(Debug)]
struct Current {
    message: Outgoing,
    /// `None` for a prepared message, which all its sockets compress together.
    job: Option<Job>,
}

impl Compressor {
    pub(crate) fn new(agreed: &Compression) -> Option<Self> {
        let deflater = Deflater::new(agreed)?;
        Some(Self {
            deflater,
            current: None,
        })
    }

    /// Returns whether a message is being compressed.
    pub(crate) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Starts with a message, unless it is to be sent as it is. Call it only if no other one is
    /// being compressed.
    ///
    /// Returns whether the message can be buffered. If not, the compressor has it.
    pub(crate) fn start(&mut self, message: &mut Outgoing) -> bool {
        if message.is_uncompressed() || !self.deflater.takes(message.len()) {
            return true;
        }
        let mut job = match message.prepared() {
            Some(_) => None,
            None => Some(self.deflater.begin()),
        };
        match step(&mut self.deflater, job.as_mut(), message) {
            Deflated::Smaller(compressed) => message.compress(compressed),
            Deflated::Plain => {}
            Deflated::Paused => {
                let message = message.take();
                self.current = Some(Box::new(Current { message, job }));
                return false;
            }
        }
        true
    }

    /// Goes on with the message that is being compressed. Returns it once it can be buffered.
    pub(crate) fn go_on(&mut self) -> Option<Outgoing> {
        let current = self.current.as_mut()?;
        let Current { message, job } = &mut **current;
        match step(&mut self.deflater, job.as_mut(), message) {
            Deflated::Paused => None,
            Deflated::Smaller(compressed) => {
                message.compress(compressed);
                self.take_as_it_is()
            }
            Deflated::Plain => self.take_as_it_is(),
        }
    }

    /// Returns the message that is being compressed, and gives up compressing it.
    pub(crate) fn take_as_it_is(&mut self) -> Option<Outgoing> {
        self.current.take().map(|current| current.message)
    }
}

/// Returns how many frames' work it is to compress the next part of a message of `length` bytes.
pub(crate) fn work(length: usize) -> u32 {
    u32::try_from(length.min(STEP) / BYTES_PER_FRAME).unwrap_or(u32::MAX)
}

fn step(deflater: &mut Deflater, job: Option<&mut Job>, message: &Outgoing) -> Deflated {
    let payload: &Bytes = message.payload();
    match (job, message.prepared()) {
        (Some(job), _) => deflater.step(job, payload),
        (None, Some(prepared)) => deflater.step_prepared(prepared.variants(), payload),
        (None, None) => Deflated::Plain,
    }
}
