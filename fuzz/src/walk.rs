//! A look at frames that judges nothing, to tell why two judges disagree.

use std::io::{self, Read, Write};

/// What the frames look like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// A frame's length is longer than it has to be.
    pub is_long_for_nothing: bool,
    /// A frame's length has its most significant bit set.
    pub has_top_bit: bool,
    /// The bytes end inside a frame.
    pub is_cut: bool,
}

/// Goes from frame to frame, up to one that is not complete.
#[must_use]
pub fn walk(mut bytes: &[u8]) -> Walk {
    let mut walk = Walk::default();
    while let [_, second, rest @ ..] = bytes {
        let (length_len, least) = match second & 127 {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let key_len = if second >> 7 == 1 { 4 } else { 0 };
        let Some((length, rest)) = rest.split_at_checked(length_len) else {
            break;
        };
        let length = match length_len {
            0 => u64::from(second & 127),
            _ => length
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        };
        walk.is_long_for_nothing |= length < least;
        walk.has_top_bit |= length >> 63 == 1;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(key_len))
            .filter(|&end| end <= rest.len());
        let Some(end) = end else { break };
        bytes = &rest[end..];
    }
    walk.is_cut = !bytes.is_empty();
    walk
}

/// A stream that gives bytes and takes any.
#[derive(Debug)]
pub struct ReadOnly<'a>(
    /// What is still to be read.
    pub &'a [u8],
);

impl Read for ReadOnly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for ReadOnly<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
