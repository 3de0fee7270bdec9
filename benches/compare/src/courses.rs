//! What connections send whose messages are compressed: one batch after the other, on a course.

use crate::Result;
use crate::batch::Batch;
use crate::deflate::{Deflate, Packer};
use crate::json;
use crate::random::Random;
use crate::reply::Reply;
use crate::wire::{self, COMPRESSED, TEXT};

/// So many connections next to each other send different messages.
const COURSES: usize = 4;
/// The least bytes and messages that a course has before it repeats itself: more than a window
/// remembers, so that each message is new.
const BYTES: usize = 96 << 10;
const MESSAGES: usize = 16;

/// Batches, made beforehand.
///
/// The first message on a connection must not refer to earlier ones. So each course has its
/// batches twice: once as they are compressed at the start, and once as they are compressed when
/// the same ones have gone before, which can be repeated as often as one likes.
#[derive(Debug)]
pub struct Courses {
    batches: Vec<Batch>,
    deflate: Option<Deflate>,
}

impl Courses {
    /// Courses of batches of `depth` messages of JSON; uncompressed without `deflate`.
    ///
    /// # Errors
    ///
    /// When a message cannot be compressed.
    pub fn new(payload: usize, depth: usize, deflate: Option<Deflate>) -> Result<Self> {
        let count = MESSAGES.max(BYTES / payload).div_ceil(depth);
        let mut random = Random::new(3);
        let mut batches = Vec::new();
        for _ in 0..COURSES {
            let mut packer = deflate.map(Packer::new);
            let messages: Vec<Vec<_>> = (0..count)
                .map(|_| {
                    (0..depth)
                        .map(|_| json::message(payload, &mut random))
                        .collect()
                })
                .collect();
            let again = batches.len() + count;
            for messages in messages.iter().chain(&messages) {
                batches.push(Batch {
                    frames: frames(messages, packer.as_mut(), &mut random)?,
                    count: depth,
                    opcode: TEXT,
                    messages: messages.clone(),
                    pings: Vec::new(),
                    next: batches.len() + 1,
                });
            }
            if let Some(last) = batches.last_mut() {
                last.next = again;
            }
        }
        Ok(Self { batches, deflate })
    }

    /// One batch, again and again.
    #[must_use]
    pub fn of_one(batch: Batch, deflate: Deflate) -> Self {
        Self {
            batches: vec![batch],
            deflate: Some(deflate),
        }
    }

    /// All batches of all courses.
    #[must_use]
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// The batch that a connection starts with.
    #[must_use]
    pub fn first(&self, connection: usize) -> usize {
        connection % COURSES * (self.batches.len() / COURSES)
    }

    /// What a connection expects.
    #[must_use]
    pub fn reply(&self) -> Reply {
        self.deflate
            .map_or_else(|| Reply::new(false), Reply::compressed)
    }
}

/// The messages in frames as a client sends them, compressed if there is a codec.
fn frames(
    messages: &[Vec<u8>],
    mut packer: Option<&mut Packer>,
    random: &mut Random,
) -> Result<Vec<u8>> {
    let mut frames = Vec::new();
    for message in messages {
        let mask = random.mask();
        if let Some(packer) = &mut packer {
            let mut payload = Vec::new();
            packer.pack(message, &mut payload)?;
            wire::write_frame(&mut frames, true, TEXT | COMPRESSED, mask, &payload);
        } else {
            wire::write_frame(&mut frames, true, TEXT, mask, message);
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{Takeover, Unpacker};

    #[test]
    fn a_course_can_be_decompressed_for_ever() {
        for takeover in [Takeover::None, Takeover::Dedicated] {
            let deflate = Deflate { takeover, level: 1 };
            let courses = Courses::new(300, 16, Some(deflate)).unwrap();
            for connection in 0..=COURSES {
                let mut unpacker = Unpacker::new(deflate);
                let mut number = courses.first(connection);
                for _ in 0..courses.batches.len() {
                    let batch = &courses.batches[number];
                    number = batch.next;
                    let mut frames = &batch.frames[..];
                    for message in &batch.messages {
                        // A header of two bytes or four, with 16 bits of length, and the key.
                        let (length, start) = match frames[1] & 0x7f {
                            126 => (u16::from_be_bytes([frames[2], frames[3]]).into(), 8),
                            length => (usize::from(length), 6),
                        };
                        let key = &frames[start - 4..start];
                        let masked = frames[start..start + length].iter();
                        let payload: Vec<_> = masked
                            .zip(key.iter().cycle())
                            .map(|(byte, key)| byte ^ key)
                            .collect();
                        frames = &frames[start + length..];
                        let mut out = Vec::with_capacity(message.len() + 1);
                        unpacker.unpack(&payload, &mut out).unwrap();
                        assert_eq!(out, *message);
                    }
                    assert!(frames.is_empty());
                }
            }
        }
    }
}
