//! Time: keepalive, timeouts, rates, and the clock that they share.

mod clock;
mod handlers;
mod keepalive;
mod over_rate;
mod pauses;
mod rates;
mod timeouts;
mod wakeups;
mod writes;
