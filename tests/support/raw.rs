//! A client that speaks HTTP and WebSocket over a bare TCP stream, as right or as wrong as a test
//! wants it to.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use http::{Response, StatusCode, header};
use rustix::net::sockopt;

/// The key of RFC 6455, section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What answers [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first byte of a text message in one frame.
pub const TEXT: u8 = 0x81;

/// The first byte of a Close frame.
pub const CLOSE: u8 = 0x88;

/// A server that is silent for longer has hung: its deadline for a head is 10 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request, which is a valid opening handshake unless it is changed.
#[derive(Clone, Debug)]
pub struct Request {
    line: String,
    fields: Vec<(String, String)>,
}

impl Request {
    pub fn new() -> Self {
        Self::plain()
            .with("Upgrade", &["websocket"])
            .with("Connection", &["Upgrade"])
            .with("Sec-WebSocket-Version", &["13"])
            .with("Sec-WebSocket-Key", &[KEY])
    }

    /// A request of plain HTTP.
    pub fn plain() -> Self {
        let request = Self {
            line: "GET / HTTP/1.1".to_owned(),
            fields: Vec::new(),
        };
        request.with("Host", &["localhost"])
    }

    /// Sets the request line.
    pub fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// Sets a header in the place of what it was: one line for each value, none for none.
    pub fn with(mut self, name: &str, values: &[&str]) -> Self {
        self.fields
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        let lines = values
            .iter()
            .map(|&value| (name.to_owned(), value.to_owned()));
        self.fields.extend(lines);
        self
    }

    /// Returns how many header lines there are.
    pub fn lines(&self) -> usize {
        self.fields.len()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let lines = self.fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {value}\r\n"));
        let head: String = [format!("{}\r\n", self.line)]
            .into_iter()
            .chain(lines)
            .collect();
        (head + "\r\n").into_bytes()
    }

    /// Returns the bytes of the request, and of a text frame right behind it.
    pub fn bytes_then(&self, text: &str) -> Vec<u8> {
        [self.bytes(), masked(TEXT, text.as_bytes())].concat()
    }

    fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }
}

/// For the message of a failure: what is long is cut.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.80}", self.line)?;
        for (name, value) in self.fields.iter().take(12) {
            writeln!(f, "{name}: {value:.80}")?;
        }
        write!(
            f,
            "{} header lines, {} bytes",
            self.lines(),
            self.bytes().len()
        )
    }
}

/// What the test's clients mask with: the key of RFC 6455, section 5.7.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Makes a frame as a client sends it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64, true);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

/// Makes the header of a frame that announces `length` bytes in the shortest form: as a client
/// sends it, which masks, or as a server does.
pub fn header(first: u8, length: u64, is_masked: bool) -> Vec<u8> {
    let bit = if is_masked { 0x80 } else { 0 };
    let mut header = vec![first];
    match length {
        0..=125 => header.push(bit | u8::try_from(length).unwrap()),
        126..=0xffff => {
            header.push(bit | 0x7e);
            header.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(bit | 0x7f);
            header.extend(length.to_be_bytes());
        }
    }
    if is_masked {
        header.extend(MASK);
    }
    header
}

/// Reads the head of an answer, more strictly than most clients do; `None` while it is not
/// complete. The number is its length in bytes.
pub fn parse_head(bytes: &[u8]) -> Option<(Response<()>, usize)> {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().expect("there is always a first line");
    let (version, status) = status_line.split_once(' ').expect("a status line");
    assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "{head}");
    let code = status.get(..3).expect("a status code");
    let mut response = Response::builder().status(code);
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header line");
        response = response.header(name, value.trim_matches([' ', '\t']));
    }
    Some((response.body(()).expect("valid header lines"), end + 4))
}

/// The client's end of a connection.
pub struct Raw {
    stream: TcpStream,
    /// What was read and not yet taken.
    unread: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // Each write is to be a segment of its own.
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes)
            .expect("the server takes what is sent to it");
    }

    /// Sends to a server that may have closed; only to wait for it is never right.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.stream.write_all(bytes);
        if let Err(error) = &sent {
            let timed_out = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!timed_out, "the server neither reads nor closes: {error}");
        }
        sent
    }

    /// Sends in segments of one byte.
    pub fn send_byte_by_byte(&mut self, bytes: &[u8]) {
        bytes.chunks(1).for_each(|byte| self.send(byte));
    }

    /// Says that nothing more is sent.
    pub fn finish(&mut self) {
        // The server may be gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Reads the head of an answer; `None` if the server has closed before the end of it.
    pub fn head(&mut self) -> Option<Response<()>> {
        loop {
            if let Some((head, length)) = parse_head(&self.unread) {
                self.unread.drain(..length);
                return Some(head);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads one answer with its body; `None` if the server has closed before it.
    pub fn answer(&mut self, request: &Request) -> Option<Response<Vec<u8>>> {
        let Some(head) = self.head() else {
            assert!(self.unread.is_empty(), "the answer ends in its head");
            return None;
        };
        let headers = head.headers();
        assert!(!headers.contains_key(header::TRANSFER_ENCODING));
        let length = match headers.get(header::CONTENT_LENGTH) {
            _ if request.is_head() || head.status() == StatusCode::SWITCHING_PROTOCOLS => 0,
            Some(length) => length.to_str().unwrap().parse().expect("a length"),
            None => 0,
        };
        let body = self.take(length).expect("the whole body comes");
        Some(head.map(|()| body))
    }

    /// Reads one frame; `None` if the server has closed before it.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(2)?;
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => u16::from_be_bytes(self.take(2)?.try_into().unwrap()).into(),
            127 => usize::try_from(u64::from_be_bytes(self.take(8)?.try_into().unwrap())).unwrap(),
            length => length.into(),
        };
        Some((head[0], self.take(length)?))
    }

    /// Reads the next frame, which is a text message.
    pub fn text(&mut self) -> String {
        let (first, payload) = self.frame().expect("a frame comes");
        assert_eq!(first, TEXT);
        String::from_utf8(payload).expect("text is UTF-8")
    }

    /// Reads until the server has closed.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Reads what has arrived; `false` if the server has closed.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                self.unread.extend_from_slice(&chunk[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}
