//! The codecs that the connections of a thread share.
//!
//! A compressor of zlib-rs has 250 to 380 KiB, a decompressor 48 KiB, whatever the window is. So a
//! connection borrows them for one message. A guard gives a codec back when it is dropped: to the
//! thread that drops it, if that thread uses codecs, else the codec is freed.
//!
//! **A thread keeps** at most 2 decompressors, 4 compressors and 2 blocks: 1.7 MiB, and 400 KiB if
//! all its connections use the same settings.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use flate2::{Compress, Compression, Decompress};

use crate::config::MAX_WINDOW;

/// Connections that take turns need one. A second one is there while a long message arrives.
const MAX_DECOMPRESSORS: usize = 2;

/// One for each set of parameters that is in use; servers have one or two.
const MAX_COMPRESSORS: usize = 4;

/// One to inflate into, and one to deflate into.
const MAX_BLOCKS: usize = 2;

/// The size of the pieces in which a codec returns its output: they stay in the processor's nearest
/// cache until they are copied.
const BLOCK: usize = 16 * 1024;

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            is_used: false,
            decompressors: Vec::new(),
            compressors: Vec::new(),
            blocks: Vec::new(),
        })
    };
}

struct Pool {
    /// The thread has used a codec. Others only drop what they have got from such a thread.
    is_used: bool,
    #[expect(clippy::vec_box, reason = "each message moves one")]
    decompressors: Vec<Box<Decompress>>,
    /// The one that was used last is the last one.
    compressors: Vec<Context>,
    blocks: Vec<Box<[u8]>>,
}

/// Calls `use_pool` with the thread's codecs. Returns `None` if the thread is ending and has none
/// any more.
fn with<R>(use_pool: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| use_pool(&mut pool.borrow_mut())).ok()
}

/// A block for the output of a codec. It stays in the call that takes it.
pub(super) struct Block(Box<[u8]>);

impl Block {
    /// Takes a block of 16 KiB; its bytes have arbitrary values.
    pub(super) fn take() -> Self {
        let idle = with(|pool| {
            pool.is_used = true;
            pool.blocks.pop()
        });
        Self(idle.flatten().unwrap_or_else(|| vec![0; BLOCK].into()))
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.0);
        with(|pool| {
            if pool.is_used && pool.blocks.len() < MAX_BLOCKS {
                pool.blocks.push(block);
            }
        });
    }
}

/// A decompressor, for one message.
#[derive(Debug)]
pub(super) struct Decompressor(Option<Box<Decompress>>);

impl Decompressor {
    /// Takes a decompressor that is as good as new.
    pub(super) fn take() -> Self {
        let idle = with(|pool| {
            pool.is_used = true;
            pool.decompressors.pop()
        });
        let codec = match idle.flatten() {
            Some(mut idle) => {
                idle.reset(false);
                idle
            }
            // With the largest window, it decodes every smaller one too, and can be reset without a
            // new allocation.
            None => Box::new(Decompress::new_with_window_bits(false, MAX_WINDOW)),
        };
        Self(Some(codec))
    }

    pub(super) fn codec(&mut self) -> &mut Decompress {
        self.0.as_mut().expect("only `drop` takes it")
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        let Some(codec) = self.0.take() else {
            return;
        };
        with(|pool| {
            if pool.is_used && pool.decompressors.len() < MAX_DECOMPRESSORS {
                pool.decompressors.push(codec);
            }
        });
    }
}

/// The parameters of a compressor. Those with other parameters cannot replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) level: u8,
    pub(super) window: u8,
}

/// Which plaintext a compressor knows: that of a connection, up to one of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Unique in the process.
    pub(super) connection: u64,
    /// The number of its messages that have changed its history.
    pub(super) messages: u64,
}

/// A compressor, and what it knows.
#[derive(Debug)]
pub(super) struct Context {
    settings: Settings,
    known: Option<Known>,
    /// A message has begun and not ended.
    is_inside: bool,
    codec: Box<Compress>,
}

impl Context {
    /// Creates a compressor that knows nothing.
    pub(super) fn new(settings: Settings) -> Self {
        let level = Compression::new(settings.level.into());
        Self {
            settings,
            known: None,
            is_inside: false,
            codec: Box::new(Compress::new_with_window_bits(
                level,
                false,
                settings.window,
            )),
        }
    }

    pub(super) fn codec(&mut self) -> &mut Compress {
        &mut self.codec
    }

    /// Notes that a message has begun, or that all of its output was taken.
    pub(super) fn set_inside(&mut self, is_inside: bool) {
        self.is_inside = is_inside;
    }

    /// Makes it as good as new.
    pub(super) fn reset(&mut self) {
        if self.is_inside {
            // A reset of zlib-rs (0.6.8) keeps an open block of level 1, and the position of output
            // that was not taken: later messages would be malformed, or panic.
            *self = Self::new(self.settings);
        } else {
            self.known = None;
            self.codec.reset();
        }
    }
}

/// A compressor of the thread, for one message.
#[derive(Debug)]
pub(super) struct Compressor(Option<Context>);

impl Compressor {
    /// Takes a compressor. Returns whether it knows the plaintext of `known` already; if not, it
    /// knows nothing.
    pub(super) fn take(settings: Settings, known: Option<Known>) -> (Self, bool) {
        let idle = with(|pool| {
            pool.is_used = true;
            let mut all = pool.compressors.iter();
            let at = all.rposition(|idle| idle.settings == settings)?;
            Some(pool.compressors.remove(at))
        });
        let Some(mut context) = idle.flatten() else {
            return (Self(Some(Context::new(settings))), false);
        };
        let is_known = known.is_some() && context.known == known;
        if !is_known {
            context.reset();
        }
        context.known = None;
        (Self(Some(context)), is_known)
    }

    pub(super) fn context(&mut self) -> &mut Context {
        self.0.as_mut().expect("only `drop` takes it")
    }

    /// Remembers which plaintext the compressor knows, until another connection takes it.
    pub(super) fn remember(&mut self, known: Known) {
        if let Some(context) = &mut self.0 {
            context.known = Some(known);
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        let Some(context) = self.0.take() else {
            return;
        };
        with(|pool| {
            if pool.is_used {
                if pool.compressors.len() == MAX_COMPRESSORS {
                    pool.compressors.remove(0);
                }
                pool.compressors.push(context);
            }
        });
    }
}
