//! Has a known number of messages echoed in lockstep, while something else counts what the
//! server does: `benches/counts_check`.
//!
//! ```text
//! pingpong ADDRESS DEPTH MESSAGES
//! ```
//!
//! Each connection sends DEPTH messages in one write, and the next ones when it has all their
//! echoes.

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyws_compare::Result;
use anyws_compare::batch::Batch;
use anyws_compare::load::{Load, Until};
use anyws_compare::wire;
use anyws_compare::workload::Workload;

/// A few, so that the server's runtime has something to choose from.
const CONNECTIONS: usize = 4;

/// Bytes of one message: small, so that a batch is never cut on its way.
const PAYLOAD: usize = 64;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pingpong: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, depth, messages] = &arguments[..] else {
        return Err("usage: pingpong ADDRESS DEPTH MESSAGES".into());
    };
    echo(address.parse()?, depth.parse()?, messages.parse()?)
}

fn echo(address: SocketAddr, depth: usize, messages: usize) -> Result<()> {
    let in_round = CONNECTIONS * depth;
    if depth == 0 || messages == 0 || !messages.is_multiple_of(in_round) {
        return Err(format!("the number of messages must be a multiple of {in_round}").into());
    }
    let batches = Batch::all(&Workload {
        depth,
        ..Workload::echo("pingpong", PAYLOAD, CONNECTIONS)
    });
    let streams: Result<Vec<_>> = (0..CONNECTIONS)
        .map(|_| wire::connect(address, true))
        .collect();
    let mut load = Load::new(streams?, &batches, false)?;
    for _ in 0..messages / in_round {
        load.run(Until::OneBatchEach)?;
    }
    Ok(())
}
