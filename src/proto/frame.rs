//! The header of a frame (RFC 6455, section 5.2).

use super::error::ProtocolError;
use super::mask::Key;

/// The maximum payload of a control frame, in bytes (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// The first reserved bit: the message is compressed (RFC 7692, section 6).
pub(super) const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The value of the length field if 2 bytes of length follow.
const LENGTH_16: u8 = 126;
/// The value of the length field if 8 bytes of length follow.
const LENGTH_64: u8 = 127;

/// The type of a frame (RFC 6455, section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpCode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl OpCode {
    pub(crate) fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            unknown => return Err(ProtocolError::UnknownOpcode(unknown)),
        })
    }

    /// Returns whether it is a control frame, which carries no data (RFC 6455, section 5.5).
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The frame is the last one of its message.
    pub(crate) fin: bool,
    /// The reserved bits, which extensions use, in their position in the first byte.
    pub(crate) reserved: u8,
    pub(crate) opcode: OpCode,
    pub(crate) key: Option<Key>,
    /// The length of the payload.
    pub(crate) length: u64,
}

impl Header {
    /// The longest header: two bytes, the longest length and a key.
    pub(crate) const MAX_LEN: usize = 14;

    /// Reads a header from the start of `bytes`, and returns it with its length. Returns `None`
    /// while it is incomplete.
    ///
    /// Errors that do not depend on role or settings are returned as soon as the offending byte is
    /// in, even if the header is not complete.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let fin = first & FIN != 0;
        let opcode = OpCode::from_bits(first & OPCODE)?;
        let short = second & LENGTH;
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        let Some((length, rest)) = parse_length(short, rest)? else {
            return Ok(None);
        };
        let (key, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            match rest.split_first_chunk() {
                Some((key, rest)) => (Some(Key::from_bytes(*key)), rest),
                None => return Ok(None),
            }
        };
        let header = Self {
            fin,
            reserved: first & RESERVED,
            opcode,
            key,
            length,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header to `bytes`, with the shortest form of the length.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs 1 % of a small message")]
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let fin = if self.fin { FIN } else { 0 };
        let mask = if self.key.is_some() { MASK } else { 0 };
        let first = fin | self.reserved | self.opcode as u8;
        // The match ensures that no length is truncated.
        #[expect(clippy::cast_possible_truncation, reason = "each arm has room for it")]
        match self.length {
            0..=125 => bytes.extend_from_slice(&[first, mask | self.length as u8]),
            126..=0xffff => {
                bytes.extend_from_slice(&[first, mask | LENGTH_16]);
                bytes.extend_from_slice(&(self.length as u16).to_be_bytes());
            }
            _ => {
                bytes.extend_from_slice(&[first, mask | LENGTH_64]);
                bytes.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.key {
            bytes.extend_from_slice(&key.to_bytes());
        }
    }
}

/// Reads the length that starts with `short`. Returns `None` while it is incomplete.
#[inline]
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    Ok(match short {
        LENGTH_16 => match rest.split_first_chunk() {
            Some((length, rest)) => Some((long(u16::from_be_bytes(*length).into(), 126)?, rest)),
            None => None,
        },
        LENGTH_64 => match rest.split_first_chunk() {
            Some((length, rest)) => Some((long(u64::from_be_bytes(*length), 0x1_0000)?, rest)),
            None => None,
        },
        short => Some((short.into(), rest)),
    })
}

/// Checks a length of more than one byte (RFC 6455, section 5.2): its most significant bit is 0,
/// and it has no shorter form.
#[inline]
fn long(length: u64, least: u64) -> Result<u64, ProtocolError> {
    if length >> 63 != 0 || length < least {
        return Err(ProtocolError::InvalidLength);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(opcode: OpCode, length: u64, key: Option<Key>) -> Header {
        Header {
            fin: true,
            reserved: 0,
            opcode,
            key,
            length,
        }
    }

    fn written(header: &Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_not_before_it_is_complete() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, u64::MAX >> 1];
        for opcode in [OpCode::Continuation, OpCode::Text, OpCode::Binary] {
            for (length, key) in lengths.into_iter().flat_map(|length| {
                [
                    (length, None),
                    (length, Some(Key::from_bytes([1, 2, 3, 4]))),
                ]
            }) {
                for (fin, reserved) in [(true, 0), (false, 0x40), (true, 0x30)] {
                    let header = Header {
                        fin,
                        reserved,
                        ..header(opcode, length, key)
                    };
                    let bytes = written(&header);
                    assert!(bytes.len() <= Header::MAX_LEN);
                    assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
                    let longer = [&bytes[..], b"payload"].concat();
                    assert_eq!(Header::parse(&longer), Ok(Some((header, bytes.len()))));
                    for cut in 0..bytes.len() {
                        assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_in_any_connection_is_told_before_the_key_has_come() {
        use ProtocolError::{ControlTooLong, FragmentedControl, InvalidLength, UnknownOpcode};
        let cases: [(&[u8], _); 8] = [
            (&[0x83, 0x80], UnknownOpcode(3)),
            (&[0x8f, 0x80], UnknownOpcode(15)),
            (&[0x09, 0x80], FragmentedControl),
            (&[0x89, 0xfe], ControlTooLong),
            (&[0x88, 0xff], ControlTooLong),
            (&[0x82, 0xfe, 0, 125], InvalidLength),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], InvalidLength),
            (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], InvalidLength),
        ];
        for (bytes, error) in cases {
            assert_eq!(Header::parse(bytes), Err(error), "{bytes:02x?}");
        }
    }
}
