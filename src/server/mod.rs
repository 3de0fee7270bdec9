//! The server's side: from a request to a socket, under a framework or on a bare stream.

pub(crate) mod accept;
mod admission;
pub(crate) mod upgrade;
