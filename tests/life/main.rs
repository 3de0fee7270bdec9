//! Time: keepalive, timeouts, and the clock that they share.

mod clock;
mod handlers;
mod keepalive;
mod timeouts;
mod wakeups;
mod writes;
