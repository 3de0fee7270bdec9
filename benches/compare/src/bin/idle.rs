//! Measures what an idle WebSocket connection costs a server in resident memory.
//!
//! ```text
//! idle ADDRESS --pid PID [--connections N]
//! ```
//!
//! Opens the connections one after the other, has one message echoed on each, keeps them all
//! open and compares the resident memory of the server's process before and after. The
//! connections are made of raw frames, so that no WebSocket library stands between.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long one connect, read or write may take.
const STEP: Duration = Duration::from_secs(5);
/// How long opening all connections may take.
const OPENING: Duration = Duration::from_secs(120);
/// How long the server's memory may take to settle.
const SETTLING: Duration = Duration::from_secs(20);
/// Time between two looks at the server's memory, and how many in a row must agree.
const SAMPLE: Duration = Duration::from_millis(100);
const SAMPLES: u32 = 10;
/// Open files beside the connections: standard streams, the first connection, `/proc`.
const SPARE_FILES: u64 = 16;

/// The key of RFC 6455, section 1.3, and the answer to it given there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A longer response head is taken for something else than an upgrade.
const HEAD_LIMIT: usize = 4096;

const LENGTH: u8 = 64;
const PAYLOAD: usize = LENGTH as usize;
/// A final text frame; with the mask bit, as a client sends it, and without, as a server does.
const SENT: [u8; 2] = [0x81, 0x80 | LENGTH];
const ECHOED: [u8; 2] = [0x81, LENGTH];

fn main() -> ExitCode {
    match Arguments::parse(env::args().skip(1)).and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    address: SocketAddr,
    pid: u32,
    connections: u32,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut address = None;
        let mut pid = None;
        let mut connections = 8_000;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--pid" => pid = Some(value()?.parse()?),
                "--connections" => connections = value()?.parse()?,
                other => address = Some(other.parse()?),
            }
        }
        let usage = "usage: idle ADDRESS --pid PID [--connections N]";
        let (address, pid) = address.zip(pid).ok_or(usage)?;
        if connections == 0 {
            return Err("--connections must be at least 1".into());
        }
        Ok(Self {
            address,
            pid,
            connections,
        })
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let &Arguments {
        address,
        pid,
        connections,
    } = arguments;
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    if files < u64::from(connections) + SPARE_FILES {
        return Err(format!("{connections} connections need more than {files} open files").into());
    }

    // What the first connection touches, code above all, belongs to the server and not to
    // its connections. It stays open, so that its end is not measured either.
    let _first = open(address, 0)?;
    let before = settled(pid)?;

    let started = Instant::now();
    let mut open_connections = Vec::new();
    for number in 1..=connections {
        if started.elapsed() > OPENING {
            return Err(format!("{connections} connections are not open after {OPENING:?}").into());
        }
        let connection = open(address, number)
            .map_err(|error| format!("connection {number} of {connections}: {error}"))?;
        open_connections.push(connection);
    }
    let after = settled(pid)?;

    // A server that had closed some of them would look better than it is.
    for (connection, number) in open_connections.iter_mut().zip(1..) {
        still_open(connection).map_err(|error| format!("connection {number}: {error}"))?;
    }

    let each = (f64::from(after) - f64::from(before)) / f64::from(connections);
    println!(
        "{connections} connections: {before} KiB before, {after} KiB after, {each:.2} KiB each"
    );
    Ok(())
}

/// Opens a WebSocket connection and has one message echoed on it.
fn open(address: SocketAddr, number: u32) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    stream.set_nodelay(true)?;
    shake_hands(&mut stream, address)?;
    exchange(&mut stream, number)?;
    Ok(stream)
}

fn shake_hands(stream: &mut TcpStream, address: SocketAddr) -> Result<()> {
    let request = format!(
        "GET / HTTP/1.1\r\n\
         Host: {address}\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\
         \r\n"
    );
    stream.write_all(request.as_bytes())?;

    // The server speaks first only when spoken to, so nothing follows the head.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut chunk = [0; 512];
        let length = stream.read(&mut chunk)?;
        if length == 0 || head.len() + length > HEAD_LIMIT {
            return Err("no complete response to the handshake".into());
        }
        head.extend_from_slice(&chunk[..length]);
    }
    let head = String::from_utf8(head)?;
    let accepted = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
        });
    if !head.starts_with("HTTP/1.1 101 ") || !accepted {
        return Err(format!("handshake refused: {head:?}").into());
    }
    Ok(())
}

/// Sends one masked message and checks every byte of its echo.
fn exchange(stream: &mut TcpStream, number: u32) -> Result<()> {
    let payload = format!("{number:0PAYLOAD$}");
    // Any mask does, if only it is not the same for all.
    let mask = number.wrapping_mul(0x9E37_79B9).to_be_bytes();

    let masked = payload
        .bytes()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask);
    let frame: Vec<u8> = SENT.into_iter().chain(mask).chain(masked).collect();
    stream.write_all(&frame)?;

    let mut echo = [0; ECHOED.len() + PAYLOAD];
    stream.read_exact(&mut echo)?;
    if echo[..2] != ECHOED || echo[2..] != *payload.as_bytes() {
        return Err(format!("not the echo of {payload:?}: {echo:02x?}").into());
    }
    Ok(())
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

/// The resident memory of the process in KiB, once it no longer changes.
fn settled(pid: u32) -> Result<u32> {
    let started = Instant::now();
    let mut last = resident(pid)?;
    let mut agreeing = 1;
    while agreeing < SAMPLES {
        if started.elapsed() > SETTLING {
            return Err(format!("the server's memory still changes after {SETTLING:?}").into());
        }
        thread::sleep(SAMPLE);
        let now = resident(pid)?;
        agreeing = if now == last { agreeing + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}

/// The resident memory of the process in KiB, which is the unit of `/proc`.
fn resident(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .ok_or_else(|| format!("{path} has no VmRSS"))?;
    Ok(value.parse()?)
}
