//! The rows 1 to 17 of the server's opening handshake over HTTP/1.1, each against the echo servers
//! over raw sockets; what only settings can show is tested in memory.
//!
//! A test is named after its row and the section of RFC 6455, or of the other RFC that it names.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyws::{
    ConfigError, Error, HeadError, Message, Rejection, ServerHandshake, WebSocketConfig,
    WebSocketUpgrade,
    testing::{self, Duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, channel::oneshot, executor::block_on, join};
use http::{HeaderMap, HeaderName, Response, Version};
use hyper::{server::conn::http1, service::service_fn};
use smol_hyper::rt::FuturesIo;
use support::{
    against, config,
    raw::{ACCEPT, CLOSE, KEY, Raw, Request, TEXT, masked, parse_head},
    runtimes,
    servers::Server,
};

/// Keys and what answers them, computed by Python's hashlib.
const KEYS: [(&str, &str); 4] = [
    (KEY, ACCEPT),
    ("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
    ("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
    ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
];

/// The limit of a head in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// The limit of a head in lines.
const LINE_LIMIT: usize = 128;

macro_rules! against_all {
    ($($row:ident,)+) => {$(
        against!(
            $row: echo_smol, echo_tokio, echo_hyper_smol, echo_hyper_tokio, echo_volo, echo_axum
        );
    )+};
}

against_all! {
    rule_01_method_is_get_4_2_1,
    rule_02_http_1_1_or_later_rfc9110_7_8,
    rule_03_exactly_one_host_4_2_1,
    rule_04_upgrade_is_a_list_of_tokens_4_2_1,
    rule_05_connection_is_a_list_of_tokens_4_2_1,
    rule_06_key_is_16_bytes_in_canonical_base64_4_2_1,
    rule_07_version_is_13_4_4,
    rule_08_every_426_names_the_upgrade_rfc9110_15_5_22,
    rule_09_protocols_are_unique_tokens_4_1,
    rule_10_extensions_are_well_formed_and_declined_9_1,
    rule_11_the_answer_of_101_4_2_2,
    rule_12_a_request_has_no_body_rfc9112_6,
    rule_13_early_frames_in_any_segments_4_1,
    rule_14_without_a_policy_any_origin_10_2,
    rule_15_no_tunnel_after_a_refusal_4_2_2,
    rule_17_no_101_for_an_unfinished_head_4_2_2,
}

// Volo and axum read the head with hyper's defaults, which are not ours to keep.
against!(
    rule_16_limits_of_the_head_rfc9112_2:
    echo_smol, echo_tokio, echo_hyper_smol, echo_hyper_tokio
);
against!(
    rule_16_a_head_comes_byte_by_byte_rfc9112_2:
    echo_smol, echo_tokio, echo_hyper_smol, echo_hyper_tokio
);
against!(rule_16_a_head_has_a_deadline_rfc9110_15_5_9: echo_hyper_smol, echo_hyper_tokio);

/// Returns the members of a list header.
fn members(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.to_str().unwrap().split(','))
        .map(|member| member.trim().to_ascii_lowercase())
        .collect()
}

/// Returns all lines of a header.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).into_iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

fn rule_01_method_is_get_4_2_1(server: &Server) {
    for target in ["/", "/?room=1&name=a%20b", "http://localhost/"] {
        server.accepts(&Request::new().line(&format!("GET {target} HTTP/1.1")));
    }
    for method in [
        "POST",
        "PUT",
        "HEAD",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "get",
        "WEBSOCKET",
    ] {
        let request = Request::new().line(&format!("{method} / HTTP/1.1"));
        let answer = server.refuses(&request, 405);
        assert_eq!(lines(answer.headers(), "Allow"), ["GET"], "{method}");
    }
    // Whoever routes by the path of the target has none here: 404 is as right as 405.
    server.never_accepts(&Request::new().line("CONNECT localhost:80 HTTP/1.1"));
}

fn rule_02_http_1_1_or_later_rfc9110_7_8(server: &Server) {
    for line in [
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET /",
    ] {
        server.never_accepts(&Request::new().line(line));
    }
    // An `Upgrade` in HTTP/1.0 is as good as none.
    let old = Request::new().line("GET / HTTP/1.0");
    let kept_alive = old.clone().with("Connection", &["keep-alive, Upgrade"]);
    for request in [old, kept_alive] {
        let answer = server.refuses(&request, 426);
        assert_eq!(members(answer.headers(), "Upgrade"), ["websocket"]);
    }
    server.accepts(&Request::new());
}

fn rule_03_exactly_one_host_4_2_1(server: &Server) {
    for host in [
        "localhost",
        "LOCALHOST:9001",
        "127.0.0.1:80",
        "[::1]:80",
        "[::1]",
        "a.example:",
        "a%20b",
    ] {
        server.accepts(&Request::new().with("Host", &[host]));
    }
    for hosts in [
        &[][..],
        &[""],
        &["localhost", "localhost"],
        &["localhost", "evil.example"],
        &["localhost, evil.example"],
        &["user@localhost"],
        &["localhost/path"],
        &["localhost:http"],
        &["local host"],
        &["[zz]"],
        &["[::1"],
        &["a%zz"],
        &["a\\b"],
    ] {
        server.refuses(&Request::new().with("Host", hosts), 400);
    }
}

fn rule_04_upgrade_is_a_list_of_tokens_4_2_1(server: &Server) {
    for lines in [
        &["websocket"][..],
        &["WebSocket"],
        &["WEBSOCKET"],
        &["h2c, websocket"],
        &["websocket,h2c"],
        &["h2c", "websocket"],
        &["websocket", "h2c"],
        &["\twebsocket\t"],
        &["h2c\t,\twebsocket \t,h3"],
        &[", ,websocket,,"],
        &["", "websocket"],
        &["HTTP/2.0, websocket"],
    ] {
        server.accepts(&Request::new().with("Upgrade", lines));
    }
    for lines in [
        &[][..],
        &[""],
        &[",,"],
        &["h2c"],
        &["websockets"],
        &["notwebsocket"],
        &["web socket"],
        &["h2c websocket"],
        &["h2c;websocket"],
        &["\"websocket\""],
        &["\"h2c, websocket, h3\""],
        &["web", "socket"],
    ] {
        server.refuses(&Request::new().with("Upgrade", lines), 426);
    }
}

fn rule_05_connection_is_a_list_of_tokens_4_2_1(server: &Server) {
    for lines in [
        &["Upgrade"][..],
        &["upgrade"],
        &["UPGRADE"],
        &["keep-alive, Upgrade"],
        &["Upgrade,keep-alive"],
        &["keep-alive", "Upgrade"],
        &["Upgrade", "keep-alive"],
        &["Upgrade", "Upgrade"],
        &["\tUpgrade\t"],
        &["keep-alive\t,\tUpgrade \t,te"],
        &[", ,Upgrade,,"],
        &["", "Upgrade"],
    ] {
        server.accepts(&Request::new().with("Connection", lines));
    }
    for lines in [
        &[][..],
        &[""],
        &[",,"],
        &["keep-alive"],
        &["notupgrade"],
        &["upgrades"],
        &["Up", "grade"],
        &["keep-alive Upgrade"],
        &["keep-alive;Upgrade"],
        &["Upgrade;q=1"],
        &["\"Upgrade\""],
        &["\"keep-alive, Upgrade, te\""],
    ] {
        server.refuses(&Request::new().with("Connection", lines), 400);
    }
}

fn rule_06_key_is_16_bytes_in_canonical_base64_4_2_1(server: &Server) {
    for (key, accept) in KEYS {
        let answer = server.accepts(&Request::new().with("Sec-WebSocket-Key", &[key]));
        assert_eq!(lines(answer.headers(), "Sec-WebSocket-Accept"), [accept]);
    }
    let padded = format!(" \t{KEY}\t ");
    server.accepts(&Request::new().with("Sec-WebSocket-Key", &[&padded]));
    let twice = format!("{KEY}, {KEY}");
    let quoted = format!("\"{KEY}\"");
    for keys in [
        &[][..],
        &[""],
        &[KEY, KEY],
        &[KEY, "AAAAAAAAAAAAAAAAAAAAAA=="],
        &[&twice],
        &[&quoted],
        &["dGhlIHNhbXBsZSBub25j"],         // 15 bytes
        &["dGhlIHNhbXBsZSBub25jZSE="],     // 17 bytes
        &["dGhlIHNhbXBsZSBub25jZQ"],       // no padding
        &["dGhlIHNhbXBsZSBub25jZQ="],      // half of the padding
        &["dGhlIHNhbXBsZSBub25jZR=="],     // bits behind the last byte
        &["dGhlIHNhbXBsZSBub25j ZQ=="],    // a space inside
        &["-_-_-_-_-_-_-_-_-_-_-w=="],     // the alphabet of URLs
        &["AAAAAAAAAAAAAAAAAAAAAAAAAAAA"], // 21 bytes
        &["not base64 at all"],
    ] {
        server.refuses(&Request::new().with("Sec-WebSocket-Key", keys), 400);
    }
}

fn rule_07_version_is_13_4_4(server: &Server) {
    server.accepts(&Request::new().with("Sec-WebSocket-Version", &["\t13 "]));
    for versions in [
        &[][..],
        &[""],
        &["0"],
        &["8"],
        &["12"],
        &["14"],
        &["130"],
        &["013"],
        &["+13"],
        &["13.0"],
        &["\"13\""],
        &["13, 8"],
        &["13, 13"],
        &["13", "13"],
        &["8", "13"],
        &["13", "8"],
    ] {
        let answer = server.refuses(&Request::new().with("Sec-WebSocket-Version", versions), 426);
        let spoken = lines(answer.headers(), "Sec-WebSocket-Version");
        assert_eq!(spoken, ["13"], "{versions:?}");
    }
}

fn rule_08_every_426_names_the_upgrade_rfc9110_15_5_22(server: &Server) {
    for request in [
        Request::plain(),
        Request::new().with("Upgrade", &[]),
        Request::new().with("Upgrade", &["h2c"]),
        Request::new().with("Upgrade", &["websocket13"]),
        Request::new().with("Sec-WebSocket-Version", &[]),
        Request::new().with("Sec-WebSocket-Version", &["8"]),
        Request::new().with("Sec-WebSocket-Version", &["13", "13"]),
    ] {
        let answer = server.refuses(&request, 426);
        assert_eq!(members(answer.headers(), "Upgrade"), ["websocket"]);
        let options = members(answer.headers(), "Connection");
        assert!(options.contains(&"upgrade".to_owned()), "{options:?}");
    }
}

fn rule_09_protocols_are_unique_tokens_4_1(server: &Server) {
    // The echo servers speak none: whatever is offered, none is answered.
    for offers in [
        &["chat"][..],
        &["chat, superchat"],
        &["chat", "superchat"],
        &["chat,, ,\tsuperchat\t"],
        &["", "chat"],
        &["chat, CHAT"],
        &["v1.x!#$%&'*+-.^_`|~"],
    ] {
        let answer = server.accepts(&Request::new().with("Sec-WebSocket-Protocol", offers));
        assert!(!answer.headers().contains_key("Sec-WebSocket-Protocol"));
    }
    for offers in [
        &[""][..],
        &[",, ,"],
        &["chat, chat"],
        &["chat", "chat"],
        &["chat, superchat", "more, chat"],
        &["super chat"],
        &["super/chat"],
        &["\"chat\""],
        &["chat;q=1"],
        &["chät"],
    ] {
        server.refuses(&Request::new().with("Sec-WebSocket-Protocol", offers), 400);
    }
}

fn rule_10_extensions_are_well_formed_and_declined_9_1(server: &Server) {
    for offers in [
        &["x-unknown"][..],
        &["x-unknown; a=1; b=\"c\", foo"],
        &["", "x-unknown ;a = \"\\c\" ,, foo"],
        &["x-unknown", "foo; bar"],
        &[
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; x",
        ],
        &["x-webkit-deflate-frame"],
    ] {
        let answer = server.accepts(&Request::new().with("Sec-WebSocket-Extensions", offers));
        assert!(!answer.headers().contains_key("Sec-WebSocket-Extensions"));
    }
    for offers in [
        &[""][..],
        &[",, ,"],
        &["permessage-deflate; a=\"unclosed"],
        &["permessage-deflate; a=\"b, c\""],
        &["permessage-deflate; a=\"\""],
        &["permessage-deflate; ;"],
        &["permessage-deflate; =1"],
        &["permessage-deflate=1"],
        &["permessage deflate"],
        &["\"permessage-deflate\""],
        &["permessage-deflate", ";;; ==, ,"],
        &["x; a=\"b", "c\""],
    ] {
        server.refuses(
            &Request::new().with("Sec-WebSocket-Extensions", offers),
            400,
        );
    }
}

fn rule_11_the_answer_of_101_4_2_2(server: &Server) {
    let answer = server.accepts(&Request::new());
    assert_eq!(answer.version(), Version::HTTP_11);
    let headers = answer.headers();
    assert_eq!(members(headers, "Upgrade"), ["websocket"]);
    assert_eq!(members(headers, "Connection"), ["upgrade"]);
    assert_eq!(lines(headers, "Sec-WebSocket-Accept"), [ACCEPT]);
    for absent in [
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Version",
    ] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
    // Nothing of HTTP, not even an empty body, stands between the head and the frames.
    let mut client = server.connect();
    client.send(&Request::new().bytes_then("first"));
    client.answer(&Request::new()).unwrap();
    assert_eq!(client.text(), "first");
}

fn rule_12_a_request_has_no_body_rfc9112_6(server: &Server) {
    server.accepts(&Request::new().with("Content-Length", &["0"]));
    for (name, values) in [
        ("Content-Length", &["8"][..]),
        ("Content-Length", &["1000000"]),
        ("Transfer-Encoding", &["chunked"]),
        ("Transfer-Encoding", &["gzip, chunked"]),
        // hyper refuses these itself.
        ("Transfer-Encoding", &["identity"]),
        ("Transfer-Encoding", &["gzip"]),
        ("Content-Length", &["8", "8"]),
        ("Content-Length", &["0", "8"]),
        ("Content-Length", &["0, 8"]),
        ("Content-Length", &["+8"]),
        ("Content-Length", &["0x8"]),
        ("Content-Length", &[""]),
        ("Content-Length", &["99999999999999999999"]),
    ] {
        server.refuses(&Request::new().with(name, values), 400);
    }
    let both = Request::new()
        .with("Content-Length", &["0"])
        .with("Transfer-Encoding", &["chunked"]);
    server.refuses(&both, 400);
}

fn rule_13_early_frames_in_any_segments_4_1(server: &Server) {
    let request = Request::new();
    let bytes = request.bytes();
    let frames = ["first", "second", "third"].map(|text| masked(TEXT, text.as_bytes()));
    let all = [&bytes[..], &frames.concat()].concat();
    let echoes = |client: &mut Raw| {
        let answer = client.answer(&request).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(client.text(), "first");
        assert_eq!(client.text(), "second");
        assert_eq!(client.text(), "third");
        // Nothing came twice, and the frame parser is where it should be.
        client.send(&masked(TEXT, b"fourth"));
        assert_eq!(client.text(), "fourth");
    };

    let mut client = server.connect();
    client.send(&all);
    echoes(&mut client);

    let mut client = server.connect();
    client.send_byte_by_byte(&all);
    echoes(&mut client);

    // Cut in the end of the head, in the header, the mask and the payload of a frame, and between
    // two; once without and once with the answer between the two halves.
    let cuts = [0, 1, 2, 4, 6, 8, 11, 12].map(|cut| bytes.len() + cut);
    for cut in [&[bytes.len() - 3, bytes.len() - 1], &cuts[..]].concat() {
        let mut client = server.connect();
        client.send(&all[..cut]);
        client.send(&all[cut..]);
        echoes(&mut client);
    }
    for cut in cuts {
        let mut client = server.connect();
        client.send(&all[..cut]);
        assert_eq!(client.answer(&request).unwrap().status(), 101);
        client.send(&all[cut..]);
        assert_eq!(client.text(), "first");
        assert_eq!(client.text(), "second");
        assert_eq!(client.text(), "third");
    }

    // More than any buffer for a head holds.
    let texts: Vec<_> = (0..200).map(|n| format!("{n:01000}")).collect();
    let burst = texts.iter().map(|text| masked(TEXT, text.as_bytes()));
    let burst: Vec<u8> = [bytes].into_iter().chain(burst).flatten().collect();
    let mut client = server.connect();
    client.send(&burst);
    client.answer(&request).unwrap();
    for text in &texts {
        assert_eq!(client.text(), *text);
    }
}

fn rule_14_without_a_policy_any_origin_10_2(server: &Server) {
    for origins in [&[][..], &["https://a.example"], &["null"], &["a", "b"]] {
        server.accepts(&Request::new().with("Origin", origins));
    }
}

fn rule_15_no_tunnel_after_a_refusal_4_2_2(server: &Server) {
    let refused = Request::new().with("Sec-WebSocket-Version", &["8"]);
    // Whatever follows in the same segment is HTTP or nothing: here a request that names itself by
    // the status of its answer.
    let next = Request::new().line("POST / HTTP/1.1");
    let mut client = server.connect();
    client.send(&[refused.bytes(), next.bytes()].concat());
    assert_eq!(client.answer(&refused).unwrap().status(), 426);
    if let Some(answer) = client.answer(&next) {
        assert_eq!(answer.status(), 405);
    }

    // Frames in the same segment are never echoed.
    let mut client = server.connect();
    client.send(&refused.bytes_then("hello"));
    assert_eq!(client.answer(&refused).unwrap().status(), 426);
    client.finish();
    let rest = client.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1."), "{rest:?}");

    // A handshake that is right at the second try is a handshake: its frames are its own.
    let mut client = server.connect();
    client.send(&refused.bytes());
    assert_eq!(client.answer(&refused).unwrap().status(), 426);
    let sent = client.try_send(&Request::new().bytes_then("hello"));
    if let (Ok(()), Some(answer)) = (sent, client.answer(&Request::new())) {
        assert_eq!(answer.status(), 101);
        assert_eq!(client.text(), "hello");
    }
}

fn rule_16_limits_of_the_head_rfc9112_2(server: &Server) {
    server.accepts(&padded(HEAD_LIMIT));
    server.refuses(&padded(HEAD_LIMIT + 1), 431);
    let target = format!("GET /{} HTTP/1.1", "a".repeat(HEAD_LIMIT));
    let answer = server.never_accepts(&Request::new().line(&target)).unwrap();
    assert!(matches!(answer.status().as_u16(), 414 | 431));

    server.accepts(&with_lines(LINE_LIMIT));
    server.refuses(&with_lines(LINE_LIMIT + 1), 431);
    server.accepts(&Request::new());
}

/// Makes a handshake whose head has `size` bytes.
fn padded(size: usize) -> Request {
    let empty = Request::new().with("X-Pad", &[""]).bytes().len();
    Request::new().with("X-Pad", &[&"a".repeat(size - empty)])
}

/// Makes a handshake whose head has `count` header lines.
fn with_lines(count: usize) -> Request {
    let request = Request::new();
    let pads = vec!["a"; count - request.lines()];
    request.with("X-Pad", &pads)
}

fn rule_16_a_head_comes_byte_by_byte_rfc9112_2(server: &Server) {
    for request in [
        Request::new(),
        with_lines(LINE_LIMIT),
        padded(HEAD_LIMIT / 2),
    ] {
        let mut client = server.connect();
        client.send_byte_by_byte(&request.bytes());
        assert_eq!(client.answer(&request).unwrap().status(), 101);
        client.send(&masked(TEXT, b"hello"));
        assert_eq!(client.text(), "hello");
    }
}

fn rule_16_a_head_has_a_deadline_rfc9110_15_5_9(server: &Server) {
    let started = Instant::now();
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    // hyper says nothing as it closes.
    let rest = client.rest();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "),
        "{rest:?}"
    );
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(9), "{waited:?}");
    server.accepts(&Request::new());
}

fn rule_17_no_101_for_an_unfinished_head_4_2_2(server: &Server) {
    let bytes = Request::new().bytes();
    for length in [0, 1, bytes.len() / 2, bytes.len() - 2, bytes.len() - 1] {
        let mut client = server.connect();
        client.send(&bytes[..length]);
        client.finish();
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
            "{rest:?}"
        );
    }
    server.accepts(&Request::new());
}

/// Reads one head and nothing behind it; `None` if the server has closed before it.
async fn head(client: &mut Duplex) -> Option<Response<()>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while client.read(&mut byte).await.unwrap() == 1 {
        bytes.push(byte[0]);
        if let Some((head, _)) = parse_head(&bytes) {
            return Some(head);
        }
    }
    assert!(bytes.is_empty(), "the answer ends in its head");
    None
}

/// Answers a handshake with one header more, by `accept` and by `WebSocketUpgrade`: they agree.
async fn answer(config: &WebSocketConfig, name: &'static str, values: &[&str]) -> Response<()> {
    let (mut near, far) = testing::duplex();
    let bytes = Request::new().with(name, values).bytes();
    near.write_all(&bytes).await.unwrap();
    let (socket, head) = join!(anyws::accept(far, config.clone()), head(&mut near));
    let head = head.unwrap();
    let protocol = head.headers().get("Sec-WebSocket-Protocol").cloned();

    let mut request = testing::upgrade("/").0;
    for value in values {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
    let upgrade = upgrade.set_config(config.clone());
    let selected = upgrade.selected_protocol().map(str::to_owned);
    let (response, upgrading) = upgrade.accept();
    let also = upgrading.await;

    assert_eq!(head.status(), response.status(), "{values:?}");
    let other = response.headers().get("Sec-WebSocket-Protocol").cloned();
    assert_eq!(protocol, other, "{values:?}");
    for result in [socket, also] {
        match result {
            Ok(socket) => {
                assert_eq!(head.status(), 101);
                assert_eq!(socket.protocol(), selected.as_deref());
                assert_eq!(
                    protocol.as_ref().map(|name| name.to_str().unwrap()),
                    socket.protocol()
                );
            }
            Err(Error::Rejected(rejection)) => assert_eq!(rejection.status(), head.status()),
            Err(error) => panic!("{error}"),
        }
    }
    head
}

runtimes! {
    async fn rule_09_the_servers_list_decides_4_2_2(rt) {
        let config = config(&rt).set_protocols(["soap", "wamp", "chat"]);
        for (offers, chosen) in [
            (&["soap"][..], &["soap"][..]),
            (&["chat, wamp, soap"], &["soap"]),
            (&["chat", "wamp"], &["wamp"]),
            (&["other", "chat"], &["chat"]),
            (&["other,\tchat ,, "], &["chat"]),
            (&["other"], &[]),
            (&["Chat, SOAP"], &[]),
            (&["chats"], &[]),
            (&[], &[]),
        ] {
            let answer = answer(&config, "Sec-WebSocket-Protocol", offers).await;
            assert_eq!(answer.status(), 101);
            assert_eq!(lines(answer.headers(), "Sec-WebSocket-Protocol"), chosen, "{offers:?}");
        }
    }

    async fn rule_09_a_strict_server_insists_on_a_protocol_4_2_2(rt) {
        let config = config(&rt).set_protocols(["chat"]).set_require_protocol(true);
        for (offers, status) in [
            (&["chat"][..], 101),
            (&["other", "chat"], 101),
            (&["other"], 400),
            (&["Chat"], 400),
            (&[], 400),
        ] {
            let answer = answer(&config, "Sec-WebSocket-Protocol", offers).await;
            assert_eq!(answer.status(), status, "{offers:?}");
        }
    }

    async fn rule_09_the_clients_order_is_visible_4_2_2(rt) {
        let (mut near, far) = testing::duplex();
        let request = Request::new().with("Sec-WebSocket-Protocol", &["b, c", "", "a"]);
        near.write_all(&request.bytes()).await.unwrap();
        let handshake = ServerHandshake::read(far, config(&rt)).await.unwrap();
        assert!(handshake.requested_protocols().eq(["b", "c", "a"]));

        let mut request = testing::upgrade("/").0;
        for line in ["b, c", "", "a"] {
            let line = line.parse().unwrap();
            request.headers_mut().append("Sec-WebSocket-Protocol", line);
        }
        let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
        assert!(upgrade.requested_protocols().eq(["b", "c", "a"]));
    }

    async fn rule_09_a_callback_chooses_among_the_offered_4_2_2(rt) {
        let choices = [(Some("a"), 101), (Some("b"), 101), (None, 101), (Some("c"), 500)];
        for (choice, status) in choices {
            let mut request = testing::upgrade("/").0;
            let offers = "b, a".parse().unwrap();
            request.headers_mut().append("Sec-WebSocket-Protocol", offers);
            let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
            let upgrade = upgrade.set_config(config(&rt).set_protocols(["b"]));
            let upgrade = upgrade.select_protocol(|offered| {
                assert!(offered.eq(["b", "a"]));
                choice
            });
            let (response, upgrading) = upgrade.accept();
            assert_eq!(response.status(), status, "{choice:?}");
            let answered = lines(response.headers(), "Sec-WebSocket-Protocol");
            match upgrading.await {
                Ok(socket) => {
                    assert_eq!(socket.protocol(), choice);
                    assert_eq!(answered, Vec::from_iter(choice));
                }
                Err(Error::Config(error)) => {
                    assert_eq!(error, ConfigError::ProtocolNotOffered("c".to_owned()));
                    assert!(answered.is_empty());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn rule_13_early_frames_whatever_the_segmentation_4_1(rt) {
        let all = Request::new().bytes_then("first");
        let all = [all, masked(TEXT, b"second"), masked(CLOSE, b"")].concat();
        for capacity in 1..=all.len() {
            let (near, far) = testing::duplex_with_capacity(capacity);
            let (mut reader, mut writer) = near.split();
            let server = async {
                let mut socket = anyws::accept(far, config(&rt)).await.unwrap();
                let sent = [Message::text("first"), Message::text("second"), Message::Close(None)];
                for message in sent {
                    let next = socket.next().await.unwrap().unwrap();
                    assert_eq!(next, message, "segments of {capacity}");
                }
                assert!(socket.next().await.is_none());
            };
            let mut answer = Vec::new();
            let read = reader.read_to_end(&mut answer);
            let ((), sent, read) = join!(server, writer.write_all(&all), read);
            sent.unwrap();
            read.unwrap();
            assert_eq!(parse_head(&answer).unwrap().0.status(), 101);
        }
    }

    async fn rule_14_only_the_allowed_origins_connect_10_2(rt) {
        let origins = ["https://app.example", "http://localhost:3000"];
        let config = config(&rt).set_allowed_origins(origins);
        for (origins, status) in [
            (&["https://app.example"][..], 101),
            (&["https://app.example:443"], 101),
            (&["HTTPS://App.Example"], 101),
            (&["http://localhost:3000"], 101),
            (&["http://app.example"], 403),
            (&["https://app.example:8443"], 403),
            (&["https://evil.app.example"], 403),
            (&["https://app.example.evil"], 403),
            (&["https://evilapp.example"], 403),
            (&["https://app.example@evil.example"], 403),
            (&["https://app.example/"], 403),
            (&["https://app.example."], 403),
            (&["app.example"], 403),
            (&["http://localhost"], 403),
            (&["http://127.0.0.1:3000"], 403),
            (&["null"], 403),
            (&["*"], 403),
            (&[""], 403),
            (&[], 403),
            (&["https://app.example, https://app.example"], 403),
            (&["https://app.example https://evil.example"], 403),
            (&["https://app.example", "https://app.example"], 403),
            (&["https://app.example", "https://evil.example"], 403),
        ] {
            let answer = answer(&config, "Origin", origins).await;
            assert_eq!(answer.status(), status, "{origins:?}");
        }
    }

    async fn rule_14_patterns_of_origins_and_a_missing_one_10_2(rt) {
        let origins = ["null", "https://*.example", "file://"];
        let config = config(&rt).set_allowed_origins(origins).set_allow_missing_origin(true);
        for (origins, status) in [
            (&["null"][..], 101),
            (&["file://"], 101),
            (&["https://a.example"], 101),
            (&["https://b.a.example"], 101),
            (&[], 101),
            (&["https://example"], 403),
            (&["http://a.example"], 403),
            (&["https://a.example:444"], 403),
            (&["https://aexample"], 403),
            (&[""], 403),
            (&["null", "null"], 403),
            (&["null, null"], 403),
        ] {
            let answer = answer(&config, "Origin", origins).await;
            assert_eq!(answer.status(), status, "{origins:?}");
        }
    }

    async fn rule_15_nothing_is_read_behind_a_refusal_4_2_2(rt) {
        let refused = Request::new().with("Sec-WebSocket-Version", &["8"]);
        let (mut near, far) = testing::duplex();
        near.write_all(&refused.bytes_then("hello")).await.unwrap();
        let result = anyws::accept(far, config(&rt)).await;
        assert!(matches!(result, Err(Error::Rejected(Rejection::VersionHeader))));
        let answer = head(&mut near).await.unwrap();
        assert_eq!(answer.status(), 426);
        let length = lines(answer.headers(), "Content-Length")[0].parse().unwrap();
        let mut body = Vec::new();
        near.read_to_end(&mut body).await.unwrap();
        assert_eq!(body.len(), length);
    }

    async fn rule_16_a_head_in_memory_has_a_deadline_rfc9110_15_5_9(rt) {
        for sent in [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"\r\n\r\n"] {
            let (mut near, far) = testing::duplex();
            near.write_all(sent).await.unwrap();
            let config = config(&rt).set_head_timeout(Duration::from_millis(50));
            let started = rt.now();
            let result = anyws::accept(far, config).await;
            let timeout = Rejection::Head(HeadError::Timeout);
            assert!(matches!(result, Err(Error::Rejected(reason)) if reason == timeout));
            assert!(rt.now() - started >= Duration::from_millis(50));
            assert_eq!(head(&mut near).await.unwrap().status(), 408);
        }
    }

    async fn rule_16_a_dripping_head_does_not_move_its_deadline_rfc9110_15_5_9(rt) {
        let (mut near, far) = testing::duplex();
        let config = config(&rt).set_head_timeout(Duration::from_millis(100));
        let accepting = anyws::accept(far, config).fuse();
        let dripping = async {
            near.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            loop {
                near.write_all(b"a").await.unwrap();
                rt.sleep_until(rt.now() + Duration::from_millis(10)).await;
            }
        };
        let dripping = dripping.fuse();
        futures::pin_mut!(accepting, dripping);
        let result = futures::select_biased! {
            result = accepting => result,
            () = dripping => unreachable!("it drips for ever"),
        };
        let timeout = Rejection::Head(HeadError::Timeout);
        assert!(matches!(result, Err(Error::Rejected(reason)) if reason == timeout));
    }

    async fn rule_17_no_101_before_the_application_accepts_4_2_2(rt) {
        for accept in [true, false] {
            let (mut near, far) = testing::duplex();
            near.write_all(&Request::new().bytes()).await.unwrap();
            let handshake = ServerHandshake::read(far, config(&rt)).await.unwrap();
            let early = near.read(&mut [0; 1]).now_or_never();
            assert!(early.is_none(), "something came before the decision");
            if accept {
                let _socket = handshake.accept().await.unwrap();
                assert_eq!(head(&mut near).await.unwrap().status(), 101);
            } else {
                let not_found = Response::builder().status(404).body("").unwrap();
                handshake.reject(not_found).await.unwrap();
                assert_eq!(head(&mut near).await.unwrap().status(), 404);
                assert!(head(&mut near).await.is_none());
            }
        }
        // Dropped without a decision: no answer at all.
        let (mut near, far) = testing::duplex();
        near.write_all(&Request::new().bytes()).await.unwrap();
        drop(ServerHandshake::read(far, config(&rt)).await.unwrap());
        assert!(head(&mut near).await.is_none());
    }
}

/// One byte at a time, eight times the head costs eight times as much; were the head looked through
/// anew for each byte, it would be sixty-four times.
#[cfg(target_os = "linux")]
#[test]
fn rule_16_the_cost_of_a_head_is_linear_rfc9112_2() {
    let read = |request: &[u8]| {
        let (mut near, far) = testing::duplex_with_capacity(1);
        let config = WebSocketConfig::new();
        let exchange = async { join!(ServerHandshake::read(far, config), near.write_all(request)) };
        let (cost, (handshake, sent)) = support::cost::cost(|| block_on(exchange));
        sent.unwrap();
        drop(handshake.unwrap());
        cost
    };
    let empty_lines = |size: usize| [b"\r\n".repeat(size / 2), Request::new().bytes()].concat();
    let short_lines = |size: usize| {
        let value = "a".repeat(size / LINE_LIMIT - 12);
        let values = vec![&*value; LINE_LIMIT - Request::new().lines()];
        Request::new().with("X-Pad", &values).bytes()
    };
    let one_line = |size: usize| padded(size).bytes();
    let target = |size: usize| {
        let line = format!("GET /{} HTTP/1.1", "a".repeat(size));
        Request::new().line(&line).bytes()
    };
    let shapes: [&dyn Fn(usize) -> Vec<u8>; 4] = [&one_line, &short_lines, &empty_lines, &target];
    for shape in shapes {
        let (short, long) = (shape(HEAD_LIMIT / 9), shape(HEAD_LIMIT * 8 / 9));
        // What disturbs a run only makes it dearer.
        let least = |request| (0..3).map(|_| read(request)).min().unwrap();
        let (short, long) = (least(&short), least(&long));
        assert!(long < short * 24, "{short:?} became {long:?}");
    }
}

#[test]
fn rule_02_a_version_is_judged_by_its_major_number_rfc9110_15_6_6() {
    for (version, rejection, status) in [
        (Version::HTTP_09, Rejection::HttpVersion, 505),
        (Version::HTTP_10, Rejection::Http10, 426),
        (Version::HTTP_2, Rejection::HttpVersion, 505),
        (Version::HTTP_3, Rejection::HttpVersion, 505),
    ] {
        let mut request = testing::upgrade("/").0;
        *request.version_mut() = version;
        let refused = WebSocketUpgrade::<()>::from_request(&mut request).unwrap_err();
        assert_eq!(refused.status().as_u16(), status);
        assert_eq!(refused, rejection);
        let has_upgrade = refused.headers().contains_key("Upgrade");
        assert_eq!(has_upgrade, status == 426, "{version:?}");
    }
}

#[test]
fn rule_10_an_extractor_refuses_malformed_extensions_9_1() {
    for (offers, is_refused) in [
        ("permessage-deflate; client_max_window_bits", false),
        ("permessage-deflate; =1", true),
        ("=;,\"", true),
        ("", true),
    ] {
        let mut request = testing::upgrade("/").0;
        let value = offers.parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Extensions", value);
        let refused = WebSocketUpgrade::<()>::from_request(&mut request).err();
        let rejection = is_refused.then_some(Rejection::ExtensionsHeader);
        assert_eq!(refused, rejection, "{offers:?}");
    }
}

/// nginx leaves out the headers of an upgrade, and speaks HTTP/1.0, unless it is told otherwise.
#[test]
fn rule_02_what_a_proxy_may_have_done_is_said_so_rfc9110_7_8() {
    for (rejection, settings) in [
        (Rejection::Http10, &["proxy_http_version 1.1"][..]),
        (
            Rejection::UpgradeHeader,
            &[
                "proxy_http_version 1.1",
                "proxy_set_header Upgrade $http_upgrade",
            ],
        ),
        (
            Rejection::ConnectionHeader,
            &[
                "proxy_http_version 1.1",
                "proxy_set_header Connection \"upgrade\"",
            ],
        ),
    ] {
        let text = rejection.to_string();
        assert!(text.contains("a proxy in between"), "{text}");
        assert!(
            settings.iter().all(|setting| text.contains(setting)),
            "{text}"
        );
    }
}

#[test]
fn rule_17_a_missing_or_taken_upgrade_is_an_answer_4_2_2() {
    let mut request = testing::upgrade("/").0;
    request.extensions_mut().clear();
    let missing = WebSocketUpgrade::<()>::from_request(&mut request).unwrap_err();
    assert_eq!(missing, Rejection::NotUpgradable);
    assert_eq!(missing.into_response::<String>().status(), 500);

    let mut request = testing::upgrade("/").0;
    let mut cloned = request.clone();
    let _first = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
    for request in [&mut request, &mut cloned] {
        let taken = WebSocketUpgrade::<()>::from_request(request).unwrap_err();
        assert_eq!(taken, Rejection::NotUpgradable);
    }
}

/// As above, by a handler of hyper's that takes its time and then asks twice.
#[test]
fn rule_17_hyper_answers_what_the_application_decides_4_2_2() {
    let (mut near, far) = testing::duplex();
    let (entered, is_entered) = oneshot::channel();
    let (permit, permitted) = oneshot::channel::<()>();
    let handler = std::sync::Mutex::new(Some((entered, permitted)));
    let service = service_fn(|mut request| {
        let (entered, permitted) = handler.lock().unwrap().take().unwrap();
        async move {
            let upgrade = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
            let taken = WebSocketUpgrade::<String>::from_request(&mut request).unwrap_err();
            assert_eq!(taken, Rejection::NotUpgradable);
            entered.send(()).unwrap();
            permitted.await.unwrap();
            Ok::<_, Infallible>(upgrade.on_upgrade(|_| async {}))
        }
    });
    let server = http1::Builder::new()
        .serve_connection(FuturesIo::new(far), service)
        .with_upgrades();
    let client = async {
        near.write_all(&Request::new().bytes()).await.unwrap();
        is_entered.await.unwrap();
        let early = near.read(&mut [0; 1]).now_or_never();
        assert!(early.is_none(), "something came before the decision");
        permit.send(()).unwrap();
        assert_eq!(head(&mut near).await.unwrap().status(), 101);
    };
    let (end, ()) = block_on(async { join!(server, client) });
    end.unwrap();
}
