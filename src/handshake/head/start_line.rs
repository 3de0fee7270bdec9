//! The first line of a head.

use super::HeadError;

/// The scanner of a first line, and the parser of heads that start with such a line.
pub(crate) trait StartLine: Copy + Default {
    /// What a head with this line is parsed into.
    type Message;

    /// Continues with the byte at `at`, which is a part of `bytes`. Returns the line after it, or
    /// `None` if the line ends with it.
    fn step(self, at: usize, bytes: &[u8]) -> Result<Option<Self>, HeadError>;

    /// Parses a complete head, which has passed the scanner.
    fn parse(head: &[u8]) -> Result<Self::Message, HeadError>;
}

/// The start of a version, without the minor one (RFC 9112, section 2.3).
const VERSION: &[u8] = b"HTTP/1.";

/// How many bytes of a version have arrived.
#[derive(Clone, Copy, Default)]
pub(super) struct Version(usize);

impl Version {
    /// Continues with `byte`. Returns the version after it, or `None` if the version ends with it.
    pub(super) fn step(self, byte: u8) -> Result<Option<Self>, HeadError> {
        match (self.0, byte) {
            (at, _) if VERSION.get(at) == Some(&byte) => Ok(Some(Self(at + 1))),
            (5, b'0'..=b'9') => Err(HeadError::Version),
            (7, b'0' | b'1') => Ok(None),
            _ => Err(HeadError::Malformed),
        }
    }
}

/// Returns the version with this minor number, as httparse knows it.
pub(super) fn http_version(minor: u8) -> http::Version {
    if minor == 0 {
        http::Version::HTTP_10
    } else {
        http::Version::HTTP_11
    }
}
