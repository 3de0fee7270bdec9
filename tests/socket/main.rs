//! Open sockets: their messages, their errors, and every way in which a connection ends.

mod abort;
mod broken_streams;
mod cancel_safety;
mod cancellations;
mod closing;
mod data;
mod drops;
mod errors;
mod futures;
mod messages;
mod regressions;
