//! What a connection keeps to compress the messages that it sends.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Deflated, Job, Variants,
    history::History,
    pool::{Compressor, Context, Known, Settings},
};
use crate::{
    config::{Compression, MIN_WINDOW, Takeover},
    message::Bytes,
};

/// Whether a handshake may agree to compression.
pub(crate) const CAN_COMPRESS: bool = true;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(0);

/// Compresses the messages of a connection.
///
/// What it keeps never parts from the window of the peer: it changes with each message that is sent
/// compressed, and with no other.
#[derive(Debug)]
pub(in crate::proto) struct Deflater {
    settings: Settings,
    threshold: u32,
    kept: Kept,
}

/// What is taken over from one message to the next.
#[derive(Debug)]
enum Kept {
    Nothing,
    Window(Box<Window>),
    /// `None` until it is needed.
    Context(Option<Box<Context>>),
}

#[derive(Debug)]
struct Window {
    history: History,
    known: Known,
}

impl Window {
    fn new(bits: u8) -> Self {
        Self {
            history: History::new(bits),
            known: Known {
                connection: NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed),
                messages: 0,
            },
        }
    }

    fn push(&mut self, plaintext: &[u8]) {
        self.history.push(plaintext);
        self.known.messages += 1;
    }
}

impl Deflater {
    pub(in crate::proto) fn new(agreed: &Compression) -> Option<Self> {
        let settings = Settings {
            level: agreed.level,
            window: agreed.window,
        };
        // With less, zlib cannot compress, and everything is sent as it is.
        (agreed.window >= MIN_WINDOW).then(|| Self {
            settings,
            threshold: agreed.threshold,
            kept: match agreed.takeover {
                Takeover::None => Kept::Nothing,
                Takeover::Window => Kept::Window(Box::new(Window::new(agreed.window))),
                Takeover::Dedicated => Kept::Context(None),
            },
        })
    }

    /// Returns the length from which on messages are compressed. An empty one never is: a flush of
    /// nothing has no output.
    pub(in crate::proto) fn min_len(&self) -> usize {
        self.threshold.max(1) as usize
    }

    /// Starts a message of this connection.
    pub(in crate::proto) fn begin(&mut self) -> Job {
        let known = match &mut self.kept {
            Kept::Nothing => None,
            Kept::Window(window) => Some(window.known),
            Kept::Context(context) => {
                context.get_or_insert_with(|| Box::new(Context::new(self.settings)));
                return Job::new(None);
            }
        };
        let (mut compressor, is_known) = Compressor::take(self.settings, known);
        if let Kept::Window(window) = &self.kept
            && !is_known
        {
            for part in window.history.parts() {
                // It fails only for a stream with a header.
                let _ = compressor.context().codec().set_dictionary(part);
            }
        }
        Job::new(Some(compressor))
    }

    /// Compresses the next part of `payload`, for which `job` was started.
    pub(in crate::proto) fn step(&mut self, job: &mut Job, payload: &Bytes) -> Deflated {
        let own = match &mut self.kept {
            Kept::Context(context) => context.as_deref_mut(),
            _ => None,
        };
        let deflated = job.step(own, payload);
        match (&mut self.kept, &deflated) {
            (Kept::Window(window), Deflated::Smaller(_)) => {
                window.push(payload);
                if let Some(compressor) = job.compressor() {
                    compressor.remember(window.known);
                }
            }
            // It knows a message now that the peer will not get from it.
            (Kept::Context(Some(context)), Deflated::Plain) => context.reset(),
            _ => {}
        }
        deflated
    }

    /// Gives up a message of this connection, which is then sent as it is.
    pub(in crate::proto) fn stop(&mut self, _: Job) {
        // Its context knows a part of that message, which the peer will not get from it.
        if let Kept::Context(Some(context)) = &mut self.kept {
            context.reset();
        }
    }

    /// Compresses the next part of a prepared message, or takes what others have compressed.
    pub(in crate::proto) fn step_prepared(
        &mut self,
        variants: &Variants,
        payload: &Bytes,
    ) -> Deflated {
        let deflated = variants.step(self.settings, payload);
        if matches!(deflated, Deflated::Smaller(_)) {
            match &mut self.kept {
                Kept::Window(window) => window.push(payload),
                // It does not know this message, which moves the window of the peer.
                Kept::Context(Some(context)) => context.reset(),
                Kept::Nothing | Kept::Context(None) => {}
            }
        }
        deflated
    }
}
