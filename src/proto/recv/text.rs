//! Text that arrives in pieces and is checked as it arrives (RFC 6455, section 8.1).

use crate::proto::{ProtocolError, copy};

/// The length of the longest UTF-8 character without its last byte.
const MAX_PART: usize = 3;

/// A text, and the start of the character at which a piece was cut.
///
/// The first piece with an invalid byte is rejected.
#[derive(Debug, Default)]
pub(super) struct Text {
    whole: String,
    part: [u8; MAX_PART + 1],
    part_len: u8,
}

impl Text {
    pub(super) fn len(&self) -> usize {
        self.whole.len() + usize::from(self.part_len)
    }

    pub(super) fn capacity(&self) -> usize {
        self.whole.capacity()
    }

    /// Makes space for exactly `room` bytes in all.
    pub(super) fn grow(&mut self, room: usize) {
        self.whole
            .reserve_exact(room.saturating_sub(self.whole.len()));
    }

    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        let piece = self.complete_part(piece)?;
        let (whole, part) = piece.split_at(piece.len() - cut_len(piece));
        copy::push_str(&mut self.whole, check(whole)?);
        for &byte in part {
            self.push_part(byte)?;
        }
        Ok(())
    }

    /// Returns the text, unless it ends inside a character.
    pub(super) fn finish(self) -> Result<String, ProtocolError> {
        match self.part_len {
            0 => Ok(self.whole),
            _ => Err(ProtocolError::InvalidUtf8),
        }
    }

    /// Completes a character that was cut. Returns the bytes after it.
    fn complete_part<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        while self.part_len > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            self.push_part(byte)?;
            piece = rest;
        }
        Ok(piece)
    }

    /// Adds one byte of an incomplete character.
    fn push_part(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let length = usize::from(self.part_len) + 1;
        // A character of more than four bytes was rejected before.
        let part = self.part.get_mut(..length);
        let part = part.ok_or(ProtocolError::InvalidUtf8)?;
        part[length - 1] = byte;
        match std::str::from_utf8(part) {
            Ok(character) => {
                self.whole.push_str(character);
                self.part_len = 0;
            }
            Err(error) if error.error_len().is_none() => self.part_len += 1,
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }
        Ok(())
    }
}

/// Turns bytes into text if all of them are valid, without copying them.
///
/// Copying the checked text to a new string would need no `unsafe`, but would make a text of 16 KiB
/// 6 % more expensive for the whole server; `benches/compare` measures it.
#[expect(
    unsafe_code,
    reason = "a String takes no check but the standard library's own, which would be a second one"
)]
pub(in crate::proto) fn whole(bytes: Box<[u8]>) -> Result<String, ProtocolError> {
    check(&bytes)?;
    // SAFETY: `check` has just found that these bytes are UTF-8, and nothing has changed them
    // since.
    Ok(unsafe { String::from_utf8_unchecked(bytes.into()) })
}

fn check(bytes: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)
}

/// Returns how many bytes at the end belong to an incomplete character.
fn cut_len(bytes: &[u8]) -> usize {
    let end = bytes.iter().rev().take(MAX_PART);
    for (before, &byte) in end.enumerate() {
        let length = match byte {
            // This byte continues a character.
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        let present = before + 1;
        return if length > present { present } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes pieces until one is rejected.
    fn text<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, ProtocolError> {
        let mut text = Text::default();
        let mut length = 0;
        for piece in pieces {
            text.push(piece)?;
            length += piece.len();
            assert_eq!(text.len(), length);
        }
        text.finish()
    }

    #[test]
    fn it_judges_as_the_standard_library_does_whatever_the_cuts() {
        let samples: [&[u8]; 14] = [
            "".as_bytes(),
            "plain".as_bytes(),
            "größer ∀ 語 🦀 end".as_bytes(),
            "🦀🦀🦀".as_bytes(),
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xff",
            b"ab\x80",
            b"ab\xc3",
            b"\xf0\x9f\xa6",
            b"\xe8\xaax",
        ];
        for sample in samples {
            let expected = std::str::from_utf8(sample);
            for one in 0..=sample.len() {
                for other in one..=sample.len() {
                    let pieces = [&sample[..one], &sample[one..other], &sample[other..]];
                    let judged = text(pieces);
                    assert_eq!(judged.as_deref().ok(), expected.ok(), "{pieces:02x?}");
                }
            }
            assert_eq!(whole(sample.into()).as_deref().ok(), expected.ok());
            let judged = text(sample.chunks(1));
            assert_eq!(judged.as_deref().ok(), expected.ok(), "{sample:02x?}");
        }
    }

    #[test]
    fn every_length_and_place_is_judged_as_the_standard_library_does() {
        let plain: Vec<u8> = "aé語🦀".bytes().cycle().take(330).collect();
        for start in 0..16 {
            for length in 0..=300 {
                let bytes = &plain[start..start + length];
                let expected = std::str::from_utf8(bytes).ok();
                assert_eq!(whole(bytes.into()).as_deref().ok(), expected);
                assert_eq!(text([bytes]).as_deref().ok(), expected);
            }
        }
    }

    #[test]
    fn the_first_wrong_byte_is_refused_without_waiting_for_more() {
        for wrong in [
            &b"ok \xff"[..],
            b"ok \xc0",
            b"ok \xe0\x9f",
            b"ok \xed\xa0",
            b"ok \xf0\x8f",
            b"ok \xf4\x90",
            b"ok \xf5",
            b"ok \xf0\x9f\xa6\xc0",
        ] {
            let (last, before) = wrong.split_last().unwrap();
            let mut text = Text::default();
            text.push(before).unwrap();
            assert!(text.push(&[*last]).is_err(), "{wrong:02x?}");
            assert!(Text::default().push(wrong).is_err(), "{wrong:02x?}");
        }
    }
}
