//! Tests of rules 39 to 57 of conformance/RULES.md without a stream, and of the states that can
//! exist.

mod rules;
mod states;

use std::io::IoSlice;

use super::{Endpoint, RecvState, SendState};
use crate::{
    config::TransportConfig,
    message::{CloseCode, CloseFrame, Message, Role},
    proto::{Outgoing, ProtocolError, RecvSlot},
};

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn server() -> Endpoint {
    Endpoint::new(Role::Server, &TransportConfig::default(), None)
}

fn client() -> Endpoint {
    Endpoint::new(Role::Client, &TransportConfig::default(), None)
}

/// A frame of a client. Its key is 0, so that the payload stays readable.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let payload = payload.as_ref();
    let length = (payload.len() as u64).to_be_bytes();
    let mut bytes = vec![first];
    match payload.len() {
        0..=0x7d => bytes.push(MASKED | length[7]),
        0x7e..=0xffff => bytes.extend([&[MASKED | 0x7e], &length[6..]].concat()),
        _ => bytes.extend([&[MASKED | 0x7f], &length[..]].concat()),
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The Close of an end that has waited too long.
fn closing() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Away,
        reason: "too late".into(),
    }
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Passes bytes as a driver does, until no more messages come.
fn receive(endpoint: &mut Endpoint, bytes: &[u8]) -> Vec<Result<Message, ProtocolError>> {
    let (mut bytes, mut all) = (bytes.to_vec(), Vec::new());
    while endpoint.is_parsing() && !bytes.is_empty() {
        let mut received: RecvSlot<ProtocolError> = None;
        let taken = endpoint.receive(&mut bytes, &mut received).taken;
        bytes.drain(..taken);
        all.extend(received);
    }
    all
}

/// Takes the bytes that the endpoint has to write.
fn written(endpoint: &mut Endpoint) -> Vec<u8> {
    let mut bytes = Vec::new();
    while endpoint.unwritten() > 0 {
        let buffer = endpoint.write_buffer();
        let mut slices = [IoSlice::new(&[]); 4];
        let count = buffer.fill(&mut slices);
        let part: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|it| it.iter().copied())
            .collect();
        buffer.advance(part.len());
        bytes.extend(part);
    }
    bytes
}

/// An unmasked frame with a payload below 126 bytes, as a server writes it.
fn answer(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [
        &[FIN | opcode, u8::try_from(payload.len()).unwrap()],
        payload,
    ]
    .concat()
}

/// Asserts that these bytes fail a server with this error: it writes a Close with the code, and
/// parses nothing after the violation.
fn fails_with(bytes: &[u8], code: u16, error: impl Fn(&ProtocolError) -> bool) {
    let mut endpoint = server();
    let followed = [bytes, &frame(FIN | TEXT, "behind it")].concat();
    let received = receive(&mut endpoint, &followed);
    assert!(
        error(received.last().unwrap().as_ref().unwrap_err()),
        "{received:?}"
    );
    assert_eq!(endpoint.state().recv, RecvState::Failed);
    assert_eq!(endpoint.state().send, SendState::Closed);
    let close = written(&mut endpoint);
    assert_eq!(close[0], FIN | CLOSE);
    assert_eq!(close[2..4], code.to_be_bytes(), "{received:?}");
}

fn outgoing(message: impl Into<Message>) -> Outgoing {
    Outgoing::new(message.into()).unwrap()
}
