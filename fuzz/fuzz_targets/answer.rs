//! Answers of servers to a client, as wrong as they may be, and the frames behind them.

#![no_main]

use std::{pin::pin, sync::Arc, task::Poll};

use anyws::{
    ClientBuilder, Error, HandshakeError, Message, WebSocket, WebSocketConfig,
    http::{HeaderMap, Response},
    testing,
};
use anyws_fuzz::{
    answer::{Fields, PROTOCOLS, Piece, ServerHead, Unexpected, Verdict, judge},
    head,
    script::{Acts, Script},
    task::poll_once,
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tungstenite::handshake::derive_accept_key;

/// How many bytes the client reads at once.
const READ_SIZE: usize = 4096;

/// Answers another key than that of the request: 160 bits are not guessed.
const WRONG: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Polls after which a client that has read all, and whose request was written, waits for ever.
const SETTLED: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input {
    offers: bool,
    requires: bool,
    /// The answer does not wait for the request.
    is_early: bool,
    heads: Vec<ServerHead>,
    pieces: Vec<Piece>,
    acts: Acts,
}

type Connected = Result<(WebSocket, Response<()>), Error>;

impl Input {
    fn answer(&self, accept: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for head in &self.heads {
            head.encode(accept, &mut bytes);
        }
        for piece in &self.pieces {
            piece.encode(&mut bytes);
        }
        bytes
    }

    fn builder(&self) -> ClientBuilder {
        let builder = ClientBuilder::new("ws://example.org/chat");
        if self.offers {
            builder.protocols(PROTOCOLS).require_protocol(self.requires)
        } else {
            builder
        }
    }
}

fuzz_target!(|input: Input| {
    let acts = Acts {
        is_silent: true,
        ..input.acts.clone()
    };
    let (script, stream) = Script::new(Vec::new(), acts);
    let is_silent = input.acts.is_silent;
    let mut bytes = input.answer(WRONG);
    if input.is_early {
        script.give(&bytes, is_silent);
    }
    let mut is_given = input.is_early;
    let mut settled = 0;
    let mut connecting = pin!(input.builder().connect_over(stream));
    let counter = Arc::default();
    let connected = loop {
        if let Poll::Ready(connected) = poll_once(&script, &counter, connecting.as_mut()) {
            break Some(connected);
        }
        if !is_given && let Some(accept) = accept(&script) {
            bytes = input.answer(&accept);
            script.give(&bytes, is_silent);
            is_given = true;
        } else if is_given && script.is_drained() {
            script.behave();
            settled += 1;
            if settled > SETTLED {
                break None;
            }
        }
    };
    if !is_given && connected.is_some() {
        let is_harmed = script.write_failed() || script.read_failed();
        assert!(is_harmed, "there is a result before the answer");
        assert!(matches!(connected, Some(Err(_))));
        return;
    }
    check(&input, &script, &bytes, connected);
});

/// Returns what the answer has to have, once the request is there.
fn accept(script: &Script) -> Option<String> {
    let output = script.output();
    let key = output
        .ends_with(b"\r\n\r\n")
        .then(|| head::parse(&output))??;
    let key = key.one("sec-websocket-key").expect("there is a key");
    Some(derive_accept_key(key.as_bytes()))
}

/// Compares with the model. Faults of the stream may hide what the answer is.
fn check(input: &Input, script: &Script, bytes: &[u8], connected: Option<Connected>) {
    let read_failed = script.read_failed();
    let is_harmed = read_failed || script.write_failed();
    let read = bytes.len() - script.unread();
    let accept = accept(script);
    let verdict = judge(bytes, !input.acts.is_silent);
    match (connected, verdict) {
        (None, Verdict::Unexpected(answer)) => {
            assert!(input.acts.is_silent && !answer.is_complete, "{answer:?}");
        }
        (None, Verdict::Incomplete)
        | (Some(Err(Error::Handshake(HandshakeError::Ended))), Verdict::Ended)
        | (Some(Err(Error::Handshake(HandshakeError::Head(_)))), Verdict::WrongHead)
        | (Some(Err(Error::Handshake(HandshakeError::TooManyInterim))), Verdict::ManyInterim) => {}
        (Some(Err(Error::UnexpectedResponse(response))), Verdict::Unexpected(answer)) => {
            check_unexpected(&response, &answer, read_failed);
            assert!(read_failed || read < answer.used + READ_SIZE, "it reads on");
            assert!(read_failed || answer.is_complete || !input.acts.is_silent);
        }
        (Some(Err(Error::Handshake(error))), Verdict::Switching(fields, _)) => {
            let accept = accept.as_deref().unwrap_or(WRONG);
            let is_right = fields.is_right(accept, input.offers, input.is_requiring());
            assert!(!is_right || is_harmed, "{error:?} of a right answer");
            if let [head] = &input.heads[..] {
                let is_right = head.is_right() && !input.is_requiring() && !input.is_early;
                assert!(!is_right || is_harmed, "{error:?} of a right answer");
            }
        }
        (Some(Ok((socket, response))), Verdict::Switching(fields, at)) => {
            let accept = accept.expect("the request was written");
            assert!(fields.is_right(&accept, input.offers, input.is_requiring()));
            check_fields(response.status().as_u16(), response.headers(), &fields);
            if !is_harmed {
                check_frames(socket, script, &bytes[at..], input.acts.is_silent);
            }
        }
        (Some(Err(Error::Io(_) | Error::Handshake(HandshakeError::Ended))), _) if is_harmed => {}
        (connected, verdict) => panic!("{connected:?} of {verdict:?}"),
    }
}

impl Input {
    fn is_requiring(&self) -> bool {
        self.offers && self.requires
    }
}

fn check_unexpected(response: &Response<anyws::Bytes>, answer: &Unexpected, is_cut: bool) {
    check_fields(
        response.status().as_u16(),
        response.headers(),
        &answer.fields,
    );
    let body = response.body();
    if is_cut {
        assert!(answer.body.starts_with(body));
    } else {
        assert_eq!(body, &answer.body);
    }
}

fn check_fields(status: u16, headers: &HeaderMap, fields: &Fields) {
    assert_eq!(status, fields.status);
    assert_eq!(headers.len(), fields.lines.len());
    for name in headers.keys() {
        let lines = fields.lines.iter();
        let lines = lines.filter(|(other, _)| name.as_str() == other);
        let expected = lines.map(|(_, value)| value.as_slice());
        assert!(headers.get_all(name).iter().eq(expected), "{name}");
    }
}

/// The frames come to the same as if they had come after the handshake.
fn check_frames(socket: WebSocket, script: &Script, bytes: &[u8], is_silent: bool) {
    script.behave();
    let acts = Acts {
        is_silent,
        ..Acts::default()
    };
    let (apart, stream) = Script::new(bytes.to_vec(), acts);
    let client = testing::client(stream, &WebSocketConfig::new()).expect("the settings work");
    let received = receive(socket, script);
    assert_eq!(received, receive(client, &apart));
}

/// Returns what a socket receives, up to the end, an error, or silence.
fn receive(mut socket: WebSocket, script: &Script) -> Vec<Result<Message, String>> {
    let mut received = Vec::new();
    let counter = Arc::default();
    let mut settled = 0;
    while settled < SETTLED {
        let next = pin!(socket.next());
        match poll_once(script, &counter, next) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(next)) => {
                let next = next.map_err(|error| format!("{error:?}"));
                received.push(next);
            }
            Poll::Pending => settled += usize::from(script.is_drained()),
        }
    }
    received
}
