//! Regression tests for the advisories on headers, upgrades and request bodies, one for each class;
//! the classes are in conformance/RULES.md.
//!
//! Volo stands for all that is built on hyper, smol for what reads the head by this crate itself.
// A good part of it is what /proc tells about the servers.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyws::{Rejection, WebSocketConfig, WebSocketUpgrade, testing};
use futures::{AsyncReadExt, AsyncWriteExt, executor::block_on, join};
use http::HeaderValue;
use support::{
    against,
    cost::cost,
    raw::{Raw, Request, TEXT, masked, parse_head},
    servers::Server,
};

/// The limit of a head that this crate reads.
const HEAD_LIMIT: usize = 64 * 1024;

/// hyper's limit when it is left alone, as Volo leaves it: its `DEFAULT_MAX_BUFFER_SIZE`. It is
/// looked at between two reads, of which the last may double what there is.
const HYPER_HEAD_LIMIT: usize = 2 * (8192 + 4096 * 100);

macro_rules! against_both {
    ($($test:ident,)+) => {$(
        against!($test: echo_smol, echo_volo);
    )+};
}

against_both! {
    header_flood,
    too_many_headers,
    busy_loop_on_unclean_close,
    tunnel_after_a_refusal,
    request_body_as_frames,
    substring_of_connection,
}

/// tungstenite CVE-2023-43669: 20 MB of header, byte by byte.
fn header_flood(server: &Server) {
    let is_ours = server.name() == "echo_smol";
    let limit = if is_ours {
        HEAD_LIMIT
    } else {
        HYPER_HEAD_LIMIT
    };
    let memory = peak_memory(server);
    let mut client = server.connect();
    let start = b"GET / HTTP/1.1\r\nX-Flood: ";
    client.send(start);
    client.send_byte_by_byte(&vec![b'a'; HEAD_LIMIT - start.len()]);
    // One byte above the limit is answered before a further one is sent. hyper may close while this
    // is still on its way.
    let _ = client.try_send(&vec![b'a'; limit - HEAD_LIMIT + 1]);
    let answer = client
        .answer(&Request::new())
        .expect("the flood is refused");
    assert_eq!(answer.status(), 431);
    // The other megabytes are thrown away, or not even taken.
    let chunk = vec![b'a'; 64 * 1024];
    (0..20_000_000 / chunk.len()).try_for_each(|_| client.try_send(&chunk).ok());
    let grown = peak_memory(server) - memory;
    assert!(grown < 4 * 1024, "{grown} KiB for one head");
    server.accepts(&Request::new());
}

/// ws CVE-2024-37890: 2,000 headers.
fn too_many_headers(server: &Server) {
    for value in ["", "a", "websocket"] {
        let many = Request::new().with("X-Many", &vec![value; 2000]);
        server.refuses(&many, 431);
    }
    let mut distinct = Request::new();
    for n in 0..2000 {
        distinct = distinct.with(&format!("X-{n}"), &["a"]);
    }
    server.refuses(&distinct, 431);
    server.accepts(&Request::new());
}

/// Undertow CVE-2017-2670: RST or FIN without a Close frame.
fn busy_loop_on_unclean_close(server: &Server) {
    let head = Request::new().bytes();
    let refused = Request::new().with("Sec-WebSocket-Version", &["8"]);
    let frame = masked(TEXT, b"hello");
    let upgraded = |then: &[u8]| {
        let mut client = server.connect();
        client.send(&head);
        assert_eq!(client.answer(&Request::new()).unwrap().status(), 101);
        client.send(then);
        client
    };
    let stages: [&dyn Fn() -> Raw; 7] = [
        &|| server.connect(),
        &|| {
            let mut client = server.connect();
            client.send(&head[..head.len() / 2]);
            client
        },
        // The answer is not waited for.
        &|| {
            let mut client = server.connect();
            client.send(&head);
            client
        },
        &|| {
            let mut client = server.connect();
            client.send(&refused.bytes());
            assert_eq!(client.answer(&refused).unwrap().status(), 426);
            client
        },
        &|| upgraded(b""),
        &|| upgraded(&frame),
        &|| upgraded(&frame[..frame.len() / 2]),
    ];
    let mut half_closed = Vec::new();
    let files = open_files(server);
    for stage in stages {
        stage().reset();
        drop(stage());
        let mut client = stage();
        client.finish();
        half_closed.push(client);
    }
    // Connections are accepted in their order: by now the server has seen them all.
    server.accepts(&Request::new());
    // Each task has come to its end and has given its connection back.
    let patience = Instant::now() + Duration::from_secs(20);
    while open_files(server) > files {
        assert!(Instant::now() < patience, "connections are left open");
        thread::sleep(Duration::from_millis(10));
    }
    // A loop would take the whole of a core, or what the other tests leave of it.
    let before = cpu_time(server);
    thread::sleep(Duration::from_millis(500));
    let spent = cpu_time(server).saturating_sub(before);
    assert!(
        spent <= Duration::from_millis(50),
        "{spent:?} of 500 ms for nothing"
    );
    drop(half_closed);
    server.accepts(&Request::new());
}

/// Kubernetes CVE-2018-1002105: a wrong version, then a second request.
fn tunnel_after_a_refusal(server: &Server) {
    let refused = Request::new().with("Sec-WebSocket-Version", &["8"]);
    for second in [
        Request::new().line("DELETE / HTTP/1.1"),
        Request::new().with("Sec-WebSocket-Key", &["AAAA"]),
    ] {
        let mut client = server.connect();
        client.send(&refused.bytes());
        assert_eq!(client.answer(&refused).unwrap().status(), 426);
        // The connection may be closed already, and that is as good.
        let _ = client.try_send(&second.bytes_then("hello"));
        client.finish();
        if let Some(answer) = client.answer(&second) {
            assert!(
                matches!(answer.status().as_u16(), 400 | 405),
                "{}",
                answer.status()
            );
        }
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
            "{rest:?}"
        );
    }
}

/// Bun 43557: `Content-Length: 8`, and a frame of eight bytes as the body.
fn request_body_as_frames(server: &Server) {
    let frame = masked(TEXT, b"hi");
    assert_eq!(frame.len(), 8);
    let chunk = [b"8\r\n", &frame[..], b"\r\n0\r\n\r\n"].concat();
    for (name, value, body) in [
        ("Content-Length", "8", &frame),
        ("Transfer-Encoding", "chunked", &chunk),
    ] {
        let request = Request::new().with(name, &[value]);
        for in_one_segment in [true, false] {
            let mut client = server.connect();
            if in_one_segment {
                client.send(&[request.bytes(), body.clone()].concat());
            } else {
                client.send(&request.bytes());
                // The answer may be out already, and the connection closed behind it.
                let _ = client.try_send(body);
            }
            assert_eq!(client.answer(&request).unwrap().status(), 400, "{request}");
            client.finish();
            let rest = client.rest();
            assert!(rest.is_empty(), "{rest:?}");
        }
    }
}

/// cpp-httplib, axum and volo-http: `notupgrade` contains `upgrade`.
fn substring_of_connection(server: &Server) {
    for options in [
        "notupgrade",
        "upgraded",
        "keep-alive, un-upgrade",
        "upgrade-not, close",
    ] {
        server.refuses(&Request::new().with("Connection", &[options]), 400);
    }
}

/// Pages of foreign origins, which browsers let connect with the user's cookies.
#[test]
fn cross_site_hijacking() {
    let config = WebSocketConfig::new().set_allowed_origins(["https://bank.example"]);
    let status = |origins: &[&str]| {
        let (mut near, far) = testing::duplex();
        let request = Request::new().with("Origin", origins).bytes();
        let exchange = async {
            near.write_all(&request).await.unwrap();
            let mut answer = vec![0; 4096];
            let length = near.read(&mut answer).await.unwrap();
            parse_head(&answer[..length]).expect("a head").0.status()
        };
        let (socket, status) =
            block_on(async { join!(anyws::accept(far, config.clone()), exchange) });
        assert_eq!(socket.is_ok(), status == 101);

        let mut request = testing::upgrade("/").0;
        for origin in origins {
            request
                .headers_mut()
                .append("Origin", origin.parse().unwrap());
        }
        let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
        let (response, _) = upgrade.set_config(config.clone()).accept();
        assert_eq!(response.status(), status);
        status
    };
    assert_eq!(status(&["https://bank.example"]), 101);
    for origins in [
        &["https://evil.example"][..],
        &["https://bank.example.evil.example"],
        &["http://bank.example"],
        &[],
        &["null"],
        &["https://bank.example", "https://evil.example"],
        &["https://evil.example", "https://bank.example"],
        &["https://bank.example", "https://bank.example"],
        &["https://bank.example, https://evil.example"],
    ] {
        assert_eq!(status(origins), 403, "{origins:?}");
    }
}

/// ws CVE-2021-32640, websocket-extensions CVE-2020-7662: eight times the header costs about eight
/// times as much; were it looked through anew for each of its parts, it would be sixty-four times.
#[test]
fn superlinear_parsing() {
    fn tokens(n: usize) -> String {
        let tokens: Vec<_> = (0..n).map(|n| format!("p{n}")).collect();
        tokens.join(", ")
    }
    type Shape = fn(usize) -> String;
    let shapes: [(&str, Shape); 10] = [
        ("Sec-WebSocket-Protocol", tokens),
        ("Sec-WebSocket-Protocol", |n| tokens(n) + ", p0"),
        ("Sec-WebSocket-Protocol", |n| ",".repeat(4 * n) + "chat"),
        ("Sec-WebSocket-Protocol", |n| "a".repeat(4 * n)),
        ("Sec-WebSocket-Protocol", |n| {
            format!("a{}b", " \t".repeat(2 * n))
        }),
        ("Sec-WebSocket-Extensions", |n| {
            format!("x; a=\"{}", "\\a".repeat(2 * n))
        }),
        ("Sec-WebSocket-Extensions", |n| {
            "x; a=\"b\", ".repeat(n) + ";"
        }),
        ("Sec-WebSocket-Extensions", |n| ",".repeat(8 * n)),
        ("Connection", |n| "a, ".repeat(n) + "upgrade"),
        ("Upgrade", |n| "\"a, ".repeat(n) + "websocket"),
    ];
    for (name, shape) in shapes {
        let least = |n: usize| {
            let value = HeaderValue::try_from(shape(n)).unwrap();
            // What disturbs a run only makes it dearer.
            let runs = (0..5).map(|_| {
                let mut request = testing::upgrade("/").0;
                request.headers_mut().insert(name, value.clone());
                let (cost, _) = cost(|| {
                    let upgrade = WebSocketUpgrade::<()>::from_request(&mut request);
                    upgrade.map(|upgrade| upgrade.protocols(["soap", "chat"]).accept())
                });
                cost
            });
            runs.min().unwrap()
        };
        let (short, long) = (least(4_000), least(32_000));
        assert!(long < short * 24, "{name}: {short:?} became {long:?}");
    }
}

/// The shapes above come to what they are meant to: refused or accepted, not cut short.
#[test]
fn long_headers_are_read_to_their_end() {
    let mut offers: Vec<_> = (0..32_000).map(|n| format!("p{n}")).collect();
    let read = |offers: &[String]| {
        let mut request = testing::upgrade("/").0;
        let value = HeaderValue::try_from(offers.join(", ")).unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
        let upgrade = WebSocketUpgrade::<()>::from_request(&mut request)?;
        assert_eq!(upgrade.requested_protocols().count(), offers.len());
        let upgrade = upgrade.protocols(["p31999"]);
        assert_eq!(upgrade.selected_protocol(), Some("p31999"));
        Ok(())
    };
    assert_eq!(read(&offers), Ok(()));
    offers.push("p0".to_owned());
    assert_eq!(read(&offers), Err(Rejection::ProtocolHeader));
}

/// Returns the most memory that a server has had, in KiB.
fn peak_memory(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Returns how many files and sockets a server has open.
fn open_files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .count()
}

/// Returns the time that a server has computed for.
fn cpu_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // The name in parentheses may contain anything; `utime` and `stime` are fields 14 and 15, in
    // hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
