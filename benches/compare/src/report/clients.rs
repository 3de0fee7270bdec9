//! The section about clients.

use std::fmt::Write;

use super::{floor_table, ratio_table};
use crate::Result;
use crate::client_handshakes;
use crate::options::Options;
use crate::results::Results;
use crate::wire::Side;

const RULES: &str = "\
The processor time of a client's process; the load is a raw server, on the other core. It sends a
client ready-made frames, and the client sends back as many messages as it has received: what it
takes for each includes one received and one sent. Messages are masked by unpredictable keys (those
of the crate `rand`), and the load checks what comes as it checks the replies of servers.

A handshake: 32 connections at a time are opened, and each is dropped after its opening handshake,
without a closing one. Over TLS it includes that handshake: TLS 1.3 by rustls with ring, the same
settings for all, a certificate of ECDSA on P-256, and no session is resumed. Peers get a connected
stream, with TLS by tokio-rustls or futures-rustls; anyws connects by `ClientBuilder::connect`.
A floor writes a ready-made request, and looks for the end of the answer alone.
";

/// Writes the section, if it was asked for.
pub fn section(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let workloads: Vec<_> = options.workloads_of(Side::Client).collect();
    let handshakes: Vec<_> = options.client_handshakes().collect();
    let messages = workloads.iter().map(|workload| workload.name);
    let loads: Vec<_> = messages.chain(handshakes.iter().copied()).collect();
    if loads.is_empty() || options.clients().next().is_none() {
        return Ok(());
    }
    writeln!(text, "## Clients\n\n{RULES}")?;
    ratio_table(text, "client", &loads, results)?;
    for load in loads {
        writeln!(text, "### {load}\n")?;
        let unit = if client_handshakes::NAMES.contains(&load) {
            "handshake"
        } else {
            "message"
        };
        floor_table(text, ("client", unit), options.clients(), load, results)?;
    }
    Ok(())
}
