//! Sockets over a network that misbehaves: each fault from each stage of a connection on, and
//! random combinations of them.
//!
//! However a connection is disturbed, its handler is told of one end, in time, and nothing is left
//! of it: no descriptor and no task.
#![cfg(all(target_os = "linux", any(feature = "rt-tokio", feature = "rt-smol")))]

mod case;
mod client;
mod leaks;
mod matrix;
mod network;
mod random;
mod server;
