//! Clients: what they send, how they connect, and what they make of each answer.

mod connecting;
