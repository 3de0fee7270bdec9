//! Whose fault a failure is: the server's, or that of a client or the network.

use crate::{
    error::{BoxError, Error},
    handshake::Rejection,
};

/// Returns whether a request is rejected because of the server.
///
/// A drain and a limit are no fault: the server does what it was told to do.
pub(super) fn is_servers_rejection(rejection: &Rejection) -> bool {
    *rejection == Rejection::NotUpgradable
}

/// Returns whether a handshake fails because of the server.
pub(super) fn is_servers(error: &Error) -> bool {
    match error {
        Error::Rejected(rejection) => is_servers_rejection(rejection),
        Error::Upgrade(source) => !DEPARTURES.iter().any(|is_departure| is_departure(source)),
        _ => true,
    }
}

/// Returns whether a handler fails for another reason than a peer that is gone.
pub(super) fn is_handlers(error: &BoxError) -> bool {
    let error = error.downcast_ref::<Error>();
    !error.is_some_and(Error::is_disconnect)
}

/// How servers say that a client has left before the server could hand over its connection.
const DEPARTURES: &[fn(&BoxError) -> bool] = &[
    #[cfg(feature = "hyper")]
    |error| {
        let error = error.downcast_ref::<hyper::Error>();
        error.is_some_and(hyper::Error::is_canceled)
    },
];
