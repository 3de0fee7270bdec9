//! Close frames: their payload and their codes (RFC 6455, sections 5.5.1 and 7.4).

use bytes::Bytes;

use super::{
    error::{InvalidMessage, ProtocolError},
    frame::MAX_CONTROL,
    recv::text,
};
use crate::message::{CloseCode, CloseFrame, Utf8Bytes};

/// The code of a Close frame, in front of the reason.
const CODE_LEN: usize = 2;

/// Reads the payload of a Close frame.
pub(super) fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(ProtocolError::InvalidClose)
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_for_the_wire(code) {
        return Err(ProtocolError::InvalidClose);
    }
    Ok(Some(CloseFrame {
        code: code.into(),
        reason: text::whole(reason.into())?.into(),
    }))
}

/// Writes the payload of a Close frame, unless it may not be sent.
pub(super) fn payload(frame: Option<&CloseFrame>) -> Result<Bytes, InvalidMessage> {
    let Some(CloseFrame { code, reason }) = frame else {
        return Ok(Bytes::new());
    };
    let code = u16::from(*code);
    if !is_for_the_wire(code) {
        return Err(InvalidMessage::CloseCode(code));
    }
    if reason.len() > MAX_CONTROL - CODE_LEN {
        return Err(InvalidMessage::CloseReasonTooLong(reason.len()));
    }
    Ok([&code.to_be_bytes(), reason.as_bytes()].concat().into())
}

/// Returns whether a code may be sent (RFC 6455, section 7.4, and its registry): 1012 to 1014 were
/// added later.
pub(crate) fn is_for_the_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Returns the Close frame that reports the peer's violation. The reason is the error's text,
/// except for errors with sizes in it: their text may be too long, and the code says enough.
pub(crate) fn closing_frame(error: &ProtocolError) -> CloseFrame {
    let reason = match error {
        ProtocolError::TooLarge { .. } => Utf8Bytes::from_static("message too large"),
        error => error.to_string().into(),
    };
    CloseFrame {
        code: error.close_code(),
        reason,
    }
}

/// Returns the Close frame of a socket that its user dropped: 1011 if its handler has failed (RFC
/// 6455, section 7.4.1).
pub(crate) fn dropping_frame(has_failed: bool) -> CloseFrame {
    let code = if has_failed {
        CloseCode::Error
    } else {
        CloseCode::Normal
    };
    CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    }
}
