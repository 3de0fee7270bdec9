//! Messages of all sizes, in fragments or not, with pings between them.

use std::{collections::VecDeque, ops::Range, sync::LazyLock};

use anyws::BoxError;
use rand::random_range;

use super::client::{Frame, TEXT, push_frame};

/// The first bytes of other frames than whole texts.
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const BINARY: u8 = 0x82;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// The most bytes of any message, of 99 in a hundred, and of nine in ten.
const MAX_LARGE: usize = 1024 * 1024;
const MAX_MEDIUM: usize = 64 * 1024;
const MAX_SMALL: usize = 1024;

/// How many small messages are sent before the first echo is read. The echoes fit into the buffers
/// of the kernel, so that neither end waits for the other.
const MAX_BURST: usize = 8;
/// How many fragments a message has.
const MAX_FRAGMENTS: usize = 5;

/// What payloads are parts of. It is ASCII, so that each of them may be a text.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bytes = (b' '..=b'~').cycle().zip((b'!'..=b'z').cycle());
    let mixed = bytes.flat_map(|(one, other)| [one, other]);
    mixed.take(2 * MAX_LARGE).collect()
});

/// Messages that are sent together.
pub(crate) struct Burst {
    pub(crate) bytes: Vec<u8>,
    /// The first byte and the payload of each echo that is to come.
    echoes: VecDeque<(u8, Range<usize>)>,
    /// The payload of the last ping. Pongs of earlier ones may be left out (RFC 6455, section
    /// 5.5.3).
    ping: Option<Vec<u8>>,
}

impl Burst {
    pub(crate) fn random() -> Self {
        let mut burst = Self {
            bytes: Vec::new(),
            echoes: VecDeque::new(),
            ping: None,
        };
        let size = match random_range(0..100) {
            0..90 => random_range(0..=MAX_SMALL),
            90..99 => random_range(0..=MAX_MEDIUM),
            _ => random_range(0..=MAX_LARGE),
        };
        burst.push(size);
        if size <= MAX_SMALL {
            for _ in 1..random_range(1..=MAX_BURST) {
                burst.push(random_range(0..=MAX_SMALL));
            }
        }
        burst
    }

    /// Returns how many messages are not echoed yet.
    pub(crate) fn len(&self) -> u64 {
        self.echoes.len() as u64
    }

    /// Returns whether everything has been answered.
    pub(crate) fn is_over(&self) -> bool {
        self.echoes.is_empty() && self.ping.is_none()
    }

    /// Checks that a frame is the next echo, or the last pong.
    pub(crate) fn check(&mut self, frame: &Frame) -> Result<(), BoxError> {
        if frame.first == PONG {
            self.ping = self.ping.take().filter(|ping| *ping != frame.payload);
            return Ok(());
        }
        let (first, range) = self.echoes.pop_front().ok_or("more than was sent")?;
        if frame.first != first || frame.payload != PATTERN[range.clone()] {
            let (came, length) = (frame.first, frame.payload.len());
            let sent = range.len();
            let text = format!("{length} bytes of {came:#x} came for {sent} bytes of {first:#x}");
            return Err(text.into());
        }
        Ok(())
    }

    /// Appends a message, and perhaps a ping before it and between its fragments.
    fn push(&mut self, size: usize) {
        let start = random_range(0..=PATTERN.len() - size);
        let message = start..start + size;
        let first = [TEXT, BINARY][random_range(0..2)];
        let parts = match random_range(0..4) {
            0 => random_range(2..=MAX_FRAGMENTS),
            _ => 1,
        };
        let part = size.div_ceil(parts);
        for index in 0..parts {
            if random_range(0..8) == 0 {
                self.push_ping();
            }
            let opcode = if index == 0 {
                first & !FIN
            } else {
                CONTINUATION
            };
            let fin = if index == parts - 1 { FIN } else { 0 };
            let from = message.end.min(start + index * part);
            let to = message.end.min(from + part);
            push_frame(&mut self.bytes, fin | opcode, &PATTERN[from..to]);
        }
        self.echoes.push_back((first, message));
    }

    fn push_ping(&mut self) {
        // Its place in the burst makes it one of its own.
        let payload = self.bytes.len().to_be_bytes().to_vec();
        push_frame(&mut self.bytes, PING, &payload);
        self.ping = Some(payload);
    }
}
