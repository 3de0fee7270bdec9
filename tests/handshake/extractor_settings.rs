//! Settings of the extractor beside a config: what is set on the extractor wins, in any order.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyws::{
    ConfigError, Error, Message, Rejection, Runtime, Sleep, TransportConfig, WebSocketConfig,
    testing,
};
use futures::{AsyncWriteExt, future::BoxFuture};
use http::{Request, StatusCode};
use support::{
    config, runtimes,
    upgrades::{
        self, Upgrade, assert_echoes, echo, extract, extract_from, failed, raw_upgrade, witness,
    },
};

/// One setter, with the values of a test in it.
type Set = fn(Upgrade) -> Upgrade;

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let (mut request, _) = testing::upgrade("/");
    for &(name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

fn upgrade(headers: &[(&'static str, &'static str)]) -> Upgrade {
    Upgrade::from_request(&mut request(headers)).unwrap()
}

/// Calls a setter after `set_config`, before it, and between two of them.
fn in_every_order(ws: impl Fn() -> Upgrade, config: &WebSocketConfig, set: Set) -> [Upgrade; 3] {
    [
        set(ws().set_config(config.clone())),
        set(ws()).set_config(config.clone()),
        set(ws().set_config(WebSocketConfig::new())).set_config(config.clone()),
    ]
}

/// Demands one answer to a request, whenever the setter is called.
fn assert_answer(
    headers: &[(&'static str, &'static str)],
    config: &WebSocketConfig,
    set: Set,
    status: StatusCode,
) {
    for ws in in_every_order(|| upgrade(headers), config, set) {
        assert_eq!(ws.accept().0.status(), status, "{headers:?}");
    }
}

/// Demands one error of the settings, whenever the setter is called.
async fn assert_error(transport: TransportConfig, set: Set, expected: ConfigError) {
    let config = WebSocketConfig::new().set_transport(transport);
    for ws in in_every_order(|| upgrade(&[]), &config, set) {
        let (response, upgrading) = ws.accept();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        match upgrading.await {
            Err(Error::Config(error)) => assert_eq!(error, expected),
            other => panic!("not an error of the settings: {other:?}"),
        }
    }
}

#[test]
fn protocols_win_over_those_of_a_config() {
    let offer = [("sec-websocket-protocol", "news, chat, mail")];
    let config = WebSocketConfig::new().set_protocols(["news"]);
    for ws in in_every_order(|| upgrade(&offer), &config, |ws| ws.protocols(["chat"])) {
        assert_eq!(ws.selected_protocol(), Some("chat"));
        let response = ws.accept().0;
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    }
    // None is a list too.
    for ws in in_every_order(|| upgrade(&offer), &config, |ws| ws.protocols([""; 0])) {
        assert_eq!(ws.selected_protocol(), None);
    }
}

#[test]
fn names_with_handlers_are_behind_the_list_that_wins() {
    let offer = [("sec-websocket-protocol", "mail, news, chat")];
    let config = WebSocketConfig::new().set_protocols(["news"]);
    let handler_and_list: Set = |ws| ws.on_protocol("mail", echo).protocols(["chat"]);
    for ws in in_every_order(|| upgrade(&offer), &config, handler_and_list) {
        assert_eq!(ws.selected_protocol(), Some("chat"));
    }
    let handler: Set = |ws| ws.on_protocol("mail", echo);
    for ws in in_every_order(|| upgrade(&offer), &config, handler) {
        assert_eq!(ws.selected_protocol(), Some("news"));
    }
    let offer = [("sec-websocket-protocol", "mail, news")];
    for ws in in_every_order(|| upgrade(&offer), &config, handler_and_list) {
        assert_eq!(ws.selected_protocol(), Some("mail"));
    }
}

#[test]
fn a_callback_decides_whatever_the_lists_say() {
    let offer = [("sec-websocket-protocol", "news, chat")];
    let config = WebSocketConfig::new().set_protocols(["news"]);
    let select: Set = |ws| ws.select_protocol(|_| Some("chat"));
    for ws in in_every_order(|| upgrade(&offer), &config, select) {
        assert_eq!(ws.selected_protocol(), Some("chat"));
    }
}

#[test]
fn require_protocol_wins_over_that_of_a_config() {
    let config = WebSocketConfig::new().set_protocols(["chat"]);
    let required = config.clone().set_require_protocol(true);
    let demand: Set = |ws| ws.require_protocol(true);
    let waive: Set = |ws| ws.require_protocol(false);
    assert_answer(&[], &config, demand, StatusCode::BAD_REQUEST);
    assert_answer(&[], &required, waive, StatusCode::SWITCHING_PROTOCOLS);
}

#[test]
fn allowed_origins_win_over_those_of_a_config() {
    let config = WebSocketConfig::new().set_allowed_origins(["https://old.example"]);
    let set: Set = |ws| ws.allowed_origins(["https://app.example"]);
    for (origin, status) in [
        ("https://app.example", StatusCode::SWITCHING_PROTOCOLS),
        ("https://old.example", StatusCode::FORBIDDEN),
    ] {
        assert_answer(&[("origin", origin)], &config, set, status);
    }
}

#[test]
fn allow_missing_origin_wins_over_that_of_a_config() {
    let strict = WebSocketConfig::new().set_allowed_origins(["https://app.example"]);
    let lax = strict.clone().set_allow_missing_origin(true);
    let allow: Set = |ws| ws.allow_missing_origin(true);
    let forbid: Set = |ws| ws.allow_missing_origin(false);
    assert_answer(&[], &strict, allow, StatusCode::SWITCHING_PROTOCOLS);
    assert_answer(&[], &lax, forbid, StatusCode::FORBIDDEN);
}

#[test]
fn each_limit_wins_over_that_of_a_config_and_leaves_the_others() {
    let shared = TransportConfig::default()
        .read_buffer_size(10_001)
        .write_buffer_size(10_002)
        .max_write_buffer_size(10_003)
        .max_message_size(10_004)
        .max_frame_size(10_005)
        .fragment_size(10_006)
        .accept_unmasked_frames(true);
    let limits: [(Set, TransportConfig); 7] = [
        (|ws| ws.read_buffer_size(1), shared.read_buffer_size(1)),
        (|ws| ws.write_buffer_size(1), shared.write_buffer_size(1)),
        (
            |ws| ws.max_write_buffer_size(20_000),
            shared.max_write_buffer_size(20_000),
        ),
        (|ws| ws.max_message_size(1), shared.max_message_size(1)),
        (|ws| ws.max_frame_size(None), shared.max_frame_size(None)),
        (|ws| ws.fragment_size(2048), shared.fragment_size(2048)),
        (
            |ws| ws.accept_unmasked_frames(false),
            shared.accept_unmasked_frames(false),
        ),
    ];
    let config = WebSocketConfig::new().set_transport(shared);
    for (set, expected) in limits {
        assert_ne!(expected, shared);
        let expected = upgrade(&[]).set_config(WebSocketConfig::new().set_transport(expected));
        for ws in in_every_order(|| upgrade(&[]), &config, set) {
            // It shows the settings.
            assert_eq!(format!("{ws:?}"), format!("{expected:?}"));
        }
    }
}

#[test]
fn limits_of_the_extractor_are_checked_with_those_of_the_config() {
    futures::executor::block_on(async {
        let shared = TransportConfig::default();
        let small = shared.max_write_buffer_size(64 * 1024);
        let write = ConfigError::WriteLimit {
            max: 64 * 1024,
            write: 1024 * 1024,
        };
        assert_error(small, |ws| ws.write_buffer_size(1024 * 1024), write.clone()).await;
        let large = shared.write_buffer_size(1024 * 1024);
        assert_error(large, |ws| ws.max_write_buffer_size(64 * 1024), write).await;
        let zero = ConfigError::ZeroLimit("max_message_size");
        assert_error(shared, |ws| ws.max_message_size(0), zero).await;
        let zero = ConfigError::ZeroLimit("max_frame_size");
        assert_error(shared, |ws| ws.max_frame_size(0), zero).await;
        let short = ConfigError::FragmentSize(1);
        assert_error(shared, |ws| ws.fragment_size(1), short).await;
    });
}

#[test]
fn the_last_value_of_a_setter_is_the_one_and_so_is_the_last_config() {
    let offer = [("sec-websocket-protocol", "news, chat")];
    let news = WebSocketConfig::new().set_protocols(["news"]);
    let ws = upgrade(&offer).protocols(["chat"]).protocols(["news"]);
    let ws = ws.set_config(WebSocketConfig::new());
    assert_eq!(ws.selected_protocol(), Some("news"));
    let ws = upgrade(&offer).set_config(news.set_require_protocol(true));
    let ws = ws.set_config(WebSocketConfig::new());
    assert_eq!(ws.selected_protocol(), None);
    assert_eq!(ws.accept().0.status(), StatusCode::SWITCHING_PROTOCOLS);
}

/// A runtime that counts the tasks it is given.
#[derive(Debug)]
struct Counting(Arc<dyn Runtime>, AtomicUsize);

impl Counting {
    fn new(inner: &Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(inner), AtomicUsize::new(0)))
    }

    fn tasks(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Runtime for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

runtimes! {
    async fn the_runtime_of_the_extractor_wins_over_that_of_a_config(rt) {
        for is_first in [true, false] {
            let (own, shared) = (Counting::new(&rt), Counting::new(&rt));
            let (mut request, client) = testing::upgrade("/");
            let ws = Upgrade::from_request(&mut request).unwrap();
            let settings = WebSocketConfig::new().set_runtime(shared.clone());
            let ws = if is_first {
                ws.runtime(own.clone()).set_config(settings)
            } else {
                ws.set_config(settings).runtime(own.clone())
            };
            let client = client.set_config(config(&rt));
            assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;
            assert!(own.tasks() > 0);
            assert_eq!(shared.tasks(), 0);
        }
    }

    async fn frames_without_a_mask_are_taken_whenever_that_is_set(rt) {
        for ws in in_every_order_on(&rt, |ws| ws.accept_unmasked_frames(true)) {
            let (ws, mut far) = ws;
            let (handler, ran) = witness();
            let _answer = ws.on_upgrade(handler);
            far.write_all(b"\x81\x05hello").await.unwrap();
            let mut socket = ran.await.unwrap();
            assert_eq!(upgrades::next(&mut socket).await, Message::text("hello"));
        }
    }

    async fn contradicting_settings_are_answered_by_500_and_told_once(rt) {
        let (ws, client) = extract(&rt);
        let small = TransportConfig::default().max_write_buffer_size(64 * 1024);
        let ws = ws
            .write_buffer_size(1024 * 1024)
            .set_config(config(&rt).set_transport(small))
            .on_handler_error(|error| panic!("no handler has run: {error}"));
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        // What is wrong is no business of the client's.
        assert!(!response.body().contains("write_buffer_size"));
        assert!(client.open(&response).is_err());
        match error {
            Error::Config(ConfigError::WriteLimit { max, write }) => {
                assert_eq!((max, write), (64 * 1024, 1024 * 1024));
            }
            other => panic!("not an error of the settings: {other:?}"),
        }
    }

    async fn a_client_that_the_extractor_refuses_is_told_so_in_any_order(rt) {
        let ws = extract_from(request(&[]), &rt)
            .protocols(["chat"])
            .require_protocol(true)
            .set_config(WebSocketConfig::new());
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(matches!(error, Error::Rejected(Rejection::NoProtocol)), "{error:?}");
    }
}

/// Extractors whose setter is called before and after `set_config`, with their clients.
fn in_every_order_on(rt: &Arc<dyn Runtime>, set: Set) -> Vec<(Upgrade, testing::Duplex)> {
    let orders: [fn(Upgrade, WebSocketConfig, Set) -> Upgrade; 2] = [
        |ws, config, set| set(ws).set_config(config),
        |ws, config, set| set(ws.set_config(config)),
    ];
    let make = |order: fn(Upgrade, WebSocketConfig, Set) -> Upgrade| {
        let (request, far) = raw_upgrade();
        (order(extract_from(request, rt), config(rt), set), far)
    };
    orders.map(make).into()
}
