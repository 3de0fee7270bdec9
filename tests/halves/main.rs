//! Sockets that several tasks poll, split or whole, and sockets that only send.

mod push_only;
mod split;
mod split_ends;
mod two_tasks;
