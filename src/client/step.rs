//! One of the steps to a socket, which has to be done by a deadline.

use std::{future::Future, pin::pin};

use crate::{
    error::{Error, Result, TimeoutPhase},
    rt::Deadline,
};

/// Takes a step until the deadline.
pub(super) async fn step<T>(
    phase: TimeoutPhase,
    deadline: &mut Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let done = deadline.bound(pin!(work)).await;
    done.unwrap_or(Err(Error::Timeout(phase)))
}
