//! tungstenite's errors as those of this crate.

use std::io;

use async_tungstenite::tungstenite::{
    Error as TungsteniteError,
    error::{CapacityError, ProtocolError as Violation},
};

use crate::{Error, ProtocolError};

/// What ends the reading.
pub(super) fn read_error(error: TungsteniteError) -> Error {
    match error {
        TungsteniteError::Protocol(Violation::ResetWithoutClosingHandshake) => {
            Error::ClosedWithoutHandshake
        }
        TungsteniteError::Protocol(violation) => Error::Protocol(protocol_error(&violation)),
        TungsteniteError::Utf8(_) => Error::Protocol(ProtocolError::InvalidUtf8),
        TungsteniteError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            Error::Protocol(ProtocolError::TooLarge {
                size,
                limit: max_size,
            })
        }
        other => write_error(other),
    }
}

/// What ends the writing.
pub(super) fn write_error(error: TungsteniteError) -> Error {
    match error {
        TungsteniteError::Io(error) => Error::Io(error),
        TungsteniteError::ConnectionClosed | TungsteniteError::AlreadyClosed => Error::Closed,
        other => Error::Io(io::Error::other(other)),
    }
}

fn protocol_error(violation: &Violation) -> ProtocolError {
    match violation {
        Violation::NonZeroReservedBits => ProtocolError::ReservedBits,
        Violation::UnmaskedFrameFromClient => ProtocolError::UnmaskedFrame,
        Violation::MaskedFrameFromServer => ProtocolError::MaskedFrame,
        Violation::FragmentedControlFrame => ProtocolError::FragmentedControl,
        Violation::ControlFrameTooBig => ProtocolError::ControlTooLong,
        Violation::UnknownControlFrameType(opcode)
        | Violation::UnknownDataFrameType(opcode)
        | Violation::InvalidOpcode(opcode) => ProtocolError::UnknownOpcode(*opcode),
        Violation::UnexpectedContinueFrame => ProtocolError::UnexpectedContinuation,
        Violation::ExpectedFragment(_) => ProtocolError::ExpectedContinuation,
        Violation::ReceivedAfterClosing => ProtocolError::FrameAfterClose,
        // What is left is about Close frames; the others belong to tungstenite's own handshake.
        _ => ProtocolError::InvalidClose,
    }
}
