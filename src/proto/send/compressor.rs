//! The messages of a connection on their way through compression.

use super::{Outgoing, PreparedMessage};
use crate::{
    config::Compression,
    proto::deflate::{Deflated, Deflater, Job, STEP},
};

/// How many frames' work a step is: a turn.
pub(crate) const STEP_WORK: u32 = 256;

/// How many bytes take about as long as a frame.
const BYTES_PER_FRAME: usize = STEP / STEP_WORK as usize;

/// What a call has done.
pub(crate) struct Progress {
    /// The message, once it can be buffered. Until then, the compressor has it.
    pub(crate) ready: Option<Ready>,
    /// How many frames' work that was.
    pub(crate) work: u32,
}

/// A message that can be buffered.
pub(crate) enum Ready {
    Compressed(Outgoing),
    /// It is sent as it is.
    Plain(Outgoing),
}

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
    source: Source,
}

/// Who compresses a message.
#[derive(Debug)]
enum Source {
    /// This connection, with what it takes over.
    Own(Job),
    /// All sockets of a prepared message together.
    Prepared(PreparedMessage),
}

impl Compressor {
    pub(crate) fn new(agreed: &Compression) -> Option<Self> {
        let deflater = Deflater::new(agreed)?;
        Some(Self {
            deflater,
            current: None,
        })
    }

    /// Returns the length from which on a message has to be passed to [`start`](Self::start): any,
    /// while another one is being compressed.
    pub(crate) fn min_len(&self) -> usize {
        match self.current {
            Some(_) => 0,
            None => self.deflater.min_len(),
        }
    }

    /// Starts with a message, which may be one that was `prepared`. Call it only if no other one is
    /// being compressed.
    pub(crate) fn start(
        &mut self,
        message: Outgoing,
        prepared: Option<PreparedMessage>,
    ) -> Progress {
        let never = prepared
            .as_ref()
            .is_some_and(PreparedMessage::is_uncompressed);
        if never || message.len() < self.deflater.min_len() {
            return Progress {
                ready: Some(Ready::Plain(message)),
                work: 0,
            };
        }
        let source = match prepared {
            Some(prepared) => Source::Prepared(prepared),
            None => Source::Own(self.deflater.begin()),
        };
        self.advance(Current { message, source })
    }

    /// Goes on with the message that is being compressed.
    pub(crate) fn go_on(&mut self) -> Progress {
        match self.current.take() {
            Some(current) => self.advance(*current),
            None => Progress {
                ready: None,
                work: 0,
            },
        }
    }

    /// Returns the message that is being compressed, and gives up compressing it.
    pub(crate) fn stop(&mut self) -> Option<Ready> {
        let Current { message, source } = *self.current.take()?;
        if let Source::Own(job) = source {
            self.deflater.stop(job);
        }
        Some(Ready::Plain(message))
    }

    fn advance(&mut self, mut current: Current) -> Progress {
        let payload = current.message.payload();
        let work = payload.len().min(STEP) / BYTES_PER_FRAME;
        let deflated = match &mut current.source {
            Source::Own(job) => self.deflater.step(job, payload),
            Source::Prepared(prepared) => self.deflater.step_prepared(prepared.variants(), payload),
        };
        let ready = match deflated {
            Deflated::Smaller(payload) => {
                Some(Ready::Compressed(current.message.compressed(payload)))
            }
            Deflated::Plain => Some(Ready::Plain(current.message)),
            Deflated::Paused => {
                self.current = Some(Box::new(current));
                None
            }
        };
        Progress {
            ready,
            // That of a step at most.
            work: u32::try_from(work).unwrap_or(STEP_WORK),
        }
    }
}
