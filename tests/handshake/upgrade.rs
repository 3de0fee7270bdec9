//! `WebSocketUpgrade`: from a request to a response and a socket, on every runtime.

use std::{
    future::{pending, ready},
    panic::AssertUnwindSafe,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyws::{
    CloseCode, ConfigError, Error, Message, Rejection, Runtime, Sleep, TimeoutPhase, UpgradeIo,
    Upgrading, WebSocket, WebSocketConfig, WebSocketUpgrade, testing,
};
use futures::{AsyncWriteExt, FutureExt, StreamExt, channel::mpsc, future::BoxFuture};
use http::{HeaderMap, Method, Request, StatusCode};
use support::{
    config, runtimes,
    upgrades::{
        Upgrade, assert_echoes, close_code, echo, extract, extract_from, failed, failure, next,
        raw_upgrade, request_on, witness,
    },
};

/// Long for what happens in memory, short for whoever waits for it.
const SHORT: Duration = Duration::from_millis(20);

/// What a middleware leaves in a request.
#[derive(Clone, Debug, PartialEq)]
struct Session(u32);

fn request_of_a_session() -> Request<&'static str> {
    let (mut request, _) = testing::upgrade("/chat?room=1");
    request
        .headers_mut()
        .insert("cookie", "id=7".parse().unwrap());
    request.extensions_mut().insert(Session(7));
    request.map(|()| "the body")
}

#[test]
fn from_request_leaves_all_but_the_connection_in_place() {
    let mut request = request_of_a_session();
    let headers = request.headers().clone();
    let _ws = Upgrade::from_request(&mut request).unwrap();
    assert_eq!(request.headers(), &headers);
    assert_eq!(request.extensions().get(), Some(&Session(7)));
    assert_eq!(request.uri(), "/chat?room=1");
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.into_body(), "the body");
}

#[test]
fn from_parts_leaves_all_but_the_connection_in_place() {
    let mut parts = request_of_a_session().into_parts().0;
    let headers = parts.headers.clone();
    let _ws = Upgrade::from_parts(&mut parts).unwrap();
    assert_eq!(parts.headers, headers);
    assert_eq!(parts.extensions.get(), Some(&Session(7)));
    assert_eq!(parts.uri, "/chat?room=1");
    assert_eq!(parts.method, Method::GET);
}

#[test]
fn a_refused_request_keeps_its_connection_headers_and_extensions() {
    let mut request = request_of_a_session();
    *request.method_mut() = Method::POST;
    let headers = request.headers().clone();
    assert_eq!(rejection(&mut request), Rejection::Method);
    assert_eq!(request.headers(), &headers);
    assert_eq!(request.extensions().get(), Some(&Session(7)));
    *request.method_mut() = Method::GET;
    assert!(Upgrade::from_request(&mut request).is_ok());
}

#[test]
fn a_second_extractor_in_one_request_is_a_rejection() {
    let mut request = request_of_a_session();
    let _ws = Upgrade::from_request(&mut request).unwrap();
    assert_eq!(rejection(&mut request), Rejection::NotUpgradable);
    let mut parts = request.into_parts().0;
    let again = Upgrade::from_parts(&mut parts).unwrap_err();
    assert_eq!(again.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn a_server_without_upgrades_is_a_rejection() {
    let mut request = request_of_a_session();
    request.extensions_mut().clear();
    assert_eq!(rejection(&mut request), Rejection::NotUpgradable);
}

#[test]
fn a_connection_that_was_taken_from_a_copy_of_the_request_is_a_rejection() {
    let mut request = request_of_a_session();
    let mut copy = request.clone();
    let _ws = Upgrade::from_request(&mut copy).unwrap();
    assert_eq!(rejection(&mut request), Rejection::NotUpgradable);
}

fn rejection<T>(request: &mut Request<T>) -> Rejection {
    Upgrade::from_request(request).unwrap_err()
}

#[test]
fn a_refusal_of_the_settings_has_the_body_that_the_user_makes() {
    let answer = |body: fn(String) -> String| {
        let (mut request, _) = testing::upgrade("/");
        let ws = Upgrade::from_request(&mut request).unwrap();
        strict(ws.refusal_body(body)).accept().0
    };
    let reason = Rejection::NoProtocol.to_string();
    assert!(reason.contains("Sec-WebSocket-Protocol"));
    assert_eq!(answer(|reason| reason).body(), &reason);
    assert_eq!(answer(|_| "no".to_owned()).body(), "no");
    let (mut request, _) = testing::upgrade("/");
    let ws = Upgrade::from_request(&mut request).unwrap();
    assert_eq!(strict(ws).accept().0.body(), "");
}

/// Demands a subprotocol that the client does not offer.
fn strict(ws: Upgrade) -> Upgrade {
    ws.protocols(["chat"]).require_protocol(true)
}

runtimes! {
    async fn on_upgrade_answers_101_and_runs_the_handler_in_the_background(rt) {
        let (ws, client) = extract(&rt);
        let response = ws.on_upgrade(echo);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.body(), "");
        assert_echoes(client.open(&response).unwrap()).await;
    }

    async fn a_handler_may_be_a_closure_with_what_it_needs(rt) {
        let (ws, client) = extract(&rt);
        let greeting = Box::new("welcome".to_owned());
        let response = ws.on_upgrade(|mut socket| async move {
            socket.send((*greeting).into()).await.unwrap();
        });
        let mut socket = client.open(&response).unwrap();
        assert_eq!(next(&mut socket).await, Message::text("welcome"));
    }

    async fn accept_returns_the_answer_and_a_future_that_a_struct_can_hold(rt) {
        struct Waiting {
            upgrading: Upgrading,
        }

        let (ws, client) = extract(&rt);
        let (response, upgrading) = ws.accept();
        let waiting = Waiting { upgrading };
        let client = client.open(&response).unwrap();
        rt.spawn(Box::pin(async {
            echo(waiting.upgrading.await.unwrap()).await;
        }));
        assert_echoes(client).await;
    }

    async fn an_upgrade_that_is_dropped_closes_the_connection(rt) {
        let (ws, client) = extract(&rt);
        let (response, upgrading) = ws.accept();
        let mut socket = client.open(&response).unwrap();
        drop(upgrading);
        let end = socket.next().await.unwrap();
        assert!(matches!(end, Err(Error::ClosedWithoutHandshake)), "{end:?}");
    }

    async fn frames_that_came_before_the_answer_are_not_lost(rt) {
        let (request, mut far) = raw_upgrade();
        let hello = support::raw::masked(support::raw::TEXT, b"hello");
        far.write_all(&hello).await.unwrap();
        let (handler, ran) = witness();
        let _answer = extract_from(request, &rt).on_upgrade(handler);
        let mut socket = ran.await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text("hello"));
    }

    async fn an_upgrade_that_succeeds_calls_back_for_no_failure(rt) {
        let (ws, client) = extract(&rt);
        let (on_failed_upgrade, failed) = failure();
        let response = ws.on_failed_upgrade(on_failed_upgrade).on_upgrade(echo);
        assert_echoes(client.open(&response).unwrap()).await;
        assert!(failed.await.is_err());
    }

    async fn a_server_that_fails_to_hand_over_the_connection_is_told_of(rt) {
        let request = request_on(ready(Err("the wire is cut".into())));
        let (response, error) = failed(extract_from(request, &rt)).await;
        // The answer goes out before the server hands over the connection.
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let Error::Upgrade(error) = error else {
            panic!("not an error of the server: {error:?}");
        };
        assert_eq!(error.to_string(), "the wire is cut");
    }

    async fn a_server_that_never_hands_over_the_connection_is_told_of(rt) {
        let config = config(&rt).set_upgrade_timeout(SHORT);
        let ws = extract_from(request_on(pending()), &rt).set_config(config);
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert!(matches!(error, Error::Timeout(TimeoutPhase::Upgrade)), "{error:?}");
    }

    async fn an_upgrade_in_time_is_not_hurried_by_its_timeout(rt) {
        let (near, _far) = testing::duplex();
        let timer = rt.sleep_until(rt.now() + SHORT);
        let request = request_on(async {
            timer.await;
            Ok(near)
        });
        let (handler, ran) = witness();
        let _answer = extract_from(request, &rt).on_upgrade(handler);
        assert!(ran.await.is_ok());
    }

    async fn settings_that_cannot_work_are_told_of_and_answered_by_500(rt) {
        let (ws, client) = extract(&rt);
        let (response, error) = failed(ws.protocols(["no token"])).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let Error::Config(error) = error else {
            panic!("not an error of the settings: {error:?}");
        };
        assert_eq!(error, ConfigError::Protocol("no token".to_owned()));
        assert!(client.open(&response).is_err());
    }

    async fn a_foreign_origin_is_told_of_and_answered_by_403(rt) {
        let ws = extract_from(from_origins(&["https://evil.example"]), &rt);
        let (response, error) = failed(ws.allowed_origins(["https://app.example"])).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(
            matches!(error, Error::Rejected(Rejection::Origin)),
            "{error:?}"
        );
    }

    async fn a_missing_subprotocol_is_told_of_and_answered_by_400(rt) {
        let (ws, _client) = extract(&rt);
        let (response, error) = failed(strict(ws)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(
            matches!(error, Error::Rejected(Rejection::NoProtocol)),
            "{error:?}"
        );
    }

    async fn accept_returns_the_failure_and_calls_nothing_back(rt) {
        let (ws, _client) = extract(&rt);
        let (on_failed_upgrade, failed) = failure();
        let (response, upgrading) = strict(ws.on_failed_upgrade(on_failed_upgrade)).accept();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let error = upgrading.await.unwrap_err();
        assert!(
            matches!(error, Error::Rejected(Rejection::NoProtocol)),
            "{error:?}"
        );
        assert!(failed.await.is_err());
    }

    async fn the_last_of_two_callbacks_is_the_one(rt) {
        let (ws, _client) = extract(&rt);
        let (first, never) = failure();
        let (_, error) = failed(strict(ws).on_failed_upgrade(first)).await;
        assert!(matches!(error, Error::Rejected(_)), "{error:?}");
        assert!(never.await.is_err());
    }

    async fn a_runtime_never_sees_the_panic_of_a_handler(rt) {
        let (panicked, tasks) = mpsc::unbounded();
        let (ws, client) = extract(&rt);
        let inner = Arc::clone(&rt);
        let watching = Arc::new(Watching { inner, panicked });
        let panic = async |_socket| panic!("a handler");
        let response = ws.runtime(watching).on_upgrade(panic);
        assert_closed_with_1011(client.open(&response).unwrap()).await;
        // The channel ends with the last task.
        let panicked: Vec<bool> = tasks.collect().await;
        assert!(!panicked.is_empty());
        assert!(!panicked.contains(&true));
    }

    async fn a_panicking_handler_closes_with_1011_and_harms_nothing_else(rt) {
        panics_are_contained(rt).await;
    }
}

/// A runtime that tells of each of its tasks whether it panicked.
#[derive(Debug)]
struct Watching {
    inner: Arc<dyn Runtime>,
    panicked: mpsc::UnboundedSender<bool>,
}

impl Runtime for Watching {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let panicked = self.panicked.clone();
        self.inner.spawn(Box::pin(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            panicked.unbounded_send(ended.is_err()).unwrap();
        }));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.inner.sleep_until(deadline)
    }
}

#[cfg(feature = "rt-smol")]
#[test]
fn a_panicking_handler_harms_no_executor_of_the_users() {
    support::bounded(|| {
        let executor = Arc::new(smol::Executor::new());
        let rt = anyws::SmolRuntime::with_executor(&executor);
        smol::block_on(executor.run(panics_are_contained(Arc::new(rt))));
    });
}

/// Serves a socket whose handler panics, each time in another place, beside and before sound ones.
async fn panics_are_contained(rt: Arc<dyn Runtime>) {
    let bystander = {
        let (ws, client) = extract(&rt);
        client.open(&ws.on_upgrade(echo)).unwrap()
    };

    let (ws, client) = extract(&rt);
    let response = ws.on_upgrade(|_| -> BoxFuture<'static, ()> { panic!("before the future") });
    assert_closed_with_1011(client.open(&response).unwrap()).await;

    let (ws, client) = extract(&rt);
    let response = ws.on_upgrade(async |_socket| panic!("before the first await"));
    assert_closed_with_1011(client.open(&response).unwrap()).await;

    let (ws, client) = extract(&rt);
    let response = ws.on_upgrade(|mut socket| async move {
        panic!("after an await, on {:?}", socket.next().await);
    });
    let mut socket = client.open(&response).unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_closed_with_1011(socket).await;

    let (ws, client) = extract(&rt);
    let response = ws.on_upgrade(|socket| async {
        let (_sender, mut receiver) = socket.split();
        panic!("with halves, on {:?}", receiver.next().await);
    });
    let mut socket = client.open(&response).unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_closed_with_1011(socket).await;

    let (mut request, client) = testing::upgrade("/");
    let offer = "chat".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let ws = extract_from(request, &rt);
    let response = ws
        .on_protocol("chat", |_| -> BoxFuture<'static, ()> {
            panic!("of a subprotocol")
        })
        .on_upgrade(echo);
    let client = client.set_config(config(&rt));
    assert_closed_with_1011(client.open(&response).unwrap()).await;

    assert_echoes(bystander).await;
    let (ws, client) = extract(&rt);
    assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;
}

async fn assert_closed_with_1011(mut socket: WebSocket) {
    assert_eq!(close_code(&mut socket).await, CloseCode::Error);
    assert!(socket.next().await.is_none());
}

fn from_origins(origins: &[&'static str]) -> Request<()> {
    let (mut request, _) = testing::upgrade("/");
    for origin in origins {
        request
            .headers_mut()
            .append("origin", origin.parse().unwrap());
    }
    request
}

/// Returns the status of the answer to a page of `origins`, where two are allowed.
fn answer_to(origins: &[&'static str]) -> StatusCode {
    let mut request = from_origins(origins);
    let ws = Upgrade::from_request(&mut request).unwrap();
    let allowed = ["https://app.example", "http://localhost:8080"];
    ws.allowed_origins(allowed).accept().0.status()
}

#[test]
fn an_allowed_origin_connects() {
    for origin in [
        "https://app.example",
        "https://app.example:443",
        "HTTPS://App.Example",
        "http://localhost:8080",
    ] {
        assert_eq!(
            answer_to(&[origin]),
            StatusCode::SWITCHING_PROTOCOLS,
            "{origin}"
        );
    }
}

#[test]
fn every_other_origin_is_refused_with_403() {
    for origins in [
        &[][..],
        &[""],
        &["null"],
        &["app.example"],
        &["http://app.example"],
        &["https://app.example:8443"],
        &["https://app.example.evil.example"],
        &["https://evil.example/https://app.example"],
        &["https://evilapp.example"],
        &["https://sub.app.example"],
        &["https://app.example@evil.example"],
        &["http://localhost"],
        &["https://app.example", "https://app.example"],
        &["https://app.example", "https://evil.example"],
        &["https://app.example, https://evil.example"],
    ] {
        assert_eq!(answer_to(origins), StatusCode::FORBIDDEN, "{origins:?}");
    }
}

#[test]
fn without_a_policy_every_origin_connects() {
    for origins in [&[][..], &["null"], &["https://evil.example"]] {
        let mut request = from_origins(origins);
        let ws = Upgrade::from_request(&mut request).unwrap();
        assert_eq!(
            ws.accept().0.status(),
            StatusCode::SWITCHING_PROTOCOLS,
            "{origins:?}"
        );
    }
}

/// Returns the status of the answer to a request from `origins`, as `set` leaves the extractor.
fn answer_as_set(origins: &[&'static str], set: impl FnOnce(Upgrade) -> Upgrade) -> StatusCode {
    let mut request = from_origins(origins);
    set(Upgrade::from_request(&mut request).unwrap())
        .accept()
        .0
        .status()
}

#[test]
fn a_missing_origin_connects_if_that_is_allowed_and_no_other_with_it() {
    let list = |ws: Upgrade| ws.allowed_origins(["https://app.example"]);
    let allow = |ws: Upgrade| ws.allow_missing_origin(true);
    for origins in [&[][..], &["https://app.example"]] {
        let both = answer_as_set(origins, |ws| list(allow(ws)));
        assert_eq!(both, StatusCode::SWITCHING_PROTOCOLS, "{origins:?}");
        assert_eq!(answer_as_set(origins, |ws| allow(list(ws))), both);
    }
    for origins in [
        &[""][..],
        &["null"],
        &["https://evil.example"],
        &["https://app.example", "https://app.example"],
    ] {
        let answer = answer_as_set(origins, |ws| allow(list(ws)));
        assert_eq!(answer, StatusCode::FORBIDDEN, "{origins:?}");
    }
    let off = answer_as_set(&[], |ws| allow(list(ws)).allow_missing_origin(false));
    assert_eq!(off, StatusCode::FORBIDDEN);
}

#[test]
fn an_empty_list_of_origins_allows_a_missing_one_or_is_a_mistake() {
    let none = |ws: Upgrade| ws.allowed_origins([""; 0]);
    let without_browsers = |ws: Upgrade| none(ws).allow_missing_origin(true);
    assert_eq!(
        answer_as_set(&[], without_browsers),
        StatusCode::SWITCHING_PROTOCOLS
    );
    assert_eq!(
        answer_as_set(&["https://app.example"], without_browsers),
        StatusCode::FORBIDDEN
    );
    assert_eq!(answer_as_set(&[], none), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn null_and_file_connect_only_where_they_are_allowed() {
    for (allowed, origin) in [("null", "null"), ("file://", "file://")] {
        let set = |ws: Upgrade| ws.allowed_origins([allowed, "https://app.example"]);
        for origin in [origin, "https://app.example"] {
            let answer = answer_as_set(&[origin], set);
            assert_eq!(answer, StatusCode::SWITCHING_PROTOCOLS, "{origin}");
        }
        for other in ["null", "file://", "file:///", "NULL", "https://null", ""] {
            if other != origin {
                assert_eq!(
                    answer_as_set(&[other], set),
                    StatusCode::FORBIDDEN,
                    "{other}"
                );
            }
        }
        assert_eq!(answer_as_set(&[], set), StatusCode::FORBIDDEN);
    }
}

#[test]
fn a_star_stands_for_one_or_more_labels() {
    let set = |ws: Upgrade| ws.allowed_origins(["https://*.app.example", "http://*.test:8080"]);
    for origin in [
        "https://a.app.example",
        "https://b.a.app.example",
        "https://A.App.Example:443",
        "http://a.test:8080",
    ] {
        let answer = answer_as_set(&[origin], set);
        assert_eq!(answer, StatusCode::SWITCHING_PROTOCOLS, "{origin}");
    }
    for origin in [
        "https://app.example",
        "https://.app.example",
        "https://a..app.example",
        "https://evilapp.example",
        "https://a.evilapp.example",
        "https://a.app.example.evil.example",
        "https://a.app.example.",
        "http://a.app.example",
        "https://a.app.example:8443",
        "http://a.test",
        "http://a.test:80",
        "https://a.test:8080",
        "https://a.app.example/",
        "https://evil.example?.app.example",
        "https://evil.example@a.app.example",
        "null",
        "file://",
    ] {
        assert_eq!(
            answer_as_set(&[origin], set),
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
}

/// A runtime that counts what it is given to do.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Runtime>,
    spawned: AtomicUsize,
}

impl Counting {
    fn new(inner: &Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            spawned: AtomicUsize::new(0),
        })
    }

    fn is_used(&self) -> bool {
        self.spawned.load(Ordering::SeqCst) > 0
    }
}

impl Runtime for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.spawned.fetch_add(1, Ordering::SeqCst);
        self.inner.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.inner.sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}

/// Serves an echo, its request with a runtime in the extensions, and the extractor as `set` leaves
/// it.
async fn echo_with(
    rt: &Arc<dyn Runtime>,
    of_request: &Arc<Counting>,
    set: impl FnOnce(Upgrade) -> Upgrade,
) {
    let (mut request, client) = testing::upgrade("/");
    let of_request: Arc<dyn Runtime> = of_request.clone();
    request.extensions_mut().insert(of_request);
    let ws = Upgrade::from_request(&mut request).unwrap();
    let response = set(ws).on_upgrade(echo);
    assert_echoes(client.set_config(config(rt)).open(&response).unwrap()).await;
}

runtimes! {
    async fn the_runtime_that_is_given_comes_first(rt) {
        let (given, of_request) = (Counting::new(&rt), Counting::new(&rt));
        echo_with(&rt, &of_request, |ws| ws.runtime(given.clone())).await;
        assert!(given.is_used() && !of_request.is_used());
    }

    async fn the_runtime_of_the_settings_counts_as_given(rt) {
        let (given, of_request) = (Counting::new(&rt), Counting::new(&rt));
        let config = WebSocketConfig::new().set_runtime(given.clone());
        echo_with(&rt, &of_request, |ws| ws.set_config(config)).await;
        assert!(given.is_used() && !of_request.is_used());
    }

    async fn the_last_of_two_given_runtimes_is_the_one(rt) {
        let (first, last) = (Counting::new(&rt), Counting::new(&rt));
        let config = WebSocketConfig::new().set_runtime(first.clone());
        let set = |ws: Upgrade| ws.set_config(config).runtime(last.clone());
        echo_with(&rt, &Counting::new(&rt), set).await;
        assert!(last.is_used() && !first.is_used());
    }

    async fn the_runtime_of_the_request_comes_before_the_detected_one(rt) {
        let of_request = Counting::new(&rt);
        echo_with(&rt, &of_request, |ws| ws).await;
        assert!(of_request.is_used());
    }

    async fn the_runtime_that_runs_the_handler_also_closes_a_dropped_socket(rt) {
        let given = Counting::new(&rt);
        let (ws, client) = extract(&rt);
        let response = ws.runtime(given.clone()).on_upgrade(|_| async {});
        let mut socket = client.open(&response).unwrap();
        assert_eq!(close_code(&mut socket).await, CloseCode::Normal);
        socket.close(None).await.unwrap();
        assert_eq!(given.spawned.load(Ordering::SeqCst), 2);
    }
}

/// The body of a test in which nobody names a runtime.
#[cfg(any(feature = "rt-tokio", feature = "rt-smol"))]
async fn echo_on_the_detected_runtime(_: Arc<dyn Runtime>) {
    let (mut request, client) = testing::upgrade("/");
    let ws = Upgrade::from_request(&mut request).unwrap();
    assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;
}

#[cfg(feature = "rt-tokio")]
#[test]
fn without_a_given_one_tokio_is_detected() {
    support::on_tokio(echo_on_the_detected_runtime);
}

#[cfg(feature = "rt-smol")]
#[test]
fn without_a_given_one_and_outside_of_tokio_smol_is_detected() {
    support::on_smol(echo_on_the_detected_runtime);
}

#[test]
fn what_frameworks_demand_to_be_send_and_sync_is() {
    fn send<T: Send>() {}
    fn send_and_sync<T: Send + Sync>() {}
    fn send_value<T: Send>(_: T) {}

    send_and_sync::<Upgrade>();
    // Whatever the body is: it only comes to be with the answer.
    send_and_sync::<WebSocketUpgrade<Rc<()>>>();
    send_and_sync::<UpgradeIo>();
    send_and_sync::<WebSocketConfig>();
    send_and_sync::<Error>();
    send::<Upgrading>();
    send::<WebSocket>();
    send::<anyws::SendHalf>();
    send::<anyws::ReceiveHalf>();
    send::<anyws::ServerHandshake>();

    let (mut socket, other) = testing::pair();
    send_value(socket.next());
    send_value(socket.send("hello".into()));
    send_value(socket.feed("hello".into()));
    send_value(socket.flush());
    send_value(socket.close(None));
    let (mut sender, mut receiver) = other.split();
    send_value(sender.send("hello".into()));
    send_value(sender.close(None));
    send_value(receiver.next());

    let read = || anyws::ServerHandshake::read(testing::duplex().0, WebSocketConfig::new());
    send_value(read());
    send_value(async move { read().await?.accept().await });
    send_value(async move { read().await?.reject(http::Response::new("no")).await });
    send_value(anyws::accept(testing::duplex().0, WebSocketConfig::new()));
}

#[test]
fn the_client_is_sent_no_header_but_those_of_the_answer() {
    let (mut request, _) = testing::upgrade("/");
    let key = support::raw::KEY.parse().unwrap();
    request.headers_mut().insert("sec-websocket-key", key);
    let ws = Upgrade::from_request(&mut request).unwrap();
    let (response, _upgrading) = ws.accept();
    let mut expected = HeaderMap::new();
    expected.insert("connection", "upgrade".parse().unwrap());
    expected.insert("upgrade", "websocket".parse().unwrap());
    let accept = support::raw::ACCEPT.parse().unwrap();
    expected.insert("sec-websocket-accept", accept);
    assert_eq!(response.headers(), &expected);
}
