//! A data message that arrives in pieces: fragments, or parts of a long frame.

use super::{frame::OpCode, pool, text, text::Text};
use crate::{Message, ProtocolError};

/// Room that a message gets at least once it does not come in one piece.
const MIN_ROOM: usize = 256;

/// What has arrived of a message, its mask taken off.
#[derive(Debug)]
pub(super) enum Assembly {
    Text(Text),
    Binary(Vec<u8>),
}

impl Assembly {
    pub(super) fn new(opcode: OpCode) -> Self {
        match opcode {
            OpCode::Text => Self::Text(Text::default()),
            _ => Self::Binary(Vec::new()),
        }
    }

    /// Makes a message of its only piece, and puts it in its place.
    #[inline]
    pub(super) fn whole(
        opcode: OpCode,
        payload: &[u8],
        message: &mut Option<Message>,
    ) -> Result<(), ProtocolError> {
        *message = Some(match opcode {
            OpCode::Text => Message::Text(text::check(payload)?.into()),
            _ => Message::Binary(payload.to_vec().into()),
        });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Adds the next piece; `most` is the length of the whole message if that is known.
    pub(super) fn push(&mut self, piece: &[u8], most: Option<usize>) -> Result<(), ProtocolError> {
        self.make_room(piece.len(), most);
        match self {
            Self::Text(text) => text.push(piece)?,
            Self::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        Ok(match self {
            Self::Text(text) => {
                let mut text = text.finish()?;
                // What is too much would be kept for as long as the message is.
                text.shrink_to_fit();
                Message::Text(text.into())
            }
            Self::Binary(mut bytes) => {
                if bytes.capacity() > pool::MAX_SPARE * bytes.len() {
                    bytes.shrink_to_fit();
                }
                Message::Binary(pool::lend(bytes))
            }
        })
    }

    /// Room grows with what has arrived, whatever was announced; but no more of it is made than the
    /// message needs.
    fn make_room(&mut self, additional: usize, most: Option<usize>) {
        let needed = self.len() + additional;
        let room = match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        };
        if needed <= room {
            return;
        }
        let grown = needed.saturating_mul(2).max(MIN_ROOM);
        let grown = most.map_or(grown, |most| grown.min(most)).max(needed);
        let additional = grown - self.len();
        match self {
            Self::Text(text) => text.reserve_exact(additional),
            Self::Binary(bytes) => match most.and_then(pool::take_large) {
                Some(mut larger) => {
                    larger.extend_from_slice(bytes);
                    *bytes = larger;
                }
                None => bytes.reserve_exact(additional),
            },
        }
    }
}
