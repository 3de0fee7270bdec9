//! The state between the 101 response and the socket.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::upgrade_io::Upgrade;
use crate::{
    config::WebSocketConfig,
    connection::Established,
    error::{Error, Result, TimeoutPhase},
    handshake::Negotiated,
    message::Role,
    rt::{Deadline, Runtime},
    socket::WebSocket,
    sync::Exclusive,
    tracker::{Permit, Seat},
};

/// A future of a [`WebSocket`], returned by
/// [`WebSocketUpgrade::accept`](crate::WebSocketUpgrade::accept).
///
/// Drive it after the response was passed to the server. It is a named type, so you can store it.
/// Dropping it closes the connection.
#[must_use = "the WebSocket comes out of this future"]
pub struct Upgrading(State);

enum State {
    Refused(Option<Box<Error>>),
    Upgrading(Box<Pending>),
}

/// What the socket needs, and what the future waits for.
struct Pending {
    upgrade: Exclusive<Upgrade>,
    deadline: Deadline,
    negotiated: Negotiated,
    config: WebSocketConfig,
    runtime: Option<Arc<dyn Runtime>>,
    permit: Option<Permit>,
    label: Option<&'static str>,
}

impl Upgrading {
    pub(super) fn refused(error: Error) -> Self {
        Self(State::Refused(Some(Box::new(error))))
    }

    pub(super) fn new(
        upgrade: Exclusive<Upgrade>,
        negotiated: Negotiated,
        config: WebSocketConfig,
        runtime: Option<Arc<dyn Runtime>>,
        permit: Option<Permit>,
        label: Option<&'static str>,
    ) -> Self {
        let deadline = Deadline::start(config.upgrade_timeout.duration(), runtime.as_ref());
        Self(State::Upgrading(Box::new(Pending {
            upgrade,
            deadline,
            negotiated,
            config,
            runtime,
            permit,
            label,
        })))
    }

    /// Returns a seat for the task that drives this future, if a tracker counts it.
    pub(super) fn task_seat(&self) -> Option<Seat> {
        match &self.0 {
            State::Refused(_) => None,
            State::Upgrading(pending) => pending.permit.as_ref().map(Permit::task),
        }
    }

    /// Returns the subprotocol that was chosen, if any.
    pub(super) fn protocol(&self) -> Option<&str> {
        match &self.0 {
            State::Refused(_) => None,
            State::Upgrading(pending) => pending.negotiated.protocol(),
        }
    }

    /// Returns the error if the handshake was refused.
    pub(super) fn into_refusal(self) -> Result<Self, Error> {
        match self.0 {
            State::Refused(Some(error)) => Err(*error),
            state => Ok(Self(state)),
        }
    }
}

/// Returns the socket.
///
/// # Errors
///
/// The error that made the response a refusal ([`Error::Rejected`], [`Error::Config`] or
/// [`Error::NoRuntime`]). [`Error::Upgrade`] if the server does not hand over the connection.
/// [`Error::Timeout`] if that takes longer than the upgrade timeout.
impl Future for Upgrading {
    type Output = Result<WebSocket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // Polled again after its end, it has no error left but `Closed`.
            State::Refused(error) => {
                Poll::Ready(Err(error.take().map_or(Error::Closed, |error| *error)))
            }
            State::Upgrading(pending) => pending.poll(cx),
        }
    }
}

impl Pending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebSocket>> {
        let io = match self.upgrade.get_mut().as_mut().poll(cx) {
            Poll::Ready(upgraded) => upgraded.map_err(Error::Upgrade)?,
            Poll::Pending => {
                let timeout = || Err(Error::Timeout(TimeoutPhase::Upgrade));
                return self.deadline.poll_passed(cx).map(|()| timeout());
            }
        };
        Poll::Ready(Ok(WebSocket::new(Established {
            io,
            read_ahead: Vec::new(),
            role: Role::Server,
            protocol: self.negotiated.protocol(),
            compression: self.negotiated.compression(),
            config: &self.config,
            runtime: self.runtime.take(),
            permit: self.permit.take(),
            label: self.label,
        })))
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refusal = match &self.0 {
            State::Refused(error) => error.as_ref(),
            State::Upgrading(_) => None,
        };
        f.debug_struct("Upgrading")
            .field("refusal", &refusal)
            .finish_non_exhaustive()
    }
}
