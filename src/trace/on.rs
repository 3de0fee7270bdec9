//! With the feature `tracing`: the events, and the span of a task.
//!
//! Events show nothing of a request: its query, its headers and the names of subprotocols may be
//! secrets.

use std::{future::Future, mem, thread};

use http::StatusCode;
use tracing::{Instrument, Span, instrument::Instrumented};

use super::fault;
use crate::{
    config::ConfigError,
    error::{BoxError, Error},
    handshake::Rejection,
    message::{CloseCode, Role},
};

/// The target of all events and spans.
const TARGET: &str = "anyws";

/// Makes an event: at WARN if the server is at fault, else at DEBUG.
macro_rules! event {
    ($is_servers_fault:expr, $($fields:tt)+) => {
        if $is_servers_fault {
            tracing::warn!(target: TARGET, $($fields)+);
        } else {
            tracing::debug!(target: TARGET, $($fields)+);
        }
    };
}

/// A request was answered with its rejection.
pub(crate) fn rejected(rejection: &Rejection) {
    event!(
        fault::is_servers_rejection(rejection),
        status = rejection.status().as_u16(),
        reason = %rejection,
        "handshake refused"
    );
}

/// A handshake was refused; `status` is that of the answer, if there was one.
pub(crate) fn refused(error: &Error, status: Option<StatusCode>) {
    let status = status.map(|status| status.as_u16());
    let is_servers_fault = fault::is_servers(error);
    match error {
        Error::Rejected(rejection) => {
            event!(is_servers_fault, status, reason = %rejection, "handshake refused");
        }
        Error::Config(ConfigError::Protocol(_) | ConfigError::ProtocolNotOffered(_)) => {
            let reason = "invalid configuration: a subprotocol is no token, or was not offered";
            event!(is_servers_fault, status, reason, "handshake refused");
        }
        error => event!(is_servers_fault, status, reason = %error, "handshake refused"),
    }
}

/// Returns the callback for an upgrade that fails and has no other one.
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature, there is none"
)]
pub(crate) fn failed_upgrade() -> Option<Box<dyn FnOnce(Error) + Send>> {
    Some(Box::new(|error| match &error {
        Error::Upgrade(_) | Error::Timeout(_) => {
            event!(
                fault::is_servers(&error),
                error = format_args!("{error:#}"),
                "upgrade failed"
            );
        }
        Error::Rejected(rejection) => refused(&error, Some(rejection.status())),
        _ => refused(&error, Some(StatusCode::INTERNAL_SERVER_ERROR)),
    }))
}

/// Returns the callback for a handler that fails and has no other one.
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature, there is none"
)]
pub(crate) fn handler_error() -> Option<Box<dyn FnOnce(BoxError) + Send>> {
    Some(Box::new(|error| {
        event!(
            fault::is_handlers(&error),
            error = format_args!("{error:#}"),
            "handler failed"
        );
    }))
}

/// A task has ended: by itself, at the deadline of a drain (`None`), or by a panic.
pub(crate) fn task_ended(ended: &thread::Result<Option<()>>) {
    match ended {
        Ok(Some(())) => {}
        Ok(None) => task_dropped("the deadline of a drain has passed"),
        // The panic hook has reported what it says.
        Err(_) => tracing::warn!(target: TARGET, "handler panicked"),
    }
}

/// A task goes on though the maximum lifetime of its socket has passed, and is dropped.
pub(crate) fn task_too_old() {
    task_dropped("its socket has reached its maximum lifetime");
}

fn task_dropped(reason: &'static str) {
    tracing::warn!(target: TARGET, reason, "task dropped");
}

/// The span of a socket's task: that of the user, or the default one.
#[derive(Default)]
pub(crate) struct TaskSpan(Option<Span>);

impl TaskSpan {
    pub(crate) fn new(span: Span) -> Self {
        Self(Some(span))
    }

    /// Puts a task into the span. The default one follows from the current span, but has no parent:
    /// it lives for much longer than the request.
    pub(crate) fn instrument<F: Future>(self, task: F) -> Instrumented<F> {
        let span = self.0.unwrap_or_else(|| {
            let span = tracing::debug_span!(target: TARGET, parent: None, "websocket");
            span.follows_from(Span::current());
            span
        });
        task.instrument(span)
    }
}

/// A socket from its opened event to its closed one. They have no parent: spans that live as long
/// as a socket would collect them.
pub(crate) struct Open {
    role: &'static str,
    is_open: bool,
}

impl Open {
    pub(crate) fn new(role: Role) -> Self {
        let role = match role {
            Role::Server => "server",
            Role::Client => "client",
        };
        tracing::debug!(target: TARGET, parent: None, role, "opened");
        let is_open = true;
        Self { role, is_open }
    }

    /// Makes the closed event, unless it was made before. `first` is the code of the first Close,
    /// and whether the peer has sent it.
    pub(crate) fn close(&mut self, first: impl FnOnce() -> Option<(CloseCode, bool)>) {
        if !mem::take(&mut self.is_open) {
            return;
        }
        let (role, first) = (self.role, first());
        let code = first.map(|(code, _)| u16::from(code));
        let by = first.map(|(_, is_peers)| if is_peers { "peer" } else { role });
        tracing::debug!(target: TARGET, parent: None, role, code, by, "closed");
    }
}
