//! A client that writes single bytes and frames, so that it can also leave in the middle of them.

use std::{io::ErrorKind, net::SocketAddr};

use anyws::BoxError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The request and the key that answers it are those of RFC 6455, section 1.3.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first byte of a frame that is a whole message.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;

/// The bit of a frame's second byte that says that it is masked, and the lengths that say that the
/// real one follows in two or in eight bytes (RFC 6455, section 5.2).
const MASKED: u8 = 0x80;
const MEDIUM: u8 = 126;
const LONG: u8 = 127;

/// The key of all frames. It changes each byte, so a server that forgets to unmask is noticed.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x9e];

/// How much room a read has at least.
const READ_SIZE: usize = 4096;

/// A frame that was read: its first byte and its payload.
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// One end of a connection. Its reads are cancel-safe.
pub(crate) struct Client {
    /// To end the connection in another way than by a Close.
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, BoxError> {
        Self::new(TcpStream::connect(address).await?)
    }

    pub(crate) fn new(stream: TcpStream) -> Result<Self, BoxError> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Connects and does the opening handshake.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, BoxError> {
        let mut client = Self::connect(address).await?;
        client.write(REQUEST.as_bytes()).await?;
        let end = loop {
            let found = client.unread.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(at) = found {
                break at + 4;
            }
            if !client.read().await? {
                return Err("the server does not answer the request".into());
            }
        };
        let head: Vec<_> = client.unread.drain(..end).collect();
        let head = String::from_utf8(head)?;
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
            return Err(format!("the server answers {head:?}").into());
        }
        Ok(client)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Returns the next frame; `None` if the server has ended the connection.
    pub(crate) async fn frame(&mut self) -> Result<Option<Frame>, BoxError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            if !self.read().await? {
                return match self.unread[..] {
                    [] => Ok(None),
                    _ => Err("the connection ends within a frame".into()),
                };
            }
        }
    }

    /// Reads until the server ends the connection, in whatever way.
    pub(crate) async fn rest(&mut self) -> Result<String, BoxError> {
        loop {
            match self.read().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(String::from_utf8_lossy(&self.unread).into_owned())
    }

    /// Reads what has arrived; `false` at the end of the stream.
    async fn read(&mut self) -> std::io::Result<bool> {
        self.unread.reserve(READ_SIZE);
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }

    /// Takes a frame off the unread bytes, if it is complete. A server masks nothing.
    fn take_frame(&mut self) -> Result<Option<Frame>, BoxError> {
        let (start, length) = match &self.unread[..] {
            [_, LONG, length @ ..] => match length.first_chunk() {
                Some(length) => (10, usize::try_from(u64::from_be_bytes(*length))?),
                None => return Ok(None),
            },
            [_, MEDIUM, length @ ..] => match length.first_chunk() {
                Some(length) => (4, u16::from_be_bytes(*length).into()),
                None => return Ok(None),
            },
            [_, short, ..] if *short < MEDIUM => (2, usize::from(*short)),
            [_, masked, ..] => return Err(format!("a server's length {masked}").into()),
            _ => return Ok(None),
        };
        let end = start + length;
        let Some(payload) = self.unread.get(start..end) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        let first = self.unread[0];
        if end == self.unread.len() {
            // Thousands of clients would otherwise keep room for their largest message.
            self.unread = Vec::new();
        } else {
            self.unread.drain(..end);
        }
        Ok(Some(Frame { first, payload }))
    }
}

/// Appends a masked frame.
pub(crate) fn push_frame(bytes: &mut Vec<u8>, first: u8, payload: &[u8]) {
    bytes.push(first);
    match payload.len() {
        short @ ..=125 => bytes.push(MASKED | u8::try_from(short).expect("it is at most 125")),
        medium @ ..=0xffff => {
            bytes.push(MASKED | MEDIUM);
            bytes.extend(
                u16::try_from(medium)
                    .expect("it is at most 0xffff")
                    .to_be_bytes(),
            );
        }
        long => {
            bytes.push(MASKED | LONG);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(it, key)| it ^ key),
    );
}
