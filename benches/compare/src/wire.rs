//! The protocol as the load speaks it, in bytes: no WebSocket library stands between.
//!
//! The load is the client of a server that is measured, and the server of a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Result;
use crate::deflate::Deflate;

/// How long one connect, read or write of a blocking socket may take.
pub const STEP: Duration = Duration::from_secs(5);

/// The length of the longest header: two bytes, eight of length and four of a mask.
pub const LONGEST_HEADER: usize = 14;

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
/// The end of the head of a request or a response.
pub const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// A longer head is taken for something else than an upgrade.
const HEAD_LIMIT: usize = 4096;

/// A side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Server,
    Client,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub is_final: bool,
    pub is_compressed: bool,
    pub opcode: u8,
    pub length: usize,
    /// Zero in a frame of a server.
    pub mask: [u8; 4],
}

impl Header {
    /// Reads the header that `sender` has sent at the start of `bytes`, and tells how long it is;
    /// `None` asks for more bytes.
    ///
    /// # Errors
    ///
    /// When that side may not send it.
    pub fn read(sender: Side, bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let is_masked = second & MASKED != 0;
        if first & 0x30 != 0 || is_masked != (sender == Side::Client) {
            return Err(format!("not a header of a {sender:?}: {first:02x} {second:02x}").into());
        }
        let (length, size) = match second & !MASKED {
            LENGTH_OF_16_BITS => match rest.first_chunk() {
                Some(&length) => (u64::from(u16::from_be_bytes(length)), 4),
                None => return Ok(None),
            },
            LENGTH_OF_64_BITS => match rest.first_chunk() {
                Some(&length) => (u64::from_be_bytes(length), 10),
                None => return Ok(None),
            },
            length => (u64::from(length), 2),
        };
        let (mask, size) = match sender {
            Side::Server => ([0; 4], size),
            Side::Client => match bytes[size..].first_chunk() {
                Some(&mask) => (mask, size + 4),
                None => return Ok(None),
            },
        };
        let header = Self {
            is_final: first & FIN != 0,
            is_compressed: first & COMPRESSED != 0,
            opcode: first & 0x0f,
            length: usize::try_from(length)?,
            mask,
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
    while !head.ends_with(END_OF_HEAD) {
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

/// The answer to the request for an upgrade that `head` is; `None` asks for more bytes.
///
/// # Errors
///
/// When it is something else.
pub fn respond(head: &[u8]) -> Result<Option<String>> {
    if !head.ends_with(END_OF_HEAD) && head.len() <= HEAD_LIMIT {
        return Ok(None);
    }
    let head = str::from_utf8(head)?;
    let header = |wanted: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    let upgrades = header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let key = header("sec-websocket-key").filter(|_| upgrades && head.starts_with("GET "));
    let key = key.ok_or_else(|| format!("not a request for an upgrade: {head:?}"))?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_mask_if_a_client_sends_it() {
        let mut frame = Vec::new();
        write_frame(&mut frame, true, BINARY, [1, 2, 3, 4], &[0; 300]);
        let (header, size) = Header::read(Side::Client, &frame).unwrap().unwrap();
        assert_eq!((header.length, header.mask), (300, [1, 2, 3, 4]));
        assert_eq!(frame[size..], [1, 2, 3, 4].repeat(75));
        assert!(Header::read(Side::Server, &frame).is_err());
        for short in 0..size {
            assert_eq!(Header::read(Side::Client, &frame[..short]).unwrap(), None);
        }

        let mut frame = Vec::new();
        write_message(&mut frame, BINARY, &[0; 300]);
        let (header, size) = Header::read(Side::Server, &frame).unwrap().unwrap();
        assert_eq!((header.length, header.mask, size), (300, [0; 4], 4));
        assert!(Header::read(Side::Client, &frame).is_err());
    }

    #[test]
    fn a_request_is_answered_once_it_is_whole() {
        let request = request("localhost", None);
        let response = respond(request.as_bytes()).unwrap().unwrap();
        assert!(response.contains(ACCEPT), "{response}");
        assert!(response.as_bytes().ends_with(END_OF_HEAD));
        let most = &request.as_bytes()[..request.len() - 1];
        assert_eq!(respond(most).unwrap(), None);
        for what in ["GET", "websocket", "Sec-WebSocket-Key"] {
            let other = request.replacen(what, "other", 1);
            assert!(respond(other.as_bytes()).is_err(), "{what}");
        }
    }
}
