//! What `tracing` is told: events with their levels and fields, and the span of a handler.

mod failures;
mod handlers;
mod memory;
mod refusals;
mod sockets;
mod spans;
