//! The client: it does all that is expected of one, as far as the network lets it.

use support::raw::{Raw, Request, masked};

const BINARY: u8 = 0x82;
const CONTINUATION: u8 = 0x80;
const FIN: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The code of the client's Close, if it is the client that closes.
pub(crate) const CODE: u16 = 1000;

/// What the two ends say to each other.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    /// How many messages the client sends.
    pub(crate) messages: usize,
    /// The length of each, and in how many frames it is sent.
    pub(crate) length: usize,
    pub(crate) frames: usize,
    /// The length of the server's reply to each.
    pub(crate) reply: usize,
    /// The server closes after the last message, and not the client.
    pub(crate) server_closes: bool,
    /// The client waits for each answer before it goes on; otherwise it sends everything first.
    pub(crate) waits: bool,
}

impl Talk {
    pub(crate) fn message(&self) -> Vec<u8> {
        payload(self.length, 7)
    }

    pub(crate) fn reply(&self) -> Vec<u8> {
        payload(self.reply, 11)
    }
}

/// What the client got from the server.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) status: Option<u16>,
    pub(crate) replies: usize,
    /// The code of the server's Close; 1005 for one without a code.
    pub(crate) close: Option<u16>,
}

/// Does the client's part, up to the end of the connection.
pub(crate) fn run(raw: Raw, talk: &Talk) -> Heard {
    let mut client = Client {
        raw,
        reply: talk.reply(),
        heard: Heard::default(),
        answers_close: talk.server_closes,
        has_ended: false,
    };
    client.send(&Request::new().bytes());
    if talk.waits {
        client.read_head();
    }
    let message = talk.message();
    for count in 1..=talk.messages {
        client.send_message(&message, talk.frames);
        while talk.waits && client.heard.replies < count && client.read_frame() {}
    }
    if !talk.server_closes {
        client.send(&masked(CLOSE, &CODE.to_be_bytes()));
    }
    if !talk.waits {
        client.read_head();
    }
    while client.read_frame() {}
    client.heard
}

struct Client {
    raw: Raw,
    reply: Vec<u8>,
    heard: Heard,
    answers_close: bool,
    /// Nothing more comes from the server.
    has_ended: bool,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        // The server, or the connection, may be gone: what was received says more.
        let _ = self.raw.try_send(bytes);
    }

    fn send_message(&mut self, message: &[u8], frames: usize) {
        let size = message.len().div_ceil(frames).max(1);
        let mut parts: Vec<&[u8]> = message.chunks(size).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION } & !FIN;
            let fin = if index == last { FIN } else { 0 };
            self.send(&masked(fin | opcode, part));
        }
    }

    fn read_head(&mut self) {
        let head = self.raw.head();
        self.heard.status = head.map(|head| head.status().as_u16());
        self.has_ended = self.heard.status != Some(101);
    }

    /// Reads a frame, and answers it if it is a ping. Returns `false` at the end.
    fn read_frame(&mut self) -> bool {
        if self.has_ended {
            return false;
        }
        match self.raw.frame() {
            Some((BINARY, payload)) => {
                assert!(self.heard.close.is_none(), "a reply comes after the Close");
                assert!(payload == self.reply, "a reply was torn");
                self.heard.replies += 1;
            }
            Some((CLOSE, payload)) => {
                assert!(self.heard.close.is_none(), "a second Close comes");
                let code = payload.first_chunk();
                self.heard.close = Some(code.map_or(1005, |code| u16::from_be_bytes(*code)));
                if self.answers_close {
                    self.send(&masked(CLOSE, &payload));
                }
            }
            Some((PING, payload)) => self.send(&masked(PONG, &payload)),
            Some(other) => panic!("an unexpected frame: {other:?}"),
            None => self.has_ended = true,
        }
        !self.has_ended
    }
}

/// Bytes that show where they are cut.
fn payload(length: usize, step: u8) -> Vec<u8> {
    (0..length)
        .scan(0, |byte: &mut u8, _| {
            *byte = byte.wrapping_add(step);
            Some(*byte)
        })
        .collect()
}
