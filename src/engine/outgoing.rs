//! Messages on their way out: what may be sent, and in which frames.

use async_tungstenite::tungstenite::protocol::{
    Role,
    frame::{
        Frame,
        coding::{Data, OpCode},
    },
};
use bytes::Bytes;

use crate::{InvalidMessage, Message};

/// RFC 6455, section 5.5: the most that a control frame carries.
pub(super) const MAX_CONTROL: usize = 125;

/// RFC 6455, section 5.5.1: the code of a Close frame, in front of the reason.
const CLOSE_CODE_LEN: usize = 2;

/// Refuses what may not go on the wire.
pub(super) fn check(message: &Message) -> Result<(), InvalidMessage> {
    match message {
        Message::Ping(payload) | Message::Pong(payload) if payload.len() > MAX_CONTROL => {
            Err(InvalidMessage::ControlTooLong(payload.len()))
        }
        Message::Close(Some(frame)) => {
            let code = u16::from(frame.code);
            if !may_send(code) {
                return Err(InvalidMessage::CloseCode(code));
            }
            if frame.reason.len() > MAX_CONTROL - CLOSE_CODE_LEN {
                return Err(InvalidMessage::CloseReasonTooLong(frame.reason.len()));
            }
            Ok(())
        }
        Message::Frame(_) => Err(InvalidMessage::RawFrame),
        _ => Ok(()),
    }
}

/// RFC 6455, section 7.4, and the registry it founds: 1012 to 1014 came later.
fn may_send(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Returns the frames of a message: more than one when its payload is above `limit`.
pub(super) fn frames(message: Message, limit: Option<usize>) -> impl Iterator<Item = Message> {
    // The settings of `testing::Client` are not validated: 0 would never come to an end.
    let limit = limit.map_or(usize::MAX, |limit| limit.max(1));
    let (opcode, mut rest) = match message {
        Message::Text(text) if text.len() > limit => (Data::Text, Bytes::from(text)),
        Message::Binary(data) if data.len() > limit => (Data::Binary, data),
        // As a frame: tungstenite would put a pong of the user's in the place of its own.
        Message::Pong(payload) => return Frames::One(Some(Message::Frame(Frame::pong(payload)))),
        other => return Frames::One(Some(other)),
    };
    let mut opcode = Some(opcode);
    Frames::Fragments(move || {
        if rest.is_empty() {
            return None;
        }
        let part = rest.split_to(rest.len().min(limit));
        let opcode = OpCode::Data(opcode.take().unwrap_or(Data::Continue));
        Some(Message::Frame(Frame::message(
            part,
            opcode,
            rest.is_empty(),
        )))
    })
}

/// The frames of one message: itself, or fragments made one by one.
enum Frames<F> {
    One(Option<Message>),
    Fragments(F),
}

impl<F: FnMut() -> Option<Message>> Iterator for Frames<F> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        match self {
            Self::One(message) => message.take(),
            Self::Fragments(next) => next(),
        }
    }
}

/// Returns the length of the payload of a message that is sent as one frame.
pub(super) fn payload_len(message: &Message) -> usize {
    match message {
        Message::Close(Some(frame)) => CLOSE_CODE_LEN + frame.reason.len(),
        Message::Frame(frame) => frame.payload().len(),
        other => other.len(),
    }
}

/// Returns the length of a frame with a payload of `payload` bytes (RFC 6455, section 5.2).
pub(super) fn frame_len(payload: usize, role: Role) -> usize {
    let header = match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let mask = match role {
        Role::Server => 0,
        Role::Client => 4,
    };
    header + mask + payload
}
