//! A client that speaks in single frames over a stream in memory, as right or as wrong as a test
//! wants it to.

use anyws::{
    Io, UpgradeIo, WebSocket, WebSocketConfig, WebSocketUpgrade,
    testing::{self, Duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt};

use super::raw::masked;

const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

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
}

/// The client's end of a connection.
pub struct Peer(Duplex);

impl Peer {
    pub fn new(io: Duplex) -> Self {
        Self(io)
    }

    pub async fn send(&mut self, frame: Frame) {
        self.send_bytes(&frame.masked()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the stream is open");
    }

    /// Reads a frame, which is masked no more than a server's may be, and as short as it can be;
    /// `None` if the server has shut down its write side.
    pub async fn frame(&mut self) -> Option<Frame> {
        let mut first = [0];
        if self.0.read(&mut first).await.expect("a read works") == 0 {
            return None;
        }
        let [length] = self.take().await;
        let length = match length {
            ..=125 => length.into(),
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
            128.. => panic!("a server masks nothing"),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.expect("it is whole");
        let [first] = first;
        Some(Frame { first, payload })
    }

    /// Shuts down the write side.
    pub async fn finish(&mut self) {
        self.0.close().await.expect("closing a Duplex works");
    }

    /// Does the client's part in closing: answers the Close, waits for the server to end the TCP
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
        self.0.read_exact(&mut bytes).await.expect("it is whole");
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
