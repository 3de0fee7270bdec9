//! A socket, and what has to be true of it whatever is done.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use anyws::{
    CloseFrame, DeflateConfig, Error, Message, ReceiveHalf, Result, SendHalf, Takeover,
    TransportConfig, WebSocket, WebSocketConfig, testing,
};
use arbitrary::Arbitrary;
use futures_core::Stream;
use futures_sink::Sink;
use tungstenite::protocol::frame::Frame as RawFrame;

use crate::{
    inflate::{Peer, Received},
    script::{Acts, Script},
    strict::{self, Parsed},
    task::{Counter, poll_times, poll_to_end},
    wire::{Code, MAX_CONTROL, Payload},
};

/// Sizes where something changes, and their neighbours.
const SIZES: [usize; 12] = [
    1, 2, 7, 125, 126, 127, 1000, 4095, 4096, 16_384, 65_536, 131_072,
];

/// Begins the pongs that are no answers.
const USER: &[u8] = b"user-";

/// The settings of a socket.
#[derive(Arbitrary, Debug)]
pub struct Config {
    read: u8,
    write: Option<u8>,
    more: Option<u8>,
    frame: Option<u8>,
    deflate: Option<Deflate>,
}

/// Compression of both directions, with the same settings.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Deflate {
    takeover: Kept,
    window: u8,
    level: u8,
    threshold: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kept {
    None,
    Window,
    Dedicated,
}

impl Deflate {
    fn window(self) -> u8 {
        9 + self.window % 7
    }

    fn takes_over(self) -> bool {
        !matches!(self.takeover, Kept::None)
    }

    fn config(self) -> DeflateConfig {
        DeflateConfig::new()
            .send_takeover(match self.takeover {
                Kept::None => Takeover::None,
                Kept::Window => Takeover::Window,
                Kept::Dedicated => Takeover::Dedicated,
            })
            .receive_takeover(self.takes_over())
            .send_window_bits(self.window())
            .receive_window_bits(self.window())
            .level(1 + self.level % 9)
            .threshold(self.threshold.into())
    }

    /// Parses what a peer sends, right or wrong.
    fn parse_any(self, bytes: &[u8], masked: bool) -> Parsed {
        let window = Some(self.window()).filter(|_| self.takes_over());
        let mut received = Received::default();
        let mut inflate = |payload: &[u8]| {
            let inflated = received.inflate(payload, window, usize::MAX >> 1);
            inflated.ok_or("the data is malformed")
        };
        strict::parse_with(bytes, masked, Some(&mut inflate))
    }

    /// Parses what the socket has sent.
    fn parse(self, bytes: &[u8], masked: bool) -> Parsed {
        let mut peer = Peer::new(self.window(), self.takes_over());
        let mut inflate = |payload: &[u8]| peer.inflate(payload);
        strict::parse_with(bytes, masked, Some(&mut inflate))
    }
}

impl Config {
    fn frame_limit(&self) -> Option<usize> {
        self.frame.map(size)
    }

    /// The size of fragments, which has a least one.
    fn fragment_size(&self) -> Option<usize> {
        self.frame_limit().map(|limit| limit.max(1024))
    }

    fn socket(&self) -> WebSocketConfig {
        let write = self.write.map_or(0, size);
        let mut transport = TransportConfig::default()
            .read_buffer_size(size(self.read))
            .write_buffer_size(write);
        if let Some(more) = self.more {
            transport = transport.max_write_buffer_size(write + size(more));
        }
        if let Some(limit) = self.frame_limit() {
            transport = transport.max_frame_size(limit);
        }
        if let Some(size) = self.fragment_size() {
            transport = transport.fragment_size(size);
        }
        let deflate = self.deflate.map(Deflate::config);
        WebSocketConfig::new()
            .set_transport(transport)
            .set_deflate(deflate)
    }
}

fn size(index: u8) -> usize {
    SIZES[usize::from(index) % SIZES.len()]
}

/// A message of the user's, legal or not.
#[derive(Arbitrary, Debug)]
pub enum UserMessage {
    /// A text.
    Text(Payload),
    /// Bytes.
    Binary(Payload),
    /// A ping, which may be too long.
    Ping(Payload),
    /// A pong that answers nothing, which may be too long.
    Pong(Payload),
    /// A Close with any code and reason.
    Close(Option<Code>, Payload),
    /// A frame, which is never legal.
    Raw(Payload),
}

impl UserMessage {
    /// Makes the message, which no other one equals, and tells whether it is legal.
    fn make(&self, number: usize) -> (Message, bool) {
        let tagged =
            |payload: &Payload| [format!("{number:06}").into_bytes(), payload.bytes()].concat();
        match self {
            Self::Text(payload) => {
                let text = format!("{number:06}{}", payload.text());
                (Message::text(text), true)
            }
            Self::Binary(payload) => (Message::binary(tagged(payload)), true),
            Self::Ping(payload) => {
                let payload = tagged(payload);
                let is_legal = payload.len() <= MAX_CONTROL;
                (Message::Ping(payload.into()), is_legal)
            }
            Self::Pong(payload) => {
                let payload = [USER, &tagged(payload)].concat();
                let is_legal = payload.len() <= MAX_CONTROL;
                (Message::Pong(payload.into()), is_legal)
            }
            Self::Close(code, reason) => {
                let frame = close_frame(*code, reason);
                let is_legal = frame.as_ref().is_none_or(is_legal_close);
                (Message::Close(frame), is_legal)
            }
            Self::Raw(payload) => (Message::Frame(RawFrame::pong(payload.bytes())), false),
        }
    }
}

fn close_frame(code: Option<Code>, reason: &Payload) -> Option<CloseFrame> {
    code.map(|code| CloseFrame {
        code: code.value().into(),
        reason: reason.text().into(),
    })
}

/// Sections 5.5 and 7.4, and the registry of codes.
fn is_legal_close(frame: &CloseFrame) -> bool {
    let code = u16::from(frame.code);
    let is_legal = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    is_legal && frame.reason.len() + 2 <= MAX_CONTROL
}

/// What was received last.
#[derive(Debug)]
enum End {
    Close(Option<CloseFrame>),
    Error(Error),
}

/// A message that was handed over.
#[derive(Debug)]
struct Handed {
    message: Message,
    /// It was accepted, and has to be sent; else it may have been.
    is_certain: bool,
}

#[derive(Debug)]
enum Socket {
    Whole(WebSocket),
    Halves(Option<SendHalf>, Option<ReceiveHalf>),
}

/// A socket with what was done with it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact, and they do not exclude each other"
)]
pub struct Model {
    is_server: bool,
    fragment_size: Option<usize>,
    deflate: Option<Deflate>,
    script: Script,
    socket: Socket,
    number: usize,
    handed: Vec<Handed>,
    /// The reference of what is received.
    peer: Parsed,
    received: usize,
    pings: Vec<Message>,
    end: Option<End>,
    /// A Close of the user's, or of a drop, was accepted or may have been.
    may_close: bool,
    /// Nothing may be accepted any more.
    is_over: bool,
    /// The receiver was dropped before the sender: this one answers by itself, and discards data.
    /// So nobody knows how much of what the peer sends was read.
    is_sender_alone: bool,
    /// The receiver, which waits, and the times that it was woken when it was polled last.
    parked: Option<(Arc<Counter>, usize)>,
}

impl Model {
    /// Makes a socket whose peer sends `bytes`.
    #[must_use]
    pub fn new(is_server: bool, config: &Config, bytes: Vec<u8>, acts: Acts) -> Self {
        let peer = match config.deflate {
            Some(deflate) => deflate.parse_any(&bytes, is_server),
            None => strict::parse(&bytes, is_server),
        };
        let (script, stream) = Script::new(bytes, acts);
        let settings = config.socket();
        let socket = if is_server {
            testing::server(stream, &settings)
        } else {
            testing::client(stream, &settings)
        };
        Self {
            is_server,
            fragment_size: config.fragment_size(),
            deflate: config.deflate,
            script,
            socket: Socket::Whole(socket.expect("the settings work")),
            number: 0,
            handed: Vec::new(),
            peer,
            received: 0,
            pings: Vec::new(),
            end: None,
            may_close: false,
            is_over: false,
            is_sender_alone: false,
            parked: None,
        }
    }

    /// Receives.
    pub fn next(&mut self, polls: u8) {
        let polls = usize::from(polls);
        let received = match &mut self.socket {
            Socket::Whole(socket) => poll_times(&self.script, polls, socket.next()),
            Socket::Halves(_, Some(receiver)) => poll_times(&self.script, polls, receiver.next()),
            Socket::Halves(_, None) => return,
        };
        self.parked = None;
        if let Some(item) = received {
            self.receive(item);
        }
    }

    /// Sends.
    pub fn send(&mut self, message: &UserMessage, polls: u8) {
        let (message, is_legal) = self.make(message);
        let polls = usize::from(polls);
        let sent = match &mut self.socket {
            Socket::Whole(socket) => poll_times(&self.script, polls, socket.send(message.clone())),
            Socket::Halves(Some(sender), _) => {
                poll_times(&self.script, polls, sender.send(message.clone()))
            }
            Socket::Halves(None, _) => return,
        };
        self.hand(message, is_legal, sent);
    }

    /// Feeds.
    pub fn feed(&mut self, message: &UserMessage, polls: u8) {
        let (message, is_legal) = self.make(message);
        let polls = usize::from(polls);
        let fed = match &mut self.socket {
            Socket::Whole(socket) => poll_times(&self.script, polls, socket.feed(message.clone())),
            Socket::Halves(Some(sender), _) => {
                poll_times(&self.script, polls, sender.feed(message.clone()))
            }
            Socket::Halves(None, _) => return,
        };
        // What was not accepted yet when it was dropped never is.
        if fed.is_some() {
            self.hand(message, is_legal, fed);
        }
    }

    /// Sends as `forward` does.
    pub fn sink(&mut self, message: &UserMessage, polls: u8) {
        let (message, is_legal) = self.make(message);
        let polls = usize::from(polls);
        let Some(sink) = sink(&mut self.socket) else {
            return;
        };
        match poll_times(
            &self.script,
            polls,
            poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)),
        ) {
            Some(Ok(())) => {
                let started = Pin::new(&mut *sink).start_send(message.clone());
                self.hand(message, is_legal, Some(started));
            }
            Some(Err(error)) => self.hand(message, is_legal, Some(Err(error))),
            None => {}
        }
    }

    /// Flushes.
    pub fn flush(&mut self, polls: u8) {
        let polls = usize::from(polls);
        let Some(sink) = sink(&mut self.socket) else {
            return;
        };
        let flushed = poll_times(
            &self.script,
            polls,
            poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx)),
        );
        self.check_flushed(flushed);
    }

    /// Closes.
    pub fn close(&mut self, code: Option<Code>, reason: &Payload, polls: u8) {
        let frame = close_frame(code, reason);
        let is_legal = frame.as_ref().is_none_or(is_legal_close);
        let polls = usize::from(polls);
        let closed = match &mut self.socket {
            Socket::Whole(socket) => poll_times(&self.script, polls, socket.close(frame)),
            Socket::Halves(Some(sender), _) => poll_times(&self.script, polls, sender.close(frame)),
            Socket::Halves(None, _) => return,
        };
        if polls == 0 {
            return;
        }
        if !is_legal {
            assert!(matches!(closed, Some(Err(Error::InvalidMessage(_)))));
            return;
        }
        self.may_close = true;
        self.is_over = true;
        self.check_flushed(closed);
    }

    /// Closes as `forward` does.
    pub fn close_sink(&mut self, polls: u8) {
        let polls = usize::from(polls);
        let Some(sink) = sink(&mut self.socket) else {
            return;
        };
        let closed = poll_times(
            &self.script,
            polls,
            poll_fn(|cx| Pin::new(&mut *sink).poll_close(cx)),
        );
        if polls > 0 {
            self.may_close = true;
            self.is_over = true;
            self.check_flushed(closed);
        }
    }

    /// Splits, if it is whole.
    pub fn split(&mut self) {
        let halves = Socket::Halves(None, None);
        self.socket = match mem::replace(&mut self.socket, halves) {
            Socket::Whole(socket) => {
                let (sender, receiver) = socket.split();
                Socket::Halves(Some(sender), Some(receiver))
            }
            halves @ Socket::Halves(..) => halves,
        };
    }

    /// Puts the halves together, if both are there.
    pub fn reunite(&mut self) {
        let halves = Socket::Halves(None, None);
        self.socket = match mem::replace(&mut self.socket, halves) {
            Socket::Halves(Some(sender), Some(receiver)) => {
                self.parked = None;
                Socket::Whole(sender.reunite(receiver).expect("they are of one socket"))
            }
            socket => socket,
        };
    }

    /// Lets the receiver wait in a task of its own.
    pub fn park(&mut self) {
        if self.parked.is_none() && matches!(self.socket, Socket::Halves(_, Some(_))) {
            self.parked = Some((Arc::default(), 0));
            self.poll_parked();
        }
    }

    /// Drops a half.
    pub fn drop_half(&mut self, is_sender: bool) {
        let Socket::Halves(sender, receiver) = &mut self.socket else {
            return;
        };
        self.may_close |= if is_sender {
            drop(sender.take());
            receiver.is_none()
        } else {
            self.parked = None;
            drop(receiver.take());
            self.is_sender_alone |= sender.is_some();
            sender.is_none()
        };
    }

    /// Checks what was written so far.
    pub fn check_output(&self) {
        self.check(false);
    }

    /// Comes to the end: all is written, and the socket dropped.
    pub fn finish(mut self, in_next: bool) {
        self.script.behave();
        if self.parked.is_some() {
            self.run_parked();
        } else if in_next {
            while self.end.is_none() {
                let before = self.received;
                self.next(1);
                // It was pending, on a silent peer or for others to have their turn.
                if self.received == before && self.script.is_drained() {
                    break;
                }
                if matches!(self.socket, Socket::Halves(_, None)) {
                    break;
                }
            }
            if self.end.is_some() {
                self.next(1);
            }
        } else if let Some(sink) = sink(&mut self.socket) {
            let flush = poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx));
            let flushed = poll_to_end(&self.script, flush);
            let is_flushed = flushed.is_ok();
            self.check_flushed(Some(flushed));
            self.check(is_flushed);
        }
        let socket = mem::replace(&mut self.socket, Socket::Halves(None, None));
        // Dropped while a write would wait, what was buffered is lost: there is no runtime.
        let is_gone = matches!(socket, Socket::Halves(None, None));
        self.may_close = true;
        drop(socket);
        self.check(!is_gone);
        if !self.is_over && !is_gone && !self.is_sender_alone && !self.script.write_failed() {
            let output = self.output();
            assert!(matches!(output.messages.last(), Some(Message::Close(_))));
        }
    }

    /// Runs the task of the receiver until nothing wakes it any more.
    fn run_parked(&mut self) {
        while let Some((counter, polled)) = &self.parked {
            if counter.count() == *polled {
                self.script.wake_ready();
            }
            if counter.count() == *polled {
                break;
            }
            self.poll_parked();
        }
        // A receiver that waits has written what was fed, whoever has fed it.
        if self.parked.is_some() {
            self.check(true);
        }
    }

    fn poll_parked(&mut self) {
        let (Some((counter, polled)), Socket::Halves(_, Some(receiver))) =
            (&mut self.parked, &mut self.socket)
        else {
            return;
        };
        *polled = counter.count();
        let waker = Waker::from(Arc::clone(counter));
        self.script.begin_poll();
        let cx = &mut Context::from_waker(&waker);
        if let Poll::Ready(item) = Pin::new(receiver).poll_next(cx) {
            let is_end = item.is_none();
            self.receive(item);
            if is_end {
                self.parked = None;
            } else {
                waker.wake();
            }
        }
    }

    fn make(&mut self, message: &UserMessage) -> (Message, bool) {
        self.number += 1;
        message.make(self.number)
    }

    /// `next` has given an item.
    fn receive(&mut self, item: Option<Result<Message>>) {
        let Some(item) = item else {
            assert!(self.end.is_some(), "the end is told as an error or a Close");
            return;
        };
        assert!(self.end.is_none(), "{item:?} behind the end {:?}", self.end);
        let message = match item {
            Ok(message) => message,
            Err(error) => {
                self.check_error(&error);
                self.end = Some(End::Error(error));
                self.is_over = true;
                return;
            }
        };
        let expected = self.peer.messages.get(self.received);
        assert!(expected == Some(&message), "{message:?}, not {expected:?}");
        self.received += 1;
        match message {
            Message::Ping(payload) => self.pings.push(Message::Pong(payload)),
            Message::Close(frame) => {
                self.end = Some(End::Close(frame));
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn check_error(&self, error: &Error) {
        match error {
            Error::Protocol(_) => {}
            Error::ClosedWithoutHandshake => {
                if !self.script.read_failed() {
                    assert_eq!(self.peer.broken, None, "no error but the end");
                    assert_eq!(self.received, self.peer.messages.len(), "messages are lost");
                }
            }
            Error::Io(_) => assert!(self.script.read_failed() || self.script.write_failed()),
            error => panic!("{error:?} comes from nowhere"),
        }
    }

    /// A message was handed over, and accepted if that was `Ok`.
    fn hand(&mut self, message: Message, is_legal: bool, result: Option<Result<()>>) {
        let is_certain = match result {
            Some(Ok(())) => {
                assert!(is_legal, "{message:?} may not be sent");
                assert!(!self.is_over, "{message:?} behind the Close");
                true
            }
            Some(Err(Error::InvalidMessage(_))) => {
                assert!(!is_legal, "{message:?} may be sent");
                return;
            }
            Some(Err(Error::Closed)) => {
                let is_gone = self.is_over
                    || self.may_close
                    || self.is_sender_alone
                    || self.script.write_failed();
                assert!(is_gone, "nothing has closed it");
                return;
            }
            // A sender alone is told of the end, even if the message was accepted.
            Some(Err(error)) if self.is_sender_alone => {
                self.check_end_of_sender(&error);
                false
            }
            Some(Err(Error::Io(_))) => {
                assert!(self.script.write_failed(), "no write has failed");
                false
            }
            Some(Err(error)) => panic!("{error:?} comes from nowhere"),
            None => false,
        };
        if !is_legal {
            return;
        }
        if matches!(message, Message::Close(_)) {
            self.may_close = true;
            self.is_over |= is_certain;
        }
        self.handed.push(Handed {
            message,
            is_certain,
        });
    }

    /// Checks the error that has ended a connection whose receiver was dropped.
    fn check_end_of_sender(&self, error: &Error) {
        match error {
            Error::Protocol(_) => {}
            Error::ClosedWithoutHandshake => {
                let is_cut = self.script.read_failed();
                assert!(is_cut || self.peer.broken.is_none(), "no error but the end");
            }
            Error::Io(_) => assert!(self.script.read_failed() || self.script.write_failed()),
            error => panic!("{error:?} comes from nowhere"),
        }
    }

    fn check_flushed(&self, flushed: Option<Result<()>>) {
        match flushed {
            None => {}
            Some(Ok(())) => {
                let is_flushed = self.script.is_flushed() || self.script.write_failed();
                assert!(is_flushed, "bytes were not flushed");
            }
            Some(Err(error)) if self.is_sender_alone => self.check_end_of_sender(&error),
            Some(Err(Error::Io(_))) => {
                assert!(self.script.write_failed(), "no write has failed");
            }
            Some(Err(error)) => panic!("{error:?} comes from nowhere"),
        }
    }

    /// Parses what was written.
    fn output(&self) -> Parsed {
        let bytes = self.script.output();
        match self.deflate {
            Some(deflate) => deflate.parse(&bytes, !self.is_server),
            None => strict::parse(&bytes, !self.is_server),
        }
    }

    /// Checks what was written: it is valid, and it is what was accepted, in order. If it is
    /// complete, all of that.
    fn check(&self, is_complete: bool) {
        let is_complete = is_complete && !self.script.write_failed();
        let output = self.output();
        assert_eq!(output.broken, None, "what was written is wrong");
        if let Some(size) = self.fragment_size {
            assert!(output.largest <= size, "a frame of {}", output.largest);
        }
        let mut handed = self.handed.iter();
        // What a sender alone has read is not known, so it may answer any of the pings that follow.
        let unread = self.peer.messages.iter().skip(self.received);
        let unread = unread.filter(|_| self.is_sender_alone).filter_map(pong);
        let mut pings = self.pings.iter().cloned().chain(unread);
        let mut last_pong = None;
        let mut close = None;
        for message in &output.messages {
            match message {
                Message::Pong(payload) if !payload.starts_with(USER) => {
                    assert!(
                        pings.any(|ping| ping == *message),
                        "{message:?} answers nothing"
                    );
                    last_pong = Some(message);
                }
                Message::Close(frame) => {
                    close = Some(frame);
                    let mut rest = handed.clone();
                    if rest.any(|it| it.message == *message) {
                        handed = rest;
                    }
                }
                _ => {
                    let found = handed.find(|it| it.is_certain || it.message == *message);
                    let found = found.map(|it| &it.message);
                    assert!(found == Some(message), "{message:?}, not {found:?}");
                }
            }
        }
        if !is_complete {
            return;
        }
        assert!(!output.is_cut, "a frame or a message is cut");
        // Of two equal Closes the first may have been dropped before it was accepted.
        let is_sent =
            |it: &Handed| matches!(&it.message, Message::Close(frame) if close == Some(frame));
        let lost = handed.find(|it| it.is_certain && !is_sent(it));
        assert!(lost.is_none(), "{lost:?} was not sent");
        self.check_answers(last_pong, close);
    }

    /// Checks the answers to pings, to the Close and to what was wrong.
    fn check_answers(&self, last_pong: Option<&Message>, close: Option<&Option<CloseFrame>>) {
        if self.is_sender_alone {
            return;
        }
        if close.is_none() {
            assert!(
                last_pong == self.pings.last(),
                "the last ping is not answered"
            );
        }
        if self.may_close {
            return;
        }
        match &self.end {
            Some(End::Close(frame)) => assert_eq!(close, Some(frame), "the answer is another"),
            Some(End::Error(Error::Protocol(error))) => {
                let frame = close.and_then(Option::as_ref).expect("the peer is told");
                assert_eq!(frame.code, error.close_code());
            }
            _ => assert_eq!(close, None, "nobody has closed it"),
        }
    }
}

/// The end of a socket that sends.
fn sink(socket: &mut Socket) -> Option<&mut (dyn Sink<Message, Error = Error> + Unpin)> {
    match socket {
        Socket::Whole(socket) => Some(socket),
        Socket::Halves(Some(sender), _) => Some(sender),
        Socket::Halves(None, _) => None,
    }
}

/// Returns the answer to a ping.
fn pong(message: &Message) -> Option<Message> {
    match message {
        Message::Ping(payload) => Some(Message::Pong(payload.clone())),
        _ => None,
    }
}
