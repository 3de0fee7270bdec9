//! What a server tells `tracing`: events, and the span of a socket's task.
//!
//! Without the feature of that name everything here is empty, and costs neither code nor memory.

#[cfg(feature = "tracing")]
mod fault;
#[cfg(feature = "tracing")]
#[path = "on.rs"]
mod switch;
#[cfg(not(feature = "tracing"))]
#[path = "off.rs"]
mod switch;

pub(crate) use self::switch::{
    Open, TaskSpan, failed_upgrade, handler_error, refused, rejected, task_ended, task_too_old,
};
