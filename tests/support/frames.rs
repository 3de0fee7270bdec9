//! A peer that speaks in single frames over a stream in memory, as right or as wrong as a test
//! wants it to.

use anyws::{
    Io, UpgradeIo, WebSocket, WebSocketConfig, WebSocketUpgrade,
    testing::{self, Duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt};

use super::raw::{header, masked};

const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Which end of a connection one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

impl Role {
    pub const BOTH: [Self; 2] = [Self::Server, Self::Client];

    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Tells whether this end masks what it sends (RFC 6455, section 5.1).
    pub fn masks(self) -> bool {
        self == Self::Client
    }

    /// Makes the socket of this end on a stream, after the opening handshake.
    pub fn socket(self, io: impl Io + 'static, config: &WebSocketConfig) -> WebSocket {
        let socket = match self {
            Self::Client => testing::client(io, config),
            Self::Server => testing::server(io, config),
        };
        socket.expect("the settings work")
    }

    /// Makes the socket of this end, and its peer.
    pub fn with_peer(self, config: &WebSocketConfig) -> (WebSocket, Peer) {
        let (near, far) = testing::duplex();
        (self.socket(far, config), Peer::of(self, near))
    }

    /// Makes the socket of this end, and its peer, on a stream that takes any message at once.
    pub fn with_roomy_peer(self, config: &WebSocketConfig) -> (WebSocket, Peer) {
        let (near, far) = testing::duplex_with_capacity(256 << 20);
        (self.socket(far, config), Peer::of(self, near))
    }
}

/// A frame, whatever its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The only or last frame of a message.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            first: FIN | opcode,
            payload: payload.into(),
        }
    }

    pub fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// A frame that others of its message follow.
    pub fn unfinished(mut self) -> Self {
        self.first &= !FIN;
        self
    }

    /// A frame with reserved bits.
    pub fn with_bits(mut self, bits: u8) -> Self {
        self.first |= bits;
        self
    }

    /// Tells whether all of these reserved bits are set.
    pub fn has_bits(&self, bits: u8) -> bool {
        self.first & bits == bits
    }

    /// Tells whether it is the last frame of its message.
    pub fn is_last(&self) -> bool {
        self.first & FIN != 0
    }

    /// The code of a Close frame.
    pub fn code(&self) -> u16 {
        assert_eq!(self.first, FIN | CLOSE, "{self:?} is no Close");
        let code = self.payload.first_chunk().expect("the Close has a code");
        u16::from_be_bytes(*code)
    }

    /// The bytes of the frame as a client sends it.
    pub fn masked(&self) -> Vec<u8> {
        masked(self.first, &self.payload)
    }

    /// The bytes of the frame as it is sent by the end `from`.
    pub fn bytes(&self, from: Role) -> Vec<u8> {
        match from {
            Role::Client => self.masked(),
            Role::Server => {
                let mut bytes = header(self.first, self.payload.len() as u64, false);
                bytes.extend(&self.payload);
                bytes
            }
        }
    }
}

/// The other end of a socket's connection.
pub struct Peer {
    io: Duplex,
    role: Role,
    /// The keys by which the frames were masked that were read.
    pub keys: Vec<[u8; 4]>,
}

impl Peer {
    /// Makes the client of a server's socket.
    pub fn new(io: Duplex) -> Self {
        Self::of(Role::Server, io)
    }

    /// Makes the peer of a socket of the given role.
    pub fn of(role: Role, io: Duplex) -> Self {
        Self {
            io,
            role: role.other(),
            keys: Vec::new(),
        }
    }

    pub async fn send(&mut self, frame: Frame) {
        self.send_bytes(&frame.bytes(self.role)).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the stream is open");
    }

    /// Reads a frame, which is masked as the role of its sender wants it, and as short as it can
    /// be; `None` if the sender has shut down its write side.
    pub async fn frame(&mut self) -> Option<Frame> {
        let mut first = [0];
        if self.io.read(&mut first).await.expect("a read works") == 0 {
            return None;
        }
        let [length] = self.take().await;
        let is_masked = length & 0x80 != 0;
        assert_eq!(is_masked, self.role.other().masks(), "a wrong mask bit");
        let length = match length & 0x7f {
            short @ ..=125 => short.into(),
            126 => {
                let length = u16::from_be_bytes(self.take().await);
                assert!(length > 125, "a shorter length would do");
                length.into()
            }
            127 => {
                let length = u64::from_be_bytes(self.take().await);
                assert!(length > 0xffff, "a shorter length would do");
                usize::try_from(length).unwrap()
            }
            128.. => unreachable!("the mask bit was taken off"),
        };
        let key = if is_masked { self.take().await } else { [0; 4] };
        if is_masked {
            self.keys.push(key);
        }
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await.expect("it is whole");
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        let [first] = first;
        Some(Frame { first, payload })
    }

    /// Shuts down the write side.
    pub async fn finish(&mut self) {
        self.io.close().await.expect("closing a Duplex works");
    }

    /// Does a client's part in closing: answers the Close, waits for the server to end the TCP
    /// connection, and ends it too. Returns what came before the Close, and the Close.
    pub async fn see_off(&mut self) -> (Vec<Frame>, Frame) {
        let mut frames = Vec::new();
        let close = loop {
            match self.frame().await.expect("a Close comes before the end") {
                frame if frame.first == FIN | CLOSE => break frame,
                frame => frames.push(frame),
            }
        };
        self.send(close.clone()).await;
        assert_eq!(self.frame().await, None, "nothing follows the Close");
        self.finish().await;
        (frames, close)
    }

    async fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.io.read_exact(&mut bytes).await.expect("it is whole");
        bytes
    }
}

/// A server's socket on a stream, after the opening handshake.
pub async fn server(io: impl Io + 'static, config: &WebSocketConfig) -> WebSocket {
    let (mut request, _) = testing::upgrade("/");
    let io = UpgradeIo::new(async move { Ok(io) });
    request.extensions_mut().insert(io);
    let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
    let (_, upgrading) = upgrade.set_config(config.clone()).accept();
    upgrading.await.expect("the settings work")
}

/// A server's socket and its peer.
pub async fn with_peer(config: &WebSocketConfig) -> (WebSocket, Peer) {
    let (near, far) = testing::duplex();
    (server(far, config).await, Peer::new(near))
}
