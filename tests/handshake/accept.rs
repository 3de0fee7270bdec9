//! `accept` and `ServerHandshake`: a WebSocket on a bare stream, without any HTTP library.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task,
    time::{Duration, Instant},
};

use anyws::{
    ConfigError, Error, HeadError, Message, Rejection, Result, Runtime, ServerHandshake, Sleep,
    WebSocketConfig,
    testing::{self, Duplex},
};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt,
    executor::block_on,
    future::{BoxFuture, join},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
use support::tcp;
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
use support::upgrades::echo;
use support::{
    attack::{Attack, Then},
    config,
    raw::{ACCEPT, Request, TEXT, masked, parse_head},
    runtimes,
    upgrades::{next, read_head},
};

/// Writes `bytes` and reads on until the server has closed.
async fn ask(mut far: Duplex, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    // A server that has refused may read no more.
    let _ = far.write_all(bytes).await;
    far.read_to_end(&mut answer).await.unwrap();
    answer
}

/// Reads a handshake that comes as `bytes`, and what is answered if it is refused or rejected.
async fn served<T>(
    bytes: &[u8],
    serve: impl AsyncFnOnce(Duplex) -> Result<T>,
) -> (Result<T>, Response<String>) {
    let (near, far) = testing::duplex();
    let (served, answer) = join(serve(near), ask(far, bytes)).await;
    let (head, length) = parse_head(&answer).expect("there is an answer");
    let body = String::from_utf8(answer[length..].to_vec()).unwrap();
    (served, head.map(|()| body))
}

/// Accepts with `config`; returns why not, and what the client is told.
async fn refused(config: WebSocketConfig, request: &Request) -> (Rejection, Response<String>) {
    let accept = async |io| anyws::accept(io, config).await;
    let (accepted, answer) = served(&request.bytes(), accept).await;
    assert_refusal(&answer);
    match accepted {
        Err(Error::Rejected(rejection)) => (rejection, answer),
        other => panic!("not refused: {other:?}"),
    }
}

/// Demands an answer that ends the connection and has a body of the announced length.
fn assert_refusal(answer: &Response<String>) {
    let headers = answer.headers();
    let length = answer.body().len().to_string();
    assert_eq!(headers[header::CONTENT_LENGTH], length);
    let mut connection = headers.get_all(header::CONNECTION).iter();
    assert!(connection.next_back().is_some_and(|last| last == "close"));
    assert!(!headers.contains_key(header::SEC_WEBSOCKET_ACCEPT));
}

fn cookie_request() -> Request {
    Request::new()
        .line("GET /chat?room=1 HTTP/1.1")
        .with("Cookie", &["id=7"])
        .with("Sec-WebSocket-Protocol", &["b, a", "c"])
}

/// A stream that fails at its first read.
struct Failing;

impl AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        _: &mut [u8],
    ) -> task::Poll<io::Result<usize>> {
        task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        _: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        unreachable!("there is nothing to answer");
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}

runtimes! {
    async fn accept_answers_101_and_serves(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let mut socket = anyws::accept(near, config(&rt)).await.unwrap();
        let answer = read_head(&mut far).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()[header::UPGRADE], "websocket");
        assert_eq!(answer.headers()[header::CONNECTION], "upgrade");
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_ACCEPT], ACCEPT);
        assert_eq!(answer.headers().len(), 3);

        far.write_all(&masked(TEXT, b"hello")).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text("hello"));
        socket.send("hello".into()).await.unwrap();
        let mut frame = [0; 7];
        far.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x05hello");
    }

    async fn the_request_is_seen_before_it_is_answered(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(&cookie_request().bytes()).await.unwrap();
        let handshake = ServerHandshake::read(near, config(&rt)).await.unwrap();
        let request = handshake.request();
        assert_eq!(request.method(), http::Method::GET);
        assert_eq!(request.uri().path(), "/chat");
        assert_eq!(request.uri().query(), Some("room=1"));
        assert_eq!(request.version(), http::Version::HTTP_11);
        assert_eq!(request.headers()["cookie"], "id=7");
        let requested: Vec<&str> = handshake.requested_protocols().collect();
        assert_eq!(requested, ["b", "a", "c"]);
        // Nothing is answered yet.
        let mut answer = Vec::new();
        drop(handshake);
        far.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }

    async fn a_handshake_that_was_read_is_accepted(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(&cookie_request().bytes()).await.unwrap();
        let config = config(&rt).set_protocols(["a", "b"]);
        let handshake = ServerHandshake::read(near, config).await.unwrap();
        let socket = handshake.accept().await.unwrap();
        assert_eq!(socket.protocol(), Some("a"));
        let answer = read_head(&mut far).await;
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_PROTOCOL], "a");
    }

    async fn the_answer_of_101_takes_headers_of_the_servers(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(&cookie_request().bytes()).await.unwrap();
        let config = config(&rt).set_protocols(["a"]);
        let handshake = ServerHandshake::read(near, config).await.unwrap();
        let mut headers = HeaderMap::new();
        for cookie in ["a=1; HttpOnly", "b=2"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        headers.insert("x-room", HeaderValue::from_static("garden"));
        let mut socket = handshake.accept_with(headers).await.unwrap();
        assert_eq!(socket.protocol(), Some("a"));
        socket.send("hello".into()).await.unwrap();

        let answer = read_head(&mut far).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_ACCEPT], ACCEPT);
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_PROTOCOL], "a");
        let cookies = answer.headers().get_all(header::SET_COOKIE);
        assert!(cookies.iter().eq(["a=1; HttpOnly", "b=2"]));
        assert_eq!(answer.headers()["x-room"], "garden");
        assert_eq!(answer.headers().len(), 7);
        let mut frame = [0; 7];
        far.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x05hello");
    }

    async fn no_header_of_the_handshakes_is_taken_from_the_server(rt) {
        for name in [
            "connection",
            "upgrade",
            "content-length",
            "transfer-encoding",
            "sec-websocket-accept",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
            "sec-websocket-version",
        ] {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([
                (header::SET_COOKIE, HeaderValue::from_static("a=1")),
                (name.clone(), HeaderValue::from_static("0")),
            ]);
            let accept = async |io| {
                let handshake = ServerHandshake::read(io, config(&rt)).await?;
                handshake.accept_with(headers).await
            };
            let (accepted, answer) = served(&Request::new().bytes(), accept).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_refusal(&answer);
            // Which it is, is no business of the client's.
            assert!(!answer.body().contains(name.as_str()));
            assert!(!answer.headers().contains_key(header::SET_COOKIE));
            let Err(Error::Config(error)) = accepted else {
                panic!("{name}: {accepted:?}");
            };
            assert_eq!(error, ConfigError::HandshakeHeader(name));
        }
    }

    async fn the_settings_refuse_a_client_though_there_are_headers(rt) {
        let accept = async |io| {
            let config = config(&rt).set_allowed_origins(["https://app.example"]);
            let handshake = ServerHandshake::read(io, config).await?;
            let headers = [(header::SET_COOKIE, HeaderValue::from_static("a=1"))];
            handshake.accept_with(HeaderMap::from_iter(headers)).await
        };
        let (accepted, answer) = served(&Request::new().bytes(), accept).await;
        assert!(matches!(accepted, Err(Error::Rejected(Rejection::Origin))), "{accepted:?}");
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(!answer.headers().contains_key(header::SET_COOKIE));
    }

    async fn a_handshake_that_was_read_is_rejected_by_any_response(rt) {
        let response = Response::builder()
            .status(StatusCode::NOT_FOUND)
            .header("x-room", "none")
            .header(header::CONTENT_LENGTH, 1000)
            .header(header::TRANSFER_ENCODING, "chunked")
            .body("no such room\n")
            .unwrap();
        let reject = async |io| {
            let handshake = ServerHandshake::read(io, config(&rt)).await?;
            handshake.reject(response).await
        };
        let (rejected, answer) = served(&Request::new().bytes(), reject).await;
        assert!(rejected.is_ok());
        assert_refusal(&answer);
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()["x-room"], "none");
        assert!(!answer.headers().contains_key(header::TRANSFER_ENCODING));
        assert_eq!(answer.body(), "no such room\n");
    }

    async fn a_rejection_by_a_status_without_a_body_has_none(rt) {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let reject = async |io| {
                let handshake = ServerHandshake::read(io, config(&rt)).await?;
                let response = Response::builder().status(status);
                handshake.reject(response.body("a body").unwrap()).await
            };
            let (rejected, answer) = served(&Request::new().bytes(), reject).await;
            assert!(rejected.is_ok());
            assert_eq!(answer.status(), status);
            assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
            assert_eq!(answer.body(), "");
        }
    }

    async fn a_head_may_come_byte_by_byte(rt) {
        // Each byte fills the stream.
        let (near, mut far) = testing::duplex_with_capacity(1);
        let client = async {
            far.write_all(&cookie_request().bytes()).await.unwrap();
            let answer = read_head(&mut far).await;
            far.write_all(&masked(TEXT, b"hello")).await.unwrap();
            answer
        };
        let server = async {
            let mut socket = anyws::accept(near, config(&rt)).await.unwrap();
            assert_eq!(next(&mut socket).await, Message::text("hello"));
        };
        let (answer, ()) = join(client, server).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    }

    async fn frames_behind_the_head_are_kept_wherever_they_are_cut(rt) {
        let head = Request::new().bytes();
        let frames = [masked(TEXT, b"one"), masked(TEXT, b"two")].concat();
        for cut in 0..frames.len() {
            let (near, mut far) = testing::duplex();
            let (early, late) = frames.split_at(cut);
            far.write_all(&[&head, early].concat()).await.unwrap();
            let mut socket = anyws::accept(near, config(&rt)).await.unwrap();
            far.write_all(late).await.unwrap();
            assert_eq!(next(&mut socket).await, Message::text("one"));
            assert_eq!(next(&mut socket).await, Message::text("two"));
        }
    }

    async fn a_stream_that_ends_in_the_head_is_closed_without_handshake(rt) {
        let bytes = Request::new().bytes();
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let (near, mut far) = testing::duplex();
            far.write_all(&bytes[..length]).await.unwrap();
            far.close().await.unwrap();
            let accepted = anyws::accept(near, config(&rt)).await;
            assert!(
                matches!(accepted, Err(Error::ClosedWithoutHandshake)),
                "{accepted:?}"
            );
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty());
        }
    }

    async fn a_stream_that_fails_is_an_error_of_io(rt) {
        let accepted = anyws::accept(Failing, config(&rt)).await;
        let Err(Error::Io(error)) = accepted else {
            panic!("not an error of IO: {accepted:?}");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    async fn a_client_that_is_gone_before_the_answer_is_an_error_of_io(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let handshake = ServerHandshake::read(near, config(&rt)).await.unwrap();
        drop(far);
        let accepted = handshake.accept().await;
        assert!(matches!(accepted, Err(Error::Io(_))), "{accepted:?}");
    }

    async fn a_refusal_names_the_header_at_fault(rt) {
        for (name, wrong, rejection) in [
            ("Host", &[][..], Rejection::Host),
            ("Upgrade", &["h2c"], Rejection::UpgradeHeader),
            ("Connection", &["notupgrade"], Rejection::ConnectionHeader),
            ("Sec-WebSocket-Key", &["short"], Rejection::KeyHeader),
            ("Sec-WebSocket-Version", &["8"], Rejection::VersionHeader),
            (
                "Sec-WebSocket-Protocol",
                &["a, a"],
                Rejection::ProtocolHeader,
            ),
            (
                "Sec-WebSocket-Extensions",
                &["a b"],
                Rejection::ExtensionsHeader,
            ),
            ("Content-Length", &["5"], Rejection::Body),
            ("Transfer-Encoding", &["chunked"], Rejection::Body),
        ] {
            let request = Request::new().with(name, wrong);
            let (refused, answer) = refused(config(&rt), &request).await;
            assert_eq!(refused, rejection);
            assert_eq!(answer.status(), rejection.status());
            assert!(answer.body().contains(name), "{name}: {}", answer.body());
            for (name, value) in &rejection.headers() {
                assert_eq!(answer.headers().get(name), Some(value));
            }
        }
    }

    async fn the_settings_refuse_an_origin_with_403(rt) {
        let config = config(&rt).set_allowed_origins(["https://app.example"]);
        let request = Request::new().with("Origin", &["https://evil.example"]);
        let (rejection, answer) = refused(config, &request).await;
        assert_eq!(rejection, Rejection::Origin);
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.body().contains("Origin"));
    }

    async fn the_settings_demand_a_subprotocol_or_answer_400(rt) {
        let config = config(&rt).set_protocols(["z"]).set_require_protocol(true);
        let (rejection, answer) = refused(config, &cookie_request()).await;
        assert_eq!(rejection, Rejection::NoProtocol);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.body().contains("Sec-WebSocket-Protocol"));
    }

    async fn what_is_no_http_is_answered_400(rt) {
        let accept = async |io| anyws::accept(io, config(&rt)).await;
        let (accepted, answer) = served(b"\x16\x03\x01 no HTTP\r\n\r\n", accept).await;
        let malformed = Rejection::Head(HeadError::Malformed);
        assert!(
            matches!(accepted, Err(Error::Rejected(ref it)) if *it == malformed),
            "{accepted:?}"
        );
        assert_refusal(&answer);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }

    async fn a_head_that_takes_too_long_is_answered_408(rt) {
        let (near, mut far) = testing::duplex();
        far.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let accepted = anyws::accept(near, config(&rt).set_head_timeout(SHORT)).await;
        let timeout = Rejection::Head(HeadError::Timeout);
        assert!(
            matches!(accepted, Err(Error::Rejected(ref it)) if *it == timeout),
            "{accepted:?}"
        );
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }

    async fn a_client_that_still_sends_gets_its_refusal(rt) {
        let (near, mut far) = testing::duplex();
        // More than the stream holds, so that it takes a server that reads on after its answer.
        let request = Request::new().with("Content-Length", &["100000"]).bytes();
        let bytes = [request, vec![0; 100_000]].concat();
        let client = async {
            far.write_all(&bytes).await.unwrap();
            read_head(&mut far).await
        };
        let server = anyws::accept(near, config(&rt));
        let (accepted, answer) = join(server, client).await;
        assert!(
            matches!(accepted, Err(Error::Rejected(Rejection::Body))),
            "{accepted:?}"
        );
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
}

/// Refuses a client whose stream is `stream`; returns how long its connection has lasted after
/// that.
async fn lingers(rt: &Arc<dyn Runtime>, mut stream: Attack, timeout: Duration) -> Duration {
    let dropped = stream.dropped();
    let started = rt.now();
    let accepted = anyws::accept(stream, config(rt).set_close_timeout(timeout)).await;
    assert!(matches!(
        accepted,
        Err(Error::Rejected(Rejection::KeyHeader))
    ));
    dropped.await.unwrap();
    rt.now() - started
}

/// A request that is refused, and what follows it.
fn refused_then(then: Then) -> Attack {
    let request = Request::new().with("Sec-WebSocket-Key", &[]).bytes();
    Attack::new(request, then)
}

/// A runtime that keeps its tasks for the test, and whose deadlines have passed.
#[derive(Default)]
struct Late(Mutex<Vec<BoxFuture<'static, ()>>>);

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").finish_non_exhaustive()
    }
}

impl Runtime for Late {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().push(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Passed)
    }
}

struct Passed;

impl Future for Passed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<()> {
        task::Poll::Ready(())
    }
}

impl Sleep for Passed {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}

#[test]
fn a_refused_client_is_left_in_the_first_poll_once_the_deadline_has_passed() {
    for then in [Then::Wait, Then::Again("a".into())] {
        let rt = Arc::new(Late::default());
        let config = WebSocketConfig::new().set_runtime(rt.clone());
        let mut stream = refused_then(then.clone());
        let mut dropped = stream.dropped();
        let accepted = block_on(anyws::accept(stream, config));
        let refusal = Rejection::KeyHeader;
        assert!(matches!(accepted, Err(Error::Rejected(it)) if it == refusal));
        let mut tasks = std::mem::take(&mut *rt.0.lock().unwrap());
        let [lingering] = tasks.as_mut_slice() else {
            panic!("{} tasks linger", tasks.len());
        };
        assert_eq!(dropped.try_recv(), Ok(None));
        assert!(
            lingering.now_or_never().is_some(),
            "it lingers on: {then:?}"
        );
        assert_eq!(dropped.try_recv(), Ok(Some(())));
    }
}

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(3600);

runtimes! {
    async fn a_refused_client_that_sends_for_ever_is_left_at_the_close_timeout(rt) {
        let stream = refused_then(Then::Again("a".into())).gives(100);
        assert!(lingers(&rt, stream, SHORT).await >= SHORT);
    }

    async fn a_refused_client_that_is_silent_is_left_at_the_close_timeout(rt) {
        assert!(lingers(&rt, refused_then(Then::Wait), SHORT).await >= SHORT);
    }

    async fn a_refused_client_that_closes_is_left_at_once(rt) {
        for then in [Then::End, Then::Fail(io::ErrorKind::ConnectionReset)] {
            lingers(&rt, refused_then(then), LONG).await;
        }
    }

    async fn what_is_interrupted_is_done_again(rt) {
        for request in [Request::new(), Request::new().with("Sec-WebSocket-Key", &[])] {
            let (near, far) = testing::duplex();
            let served = anyws::accept(Interrupted::new(near), config(&rt));
            let (served, answer) = join(served, async {
                let mut far = far;
                far.write_all(&request.bytes()).await.unwrap();
                let head = read_head(&mut far).await;
                // What lingers reads on to this.
                far.close().await.unwrap();
                head
            })
            .await;
            match served {
                Ok(_) => assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS),
                Err(Error::Rejected(rejection)) => assert_eq!(answer.status(), rejection.status()),
                Err(error) => panic!("an interruption is no failure: {error:?}"),
            }
        }
    }

    async fn a_refused_client_is_read_on_though_that_is_interrupted(rt) {
        let request = Request::new().with("Sec-WebSocket-Key", &[]).bytes();
        let (near, mut far) = testing::duplex();
        far.write_all(&request).await.unwrap();
        let accepted = anyws::accept(Interrupted::new(near), config(&rt)).await;
        assert!(matches!(accepted, Err(Error::Rejected(_))));
        // More than the stream holds: it is taken only as long as somebody reads.
        far.write_all(&vec![0; 200_000]).await.unwrap();
    }

    async fn a_deadline_counts_though_every_read_is_interrupted(rt) {
        let accepted = anyws::accept(
            Attack::new("", Then::Fail(io::ErrorKind::Interrupted)).takes(usize::MAX),
            config(&rt).set_head_timeout(SHORT).set_close_timeout(SHORT),
        )
        .await;
        let timeout = Rejection::Head(HeadError::Timeout);
        assert!(matches!(accepted, Err(Error::Rejected(ref it)) if *it == timeout), "{accepted:?}");
    }

    async fn a_stream_that_tells_of_more_than_it_did_is_an_error_of_io(rt) {
        for lies in [Lies::Reading, Lies::Writing] {
            let (near, mut far) = testing::duplex();
            far.write_all(&Request::new().bytes()).await.unwrap();
            let accepted = anyws::accept(Lying { io: near, lies }, config(&rt)).await;
            assert!(matches!(accepted, Err(Error::Io(_))), "{lies:?}: {accepted:?}");
        }
    }
}

/// A stream of which every other call is interrupted.
struct Interrupted {
    io: Duplex,
    is_next: bool,
}

impl Interrupted {
    fn new(io: Duplex) -> Self {
        Self { io, is_next: false }
    }

    fn call<T>(
        &mut self,
        call: impl FnOnce(Pin<&mut Duplex>) -> task::Poll<io::Result<T>>,
    ) -> task::Poll<io::Result<T>> {
        self.is_next ^= true;
        if self.is_next {
            return task::Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        call(Pin::new(&mut self.io))
    }
}

impl AsyncRead for Interrupted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut [u8],
    ) -> task::Poll<io::Result<usize>> {
        self.call(|io| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Interrupted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        self.call(|io| io.poll_write(cx, &buf[..buf.len().min(10)]))
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        self.call(|io| io.poll_flush(cx))
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        self.call(|io| io.poll_close(cx))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lies {
    Reading,
    Writing,
}

/// A stream that tells of more bytes than its buffer holds.
struct Lying {
    io: Duplex,
    lies: Lies,
}

impl AsyncRead for Lying {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut [u8],
    ) -> task::Poll<io::Result<usize>> {
        let length = task::ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let is_lie = self.lies == Lies::Reading;
        task::Poll::Ready(Ok(if is_lie { buf.len() + 1 } else { length }))
    }
}

impl AsyncWrite for Lying {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        buf: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        task::Poll::Ready(Ok(buf.len() + 1))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}

/// Talks to a server of echoes that serves one connection after the other.
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
fn assert_serves(server: &tcp::TcpServer) {
    server.echoes(&Request::new());
    let mut client = server.connect();
    client.send(&Request::new().bytes_then("early"));
    assert!(client.answer(&Request::new()).is_some());
    assert_eq!(client.text(), "early");
}

#[cfg(feature = "rt-smol")]
#[test]
fn a_stream_of_smol_is_served_over_tcp() {
    support::bounded(|| {
        assert_serves(&tcp::on_smol(async |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let socket = anyws::accept(stream, WebSocketConfig::new());
                echo(socket.await.unwrap()).await;
            }
        }));
    });
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_stream_of_tokio_is_served_over_tcp() {
    support::bounded(|| {
        assert_serves(&tcp::on_tokio(async |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = anyws::io::TokioIo::new(stream);
                let socket = anyws::accept(stream, WebSocketConfig::new());
                echo(socket.await.unwrap()).await;
            }
        }));
    });
}

#[test]
#[should_panic(expected = "an answer that ends the connection has a final status")]
fn a_rejection_by_an_informational_status_is_a_mistake_that_panics() {
    block_on(async {
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let handshake = ServerHandshake::read(near, WebSocketConfig::new())
            .await
            .unwrap();
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let _ = handshake.reject(response.body("").unwrap()).await;
    });
}
