//! What the servers compared here have in common.

pub mod server;
