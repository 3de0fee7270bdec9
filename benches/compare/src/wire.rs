//! The client's side of the protocol, in bytes: no WebSocket library stands between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;
use crate::deflate::Deflate;

/// How long one connect, read or write of a blocking socket may take.
pub const STEP: Duration = Duration::from_secs(5);

/// The length of the longest header of a server: two bytes, and eight of length.
pub const LONGEST_HEADER: usize = 10;

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
/// Beside the opcode: the message is compressed.
pub const COMPRESSED: u8 = 0x40;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const SHORT: usize = 125;
const LENGTH_OF_16_BITS: u8 = 126;
const LENGTH_OF_64_BITS: u8 = 127;

/// The key of RFC 6455, section 1.3, and the answer to it given there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A longer response head is taken for something else than an upgrade.
const HEAD_LIMIT: usize = 4096;

/// The header of a frame from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub is_final: bool,
    pub is_compressed: bool,
    pub opcode: u8,
    pub length: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`, and tells how long it is; `None` asks for
    /// more bytes.
    ///
    /// # Errors
    ///
    /// When a server may not send it.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x30 != 0 || second & MASKED != 0 {
            return Err(format!("not a header of a server: {first:02x} {second:02x}").into());
        }
        let (length, size) = match second {
            LENGTH_OF_16_BITS => match rest.first_chunk() {
                Some(&length) => (u64::from(u16::from_be_bytes(length)), 4),
                None => return Ok(None),
            },
            LENGTH_OF_64_BITS => match rest.first_chunk() {
                Some(&length) => (u64::from_be_bytes(length), LONGEST_HEADER),
                None => return Ok(None),
            },
            length => (u64::from(length), 2),
        };
        let header = Self {
            is_final: first & FIN != 0,
            is_compressed: first & COMPRESSED != 0,
            opcode: first & 0x0f,
            length: usize::try_from(length)?,
        };
        Ok(Some((header, size)))
    }
}

/// Appends a frame as a client sends it.
pub fn write_frame(out: &mut Vec<u8>, is_final: bool, opcode: u8, mask: [u8; 4], payload: &[u8]) {
    let fin = if is_final { FIN } else { 0 };
    write_header(out, fin | opcode, MASKED, payload.len());
    out.extend(mask);
    out.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
}

/// Appends a message as a server sends it, in one frame.
pub fn write_message(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    write_header(out, FIN | opcode, 0, payload.len());
    out.extend(payload);
}

fn write_header(out: &mut Vec<u8>, first: u8, masked: u8, length: usize) {
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if length <= SHORT => out.push(masked | short),
        (_, Ok(medium)) => {
            out.push(masked | LENGTH_OF_16_BITS);
            out.extend(medium.to_be_bytes());
        }
        _ => {
            out.push(masked | LENGTH_OF_64_BITS);
            out.extend((length as u64).to_be_bytes());
        }
    }
}

/// Connects; with `handshake`, as a WebSocket.
///
/// # Errors
///
/// When the server cannot be reached or refuses.
pub fn connect(address: SocketAddr, handshake: bool) -> Result<TcpStream> {
    let mut stream = connect_bare(address)?;
    if handshake {
        send_request(&mut stream, address, None)?;
        read_response(&mut stream)?;
    }
    Ok(stream)
}

/// Connects as a WebSocket; with `deflate`, as one whose messages are compressed.
///
/// # Errors
///
/// When the server cannot be reached, refuses, or does not compress as it was asked to.
pub fn connect_compressed(address: SocketAddr, deflate: Option<Deflate>) -> Result<TcpStream> {
    let mut stream = connect_bare(address)?;
    send_request(&mut stream, address, deflate)?;
    let head = read_response(&mut stream)?;
    if let Some(deflate) = deflate {
        deflate.check_answer(&head)?;
    }
    Ok(stream)
}

fn connect_bare(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks for an upgrade, and offers to compress.
///
/// # Errors
///
/// When it cannot be written.
pub fn send_request(
    stream: &mut TcpStream,
    address: SocketAddr,
    deflate: Option<Deflate>,
) -> Result<()> {
    Ok(stream.write_all(request(&address.to_string(), deflate).as_bytes())?)
}

/// The request for an upgrade.
#[must_use]
pub fn request(host: &str, deflate: Option<Deflate>) -> String {
    let offer = deflate.map_or_else(String::new, |deflate| {
        format!("Sec-WebSocket-Extensions: {}\r\n", deflate.offer())
    });
    format!(
        "GET / HTTP/1.1\r\n\
         Host: {host}\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\
         {offer}\r\n"
    )
}

/// Reads the answer to [`send_request`] and gives its head.
///
/// # Errors
///
/// When it is not the upgrade.
pub fn read_response(stream: &mut TcpStream) -> Result<String> {
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
    Ok(head)
}

/// Reads one short frame and compares it.
///
/// # Errors
///
/// When it does not come or is another one.
pub fn expect(stream: &mut TcpStream, opcode: u8, payload: &[u8]) -> Result<()> {
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    let mut received = vec![0; payload.len()];
    stream.read_exact(&mut received)?;
    if header[0] != 0x80 | opcode || usize::from(header[1]) != payload.len() || received != payload
    {
        return Err(format!("not {opcode} with {payload:?}: {header:02x?} {received:?}").into());
    }
    Ok(())
}
