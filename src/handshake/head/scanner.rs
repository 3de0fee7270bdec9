//! Finds the end of a head, and rejects the head at the first byte that cannot be in one.

use super::{HeadError, MAX_HEAD, MAX_HEADERS, start_line::StartLine};
use crate::handshake::tokens::is_token_byte;

/// Scans the bytes of a head, each of them once.
///
/// A peer that speaks another protocol, such as TLS or SSH, may wait for an answer. It is refused
/// at once, and not at the deadline. A head that passes the [`Scanner`] is parsed once it is
/// complete.
#[derive(Default)]
pub(super) struct Scanner<L> {
    state: State<L>,
    /// How many bytes were scanned.
    at: usize,
    /// How many header lines have started.
    headers: usize,
}

/// What the next byte is a part of, or what it has to be.
#[derive(Clone, Copy)]
enum State<L> {
    StartLine(L),
    /// A header line, or the empty line after the last one.
    LineStart,
    /// The LF of the empty line after the last header line.
    EndLf,
    Name,
    Value,
    /// The LF at the end of a header line.
    LineLf,
    /// After the head.
    End,
}

impl<L: Default> Default for State<L> {
    fn default() -> Self {
        Self::StartLine(L::default())
    }
}

impl<L: StartLine> Scanner<L> {
    /// Continues to scan; `bytes` are all bytes that have arrived so far. Returns the length of the
    /// head once it is complete.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        while self.at < bytes.len() {
            // The limit is for the head only, not for frames that arrive with it.
            if self.at == MAX_HEAD {
                return Err(HeadError::TooLarge);
            }
            self.skip(bytes);
            if self.at == bytes.len().min(MAX_HEAD) {
                continue;
            }
            self.state = self.step(bytes)?;
            self.at += 1;
            if matches!(self.state, State::End) {
                return Ok(Some(self.at));
            }
        }
        Ok(None)
    }

    /// Skips what is in the middle of a name or a value, as most bytes of a head are.
    fn skip(&mut self, bytes: &[u8]) {
        let goes_on = match self.state {
            State::Name => is_token_byte,
            State::Value => is_value_byte,
            _ => return,
        };
        let rest = &bytes[self.at..bytes.len().min(MAX_HEAD)];
        self.at += rest.iter().take_while(|byte| goes_on(**byte)).count();
    }

    /// Returns the state after the next byte.
    fn step(&mut self, bytes: &[u8]) -> Result<State<L>, HeadError> {
        let byte = bytes[self.at];
        Ok(match (self.state, byte) {
            (State::StartLine(line), _) => line
                .step(self.at, bytes)?
                .map_or(State::LineStart, State::StartLine),
            (State::LineStart, b'\r') => State::EndLf,
            (State::LineStart | State::EndLf, b'\n') => State::End,
            (State::LineStart, _) if is_token_byte(byte) => {
                self.headers += 1;
                if self.headers > MAX_HEADERS {
                    return Err(HeadError::TooManyHeaders);
                }
                State::Name
            }
            (State::Name, b':') => State::Value,
            (State::Value, b'\r') => State::LineLf,
            (State::Value | State::LineLf, b'\n') => State::LineStart,
            _ => return Err(HeadError::Malformed),
        })
    }
}

/// Returns whether `byte` may be in a value: it is no control byte (RFC 9110, section 5.5).
fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
