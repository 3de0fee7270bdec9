//! One of the steps to a socket, which has to be done by a deadline.

use std::future::Future;

use futures_util::FutureExt;

use crate::{
    error::{Error, Result, TimeoutPhase},
    rt::Deadline,
};

/// Takes a step until the deadline.
pub(super) fn step<T>(
    phase: TimeoutPhase,
    deadline: &mut Deadline,
    work: impl Future<Output = Result<T>> + Unpin,
) -> impl Future<Output = Result<T>> {
    let done = deadline.bound(work);
    done.map(move |done| done.unwrap_or(Err(Error::Timeout(phase))))
}
