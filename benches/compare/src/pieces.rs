//! Frames of a server, in the pieces that arrive.

use crate::Result;
use crate::wire::{Header, LONGEST_HEADER};

/// Takes what arrives apart.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The frame that is being read, and how much of its payload is missing.
    frame: Option<(Header, usize)>,
    /// A header that came in two pieces.
    partial: [u8; LONGEST_HEADER],
    partial_length: usize,
}

/// What came of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub header: Header,
    pub payload: &'a [u8],
    /// Nothing of the frame is missing any more.
    pub is_last: bool,
}

impl Pieces {
    /// Takes the next piece off the front of `bytes`; `None` asks for more of them.
    ///
    /// # Errors
    ///
    /// When a server may not send it.
    pub fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (header, missing) = match self.frame {
            Some(frame) => frame,
            None => match self.read_header(bytes)? {
                Some(header) => (header, header.length),
                None => return Ok(None),
            },
        };
        let (payload, rest) = bytes.split_at(missing.min(bytes.len()));
        *bytes = rest;
        let missing = missing - payload.len();
        self.frame = (missing > 0).then_some((header, missing));
        Ok(Some(Piece {
            header,
            payload,
            is_last: missing == 0,
        }))
    }

    /// Tells whether the last frame has come whole.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        self.frame.is_none() && self.partial_length == 0
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
}
