//! Without the feature `tracing`: the same names, which do nothing.

use std::thread;

use http::StatusCode;

use crate::{
    error::{BoxError, Error},
    handshake::Rejection,
    message::{CloseCode, Role},
};

#[inline]
pub(crate) fn rejected(_: &Rejection) {}

#[inline]
pub(crate) fn refused(_: &Error, _: Option<StatusCode>) {}

#[inline]
pub(crate) fn failed_upgrade() -> Option<Box<dyn FnOnce(Error) + Send>> {
    None
}

#[inline]
pub(crate) fn handler_error() -> Option<Box<dyn FnOnce(BoxError) + Send>> {
    None
}

#[inline]
pub(crate) fn task_ended(_: &thread::Result<Option<()>>) {}

#[inline]
pub(crate) fn task_too_old() {}

/// No span.
#[derive(Default)]
pub(crate) struct TaskSpan(());

impl TaskSpan {
    #[inline]
    #[expect(clippy::unused_self, reason = "with the feature, it is a span")]
    pub(crate) fn instrument<F>(self, task: F) -> F {
        task
    }
}

/// Nothing to say of a socket.
pub(crate) struct Open;

impl Open {
    #[inline]
    pub(crate) fn new(_: Role) -> Self {
        Self
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "with the feature, it has a state")]
    pub(crate) fn close(&mut self, _: impl FnOnce() -> Option<(CloseCode, bool)>) {}
}
