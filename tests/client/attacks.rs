//! Servers and streams that do a client harm, or try to.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyws::{
    ClientBuilder, Error, HandshakeError, Io, Message, TimeoutPhase, WebSocket, WebSocketConfig,
    testing::{duplex, duplex_with_capacity},
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join};
use http::{
    Response,
    header::{AUTHORIZATION, COOKIE},
};
use support::{
    attack::{Attack, Then, drive},
    frames::{Frame, Role},
    network::network,
    runtimes,
    scripted::Scripted,
    sockets::now,
    still::Still,
    time::Paused,
};

use crate::connecting::listen;

pub(crate) const URI: &str = "ws://server.example/";

/// What one read asks for.
const READ: usize = 4096;

const MAX_BODY: usize = 16 * 1024;

type Connected = anyws::Result<(WebSocket, Response<()>)>;

/// Settings that need no runtime.
fn builder() -> ClientBuilder {
    ClientBuilder::new(URI).config(Still::without_timers().config())
}

/// Connects over a stream that has all it ever has.
fn over(stream: impl Io + 'static) -> Connected {
    drive(builder().connect_over(stream), || true).expect("there is nothing to wait for")
}

fn over_attack(first: &[u8], then: Then) -> (Connected, usize) {
    let attack = Attack::new(first.to_vec(), then);
    let log = attack.log();
    (over(attack), log.read())
}

fn unexpected(connected: Connected) -> Response<Vec<u8>> {
    match connected {
        Err(Error::UnexpectedResponse(response)) => response.map(|body| body.to_vec()),
        other => panic!("{other:?}"),
    }
}

fn fault(connected: Connected) -> HandshakeError {
    match connected {
        Err(Error::Handshake(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Answers a request as a server of this crate.
pub(crate) fn switching(request: &[u8]) -> Vec<u8> {
    let (mut near, far) = duplex();
    now(near.write_all(request)).unwrap();
    let socket = now(anyws::accept(far, Still::default().config())).unwrap();
    let mut answer = vec![0; READ];
    let length = now(near.read(&mut answer)).unwrap();
    drop(socket);
    answer.truncate(length);
    answer
}

/// Reads a request.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("a whole request");
        request.extend(byte);
    }
    request
}

/// A server that follows the handshake with these bytes, a few at once.
async fn serve(mut stream: anyws::testing::Duplex, behind: &[u8], piece: usize) {
    let answer = switching(&request(&mut stream).await);
    for piece in [&answer, behind].concat().chunks(piece) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        yield_now().await;
    }
    stream.close().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut has_yielded, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn a_101_in_any_pieces_keeps_the_frames_behind_it() {
    let frames = [Frame::text("hello"), Frame::close(1000, "")];
    let frames = frames.map(|frame| frame.bytes(Role::Server)).concat();
    for piece in [1, 2, 3, 50, 10_000] {
        for kind in [Scripted::interrupted, Scripted::slow, Scripted::buffering] {
            let (near, far) = duplex();
            let client = async {
                let (mut socket, _) = builder().connect_over(kind(near)).await.unwrap();
                let first = socket.next().await.unwrap().unwrap();
                assert_eq!(first, Message::text("hello"));
                let second = socket.next().await.unwrap().unwrap();
                assert!(matches!(second, Message::Close(_)));
                assert!(socket.next().await.is_none());
            };
            let both = async { join!(client, serve(far, &frames, piece)) };
            drive(both, || true).expect("nobody waits");
        }
    }
}

#[test]
fn a_head_above_the_limits_is_refused_early() {
    for (first, then, limit) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"a: b\r\n"[..], 128 * 6),
        (b"HTTP/1.1 101 OK\r\nUpgrade: ", b"w", 64 * 1024),
        (b"HTTP/1.1 101 ", b"x", 64 * 1024),
        (b"HTTP/1.1 101 x\r\n", b"x", 64 * 1024),
    ] {
        let (connected, read) = over_attack(first, Then::Again(then.to_vec().into()));
        assert!(matches!(fault(connected), HandshakeError::Head(_)));
        assert!(read <= limit + 2 * READ, "{read} bytes were read");
    }
}

#[test]
fn interim_responses_have_an_end() {
    let large = format!("HTTP/1.1 103 E\r\nLink: {}\r\n\r\n", "x".repeat(65_000));
    for interim in ["HTTP/1.1 100\r\n\r\n", &large] {
        let (connected, read) = over_attack(b"", Then::Again(interim.to_owned().into()));
        assert_eq!(fault(connected), HandshakeError::TooManyInterim);
        assert!(read <= 9 * interim.len() + READ, "{read} bytes were read");
        // The ninth is the answer.
        let first = [&interim.repeat(8), "HTTP/1.1 404 No\r\n\r\n"].concat();
        let (connected, _) = over_attack(first.as_bytes(), Then::End);
        assert_eq!(unexpected(connected).status(), 404);
    }
}

#[test]
fn an_endless_body_is_cut_and_soon() {
    for (head, body, most) in [
        ("", "x", MAX_BODY),
        ("Content-Length: 18446744073709551615\r\n", "x", MAX_BODY),
        ("Transfer-Encoding: chunked\r\n", "ffff\r\n", MAX_BODY),
        // The dearest body: a byte of it for each line of the longest kind.
        (
            "Transfer-Encoding: chunked\r\n",
            &format!("1;{}\r\nx\r\n", "e".repeat(252)),
            MAX_BODY * 259,
        ),
    ] {
        let first = format!("HTTP/1.1 503 No\r\n{head}\r\n");
        let (connected, read) = over_attack(first.as_bytes(), Then::Again(body.to_owned().into()));
        let response = unexpected(connected);
        assert_eq!(response.status(), 503);
        assert_eq!(response.body().len(), MAX_BODY);
        assert!(read <= most + first.len() + READ, "{read} bytes were read");
    }
}

#[test]
fn a_stream_that_fails_within_the_answer_is_no_panic() {
    let head = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 9\r\n\r\n";
    for cut in 0..head.len() {
        let (connected, _) = over_attack(&head[..cut], Then::End);
        assert_eq!(fault(connected), HandshakeError::Ended);
        let (connected, _) = over_attack(&head[..cut], Then::Fail(ErrorKind::ConnectionReset));
        assert!(matches!(connected, Err(Error::Io(_))), "{connected:?}");
    }
    // The status is there: whatever comes then does not hide it.
    for then in [Then::End, Then::Fail(ErrorKind::ConnectionReset)] {
        let (connected, _) = over_attack(&[&head[..], b"abc"].concat(), then);
        let response = unexpected(connected);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.body(), b"abc");
    }
}

/// A stream that reports more bytes than it has moved.
struct Liar {
    reads: bool,
}

impl AsyncRead for Liar {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.reads {
            Poll::Ready(Ok(buf.len() + 1))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncWrite for Liar {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len() + usize::from(!self.reads)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_lies_about_lengths_has_failed() {
    for reads in [true, false] {
        match over(Liar { reads }) {
            Err(Error::Io(error)) => assert!(error.to_string().contains("IO traits")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_counts() {
    let answer = b"HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n";
    // The server takes a part of the request, and then no more.
    let (near, mut far) = duplex_with_capacity(100);
    now(far.write_all(answer)).unwrap();
    let connected = drive(builder().connect_over(near), || true);
    let response = unexpected(connected.expect("the answer is there"));
    assert_eq!(response.status(), 431);
    drop(far);
    // It takes nothing, and has reset the connection.
    let (near, mut far) = duplex();
    now(far.write_all(answer)).unwrap();
    let (stream, script) = Scripted::new(near);
    script.fail_writes(ErrorKind::BrokenPipe);
    assert_eq!(unexpected(over(stream)).status(), 431);
    // Without an answer, the failed write is the error.
    let (near, far) = duplex();
    let (stream, script) = Scripted::new(near);
    script.fail_writes(ErrorKind::BrokenPipe);
    drop(far);
    match over(stream) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_that_is_shown_is_a_secret() {
    let builder = ClientBuilder::new("ws://me:secret@a.example/?token=secret")
        .header(AUTHORIZATION, "Bearer secret")
        .header(COOKIE, "secret");
    let invalid = builder.clone().header(AUTHORIZATION, "secret\r\n");
    for builder in [builder, invalid] {
        let shown = format!("{builder:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let error = over_builder(builder);
        let texts = [
            error.to_string(),
            format!("{error:#}"),
            format!("{error:?}"),
        ];
        for text in texts {
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

fn over_builder(builder: ClientBuilder) -> Error {
    let connecting = builder.connect_over(Attack::new(&b""[..], Then::End));
    now(connecting).unwrap_err()
}

#[test]
fn a_byte_that_no_target_may_have_is_refused() {
    // Both of them end up in the request line.
    for uri in ["ws://a/\u{7f}", "ws://a/?\u{7f}", "ws://a/\0", "ws://a/\t"] {
        let error = over_builder(ClientBuilder::new(uri));
        assert!(matches!(error, Error::Config(_)), "{uri:?} {error:?}");
    }
}

#[test]
fn a_connected_client_holds_no_more_than_any_socket() {
    let held = |connects: bool| {
        let (near, far) = duplex();
        let mut kept = None;
        let config = Still::without_timers().config();
        let info = allocation_counter::measure(|| {
            kept = Some(if connects {
                let connecting = ClientBuilder::new(URI)
                    .config(config.clone())
                    .connect_over(near);
                let both = async { join!(connecting, accept(far)) };
                let (connected, far) = drive(both, || true).expect("nobody waits");
                (connected.unwrap().0, far)
            } else {
                (anyws::testing::client(near, &config).unwrap(), far)
            });
        });
        drop(kept);
        info.bytes_current
    };
    // What is made once for each thread.
    held(true);
    held(false);
    let (connected, plain) = (held(true), held(false));
    // The pipes of the duplex have grown by what was sent through them.
    assert!(connected < plain + 2048, "{connected} {plain}");
}

async fn accept(mut far: anyws::testing::Duplex) -> anyws::testing::Duplex {
    let answer = switching(&request(&mut far).await);
    far.write_all(&answer).await.unwrap();
    far
}

runtimes! {
    async fn a_refusal_counts_although_the_request_is_not_read(rt) {
        let (listener, address) = listen().await;
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 431 Too Large\r\n\r\n")
                .await
                .unwrap();
            // What was not read makes this a reset.
            drop(stream);
        };
        let builder = ClientBuilder::new(format!("ws://{address}/"))
            .network(network(&rt))
            .header(COOKIE, "x".repeat(16 << 20));
        let (connected, ()) = join!(builder.connect(), server);
        assert_eq!(unexpected(connected).status(), 431);
    }

    async fn a_slow_body_does_not_hide_the_status(rt) {
        let time = Paused::new(&rt);
        let (near, mut far) = duplex();
        let builder = ClientBuilder::new(URI).config(time.config());
        let connected = time.run(builder.connect_over(near));
        request(&mut far).await;
        far.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 1000\r\n\r\n")
            .await
            .unwrap();
        for _ in 0..9 {
            far.write_all(b"x").await.unwrap();
            time.advance(Duration::from_secs(1)).await;
        }
        time.advance(Duration::from_secs(1)).await;
        let response = unexpected(connected.await.unwrap());
        assert_eq!(response.status(), 503);
        assert_eq!(response.body(), b"xxxxxxxxx");
        assert_eq!(time.timers(), 0);
    }

    async fn a_server_that_never_reads_or_never_answers_is_given_up(rt) {
        for capacity in [1, 10_000] {
            let time = Paused::new(&rt);
            let (near, _far) = duplex_with_capacity(capacity);
            let (stream, script) = Scripted::new(near);
            let builder = ClientBuilder::new(URI).config(time.config());
            let connected = time.run(builder.connect_over(stream));
            time.advance(Duration::from_millis(9_999)).await;
            assert!(!script.is_dropped());
            time.advance(Duration::from_millis(1)).await;
            let connected = connected.await.unwrap();
            assert!(
                matches!(connected, Err(Error::Timeout(TimeoutPhase::Handshake))),
                "{connected:?}"
            );
            assert!(script.is_dropped());
            assert_eq!((time.timers(), time.spawned()), (0, 1));
        }
    }
}

#[test]
fn a_config_without_a_runtime_is_enough_in_memory() {
    let (near, far) = duplex();
    let connecting = ClientBuilder::new(URI)
        .config(WebSocketConfig::new())
        .connect_over(near);
    let both = async { join!(connecting, accept(far)) };
    let (connected, _far) = drive(both, || true).expect("nobody waits");
    connected.unwrap();
}
