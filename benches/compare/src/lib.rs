//! The comparison of anyws with its peers.
//!
//! `bin/compare.rs` is the runner, `bin/idle.rs` measures idle connections alone, and the
//! other binaries are echo servers and clients.
//!
//! | Module | What it knows |
//! |---|---|
//! | [`server`], [`client`] | what the servers here have in common, and the clients |
//! | [`orders`] | servers that do as they are told |
//! | [`fanout`] | servers that send to many, each in its own way |
//! | [`contestants`], [`ways`] | which servers and clients there are |
//! | [`workload`] | which loads there are |
//! | [`json`], [`random`] | what messages hold |
//! | [`wire`], [`pieces`] | the protocol, in bytes |
//! | [`deflate`] | compression, as a client does it |
//! | [`listener`], [`tls`] | where clients connect to |
//! | [`batch`], [`courses`], [`reply`] | what is sent at once, and what has to come back |
//! | [`load`] | many connections on one thread |
//! | [`process`], [`cores`] | the process of a server or client: start, processor time, memory |
//! | [`echo`], [`compressed`], [`broadcast`], [`handshakes`] | measurements of busy servers |
//! | [`echo`], [`client_handshakes`] | measurements of clients |
//! | [`idle`], [`bomb`], [`in_memory`] | measurements of memory, and without a network |
//! | [`churn`], [`hop`], [`redis_server`] | measurements of the hub |
//! | [`stopwatch`], [`figures`] | what a process measures of itself, and prints |
//! | [`options`], [`rounds`], [`results`] | what is run, in which order, and what came out |
//! | [`targets`], [`report`], [`plot`], [`machine`] | what is made of it |

pub mod batch;
pub mod bomb;
pub mod broadcast;
pub mod churn;
pub mod client;
pub mod client_handshakes;
pub mod compressed;
pub mod contestants;
pub mod cores;
pub mod courses;
pub mod deflate;
pub mod echo;
pub mod fanout;
pub mod figures;
pub mod handshakes;
pub mod hop;
pub mod idle;
pub mod in_memory;
pub mod json;
pub mod listener;
pub mod load;
pub mod machine;
pub mod options;
pub mod orders;
pub mod pieces;
pub mod plot;
pub mod process;
pub mod random;
pub mod redis_server;
pub mod reply;
pub mod report;
pub mod results;
pub mod rounds;
pub mod server;
pub mod stopwatch;
pub mod targets;
pub mod tls;
pub mod ways;
pub mod wire;
pub mod workload;

/// Whatever fails ends the run, and its text says why.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
