//! The codec of frames: headers, and the decoder without a stream.

#![no_main]

use anyws::{
    Message, TransportConfig,
    fuzzing::{Decoder, Header},
};
use anyws_fuzz::wire::{self, Form, MAX_CONTROL, Sent, pieces};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    raw: Vec<u8>,
    fin: bool,
    reserved: u8,
    opcode: u8,
    key: Option<[u8; 4]>,
    form: Form,
    length: Length,
    is_server: bool,
    messages: Vec<Sent>,
    cuts: Vec<u16>,
}

/// The length of a payload, near to where its form changes or anywhere.
#[derive(Arbitrary, Debug)]
enum Length {
    Near125(i8),
    Near65535(i8),
    Any(u64),
}

impl Length {
    fn value(&self) -> u64 {
        match *self {
            Self::Near125(by) => 125u64.saturating_add_signed(by.into()),
            Self::Near65535(by) => 65_535u64.saturating_add_signed(by.into()),
            Self::Any(length) => length >> 1,
        }
    }
}

fuzz_target!(|input: Input| {
    header_that_was_read(&input.raw);
    header_that_was_written(&input);
    decoder_that_may_fail(&input);
    decoder_of_messages(&input);
});

/// Whatever can be read is written as the same bytes: there is one form of each header.
fn header_that_was_read(raw: &[u8]) {
    let Ok(Some((header, taken))) = Header::parse(raw) else {
        return;
    };
    let written = header.write().expect("a header has an opcode");
    assert_eq!(written, raw[..taken], "{header:?}");
}

/// Whatever may be written is read as the same header, and not before it is complete.
fn header_that_was_written(input: &Input) {
    let mut header = Header {
        fin: input.fin,
        reserved: input.reserved & 0x70,
        opcode: input.opcode & 15,
        key: input.key,
        length: input.length.value(),
    };
    if header.opcode >= 8 {
        header.fin = true;
        header.length %= MAX_CONTROL as u64 + 1;
    }
    let Some(bytes) = header.write() else { return };
    let longer = [&bytes, &input.raw[..]].concat();
    assert_eq!(Header::parse(&longer), Ok(Some((header, bytes.len()))));
    for cut in 0..bytes.len() {
        assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "cut at {cut}");
    }

    // Another encoder writes the same, and another form of the length is none.
    let first = u8::from(header.fin) << 7 | header.reserved | header.opcode;
    let mut other = Vec::new();
    wire::header(first, header.key, input.form, header.length, &mut other);
    assert_eq!(
        Header::parse(&other).is_ok(),
        other == bytes,
        "{other:02x?}"
    );
}

/// Bytes come to the same end in whatever pieces they come.
fn decoder_that_may_fail(input: &Input) {
    let whole = decode(input.is_server, &[&input.raw]);
    let cut = decode(
        input.is_server,
        &pieces(&input.raw, input.cuts.iter().copied()),
    );
    assert_eq!(whole, cut);
}

/// Messages in any fragments and pieces are these messages.
fn decoder_of_messages(input: &Input) {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for message in &input.messages {
        if !matches!(message, Sent::Close { .. }) {
            message.encode(input.is_server, &mut bytes, &mut expected);
        }
    }
    let pieces = pieces(&bytes, input.cuts.iter().copied());
    let (messages, error) = decode(input.is_server, &pieces);
    assert_eq!(error, None);
    assert!(messages == expected, "{messages:?} for {expected:?}");
}

/// Decodes up to the first error.
fn decode(is_server: bool, pieces: &[&[u8]]) -> (Vec<Message>, Option<anyws::ProtocolError>) {
    let limits = TransportConfig::default();
    let mut decoder = Decoder::new(is_server, &limits, None);
    let mut messages = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut from = 0;
        loop {
            match decoder.decode(&mut piece[from..]) {
                Err(error) => return (messages, Some(error)),
                Ok((taken, Some(message))) => {
                    assert!(taken > 0, "a message of no bytes");
                    messages.push(message);
                    from += taken;
                }
                Ok((taken, None)) => {
                    assert_eq!(from + taken, piece.len(), "without a message all is taken");
                    break;
                }
            }
        }
    }
    (messages, None)
}
