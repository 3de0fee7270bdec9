//! Measures what a message does to a server that is small until it is decompressed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::compressed::Compressor;
use crate::deflate::{Deflate, Packer, Takeover};
use crate::process::{Server, peak_memory, settled_memory};
use crate::wire::{self, BINARY, CLOSE, COMPRESSED};

/// The name in tables and on the command line.
pub const NAME: &str = "bomb";

/// Its figures.
pub const MEMORY: &str = "memory";
pub const LATE: &str = "late";

/// Bytes that the message holds: above what a server takes by default, which is 64 MiB.
const LENGTH: usize = 100_000_000;

/// What small messages hold, and the key of all frames.
const SMALL: [u8; 64] = [b'x'; 64];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The close code of a message that is too big (RFC 6455, section 7.4.1).
const TOO_BIG: [u8; 2] = 1009_u16.to_be_bytes();

/// How the messages are compressed.
const DEFLATE: Deflate = Deflate {
    takeover: Takeover::None,
    level: 9,
};

/// What came out of one run.
#[derive(Clone, Copy, Debug)]
pub struct Bomb {
    /// By how much the server's resident memory grew at most, in KiB.
    pub memory: f64,
    /// The longest time that another socket of the thread waited for an answer meanwhile, in
    /// milliseconds.
    pub late: f64,
}

/// Sends the message on one connection, and small ones on another until it is answered.
///
/// # Errors
///
/// When the answer is not a Close with code 1009, or anything else is wrong.
pub fn measure(compressor: &Compressor, folder: &Path) -> Result<Bomb> {
    let mut packer = Packer::new(DEFLATE);
    let bomb = frame(&mut packer, &vec![0; LENGTH])?;
    let server = Server::start_compressor(compressor, DEFLATE.level, false, folder)?;
    let mut bombed = wire::connect_compressed(server.address(), Some(DEFLATE))?;
    let mut other = wire::connect(server.address(), true)?;
    // What any message touches is there before.
    bombed.write_all(&frame(&mut packer, &SMALL)?)?;
    wire::expect(&mut bombed, BINARY, &SMALL)?;
    exchange(&mut other)?;
    let before = settled_memory(server.process().pid())?;

    let sending = thread::spawn(move || send(bombed, &bomb));
    let mut late = Duration::ZERO;
    while !sending.is_finished() {
        let since = Instant::now();
        exchange(&mut other)?;
        late = late.max(since.elapsed());
    }
    sending.join().map_err(|_| "the message was not sent")??;
    let peak = peak_memory(server.process().pid())?;
    Ok(Bomb {
        memory: f64::from(peak) - f64::from(before),
        late: late.as_secs_f64() * 1e3,
    })
}

fn frame(packer: &mut Packer, message: &[u8]) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    packer.pack(message, &mut payload)?;
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, true, BINARY | COMPRESSED, MASK, &payload);
    Ok(frame)
}

/// Sends the message and reads the Close, whose reason may say anything.
fn send(mut stream: TcpStream, bomb: &[u8]) -> Result<()> {
    stream.write_all(bomb)?;
    let mut start = [0; 4];
    stream.read_exact(&mut start)?;
    let [first, _, code @ ..] = start;
    if first != 0x80 | CLOSE || code != TOO_BIG {
        return Err(format!("not a Close with code 1009: {start:02x?}").into());
    }
    Ok(())
}

/// Has a small message echoed that is not compressed.
fn exchange(stream: &mut TcpStream) -> Result<()> {
    let mut message = Vec::new();
    wire::write_frame(&mut message, true, BINARY, MASK, &SMALL);
    stream.write_all(&message)?;
    wire::expect(stream, BINARY, &SMALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_small_as_the_report_says() {
        let mut packer = Packer::new(DEFLATE);
        let length = frame(&mut packer, &vec![0; LENGTH]).unwrap().len();
        assert!((97_000..98_000).contains(&length), "{length}");
    }
}
