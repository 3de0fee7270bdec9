//! Frames, in the pieces that arrive.

use crate::Result;
use crate::wire::{Header, LONGEST_HEADER, Side};

/// Takes what arrives apart.
#[derive(Debug, Default)]
pub struct Pieces {
    sender: Side,
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
    /// Masked, if a client has sent it.
    pub payload: &'a [u8],
    /// The mask, turned so that its first byte belongs to the first of `payload`.
    pub mask: [u8; 4],
    /// Nothing of the frame is missing any more.
    pub is_last: bool,
}

impl Pieces {
    /// What this side sends.
    #[must_use]
    pub fn of(sender: Side) -> Self {
        Self {
            sender,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn sender(&self) -> Side {
        self.sender
    }

    /// Takes the next piece off the front of `bytes`; `None` asks for more of them.
    ///
    /// # Errors
    ///
    /// When the sender may not send it.
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
        let mut mask = header.mask;
        mask.rotate_left((header.length - missing) % 4);
        let (payload, rest) = bytes.split_at(missing.min(bytes.len()));
        *bytes = rest;
        let missing = missing - payload.len();
        self.frame = (missing > 0).then_some((header, missing));
        Ok(Some(Piece {
            header,
            payload,
            mask,
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
            && let Some((header, size)) = Header::read(self.sender, bytes)?
        {
            *bytes = &bytes[size..];
            return Ok(Some(header));
        }
        while let [first, rest @ ..] = *bytes {
            self.partial[self.partial_length] = *first;
            self.partial_length += 1;
            *bytes = rest;
            if let Some((header, _)) =
                Header::read(self.sender, &self.partial[..self.partial_length])?
            {
                self.partial_length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
