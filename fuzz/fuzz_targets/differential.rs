//! The same bytes into this crate and into tungstenite: what comes out has to agree.
//!
//! Where the two may disagree is written down in [`Reason`], and nowhere else.

#![no_main]

use anyws::{
    CloseCode, CloseFrame, Error, Message, ProtocolError, TransportConfig, WebSocketConfig, testing,
};
use anyws_fuzz::{
    script::{Acts, Script},
    task::poll_to_end,
    walk::{self, Walk},
    wire::{Frame, Sent},
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role, WebSocketConfig as TungsteniteConfig};

#[derive(Arbitrary, Debug)]
struct Input {
    is_server: bool,
    accepts_unmasked: bool,
    max_message: Option<u16>,
    max_frame: Option<u16>,
    parts: Vec<Part>,
    acts: Acts,
    /// What is missing at the end.
    missing: u8,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Right(Sent),
    Frame(Frame),
    Raw(Vec<u8>),
}

/// Of the codes in the registry the one that tungstenite does not know.
const BAD_GATEWAY: u16 = 1014;

/// How the messages of a peer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// By its Close.
    Close,
    /// By the end of the stream.
    Eof,
    /// By a breach of the protocol; which one of several is told first is no matter.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Received {
    messages: Vec<Message>,
    end: End,
}

/// Why the two may disagree. Sections are of RFC 6455.
#[derive(Debug)]
enum Reason {
    /// Section 5.2: "the minimal number of bytes MUST be used to encode the length". tungstenite
    /// takes any form.
    LengthNotShortest,
    /// Section 5.2: the most significant bit of a length is 0. tungstenite takes it for a frame
    /// that is too large, or that never comes.
    LengthTopBit,
    /// Section 7.4 and the registry of codes: 1014 is legal, 1015 and 0 to 999 are not, 1016 to
    /// 2999 are reserved. tungstenite judges them otherwise, and tells an illegal code as a Close
    /// with 1002.
    CloseCode,
    /// Sections 5.1 to 5.5, 7.1.7 and 8.1: a header, or a byte of a text, that is wrong is refused
    /// when it is there. tungstenite waits for the whole frame, and here the stream has ended
    /// before.
    Early,
}

fuzz_target!(|input: Input| {
    let mut bytes = Vec::new();
    for part in &input.parts {
        match part {
            Part::Right(message) => message.encode(input.is_server, &mut bytes, &mut Vec::new()),
            Part::Frame(frame) => frame.encode(&mut bytes),
            Part::Raw(raw) => bytes.extend(raw),
        }
    }
    bytes.truncate(bytes.len().saturating_sub(usize::from(input.missing)));
    let ours = ours(&input, bytes.clone());
    let (theirs, close) = theirs(&input, &bytes);
    if ours.0 != theirs {
        let reason = reason(&ours, &theirs, close, walk::walk(&bytes));
        assert!(
            reason.is_some(),
            "ours: {ours:?}\ntheirs: {theirs:?}\nbytes: {bytes:02x?}"
        );
    }
});

/// Finds why the two may disagree, if they may.
fn reason(
    (ours, error): &(Received, Option<ProtocolError>),
    theirs: &Received,
    close: Option<u16>,
    walk: Walk,
) -> Option<Reason> {
    // A code that they do not know is told as another one.
    if error.is_none() {
        let (last, before) = ours.messages.split_last()?;
        let is_bad_gateway = |frame: &CloseFrame| u16::from(frame.code) == BAD_GATEWAY;
        let is_code = matches!(last, Message::Close(Some(frame)) if is_bad_gateway(frame))
            && theirs.messages.starts_with(before)
            && theirs.messages.len() == ours.messages.len()
            && close == Some(CloseCode::Protocol.into());
        return is_code.then_some(Reason::CloseCode);
    }
    let error = error.as_ref()?;
    let told = ours.messages.len();
    let is_prefix = theirs.messages.starts_with(&ours.messages);
    // 1. We fail where they go on, and they have told nothing else before.
    let is_length = matches!(
        error,
        ProtocolError::InvalidLength | ProtocolError::ControlTooLong
    );
    if is_length && is_prefix {
        if walk.is_long_for_nothing {
            return Some(Reason::LengthNotShortest);
        }
        if walk.has_top_bit && theirs.end != End::Close {
            return Some(Reason::LengthTopBit);
        }
    }
    // 2. A Close whose code they replace, or refuse.
    let is_same = theirs.messages.len() == told + 1 && theirs.end == End::Close;
    if *error == ProtocolError::InvalidClose && is_prefix && is_same {
        return close
            .is_some_and(|code| code == u16::from(CloseCode::Protocol))
            .then_some(Reason::CloseCode);
    }
    // 3. Their frame is not complete.
    let is_early = ours.messages == theirs.messages && theirs.end == End::Eof && walk.is_cut;
    is_early.then_some(Reason::Early)
}

/// What this crate receives, and why it stops.
fn ours(input: &Input, bytes: Vec<u8>) -> (Received, Option<ProtocolError>) {
    let mut acts = Acts {
        is_silent: false,
        ..input.acts.clone()
    };
    acts.reads.retain(|act| act.is_harmless());
    acts.writes.retain(|act| act.is_harmless());
    let (script, stream) = Script::new(bytes, acts);
    let transport = TransportConfig::default()
        .max_message_size(input.max_message_size())
        .max_frame_size(input.max_frame_size())
        .accept_unmasked_frames(input.accepts_unmasked);
    let config = WebSocketConfig::new().set_transport(transport);
    let socket = if input.is_server {
        testing::server(stream, &config)
    } else {
        testing::client(stream, &config)
    };
    let mut socket = socket.expect("the settings work");
    let mut messages = Vec::new();
    let mut error = None;
    let end = loop {
        match poll_to_end(&script, socket.next()) {
            Some(Ok(message)) => messages.push(message),
            Some(Err(Error::ClosedWithoutHandshake)) => break End::Eof,
            Some(Err(Error::Protocol(protocol_error))) => {
                error = Some(protocol_error);
                break End::Error;
            }
            Some(Err(error)) => panic!("{error:?} comes from nowhere"),
            None => break End::Close,
        }
    };
    (Received { messages, end }, error)
}

/// What tungstenite receives, and the code of its Close.
fn theirs(input: &Input, bytes: &[u8]) -> (Received, Option<u16>) {
    let config = TungsteniteConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(input.max_message_size()))
        .max_frame_size(Some(input.max_frame_size()))
        .accept_unmasked_frames(input.accepts_unmasked);
    let role = if input.is_server {
        Role::Server
    } else {
        Role::Client
    };
    let stream = walk::ReadOnly(bytes);
    let mut socket = tungstenite::WebSocket::from_raw_socket(stream, role, Some(config));
    let mut messages = Vec::new();
    let mut close = None;
    let end = loop {
        match socket.read() {
            Ok(message) => {
                let is_close = message.is_close();
                if let Message::Close(Some(frame)) = &message {
                    close = Some(frame.code.into());
                }
                messages.push(message);
                if is_close {
                    break End::Close;
                }
            }
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => break End::Eof,
            Err(tungstenite::Error::Io(error)) => panic!("{error} comes from nowhere"),
            Err(_) => break End::Error,
        }
    };
    (Received { messages, end }, close)
}

impl Input {
    fn max_message_size(&self) -> usize {
        self.max_message.map_or(1 << 20, |max| usize::from(max) + 1)
    }

    /// Below 125 bytes a limit of ours lets control frames through, as it says.
    fn max_frame_size(&self) -> usize {
        self.max_frame.map_or(1 << 19, |max| usize::from(max) + 125)
    }
}
