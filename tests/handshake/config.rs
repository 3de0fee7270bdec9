//! `WebSocketConfig` and `TransportConfig`: every setting is seen to work, and what cannot work is
//! found.

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyws::{
    CloseCode, CloseFrame, ConfigError, Error, Message, ProtocolError, Runtime, ServerHandshake,
    Sleep, TimeoutPhase, TransportConfig, WebSocket, WebSocketConfig,
    testing::{self, Duplex},
};
use async_tungstenite::tungstenite::protocol::WebSocketConfig as TungsteniteConfig;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::BoxFuture};
use http::{Response, StatusCode};
use support::{
    config,
    raw::{TEXT, masked},
    runtimes,
    upgrades::{
        Upgrade, assert_echoes, close_code, echo, extract, extract_from, failed, next, raw_upgrade,
        request_on,
    },
};

const SHORT: Duration = Duration::from_millis(20);

/// The config and the chain of design.md, section 1, as they are printed there.
fn snippet<H, Fut>(ws: Upgrade, handle_graphql: H, handle_socket: H) -> Response<String>
where
    H: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let config = WebSocketConfig::new()
        .set_transport(TransportConfig::default().write_buffer_size(128 * 1024))
        .set_protocols(["graphql-ws", "graphql-transport-ws"]);

    ws.set_config(config)
        .on_failed_upgrade(|error| eprintln!("no upgrade: {error}"))
        .on_protocol("graphql-ws", handle_graphql)
        .on_upgrade(handle_socket)
}

#[test]
fn the_snippet_of_the_design_works() {
    let (mut request, _client) = testing::upgrade("/");
    let list = "graphql-ws".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", list);
    let rt: Arc<dyn Runtime> = Arc::new(support::threads::ThreadRuntime);
    // The snippet names no runtime.
    request.extensions_mut().insert(rt);
    let ws = Upgrade::from_request(&mut request).unwrap();
    let response = snippet(ws, echo, echo);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-ws");
}

#[test]
fn the_setters_chain() {
    let transport = TransportConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(8 * 1024)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(1024)
        .max_message_size(None)
        .max_frame_size(Some(1024))
        .fragment_size(1024)
        .accept_unmasked_frames(true);
    let config = WebSocketConfig::default()
        .set_transport(transport)
        .set_protocols(["chat"])
        .set_require_protocol(true)
        .set_allowed_origins(["https://app.example".to_owned()])
        .set_allow_missing_origin(true)
        .set_runtime(Arc::new(support::threads::ThreadRuntime))
        .set_head_timeout(SHORT)
        .set_upgrade_timeout(SHORT)
        .set_close_timeout(SHORT);
    assert!(config.clone().validate().is_ok());
}

#[test]
fn the_defaults_are_valid() {
    assert!(WebSocketConfig::new().validate().is_ok());
    assert_eq!(TransportConfig::default(), TransportConfig::default());
}

#[test]
fn a_larger_write_buffer_alone_is_valid() {
    for size in [0, 128 * 1024, 1024 * 1024, 1024 * 1024 * 1024] {
        let transport = TransportConfig::default().write_buffer_size(size);
        let config = WebSocketConfig::new().set_transport(transport);
        assert!(config.validate().is_ok(), "{size}");
    }
}

/// Settings that cannot work, and what is said of them.
fn impossible() -> Vec<(WebSocketConfig, ConfigError)> {
    let transport = |transport, error| (WebSocketConfig::new().set_transport(transport), error);
    let protocols = |name: &'static str| {
        let config = WebSocketConfig::new().set_protocols(["chat", name]);
        (config, ConfigError::Protocol(name.to_owned()))
    };
    let origins = |origin: &'static str| {
        let config = WebSocketConfig::new().set_allowed_origins(["https://app.example", origin]);
        (config, ConfigError::Origin(origin.to_owned()))
    };
    let default = TransportConfig::default();
    let write_limit = |write, max| {
        let limits = default.write_buffer_size(write).max_write_buffer_size(max);
        transport(limits, ConfigError::WriteLimit { max, write })
    };
    let zero = ConfigError::ZeroLimit;
    vec![
        write_limit(1024, 1024),
        write_limit(1024, 1023),
        write_limit(0, 0),
        // A limit that was set stays, also where the buffer is set after it.
        transport(
            default.max_write_buffer_size(3).write_buffer_size(4),
            ConfigError::WriteLimit { max: 3, write: 4 },
        ),
        transport(default.max_message_size(0), zero("max_message_size")),
        transport(default.max_frame_size(0), zero("max_frame_size")),
        transport(default.fragment_size(1023), ConfigError::FragmentSize(1023)),
        protocols(""),
        protocols("a b"),
        protocols("a,b"),
        protocols("a/b"),
        protocols("\u{e4}"),
        protocols("a\r\nb"),
        origins(""),
        origins("*"),
        origins("app.example"),
        origins("https://app.example/"),
        origins("https://me@app.example"),
        origins("https://[zz]"),
        origins("https://*"),
        origins("*.example"),
        origins("https://a.*.example"),
        origins("https://*.*.example"),
        origins("https://*a.example"),
        origins("https://*.example:*"),
        (
            WebSocketConfig::new().set_allowed_origins([""; 0]),
            ConfigError::NoOrigins,
        ),
    ]
}

fn config_error(error: Error) -> ConfigError {
    match error {
        Error::Config(error) => error,
        other => panic!("not an error of the settings: {other:?}"),
    }
}

#[test]
fn what_cannot_work_is_found() {
    for (config, expected) in impossible() {
        let found = config.validate().unwrap_err();
        assert_eq!(config_error(found), expected);
    }
}

#[test]
fn a_low_watermark_needs_no_other_setting() {
    for max in [1, 1000, 32 * 1024] {
        let transport = TransportConfig::default().max_write_buffer_size(max);
        let config = WebSocketConfig::new().set_transport(transport);
        assert!(config.validate().is_ok(), "{max}");
    }
}

#[test]
fn what_is_said_of_it_names_the_setting() {
    let text = |error: ConfigError| Error::from(error).to_string();
    let error = text(ConfigError::WriteLimit { max: 3, write: 4 });
    assert!(error.contains("max_write_buffer_size (3)"), "{error}");
    assert!(error.contains("write_buffer_size (4)"), "{error}");
    for (error, names) in [
        (ConfigError::NoProtocols, ["set_protocols", "on_protocol"]),
        (
            ConfigError::NoOrigins,
            ["set_allow_missing_origin", "list some"],
        ),
        (
            ConfigError::Origin("*.a".to_owned()),
            ["\"*.a\"", "scheme://*.domain"],
        ),
    ] {
        let text = text(error);
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }
    for name in ["max_message_size", "a b"] {
        let error = ConfigError::Protocol(name.to_owned());
        assert!(text(error).contains(name));
    }
}

/// Both are made for each request: what they would cost is counted in allocations.
#[test]
fn default_settings_and_a_clone_of_others_allocate_nothing() {
    let info = allocation_counter::measure(|| drop(WebSocketConfig::new()));
    assert_eq!(info.count_total, 0);
    let config = WebSocketConfig::new()
        .set_protocols(["a".to_owned(), "b".to_owned()])
        .set_allowed_origins(["https://app.example", "https://*.example"]);
    let info = allocation_counter::measure(|| drop(config.clone()));
    assert_eq!(info.count_total, 0);
}

runtimes! {
    async fn a_required_subprotocol_where_none_is_supported_is_a_mistake(rt) {
        let config = config(&rt).set_require_protocol(true);
        // A callback or a handler may come with the upgrade.
        assert!(config.validate().is_ok());
        let ws = extract(&rt).0.set_config(config.clone());
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(config_error(error), ConfigError::NoProtocols);

        let (near, mut far) = testing::duplex();
        let accepted = anyws::accept(near, config).await;
        assert_eq!(config_error(accepted.unwrap_err()), ConfigError::NoProtocols);
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }

    async fn what_cannot_work_is_an_answer_of_500_and_a_call_back(rt) {
        for (config, expected) in impossible() {
            let ws = extract(&rt).0.set_config(config.set_runtime(rt.clone()));
            let (response, error) = failed(ws).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(config_error(error), expected);
        }
    }

    async fn what_cannot_work_is_an_error_of_accept_and_nothing_is_written(rt) {
        for (config, expected) in impossible() {
            let (near, mut far) = testing::duplex();
            let accepted = anyws::accept(near, config.set_runtime(rt.clone())).await;
            assert_eq!(config_error(accepted.unwrap_err()), expected);
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty());
        }
    }

    async fn what_cannot_work_is_an_error_of_a_pair(rt) {
        for (config, expected) in impossible() {
            let pair = testing::pair_with(&config.set_runtime(rt.clone()));
            assert_eq!(config_error(pair.unwrap_err()), expected);
        }
    }
}

/// What a test sets on an extractor.
type Set = fn(Upgrade) -> Upgrade;

/// Sets a transport, ours or tungstenite's, by the config.
fn transport(ws: Upgrade, transport: impl Into<TransportConfig>) -> Upgrade {
    ws.set_config(WebSocketConfig::new().set_transport(transport))
}

fn tungstenite() -> TungsteniteConfig {
    TungsteniteConfig::default()
}

fn default() -> TransportConfig {
    TransportConfig::default()
}

/// Opens a connection whose server is as `set` leaves it.
async fn connect(rt: &Arc<dyn Runtime>, set: Set) -> (WebSocket, WebSocket) {
    let (ws, client) = extract(rt);
    let (response, upgrading) = set(ws).runtime(Arc::clone(rt)).accept();
    (client.open(&response).unwrap(), upgrading.await.unwrap())
}

/// Opens a connection whose server is as `set` leaves it, and whose client is the test, byte for
/// byte; at most `capacity` bytes are under way.
async fn connect_raw(rt: &Arc<dyn Runtime>, set: Set, capacity: usize) -> (Duplex, WebSocket) {
    let (near, far) = testing::duplex_with_capacity(capacity);
    let ws = extract_from(request_on(async { Ok(near) }), rt);
    let (_response, upgrading) = set(ws).runtime(Arc::clone(rt)).accept();
    (far, upgrading.await.unwrap())
}

/// Capacity enough for all that these tests send.
const ROOMY: usize = 1024 * 1024;

const HEADER: usize = 2;

async fn read_exact(far: &mut Duplex, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    far.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// A stream that takes all that is written, and keeps it for the test.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Vec<u8>>>);

impl Counting {
    /// Returns how many frames were written, which carry so many bytes of payload in all; their
    /// headers have 4 bytes, but for the last one, whose header may be shorter.
    fn frames(&self, payload: usize) -> usize {
        let written = self.0.lock().unwrap();
        (written.len() - payload).div_ceil(4)
    }
}

impl futures::AsyncRead for Counting {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl futures::AsyncWrite for Counting {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Tells whether the server has written anything.
fn has_written(far: &mut Duplex) -> bool {
    far.read(&mut [0; 1]).now_or_never().is_some()
}

/// A limit that no Close frame exceeds.
const LIMIT: usize = 200;

fn text(length: usize) -> Message {
    Message::text("x".repeat(length))
}

async fn assert_too_large(client: &mut WebSocket, server: &mut WebSocket) {
    let error = server.next().await.unwrap().unwrap_err();
    let too_large = matches!(
        error,
        Error::Protocol(ProtocolError::TooLarge { limit: LIMIT, .. })
    );
    assert!(too_large, "{error:?}");
    assert!(server.next().await.is_none());
    assert_eq!(close_code(client).await, CloseCode::Size);
}

runtimes! {
    async fn a_message_above_max_message_size_closes_with_1009(rt) {
        let sets: [Set; 5] = [
            // As axum has it, and as Volo has it.
            |ws| ws.max_message_size(LIMIT),
            |ws| ws.max_message_size(Some(LIMIT)),
            |ws| transport(ws, default().max_message_size(LIMIT)),
            |ws| transport(ws, default().max_message_size(Some(LIMIT))),
            |ws| transport(ws, tungstenite().max_message_size(Some(LIMIT))),
        ];
        for set in sets {
            let (mut client, mut server) = connect(&rt, set).await;
            client.send(text(LIMIT)).await.unwrap();
            assert_eq!(next(&mut server).await, text(LIMIT));
            client.send(text(LIMIT + 1)).await.unwrap();
            assert_too_large(&mut client, &mut server).await;
        }
    }

    async fn the_fragments_of_a_message_count_together(rt) {
        let (ws, client) = extract(&rt);
        let (response, upgrading) = ws.max_message_size(LIMIT).accept();
        let fragments = config(&rt).set_transport(default().fragment_size(LIMIT - 1));
        let mut client = client.set_config(fragments).open(&response).unwrap();
        let mut server = upgrading.await.unwrap();
        client.send(text(LIMIT)).await.unwrap();
        assert_eq!(next(&mut server).await, text(LIMIT));
        client.send(text(LIMIT + 1)).await.unwrap();
        assert_too_large(&mut client, &mut server).await;
    }

    async fn a_frame_above_max_frame_size_closes_with_1009(rt) {
        let sets: [Set; 5] = [
            |ws| ws.max_frame_size(LIMIT),
            |ws| ws.max_frame_size(Some(LIMIT)),
            |ws| transport(ws, default().max_frame_size(LIMIT)),
            |ws| transport(ws, default().max_frame_size(Some(LIMIT))),
            |ws| transport(ws, tungstenite().max_frame_size(Some(LIMIT))),
        ];
        for set in sets {
            let (mut client, mut server) = connect(&rt, set).await;
            client.send(text(LIMIT)).await.unwrap();
            assert_eq!(next(&mut server).await, text(LIMIT));
            client.send(text(LIMIT + 1)).await.unwrap();
            assert_too_large(&mut client, &mut server).await;
        }
    }

    async fn a_message_above_fragment_size_is_sent_in_fragments_of_it(rt) {
        let sets: [Set; 2] = [
            |ws| ws.fragment_size(1024),
            |ws| transport(ws, default().fragment_size(1024)),
        ];
        for set in sets {
            let (mut far, mut server) = connect_raw(&rt, set, ROOMY).await;
            server.send(text(2049)).await.unwrap();
            server.send(text(1024)).await.unwrap();
            let [part, rest] = [vec![b'x'; 1024], vec![b'x']];
            let frames = [
                &b"\x01\x7e\x04\x00"[..], &part, b"\x00\x7e\x04\x00", &part, b"\x80\x01", &rest,
                b"\x81\x7e\x04\x00", &part,
            ]
            .concat();
            assert!(read_exact(&mut far, frames.len()).await == frames);
        }
    }

    async fn what_is_sent_is_not_cut_by_the_limit_of_what_is_received(rt) {
        let (mut far, mut server) = connect_raw(&rt, |ws| ws.max_frame_size(100), ROOMY).await;
        server.send(text(125)).await.unwrap();
        let frame = [&b"\x81\x7d"[..], &[b'x'; 125]].concat();
        assert_eq!(read_exact(&mut far, frame.len()).await, frame);
    }

    async fn a_long_message_in_small_fragments_is_taken_by_a_peer_with_the_same_settings(rt) {
        const LENGTH: usize = 13_200_000;
        let transport = default().max_frame_size(1024).fragment_size(1024);
        let config = config(&rt).set_transport(transport);
        let (mut client, mut server) = testing::pair_with(&config).unwrap();
        let message = Message::binary(vec![7; LENGTH]);
        let (sent, received) = futures::join!(client.send(message.clone()), server.next());
        sent.unwrap();
        assert!(received.unwrap().unwrap() == message);
    }

    async fn a_message_has_65536_fragments_at_most(rt) {
        const FRAGMENTS: usize = 65_536;
        let transport = default().fragment_size(1024);
        // One byte more than so many fragments of this size would hold: they are longer.
        let length = FRAGMENTS * 1024 + 1;
        let message = Message::binary(vec![7; length]);
        let stream = Counting::default();
        let config = config(&rt).set_transport(transport);
        let mut socket = testing::server(stream.clone(), &config).unwrap();
        socket.send(message).await.unwrap();
        let frames = stream.frames(length);
        assert!((FRAGMENTS / 2..=FRAGMENTS).contains(&frames), "{frames} fragments");
    }

    async fn control_frames_pass_whatever_the_sizes_of_frames(rt) {
        let (ws, client) = extract(&rt);
        let (response, upgrading) = ws.max_frame_size(1).accept();
        // Settings of a test's client are not validated.
        let cut = config(&rt).set_transport(default().fragment_size(1));
        let mut client = client.set_config(cut).open(&response).unwrap();
        let mut server = upgrading.await.unwrap();
        let ping = Message::Ping(vec![0; 125].into());
        client.send(ping.clone()).await.unwrap();
        assert_eq!(next(&mut server).await, ping);
        let away = CloseFrame {
            code: CloseCode::Away,
            reason: "bye".into(),
        };
        client.send(Message::Close(Some(away))).await.unwrap();
        assert_eq!(close_code(&mut server).await, CloseCode::Away);
    }

    async fn no_limit_is_a_setting_too(rt) {
        let sets: [Set; 2] = [
            |ws| {
                ws.max_message_size(LIMIT)
                    .max_message_size(None)
                    .max_frame_size(None)
            },
            |ws| {
                transport(
                    ws,
                    tungstenite().max_message_size(None).max_frame_size(None),
                )
            },
        ];
        for set in sets {
            let (mut client, mut server) = connect(&rt, set).await;
            client.send(text(1000)).await.unwrap();
            assert_eq!(next(&mut server).await, text(1000));
        }
    }

    async fn frames_that_are_not_masked_are_taken_if_accepted(rt) {
        let sets: [Set; 3] = [
            |ws| ws.accept_unmasked_frames(true),
            |ws| transport(ws, default().accept_unmasked_frames(true)),
            |ws| transport(ws, tungstenite().accept_unmasked_frames(true)),
        ];
        for set in sets {
            let (mut far, mut server) = connect_raw(&rt, set, ROOMY).await;
            far.write_all(b"\x81\x05hello").await.unwrap();
            assert_eq!(next(&mut server).await, Message::text("hello"));
            far.write_all(&masked(TEXT, b"hello")).await.unwrap();
            assert_eq!(next(&mut server).await, Message::text("hello"));
        }
    }

    async fn frames_that_are_not_masked_close_with_1002_otherwise(rt) {
        let (mut far, mut server) = connect_raw(&rt, |ws| ws, ROOMY).await;
        far.write_all(b"\x81\x05hello").await.unwrap();
        let error = server.next().await.unwrap().unwrap_err();
        assert!(
            matches!(error, Error::Protocol(ProtocolError::UnmaskedFrame)),
            "{error:?}"
        );
        let close = read_exact(&mut far, 4).await;
        assert_eq!((close[0], &close[2..]), (0x88, &1002_u16.to_be_bytes()[..]));
    }

    async fn what_is_fed_is_written_above_write_buffer_size(rt) {
        let sets: [Set; 3] = [
            |ws| ws.write_buffer_size(1000),
            |ws| transport(ws, default().write_buffer_size(1000)),
            |ws| transport(ws, tungstenite().write_buffer_size(1000)),
        ];
        for set in sets {
            let (mut far, mut server) = connect_raw(&rt, set, ROOMY).await;
            server.feed(text(100)).await.unwrap();
            assert!(!has_written(&mut far));
            server.feed(text(1000)).await.unwrap();
            assert!(has_written(&mut far));
        }
    }

    async fn what_is_fed_is_written_above_half_of_a_low_watermark(rt) {
        let connected = connect_raw(&rt, |ws| ws.max_write_buffer_size(2000), ROOMY);
        let (mut far, mut server) = connected.await;
        server.feed(text(900)).await.unwrap();
        assert!(!has_written(&mut far));
        server.feed(text(200)).await.unwrap();
        assert!(has_written(&mut far));
    }

    async fn what_is_fed_is_written_above_64_kib_by_default(rt) {
        let (mut far, mut server) = connect_raw(&rt, |ws| ws, ROOMY).await;
        // With the headers of the frames, of 4 and of 2 bytes.
        server.feed(text(64 * 1024 - 6)).await.unwrap();
        server.feed(text(0)).await.unwrap();
        assert!(!has_written(&mut far));
        server.feed(text(0)).await.unwrap();
        assert!(has_written(&mut far));
    }

    async fn a_write_buffer_size_of_0_writes_each_message_at_once(rt) {
        let sets: [Set; 2] = [
            |ws| ws.write_buffer_size(0),
            |ws| transport(ws, tungstenite().write_buffer_size(0)),
        ];
        for set in sets {
            let (mut far, mut server) = connect_raw(&rt, set, ROOMY).await;
            server.feed(text(100)).await.unwrap();
            let frame = read_exact(&mut far, HEADER + 100).await;
            assert_eq!(frame[..HEADER], [0x81, 100]);
        }
    }

    async fn feed_and_send_wait_above_max_write_buffer_size(rt) {
        let sets: [Set; 3] = [
            |ws| ws.write_buffer_size(100).max_write_buffer_size(500),
            |ws| {
                transport(
                    ws,
                    default().write_buffer_size(100).max_write_buffer_size(500),
                )
            },
            |ws| {
                transport(
                    ws,
                    tungstenite()
                        .write_buffer_size(100)
                        .max_write_buffer_size(500),
                )
            },
        ];
        for set in sets {
            let (_far, mut server) = connect_raw(&rt, set, 1).await;
            // A single message is taken whatever its size.
            server.feed(text(1000)).await.unwrap();
            assert!(server.feed(text(1)).now_or_never().is_none());
            assert!(server.send(text(1)).now_or_never().is_none());
        }
        let roomier: Set = |ws| ws.write_buffer_size(100).max_write_buffer_size(5000);
        let (_far, mut server) = connect_raw(&rt, roomier, 1).await;
        server.feed(text(1000)).await.unwrap();
        server
            .feed(text(1))
            .now_or_never()
            .expect("there is room")
            .unwrap();
    }

    async fn messages_arrive_whole_whatever_the_read_buffer_size(rt) {
        let sets: [Set; 6] = [
            |ws| ws.read_buffer_size(0),
            |ws| ws.read_buffer_size(1),
            |ws| ws.read_buffer_size(ROOMY),
            |ws| transport(ws, default().read_buffer_size(1)),
            |ws| transport(ws, tungstenite()),
            |ws| transport(ws, tungstenite().read_buffer_size(1)),
        ];
        for set in sets {
            let (mut client, mut server) = connect(&rt, set).await;
            for length in [0, 1, 125, 126, 5000, 50_000] {
                client.send(text(length)).await.unwrap();
                assert_eq!(next(&mut server).await, text(length));
            }
        }
    }

    async fn the_read_buffer_size_is_a_setting_of_the_socket(rt) {
        let sets: [Set; 3] = [
            |ws| ws.read_buffer_size(512),
            |ws| transport(ws, default().read_buffer_size(512)),
            |ws| transport(ws, tungstenite().read_buffer_size(512)),
        ];
        for set in sets {
            // How a stream is read is the engine's affair: no more is seen of it than this.
            let settings = format!("{:?}", set(extract(&rt).0));
            assert!(settings.contains("read_buffer_size: 512"), "{settings}");
        }
    }

    async fn every_timeout_may_be_longer_than_the_clock_lasts(rt) {
        let ever = Duration::MAX;
        let config = config(&rt)
            .set_upgrade_timeout(ever)
            .set_close_timeout(ever);
        let (ws, client) = extract(&rt);
        let response = ws
            .set_config(config.set_head_timeout(ever))
            .on_upgrade(echo);
        assert_echoes(client.open(&response).unwrap()).await;
    }

    async fn the_upgrade_timeout_ends_the_wait_for_the_server(rt) {
        let config = config(&rt).set_upgrade_timeout(SHORT);
        let started = rt.now();
        let ws = extract_from(request_on(pending()), &rt).set_config(config);
        let error = ws.accept().1.await.unwrap_err();
        assert!(matches!(error, Error::Timeout(TimeoutPhase::Upgrade)), "{error:?}");
        assert!(rt.now() >= started + SHORT);
    }

    async fn the_close_timeout_ends_the_wait_for_the_peer(rt) {
        let (request, _far) = raw_upgrade();
        let config = config(&rt).set_close_timeout(SHORT);
        let ws = extract_from(request, &rt).set_config(config);
        let mut server = ws.accept().1.await.unwrap();
        let started = rt.now();
        let error = server.close(None).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(TimeoutPhase::Close)), "{error:?}");
        assert!(rt.now() >= started + SHORT);
    }

    async fn the_head_timeout_ends_the_wait_for_the_request(rt) {
        let (near, _far) = testing::duplex();
        let started = rt.now();
        let read = ServerHandshake::read(near, config(&rt).set_head_timeout(SHORT)).await;
        assert!(matches!(read, Err(Error::Rejected(_))), "{read:?}");
        assert!(rt.now() >= started + SHORT);
    }

    async fn timeouts_that_were_set_are_an_error_on_a_runtime_without_timers(rt) {
        timeouts_that_were_set_are_errors(Untimed::on(&rt)).await;
    }

    async fn default_timeouts_are_off_on_a_runtime_without_timers(rt) {
        default_timeouts_are_off(Untimed::on(&rt)).await;
    }
}

/// A runtime that only spawns.
#[derive(Debug)]
struct Untimed(Arc<dyn Runtime>);

impl Untimed {
    fn on(rt: &Arc<dyn Runtime>) -> Arc<dyn Runtime> {
        Arc::new(Self(Arc::clone(rt)))
    }
}

impl Runtime for Untimed {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        unreachable!("it is called only if there are timers");
    }

    fn has_timers(&self) -> bool {
        false
    }
}

#[cfg(feature = "rt-tokio")]
fn on_tokio_without_timers<F: Future<Output = ()>>(
    body: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static,
) {
    support::bounded(|| {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        tokio.block_on(async {
            let rt = anyws::rt::detect().expect("this is tokio");
            assert!(!rt.has_timers());
            body(rt).await;
        });
    });
}

#[cfg(feature = "rt-tokio")]
#[test]
fn timeouts_that_were_set_are_an_error_on_a_tokio_without_timers() {
    on_tokio_without_timers(timeouts_that_were_set_are_errors);
}

#[cfg(feature = "rt-tokio")]
#[test]
fn default_timeouts_are_off_on_a_tokio_without_timers() {
    on_tokio_without_timers(default_timeouts_are_off);
}

async fn timeouts_that_were_set_are_errors(rt: Arc<dyn Runtime>) {
    let long = Duration::from_secs(3600);
    for config in [
        config(&rt).set_head_timeout(long),
        config(&rt).set_upgrade_timeout(long),
        config(&rt).set_close_timeout(long),
    ] {
        let (response, error) = failed(extract(&rt).0.set_config(config.clone())).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(matches!(error, Error::NoRuntime), "{error:?}");

        let (response, upgrading) = extract(&rt).0.set_config(config.clone()).accept();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(matches!(upgrading.await, Err(Error::NoRuntime)));

        let read = ServerHandshake::read(testing::duplex().0, config.clone()).await;
        assert!(matches!(read, Err(Error::NoRuntime)), "{read:?}");

        let pair = testing::pair_with(&config);
        assert!(matches!(pair, Err(Error::NoRuntime)), "{pair:?}");
    }
}

async fn default_timeouts_are_off(rt: Arc<dyn Runtime>) {
    let (ws, client) = extract(&rt);
    assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;

    let (near, mut far) = testing::duplex();
    let request = support::raw::Request::new();
    far.write_all(&request.bytes()).await.unwrap();
    let mut server = anyws::accept(near, config(&rt)).await.unwrap();
    far.write_all(&masked(TEXT, b"hello")).await.unwrap();
    assert_eq!(next(&mut server).await, Message::text("hello"));
    // Nothing waits for the peer's Close, as nothing would end the wait.
    let away = CloseFrame {
        code: CloseCode::Away,
        reason: "bye".into(),
    };
    server.close(away).await.unwrap();
    drop(server);
    let mut written = Vec::new();
    far.read_to_end(&mut written).await.unwrap();
    assert!(written.ends_with(b"\x88\x05\x03\xe9bye"));
}
