//! The tracker: sockets are counted, limited, and drained.

mod deadlines;
mod drains;
mod guards;
mod limits;
mod memory;
mod metrics;
mod permits;
mod server;
mod spreads;
mod wakers;
