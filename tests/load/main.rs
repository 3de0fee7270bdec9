//! Sockets under load: what they hold, how long a turn is, and who waits for a slow peer.

mod backpressure;
mod buffers;
mod memory;
mod turns;
