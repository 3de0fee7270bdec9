//! A parser of frames that takes nothing but what RFC 6455 allows, for what the crate writes; and
//! the reference for what it reads.

use anyws::{CloseFrame, Message};

use crate::wire::{BINARY, CLOSE, CONTINUATION, MAX_CONTROL, PING, PONG, TEXT};

/// The message is compressed.
const RSV1: u8 = 0x40;

/// Inflates the payload of a message, or says what is wrong with it.
pub type Inflate<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Vec<u8>, &'static str>;

/// What bytes have come to.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The messages that are complete.
    pub messages: Vec<Message>,
    /// The largest payload of a data frame.
    pub largest: usize,
    /// The rule that the bytes break; nothing behind it was parsed.
    pub broken: Option<&'static str>,
    /// Bytes behind the last complete frame, or a message without its last one.
    pub is_cut: bool,
}

/// Parses what one end has sent: a client masks, a server does not.
#[must_use]
pub fn parse(bytes: &[u8], masked: bool) -> Parsed {
    parse_with(bytes, masked, None)
}

/// Does the same if compression may have been agreed: with what inflates the messages.
#[must_use]
pub fn parse_with(mut bytes: &[u8], masked: bool, mut inflate: Option<Inflate<'_>>) -> Parsed {
    let mut parsed = Parsed::default();
    let mut message: Option<Frame> = None;
    let mut closed = false;
    while !bytes.is_empty() {
        let (frame, rest) = match frame(bytes, masked) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                parsed.is_cut = true;
                return parsed;
            }
            Err(broken) => {
                parsed.broken = Some(broken);
                return parsed;
            }
        };
        bytes = rest;
        if closed {
            parsed.broken = Some("a frame follows the Close");
            return parsed;
        }
        closed = frame.opcode == CLOSE;
        if frame.opcode <= BINARY {
            parsed.largest = parsed.largest.max(frame.payload.len());
        }
        match complete(frame, &mut message, inflate.as_mut()) {
            Ok(message) => parsed.messages.extend(message),
            Err(broken) => {
                parsed.broken = Some(broken);
                return parsed;
            }
        }
    }
    parsed.is_cut = message.is_some();
    parsed
}

struct Frame {
    fin: bool,
    reserved: u8,
    opcode: u8,
    payload: Vec<u8>,
}

/// Takes a frame off the front (section 5.2).
fn frame(bytes: &[u8], masked: bool) -> Result<Option<(Frame, &[u8])>, &'static str> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let (fin, opcode) = (first >> 7 == 1, first & 15);
    if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err("the opcode is unknown");
    }
    let length_len = match second & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let key_len = if second >> 7 == 1 { 4 } else { 0 };
    if opcode >= 8 && (!fin || usize::from(second & 127) > MAX_CONTROL) {
        return Err("a control frame is fragmented or too long");
    }
    let Some((length, rest)) = rest.split_at_checked(length_len) else {
        return Ok(None);
    };
    let length = length
        .iter()
        .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let length = match length_len {
        2 if length < 126 => return Err("the length is not the shortest"),
        8 if length < 0x1_0000 || length >> 63 == 1 => return Err("the length is malformed"),
        0 => u64::from(second & 127),
        _ => length,
    };
    // These depend on the connection, and are judged once the header is complete.
    let Some((key, rest)) = rest.split_at_checked(key_len) else {
        return Ok(None);
    };
    if (second >> 7 == 1) != masked {
        return Err("the mask is missing or wrong");
    }
    let Some((payload, rest)) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
    else {
        return Ok(None);
    };
    let mut payload = payload.to_vec();
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= key.get(at % 4).unwrap_or(&0);
    }
    let frame = Frame {
        fin,
        reserved: first & 0x70,
        opcode,
        payload,
    };
    Ok(Some((frame, rest)))
}

/// Puts the frame to those before it (RFC 6455, section 5.4; RFC 7692, section 6).
fn complete(
    frame: Frame,
    message: &mut Option<Frame>,
    inflate: Option<&mut Inflate<'_>>,
) -> Result<Option<Message>, &'static str> {
    let is_first = matches!(frame.opcode, TEXT | BINARY);
    if frame.reserved != 0 && (frame.reserved != RSV1 || !is_first || inflate.is_none()) {
        return Err("a reserved bit is set");
    }
    let fin = frame.fin;
    match frame.opcode {
        CLOSE => return close(&frame.payload).map(Some),
        PING => return Ok(Some(Message::Ping(frame.payload.into()))),
        PONG => return Ok(Some(Message::Pong(frame.payload.into()))),
        CONTINUATION => {
            let message = message.as_mut().ok_or("nothing is continued")?;
            message.payload.extend(frame.payload);
        }
        _ if message.is_some() => return Err("a message begins inside another"),
        _ => *message = Some(frame),
    }
    let Some(message) = message.take_if(|_| fin) else {
        return Ok(None);
    };
    let payload = match inflate.filter(|_| message.reserved == RSV1) {
        Some(inflate) => inflate(&message.payload)?,
        None => message.payload,
    };
    if message.opcode == BINARY {
        return Ok(Some(Message::binary(payload)));
    }
    let text = String::from_utf8(payload).map_err(|_| "a text is not UTF-8")?;
    Ok(Some(Message::text(text)))
}

/// Reads a Close (sections 5.5.1 and 7.4, and the registry of codes).
fn close(payload: &[u8]) -> Result<Message, &'static str> {
    let frame = match payload {
        [] => None,
        [_] => return Err("half a close code"),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let legal = [1000..=1003, 1007..=1014, 3000..=4999];
            if !legal.iter().any(|codes| codes.contains(&code)) {
                return Err("the close code is not for the wire");
            }
            let reason = std::str::from_utf8(reason).map_err(|_| "a reason is not UTF-8")?;
            Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            })
        }
    };
    Ok(Message::Close(frame))
}
