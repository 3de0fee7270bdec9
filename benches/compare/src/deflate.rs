//! The client's side of permessage-deflate (RFC 7692): the offer, and both ways of the codec.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Result;

/// What a compressed message ends with, and what is not sent of it (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The bits of the largest window, with which every other one can be decompressed.
const LARGEST_WINDOW: u8 = 15;
const WINDOW_WITH_TAKEOVER: u8 = 12;

/// What both ends keep from one message to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nothing.
    None,
    /// The end of what was sent and received: its compressors belong to nobody.
    Window,
    /// A compressor and a decompressor for each connection.
    Dedicated,
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    pub takeover: Takeover,
    /// From 1, fast, to 9, small.
    pub level: u8,
}

impl Deflate {
    /// Reads what [`Display`](fmt::Display) writes; `None` if it is something else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (takeover, level) = text.split_once('-')?;
        let takeover = match takeover {
            "none" => Takeover::None,
            "window" => Takeover::Window,
            "dedicated" => Takeover::Dedicated,
            _ => return None,
        };
        let level = level.parse().ok()?;
        Some(Self { takeover, level })
    }

    #[must_use]
    pub fn takes_over(self) -> bool {
        self.takeover != Takeover::None
    }

    /// The bits of the window, in both directions.
    #[must_use]
    pub fn window_bits(self) -> u8 {
        if self.takes_over() {
            WINDOW_WITH_TAKEOVER
        } else {
            LARGEST_WINDOW
        }
    }

    /// What the client offers.
    #[must_use]
    pub fn offer(self) -> String {
        if self.takes_over() {
            let bits = self.window_bits();
            format!(
                "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
            )
        } else {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned()
        }
    }

    /// Checks the head of the server's response: that it compresses as it was asked to.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check_answer(self, head: &str) -> Result<()> {
        let answer = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
            .map(|(_, value)| value.trim());
        let answer = answer.ok_or("the server does not compress")?;
        let mut parts = answer.split(';').map(str::trim);
        let is_deflate = parts.next() == Some("permessage-deflate");
        let parameters: Vec<_> = parts.collect();
        let bits = format!("server_max_window_bits={}", self.window_bits());
        let forgets = parameters.contains(&"server_no_context_takeover");
        let has_bits = !self.takes_over() || parameters.contains(&bits.as_str());
        if !is_deflate || forgets == self.takes_over() || !has_bits {
            return Err(format!("asked for {self}, and agreed on {answer:?}").into());
        }
        Ok(())
    }
}

impl fmt::Display for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = match self.takeover {
            Takeover::None => "none",
            Takeover::Window => "window",
            Takeover::Dedicated => "dedicated",
        };
        write!(f, "{takeover}-{}", self.level)
    }
}

/// Compresses the messages of one end of a connection: `flate2` called directly.
#[derive(Debug)]
pub struct Packer {
    codec: Compress,
    takes_over: bool,
}

impl Packer {
    #[must_use]
    pub fn new(deflate: Deflate) -> Self {
        let level = Compression::new(deflate.level.into());
        Self {
            codec: Compress::new_with_window_bits(level, false, deflate.window_bits()),
            takes_over: deflate.takes_over(),
        }
    }

    /// Appends the compressed message.
    ///
    /// # Errors
    ///
    /// Those of the codec.
    pub fn pack(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let before = self.codec.total_in();
        loop {
            // With some space left at its end, a sync flush is complete: that is so at once, as
            // no message grows by more.
            out.reserve(message.len() + message.len() / 512 + 64);
            let taken = usize::try_from(self.codec.total_in() - before)?;
            let rest = &message[taken..];
            self.codec.compress_vec(rest, out, FlushCompress::Sync)?;
            if out.len() < out.capacity() {
                break;
            }
        }
        if !out.ends_with(&TAIL) {
            return Err("a compressed message without its end".into());
        }
        out.truncate(out.len() - TAIL.len());
        if !self.takes_over {
            self.codec.reset();
        }
        Ok(())
    }
}

/// Decompresses the messages of one end of a connection: `flate2` called directly.
#[derive(Debug)]
pub struct Unpacker {
    codec: Decompress,
    takes_over: bool,
}

impl Unpacker {
    #[must_use]
    pub fn new(deflate: Deflate) -> Self {
        Self {
            codec: Decompress::new_with_window_bits(false, LARGEST_WINDOW),
            takes_over: deflate.takes_over(),
        }
    }

    /// Appends the message that `payload` holds, to where there is room for all of it.
    ///
    /// # Errors
    ///
    /// When it is damaged, or longer than the room.
    pub fn unpack(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        for mut input in [payload, &TAIL] {
            while !input.is_empty() {
                let before = self.codec.total_in();
                let flush = FlushDecompress::Sync;
                let status = self.codec.decompress_vec(input, out, flush)?;
                let taken = usize::try_from(self.codec.total_in() - before)?;
                if status != Status::Ok || taken == 0 {
                    return Err(format!("a compressed message ends in {status:?}").into());
                }
                input = &input[taken..];
            }
        }
        if !self.takes_over {
            self.codec.reset(false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::random::Random;

    const ALL: [Takeover; 3] = [Takeover::None, Takeover::Window, Takeover::Dedicated];

    #[test]
    fn settings_are_read_as_they_were_written() {
        for takeover in ALL {
            let deflate = Deflate { takeover, level: 3 };
            assert_eq!(Deflate::read(&deflate.to_string()), Some(deflate));
        }
        for text in ["", "none", "none-x", "some-1"] {
            assert_eq!(Deflate::read(text), None, "{text}");
        }
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut random = Random::new(2);
        for takeover in ALL {
            let deflate = Deflate { takeover, level: 1 };
            let (mut packer, mut unpacker) = (Packer::new(deflate), Unpacker::new(deflate));
            for length in [300, 4096, 300, 65_536, 300] {
                let message = json::message(length, &mut random);
                let mut payload = Vec::new();
                packer.pack(&message, &mut payload).unwrap();
                assert!(payload.len() < length, "{deflate}, {length}");
                let mut out = Vec::with_capacity(length + 1);
                unpacker.unpack(&payload, &mut out).unwrap();
                assert_eq!(out, message, "{deflate}");
                // One byte that is wrong, and another message or none.
                if !deflate.takes_over() {
                    let last = payload.len() - 1;
                    payload[last / 2] ^= 0x40;
                    out.clear();
                    let result = Unpacker::new(deflate).unpack(&payload, &mut out);
                    assert!(result.is_err() || out != message, "{deflate}");
                }
            }
        }
    }

    #[test]
    fn an_answer_has_to_be_what_was_asked_for() {
        let check = |takeover, answer: &str| {
            let head = format!("HTTP/1.1 101 \r\nSec-WebSocket-Extensions: {answer}\r\n\r\n");
            Deflate { takeover, level: 1 }.check_answer(&head).is_ok()
        };
        let forgetful =
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
        let takeover = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
        assert!(check(Takeover::None, forgetful));
        assert!(check(Takeover::Window, takeover));
        assert!(!check(Takeover::None, takeover));
        assert!(!check(Takeover::Dedicated, forgetful));
        assert!(!check(Takeover::Window, "permessage-deflate"));
        assert!(!check(Takeover::None, "x-webkit-deflate-frame"));
        let deflate = Deflate {
            takeover: Takeover::None,
            level: 1,
        };
        assert!(deflate.check_answer("HTTP/1.1 101 \r\n\r\n").is_err());
    }
}
