//! What has to come back for a batch, checked as it arrives.

use crate::Result;
use crate::batch::Batch;
use crate::wire::{CONTINUATION, Header, LONGEST_HEADER, PONG};

/// How many bytes at the front of a piece of payload are compared, beside its last one. That is
/// all of a short message; comparing all of a long one would cost more than sending it.
const CHECKED: usize = 128;

/// How far the reply to a batch has come.
#[derive(Debug)]
pub enum Reply {
    /// To a floor: the bytes as they were sent.
    Raw {
        received: usize,
    },
    Frames(Frames),
}

/// A reply in frames. A server may cut a message, and answer a ping whenever it likes.
#[derive(Debug, Default)]
pub struct Frames {
    /// Messages and pongs that are complete.
    messages: usize,
    pongs: usize,
    /// Bytes of the current message that came, in the frames before and in this one.
    offset: usize,
    is_continued: bool,
    /// The frame that is being read, and how much of its payload is missing.
    frame: Option<(Header, usize)>,
    /// A header that came in two pieces.
    partial: [u8; LONGEST_HEADER],
    partial_length: usize,
}

impl Reply {
    #[must_use]
    pub fn new(is_raw: bool) -> Self {
        if is_raw {
            Self::Raw { received: 0 }
        } else {
            Self::Frames(Frames::default())
        }
    }

    /// Checks what arrived, and tells whether the reply to `batch` is complete.
    ///
    /// # Errors
    ///
    /// When anything else than the reply arrived.
    pub fn take(&mut self, batch: &Batch, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Raw { received } => {
                check(&batch.frames, *received, bytes)?;
                *received += bytes.len();
                Ok(*received == batch.frames.len())
            }
            Self::Frames(frames) => frames.take(batch, bytes),
        }
    }

    /// Starts over for the next batch.
    pub fn reset(&mut self) {
        *self = Self::new(matches!(self, Self::Raw { .. }));
    }
}

impl Frames {
    fn take(&mut self, batch: &Batch, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            let (header, missing) = match self.frame {
                Some(frame) => frame,
                None => match self.read_header(&mut bytes)? {
                    Some(header) => (header, header.length),
                    None => return Ok(false),
                },
            };
            let (payload, rest) = bytes.split_at(missing.min(bytes.len()));
            bytes = rest;
            self.check_payload(batch, header, header.length - missing, payload)?;
            self.frame = Some((header, missing - payload.len()));
            if missing == payload.len() {
                self.frame = None;
                self.end_frame(batch, header)?;
            }
        }
        Ok(self.frame.is_none()
            && self.partial_length == 0
            && self.messages == batch.messages.len()
            && self.pongs == batch.pings.len())
    }

    fn read_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Header>> {
        if self.partial_length == 0
            && let Some((header, size)) = Header::read(bytes)?
        {
            *bytes = &bytes[size..];
            return Ok(Some(header));
        }
        while let [first, rest @ ..] = *bytes {
            self.partial[self.partial_length] = *first;
            self.partial_length += 1;
            *bytes = rest;
            if let Some((header, _)) = Header::read(&self.partial[..self.partial_length])? {
                self.partial_length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn check_payload(
        &mut self,
        batch: &Batch,
        header: Header,
        offset: usize,
        payload: &[u8],
    ) -> Result<()> {
        if header.opcode == PONG {
            let ping = batch.pings.get(self.pongs).ok_or("a pong too many")?;
            return check(ping, offset, payload);
        }
        let message = batch.messages.get(self.messages);
        let message = message.ok_or("a message too many")?;
        let expected = if self.is_continued {
            CONTINUATION
        } else {
            batch.opcode
        };
        if header.opcode != expected {
            return Err(format!("expected opcode {expected}, not {header:?}").into());
        }
        check(message, self.offset, payload)?;
        self.offset += payload.len();
        Ok(())
    }

    fn end_frame(&mut self, batch: &Batch, header: Header) -> Result<()> {
        if header.opcode == PONG {
            if header.length != batch.pings[self.pongs].len() {
                return Err(format!("not the pong to the ping: {header:?}").into());
            }
            self.pongs += 1;
            return Ok(());
        }
        self.is_continued = !header.is_final;
        if header.is_final {
            let expected = batch.messages[self.messages].len();
            if self.offset != expected {
                let length = self.offset;
                return Err(format!("a message of {length} bytes, not of {expected}").into());
            }
            self.offset = 0;
            self.messages += 1;
        }
        Ok(())
    }
}

/// Compares what came with what should come from `offset` on, at both ends.
fn check(expected: &[u8], offset: usize, bytes: &[u8]) -> Result<()> {
    let expected = expected.get(offset..offset + bytes.len());
    let expected = expected.ok_or("a reply that is too long")?;
    let front = bytes.len().min(CHECKED);
    if expected[..front] != bytes[..front] || expected.last() != bytes.last() {
        return Err(format!("other bytes than were sent, near byte {offset}").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            frames: vec![1, 2, 3],
            count: 2,
            opcode: 2,
            messages: vec![b"abc".to_vec(), b"de".to_vec()],
            pings: vec![b"p".to_vec()],
        }
    }

    const ECHO: &[u8] = b"\x02\x01a\x8a\x01p\x80\x02bc\x82\x02de";

    #[test]
    fn a_reply_is_complete_at_its_last_byte() {
        for cut in 1..ECHO.len() {
            let mut reply = Reply::new(false);
            assert!(!reply.take(&batch(), &ECHO[..cut]).unwrap(), "cut at {cut}");
            assert!(reply.take(&batch(), &ECHO[cut..]).unwrap(), "cut at {cut}");
        }
    }

    #[test]
    fn one_wrong_byte_is_an_error_or_no_end() {
        for position in 0..ECHO.len() {
            let mut wrong = ECHO.to_vec();
            wrong[position] ^= 0x55;
            let complete = Reply::new(false).take(&batch(), &wrong);
            assert!(!complete.unwrap_or(false), "byte {position}");
        }
    }

    #[test]
    fn a_byte_too_many_is_an_error() {
        assert!(Reply::new(true).take(&batch(), &[1, 2, 3, 4]).is_err());
        let more = [ECHO, b"\x82\x00"].concat();
        assert!(Reply::new(false).take(&batch(), &more).is_err());
    }

    #[test]
    fn a_floor_gives_back_what_was_sent() {
        let mut reply = Reply::new(true);
        assert!(!reply.take(&batch(), &[1, 2]).unwrap());
        assert!(reply.take(&batch(), &[3]).unwrap());
    }
}
