//! Measures what a connection takes from its start to its end.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::contestants::Contestant;
use crate::echo::{Sample, Window};
use crate::process::Server;
use crate::wire::{self, BINARY, CLOSE};

/// The name in tables and on the command line.
pub const NAME: &str = "handshakes";

/// Servers of which each pair stands in one framework: ours, and the framework's own module.
pub const PAIRS: [(&str, &str); 2] = [("anyws_volo", "volo-http ws"), ("anyws_axum", "axum ws")];

/// So many connections take each step together.
const GROUP: usize = 32;
/// The window ends earlier after this many: the system has about 28,000 ports, and each is
/// taken for a while after its connection has ended.
const MOST: u64 = 12_000;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The close code 1000, with which both sides end.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
const MESSAGE: &[u8] = b"hello";

/// Opens connections, has a message echoed on each and closes it, one group after the other.
///
/// # Errors
///
/// When the server does not start or a reply is wrong.
pub fn measure(contestant: &Contestant, folder: &Path, window: Window) -> Result<Sample> {
    let server = Server::start(contestant, folder)?;
    let warming_up = Instant::now();
    while warming_up.elapsed() < window.warm_up {
        run_group(server.address())?;
    }

    let before = server.process().processor_time()?;
    let started = Instant::now();
    let mut connections = 0;
    while started.elapsed() < window.measured && connections < MOST {
        run_group(server.address())?;
        connections += GROUP as u64;
    }
    let elapsed = started.elapsed();
    let processor_time = server.process().processor_time()?.saturating_sub(before);
    Sample::new(connections, processor_time, elapsed)
}

fn run_group(address: SocketAddr) -> Result<()> {
    let mut message = Vec::new();
    wire::write_frame(&mut message, true, BINARY, MASK, MESSAGE);
    let mut close = Vec::new();
    wire::write_frame(&mut close, true, CLOSE, MASK, &NORMAL);

    let streams: Result<Vec<_>> = (0..GROUP).map(|_| wire::connect(address, false)).collect();
    let mut streams = streams?;
    for stream in &mut streams {
        wire::send_request(stream, address, None)?;
    }
    for stream in &mut streams {
        wire::read_response(stream)?;
        stream.write_all(&message)?;
    }
    for stream in &mut streams {
        wire::expect(stream, BINARY, MESSAGE)?;
        stream.write_all(&close)?;
    }
    for stream in &mut streams {
        wire::expect(stream, CLOSE, &NORMAL)?;
        // The server ends the connection (RFC 6455, section 7.1.1).
        if stream.read(&mut [0])? != 0 {
            return Err("something follows the Close of the server".into());
        }
    }
    Ok(())
}
