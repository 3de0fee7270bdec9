//! Compressed messages of a peer, right or wrong, in any frames and pieces.

#![no_main]

use anyws::{
    Message, Takeover, TransportConfig,
    fuzzing::{Agreed, Decoder},
};
use anyws_fuzz::{
    inflate::Received,
    plaintext::{Piece, plaintext},
    wire::{self, BINARY, CONTINUATION, Control, Form, TEXT, pieces},
};
use arbitrary::Arbitrary;
use flate2::{Compress, Compression, FlushCompress};
use libfuzzer_sys::fuzz_target;

/// The message is compressed.
const RSV1: u8 = 0x40;

/// A compressed message may be an eighth longer than the limit, and so many bytes.
const BLOCK_HEADERS: usize = 1024;

#[derive(Arbitrary, Debug)]
struct Input {
    is_server: bool,
    peer_window: Option<u8>,
    limit: Limit,
    messages: Vec<Sent>,
    cuts: Vec<u16>,
    /// The length of the pieces behind the cuts.
    piece: u16,
}

#[derive(Arbitrary, Debug)]
enum Limit {
    High,
    At(u16),
}

#[derive(Arbitrary, Debug)]
struct Sent {
    is_text: bool,
    is_compressed: bool,
    payload: Payload,
    fragments: Vec<u16>,
    between: Vec<Control>,
    key: [u8; 4],
}

#[derive(Arbitrary, Debug)]
enum Payload {
    /// These bytes, whatever they mean.
    Raw(Vec<u8>),
    /// Parts, each of them right by itself.
    Parts(Vec<Part>),
    /// Some bytes are others.
    Changed(Vec<Part>, Vec<(u16, u8)>),
    /// Cut after so many bytes.
    Cut(Vec<Part>, u16),
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// Blocks from a compressor.
    Compressed {
        pieces: Vec<Piece>,
        level: u8,
        window: u8,
        /// It may refer to what was sent before.
        takes_over: bool,
        flush: Flush,
        has_tail: bool,
    },
    /// A block that is not compressed.
    Stored { is_last: bool, bytes: Vec<u8> },
    /// Blocks without data.
    Empty {
        is_last: bool,
        is_stored: bool,
        count: u8,
    },
    /// The byte of section 7.2.3.4, or any other.
    Byte(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Flush {
    Sync,
    Partial,
    Full,
    Finish,
}

fuzz_target!(|input: Input| {
    let limit = match input.limit {
        Limit::High => 4 << 20,
        Limit::At(limit) => usize::from(limit),
    };
    let window = input.peer_window.map(|window| 8 + window % 8);
    let (bytes, expected, fails) = encode(&input, window, limit);
    let agreed = Agreed {
        takeover: Takeover::None,
        level: 1,
        threshold: 0,
        window: 15,
        peer_window: window,
    };
    let limits = TransportConfig::default().max_message_size(limit);
    let decode = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(input.is_server, &limits, Some(agreed));
        decode(&mut decoder, pieces, limit)
    };
    let whole = decode(&[&bytes]);
    assert_eq!(whole.1, fails, "an error");
    assert!(whole.0 == expected, "other messages");
    let cut: Vec<_> = pieces(&bytes, input.cuts.iter().copied())
        .into_iter()
        .flat_map(|piece| piece.chunks(usize::from(input.piece).max(1)))
        .collect();
    let cut = decode(&cut);
    assert_eq!(cut.1, fails, "an error in pieces");
    assert!(cut.0 == expected, "other messages in pieces");
});

/// Returns the bytes of all messages, the messages up to the first that is wrong, and whether one
/// is.
fn encode(input: &Input, window: Option<u8>, limit: usize) -> (Vec<u8>, Vec<Message>, bool) {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    let mut fails = false;
    let mut received = Received::default();
    let mut before = Vec::new();
    for message in input.messages.iter().take(8) {
        let payload = message.payload.encode(&mut before);
        // Those in front of its last frame arrive before the message.
        frames(
            message,
            &payload,
            input.is_server,
            &mut bytes,
            &mut expected,
            fails,
        );
        if fails {
            break;
        }
        let plaintext = if message.is_compressed {
            Some(&payload)
                .filter(|payload| payload.len() <= limit + limit / 8 + BLOCK_HEADERS)
                .and_then(|payload| received.inflate(payload, window, limit))
        } else {
            Some(payload).filter(|payload| payload.len() <= limit)
        };
        let message = plaintext.and_then(|plaintext| {
            if message.is_text {
                String::from_utf8(plaintext).ok().map(Message::text)
            } else {
                Some(Message::binary(plaintext))
            }
        });
        match message {
            Some(message) => expected.push(message),
            None => fails = true,
        }
    }
    if fails {
        // How many of the pings in a wrong message arrive depends on where it is found out.
        expected.retain(|message| !message.is_ping() && !message.is_pong());
    }
    (bytes, expected, fails)
}

fn frames(
    message: &Sent,
    payload: &[u8],
    masked: bool,
    bytes: &mut Vec<u8>,
    expected: &mut Vec<Message>,
    is_behind: bool,
) {
    let mut opcode = if message.is_text { TEXT } else { BINARY };
    if message.is_compressed {
        opcode |= RSV1;
    }
    let mut between = message.between.iter();
    let fragments = pieces(payload, message.fragments.iter().copied());
    let last = fragments.len() - 1;
    let mut ignored = Vec::new();
    for (at, fragment) in fragments.into_iter().enumerate() {
        let fin = u8::from(at == last) << 7;
        let key = masked.then_some(message.key);
        wire::encode(fin | opcode, key, Form::Shortest, fragment, bytes);
        opcode = CONTINUATION;
        if at != last
            && let Some(control) = between.next()
        {
            let expected = if is_behind {
                &mut ignored
            } else {
                &mut *expected
            };
            control.encode(masked, bytes, expected);
        }
    }
}

impl Payload {
    fn encode(&self, before: &mut Vec<u8>) -> Vec<u8> {
        let (Self::Parts(parts) | Self::Changed(parts, _) | Self::Cut(parts, _)) = self else {
            let Self::Raw(bytes) = self else {
                return Vec::new();
            };
            return bytes.clone();
        };
        let mut bytes = Vec::new();
        for part in parts.iter().take(16) {
            part.encode(before, &mut bytes);
        }
        match self {
            Self::Changed(_, changes) if !bytes.is_empty() => {
                for (at, by) in changes {
                    let at = usize::from(*at) % bytes.len();
                    bytes[at] ^= by;
                }
            }
            Self::Cut(_, at) => bytes.truncate(usize::from(*at)),
            _ => {}
        }
        bytes
    }
}

impl Part {
    fn encode(&self, before: &mut Vec<u8>, bytes: &mut Vec<u8>) {
        match self {
            Self::Compressed {
                pieces,
                level,
                window,
                takes_over,
                flush,
                has_tail,
            } => {
                let plaintext = plaintext(pieces, before);
                let level = Compression::new(u32::from(level % 10));
                let window = 9 + window % 7;
                let mut codec = Compress::new_with_window_bits(level, false, window);
                if *takes_over {
                    let from = before.len().saturating_sub(1 << window);
                    codec.set_dictionary(&before[from..]).expect("it is raw");
                }
                let mut compressed =
                    Vec::with_capacity(plaintext.len() + plaintext.len() / 8 + 512);
                let flush = match flush {
                    Flush::Sync => FlushCompress::Sync,
                    Flush::Partial => FlushCompress::Partial,
                    Flush::Full => FlushCompress::Full,
                    Flush::Finish => FlushCompress::Finish,
                };
                codec
                    .compress_vec(&plaintext, &mut compressed, flush)
                    .expect("it is right");
                if !has_tail && compressed.ends_with(&[0, 0, 0xff, 0xff]) {
                    compressed.truncate(compressed.len() - 4);
                }
                bytes.extend(compressed);
                before.extend(plaintext);
            }
            Self::Stored {
                is_last,
                bytes: data,
            } => {
                bytes.push((*is_last).into());
                let length = u16::try_from(data.len()).unwrap_or(0);
                bytes.extend(length.to_le_bytes());
                bytes.extend((!length).to_le_bytes());
                bytes.extend(&data[..length.into()]);
                before.extend(&data[..length.into()]);
            }
            Self::Empty {
                is_last,
                is_stored,
                count,
            } => {
                for _ in 0..=*count {
                    if *is_stored {
                        bytes.extend([u8::from(*is_last), 0, 0, 0xff, 0xff]);
                    } else {
                        // A block with fixed codes that ends at once.
                        bytes.extend([2 | u8::from(*is_last), 0]);
                    }
                }
            }
            Self::Byte(byte) => bytes.push(*byte),
        }
    }
}

/// Decodes up to the first error. Returns the messages, and whether there was one.
fn decode(decoder: &mut Decoder, pieces: &[&[u8]], limit: usize) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut from = 0;
        let mut idle = 0;
        loop {
            let Ok((taken, message)) = decoder.decode(&mut piece[from..]) else {
                messages.retain(|message: &Message| !message.is_ping() && !message.is_pong());
                return (messages, true);
            };
            let before = decoder.arrived();
            assert!(before <= limit, "{before} bytes for {limit}");
            from += taken;
            let is_done = message.is_none() && !decoder.is_inflating();
            messages.extend(message);
            if is_done {
                assert_eq!(from, piece.len(), "without a message all is taken");
                break;
            }
            idle = if taken > 0 { 0 } else { idle + 1 };
            assert!(idle < 1000, "it inflates without an end");
        }
    }
    (messages, false)
}
