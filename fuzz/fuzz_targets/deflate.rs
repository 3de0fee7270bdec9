//! Compressed messages of several sockets on one thread, for peers with exactly the window that was
//! agreed.

#![no_main]

use anyws::{
    Message, PreparedMessage, Takeover, TransportConfig,
    fuzzing::{Agreed, Sending},
};
use anyws_fuzz::{
    inflate::Peer,
    plaintext::{Piece, plaintext},
    strict,
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    sockets: Vec<Settings>,
    prepared: Vec<Prepared>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    is_server: bool,
    window: u8,
    level: u8,
    takeover: Kept,
    threshold: u8,
    fragment: u16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kept {
    None,
    Window,
    Dedicated,
}

/// Prepared messages are made once, and sent by any socket.
#[derive(Arbitrary, Debug)]
struct Prepared {
    pieces: Vec<Piece>,
    is_uncompressed: bool,
}

/// What one of the sockets does.
#[derive(Arbitrary, Debug)]
enum Step {
    /// Sends a message, once the last one is compressed.
    Send(u8, Vec<Piece>),
    /// Does not wait for that.
    SendAtOnce(u8, Vec<Piece>),
    Prepared(u8, u8),
    GoOn(u8),
    Stop(u8),
    Ping(u8),
    /// The peer reads.
    Take(u8),
    /// The socket goes, and another one comes with the same settings.
    Replace(u8),
}

/// A socket, with its peer.
struct Socket {
    agreed: Agreed,
    fragment: usize,
    is_server: bool,
    sending: Sending,
    peer: Peer,
    /// What it has sent, and the peer has not received.
    sent: Vec<Message>,
    /// The pings overtake what is being compressed.
    pings: usize,
    /// The plaintext of its messages.
    before: Vec<u8>,
}

impl Socket {
    fn new(settings: &Settings) -> Self {
        let agreed = Agreed {
            takeover: match settings.takeover {
                Kept::None => Takeover::None,
                Kept::Window => Takeover::Window,
                Kept::Dedicated => Takeover::Dedicated,
            },
            level: 1 + settings.level % 9,
            threshold: settings.threshold.into(),
            // With 8 bits, nothing is compressed.
            window: 8 + settings.window % 8,
            peer_window: None,
        };
        let fragment = match settings.fragment {
            size if size.is_multiple_of(4) => 1 + usize::from(size),
            _ => usize::MAX,
        };
        Self::with(agreed, fragment, settings.is_server)
    }

    fn with(agreed: Agreed, fragment: usize, is_server: bool) -> Self {
        let takes_over = agreed.takeover != Takeover::None;
        let limits = TransportConfig::default().fragment_size(fragment);
        Self {
            agreed,
            fragment,
            is_server,
            sending: Sending::new(is_server, &limits, Some(agreed)),
            peer: Peer::new(agreed.window.max(9), takes_over),
            sent: Vec::new(),
            pings: 0,
            before: Vec::new(),
        }
    }

    fn wait(&mut self) {
        let mut steps = 0;
        while self.sending.is_compressing() {
            self.sending.go_on();
            steps += 1;
            assert!(steps < 10, "a message is compressed without an end");
        }
    }

    fn note(&mut self, bytes: &[u8]) -> Message {
        self.before.extend(bytes);
        let from = self.before.len().saturating_sub(0x1_0000);
        self.before.drain(..from);
        // Every payload is one of a text or of bytes.
        let message = match std::str::from_utf8(bytes) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(bytes.to_vec()),
        };
        self.sent.push(message.clone());
        message
    }

    fn send(&mut self, pieces: &[Piece]) {
        let bytes = plaintext(pieces, &self.before);
        let message = self.note(&bytes);
        self.sending.send(message);
    }

    fn take(&mut self) {
        self.wait();
        let bytes = self.sending.take();
        let mut inflate = |payload: &[u8]| self.peer.inflate(payload);
        let parsed = strict::parse_with(&bytes, !self.is_server, Some(&mut inflate));
        assert_eq!(parsed.broken, None, "{:?}", self.agreed);
        assert!(!parsed.is_cut);
        let (pings, received): (Vec<_>, Vec<_>) =
            parsed.messages.into_iter().partition(Message::is_ping);
        assert_eq!(pings.len(), std::mem::take(&mut self.pings));
        let sent = std::mem::take(&mut self.sent);
        let lengths = |all: &[Message]| all.iter().map(Message::len).collect::<Vec<_>>();
        assert!(
            received == sent,
            "{:?} for {:?}: {:?}",
            lengths(&received),
            lengths(&sent),
            self.agreed
        );
        let longest = received.iter().map(Message::len).max().unwrap_or(0);
        assert!(bytes.len() <= self.overhead(longest, received.len() + pings.len(), &received));
    }

    /// Returns how many bytes the messages have at most on the wire: compression adds none.
    fn overhead(&self, longest: usize, count: usize, received: &[Message]) -> usize {
        let frames = longest / self.fragment + 2;
        let plain: usize = received.iter().map(Message::len).sum();
        plain + count * frames * 14
    }
}

fuzz_target!(|input: Input| {
    let mut sockets: Vec<_> = input.sockets.iter().take(6).map(Socket::new).collect();
    if sockets.is_empty() {
        return;
    }
    let prepared: Vec<_> = input
        .prepared
        .iter()
        .map(|it| {
            let bytes = plaintext(&it.pieces, &[]);
            let message = match std::str::from_utf8(&bytes) {
                Ok(text) => PreparedMessage::from(text),
                Err(_) => PreparedMessage::from(bytes.clone()),
            };
            let message = if it.is_uncompressed {
                message.uncompressed()
            } else {
                message
            };
            (bytes, message)
        })
        .collect();
    let count = sockets.len();
    for step in &input.steps {
        let (Step::Send(at, _)
        | Step::SendAtOnce(at, _)
        | Step::Prepared(at, _)
        | Step::GoOn(at)
        | Step::Stop(at)
        | Step::Ping(at)
        | Step::Take(at)
        | Step::Replace(at)) = step;
        let socket = &mut sockets[usize::from(*at) % count];
        match step {
            Step::Send(_, pieces) => {
                socket.wait();
                socket.send(pieces);
            }
            Step::SendAtOnce(_, pieces) => socket.send(pieces),
            Step::Prepared(_, which) => {
                if let Some((bytes, message)) = prepared.get(usize::from(*which) % 4) {
                    socket.note(bytes);
                    socket.sending.send_prepared(message);
                }
            }
            Step::GoOn(_) => socket.sending.go_on(),
            Step::Stop(_) => socket.sending.stop(),
            Step::Ping(_) => {
                socket.pings += 1;
                socket.sending.send(Message::Ping(Vec::new().into()));
            }
            Step::Take(_) => socket.take(),
            Step::Replace(_) => {
                let (agreed, fragment) = (socket.agreed, socket.fragment);
                *socket = Socket::with(agreed, fragment, socket.is_server);
            }
        }
    }
    sockets.iter_mut().for_each(Socket::take);
});
