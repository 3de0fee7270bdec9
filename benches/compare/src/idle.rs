//! Measures what idle connections cost a server in resident memory.
//!
//! The connections are opened one after the other, have one message echoed on each and stay
//! open; the memory of the server's process is compared before and after.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::batch::Batch;
use crate::deflate::{Deflate, Packer, Takeover};
use crate::json;
use crate::load::{Load, Until};
use crate::process::{allow_open_files, resident_memory, settled_memory};
use crate::random::Random;
use crate::reply::Reply;
use crate::wire::{self, COMPRESSED, TEXT};
use crate::workload::Workload;

/// The name in tables and on the command line.
pub const NAME: &str = "idle";

/// How long opening all connections may take, and the burst.
const OPENING: Duration = Duration::from_secs(120);
const BURST: Duration = Duration::from_secs(120);
/// How long after the burst the memory is looked at.
const AFTER_BURST: Duration = Duration::from_secs(5);
/// So many connections take part in the burst at the same time.
const BURST_GROUP: usize = 32;
/// The burst ends when the server has taken so much memory, in KiB: a library that keeps its
/// buffers would take more than the machine has, and its figure is known by then.
const BURST_MEMORY: u32 = 2 << 20;
/// Open files beside the connections: standard streams, the first connection, `/proc`.
const SPARE_FILES: u64 = 16;

const LENGTH: u8 = 64;
const PAYLOAD: usize = LENGTH as usize;
/// A final text frame; with the mask bit, as a client sends it, and without, as a server does.
const SENT: [u8; 2] = [0x81, 0x80 | LENGTH];
const ECHOED: [u8; 2] = [0x81, LENGTH];

/// The message that each connection has echoed in the burst.
const LARGE: Workload = Workload::echo("burst", 1 << 20, BURST_GROUP);

/// The resident memory of a server.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub connections: u32,
    /// With one connection, in KiB.
    pub before: u32,
    /// With all of them idle, in KiB.
    pub idle: u32,
    pub after_burst: Option<AfterBurst>,
}

/// The resident memory when all connections are idle again.
#[derive(Clone, Copy, Debug)]
pub struct AfterBurst {
    /// How many connections have had 1 MiB echoed.
    pub connections: u32,
    /// In KiB.
    pub memory: u32,
}

impl Memory {
    /// KiB for each idle connection.
    #[must_use]
    pub fn each(&self) -> f64 {
        growth(self.before, self.idle, self.connections)
    }

    /// KiB for each idle connection that took part in the burst.
    #[must_use]
    pub fn each_after_burst(&self) -> Option<f64> {
        let AfterBurst {
            connections,
            memory,
        } = self.after_burst?;
        Some(self.each() + growth(self.idle, memory, connections))
    }
}

fn growth(before: u32, after: u32, connections: u32) -> f64 {
    (f64::from(after) - f64::from(before)) / f64::from(connections)
}

/// What is done with a server.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub connections: u32,
    /// The server knows no frames.
    pub is_raw: bool,
    pub with_burst: bool,
    /// Each connection agrees to compress, and its message is compressed.
    pub is_compressed: bool,
}

/// How, if it does: nothing is kept from one message to the next.
const DEFLATE: Deflate = Deflate {
    takeover: Takeover::None,
    level: 3,
};
/// Long enough to be compressed.
const COMPRESSED_LENGTH: usize = 300;

/// Measures the server that listens on `address` and runs as `pid`.
///
/// # Errors
///
/// When a connection cannot be opened, is not echoed to, or does not stay open.
pub fn measure(address: SocketAddr, pid: u32, plan: Plan) -> Result<Memory> {
    let connections = plan.connections;
    allow_open_files(u64::from(connections) + SPARE_FILES)?;

    // What the first connection touches, code above all, belongs to the server and not to
    // its connections. It stays open, so that its end is not measured either.
    let _first = open(address, 0, plan)?;
    let before = settled_memory(pid)?;

    let started = Instant::now();
    let mut streams = Vec::new();
    for number in 1..=connections {
        if started.elapsed() > OPENING {
            return Err(format!("{connections} connections are not open after {OPENING:?}").into());
        }
        let stream = open(address, number, plan)
            .map_err(|error| format!("connection {number} of {connections}: {error}"))?;
        streams.push(stream);
    }
    let idle = settled_memory(pid)?;

    let mut after_burst = None;
    if plan.with_burst {
        let connections = burst(&mut streams, pid, plan.is_raw)?;
        thread::sleep(AFTER_BURST);
        after_burst = Some(AfterBurst {
            connections,
            memory: settled_memory(pid)?,
        });
    }

    // A server that had closed some of them would look better than it is.
    for (stream, number) in streams.iter_mut().zip(1..) {
        still_open(stream).map_err(|error| format!("connection {number}: {error}"))?;
    }
    Ok(Memory {
        connections,
        before,
        idle,
        after_burst,
    })
}

/// Opens a connection and has one message echoed on it.
fn open(address: SocketAddr, number: u32, plan: Plan) -> Result<TcpStream> {
    if plan.is_compressed {
        let mut stream = wire::connect_compressed(address, Some(DEFLATE))?;
        exchange_compressed(&mut stream, number)?;
        return Ok(stream);
    }
    let mut stream = wire::connect(address, !plan.is_raw)?;
    exchange(&mut stream, number, plan.is_raw)?;
    Ok(stream)
}

/// Sends one compressed message and checks what its echo holds.
fn exchange_compressed(stream: &mut TcpStream, number: u32) -> Result<()> {
    let mut random = Random::new(number.into());
    let message = json::message(COMPRESSED_LENGTH, &mut random);
    let mut payload = Vec::new();
    Packer::new(DEFLATE).pack(&message, &mut payload)?;
    let mut batch = Batch {
        frames: Vec::new(),
        count: 1,
        opcode: TEXT,
        messages: vec![message],
        pings: Vec::new(),
        next: 0,
    };
    let opcode = TEXT | COMPRESSED;
    wire::write_frame(&mut batch.frames, true, opcode, random.mask(), &payload);
    stream.write_all(&batch.frames)?;

    let mut reply = Reply::compressed(DEFLATE);
    let mut chunk = [0; 2 * COMPRESSED_LENGTH];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err("closed by the server".into());
        }
        if reply.take(&batch, &chunk[..length])? {
            return Ok(());
        }
    }
}

/// Sends one masked message and checks every byte of its echo.
fn exchange(stream: &mut TcpStream, number: u32, is_raw: bool) -> Result<()> {
    let payload = format!("{number:0PAYLOAD$}");
    // Any mask does, if only it is not the same for all.
    let mask = number.wrapping_mul(0x9E37_79B9).to_be_bytes();

    let masked = payload
        .bytes()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask);
    let frame: Vec<u8> = SENT.into_iter().chain(mask).chain(masked).collect();
    stream.write_all(&frame)?;

    let expected = if is_raw {
        frame
    } else {
        [&ECHOED, payload.as_bytes()].concat()
    };
    let mut echo = vec![0; expected.len()];
    stream.read_exact(&mut echo)?;
    if echo != expected {
        return Err(format!("not the echo of {payload:?}: {echo:02x?}").into());
    }
    Ok(())
}

/// Has a large message echoed on every connection, on a few of them at a time; gives the number
/// of connections that took part.
fn burst(streams: &mut Vec<TcpStream>, pid: u32, is_raw: bool) -> Result<u32> {
    let started = Instant::now();
    let batches = Batch::all(&LARGE);
    let mut waiting = mem::take(streams).into_iter();
    while waiting.len() > 0 && resident_memory(pid)? < BURST_MEMORY {
        if started.elapsed() > BURST {
            return Err(format!("the burst is not over after {BURST:?}").into());
        }
        let group = waiting.by_ref().take(BURST_GROUP).collect();
        let mut load = Load::new(group, &batches, is_raw)?;
        load.run(Until::OneBatchEach)?;
        streams.extend(load.into_streams()?);
    }
    let connections = u32::try_from(streams.len())?;
    streams.extend(waiting);
    Ok(connections)
}

/// Checks that the server has neither closed the connection nor sent more than the echo.
fn still_open(stream: &mut TcpStream) -> Result<()> {
    stream.set_nonblocking(true)?;
    match stream.read(&mut [0]) {
        Ok(0) => Err("closed by the server".into()),
        Ok(_) => Err("the server sent more than the echo".into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}
