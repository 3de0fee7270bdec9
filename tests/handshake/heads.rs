//! Heads of requests that this crate reads itself: which of them are valid HTTP/1.1.

use anyws::{Error, HeadError, Message, Rejection, ServerHandshake, WebSocketConfig, testing};
use futures::{AsyncWriteExt, FutureExt, executor::block_on};
use support::raw::{Request, TEXT, masked};

/// Reads a head that comes in one piece.
fn read(head: &[u8]) -> Result<ServerHandshake, Rejection> {
    let (mut near, far) = testing::duplex();
    block_on(async {
        near.write_all(head).await.unwrap();
        match ServerHandshake::read(far, WebSocketConfig::new()).await {
            Ok(handshake) => Ok(handshake),
            Err(Error::Rejected(rejection)) => Err(rejection),
            Err(error) => panic!("the stream is sound: {error}"),
        }
    })
}

fn get(target: &str) -> Request {
    Request::new().line(&format!("GET {target} HTTP/1.1"))
}

fn host(host: &str) -> Request {
    Request::new().with("Host", &[host])
}

/// The most bytes of a head.
const LIMIT: usize = 64 * 1024;

const MALFORMED: Rejection = Rejection::Head(HeadError::Malformed);

#[test]
fn rule_01_a_target_is_in_origin_form_or_in_absolute_form_rfc9112_3_2() {
    for (target, uri) in [
        ("/", "/"),
        ("/chat?room=1&name=a%20b", "/chat?room=1&name=a%20b"),
        ("//chat", "//chat"),
        // RFC 9112, section 3.2.2: `Host` has no say then.
        ("http://b/", "http://b/"),
        ("https://b:8443/chat?room=1", "https://b:8443/chat?room=1"),
        ("http://[::1]", "http://[::1]/"),
        // No URI has these bytes (RFC 3986, section 3.3), but pages have them in theirs, and
        // browsers leave them as they are (WHATWG URL, section 1.3).
        ("/a|b?c={d}", "/a|b?c={d}"),
    ] {
        let handshake = read(&get(target).bytes()).unwrap();
        assert_eq!(handshake.request().uri().to_string(), uri);
    }
    for target in [
        "*",                // asterisk-form is of OPTIONS (section 3.2.4)
        "a:80",             // authority-form is of CONNECT (section 3.2.3)
        "a",                // neither a path nor a URI
        "chat/room",        // a path without its slash
        "?room=1",          // a query without a path
        "/chat#frag",       // no form has a fragment (section 3.2)
        "http://b/#frag",   // neither
        "http:///chat",     // no host (RFC 9110, section 4.2.1)
        "http://me@b/chat", // user information (RFC 9110, section 4.2.4)
        "http://[zz]/chat", // no IP literal (RFC 3986, section 3.2.2)
        "http://b%zz/chat", // no percent-encoding (RFC 3986, section 2.1)
        "http://b:http/",   // no port (RFC 3986, section 3.2.3)
        "/\u{e4}",          // not ASCII (RFC 3986, section 2)
        "/<chat>",          // no byte of a URI (RFC 3986, section 2)
        "",                 // no target
    ] {
        assert_eq!(
            read(&get(target).bytes()).unwrap_err(),
            MALFORMED,
            "{target}"
        );
    }
}

#[test]
fn rule_01_other_methods_have_other_forms_and_are_refused_for_what_they_are_rfc9112_3_2() {
    for line in ["OPTIONS * HTTP/1.1", "CONNECT a:80 HTTP/1.1"] {
        let refused = read(&Request::new().line(line).bytes()).unwrap_err();
        assert_eq!(refused, Rejection::Method, "{line}");
    }
}

#[test]
fn rule_03_a_host_is_a_name_or_an_ip_literal_rfc3986_3_2_2() {
    for valid in [
        "a",
        "a:",      // a port may be empty (section 3.2.3)
        "a:99999", // its range is not of the syntax (section 3.2.3)
        "a,b",     // sub-delims (section 2.2)
        "a%20b",   // a valid percent-encoding (section 2.1)
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]:80",
        "[v1.a:b]",
    ] {
        assert!(read(&host(valid).bytes()).is_ok(), "{valid}");
    }
    for wrong in [
        "",
        "[::1",
        "[::1]x",
        "[zz]",
        "[]",
        "[::1%25eth0]",
        "[v1]",
        "a\\b",
        "a%zz",
        "a%2",
        "a%",
        "::1",
        "a:b",
        "me@a",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        "a\"b",
        "a|b",
    ] {
        assert_eq!(
            read(&host(wrong).bytes()).unwrap_err(),
            Rejection::Host,
            "{wrong}"
        );
    }
}

#[test]
fn rule_16_lines_are_as_http_wants_them_rfc9112_2() {
    let request = Request::new().with("X", &["b"]);
    let text = String::from_utf8(request.bytes()).unwrap();
    for (name, head) in [
        // Section 2.2: a recipient may take a lone LF for the end of a line.
        ("bare LF", text.replace("\r\n", "\n")),
        ("no space behind the colon", text.replace("X: b", "X:b")),
        ("space around the value", text.replace("X: b", "X: \t b \t")),
        ("an empty value", text.replace("X: b", "X:")),
        (
            "bytes above ASCII in a value",
            text.replace("X: b", "X: \u{e4}"),
        ),
        // Section 2.2.
        ("empty lines before", format!("\r\n\n\r\n{text}")),
        // RFC 9110, section 10.1.1: without a body there is nothing to go on with.
        ("Expect", text.replace("X: b", "Expect: 100-continue")),
        (
            "lengths of no body",
            text.replace("X: b", "Content-Length: 0\r\nContent-Length: 00"),
        ),
    ] {
        assert!(read(head.as_bytes()).is_ok(), "{name}");
    }
    for (name, head) in [
        (
            "a space before the colon, 5.1",
            text.replace("X: b", "X : b"),
        ),
        (
            "a space in a name, RFC 9110, 5.1",
            text.replace("X: b", "X Y: b"),
        ),
        ("no colon, 5", text.replace("X: b", "X")),
        ("no name, RFC 9110, 5.1", text.replace("X: b", ": b")),
        ("obs-fold, 5.2", text.replace("X: b", "X: b\r\n c")),
        (
            "a space before the first name, 2.2",
            text.replace("Host", " Host"),
        ),
        ("a bare CR, 2.2", text.replace("X: b", "X: b\rc")),
        ("NUL, RFC 9110, 5.5", text.replace("X: b", "X: b\0")),
        ("DEL, RFC 9110, 5.5", text.replace("X: b", "X: b\u{7f}")),
        ("two spaces, 3", text.replace("GET /", "GET  /")),
        ("a tab, 3", text.replace("GET /", "GET\t/")),
        (
            "a space behind the version, 3",
            text.replace("/1.1", "/1.1 "),
        ),
        ("no version, 3", text.replace(" HTTP/1.1", "")),
        (
            "a version in small letters, 2.3",
            text.replace("HTTP", "http"),
        ),
        ("a space before the method, 3", format!(" {text}")),
        ("a method that is no token, 3.1", text.replace("GET", "G(T")),
    ] {
        assert_eq!(read(head.as_bytes()).unwrap_err(), MALFORMED, "{name}");
    }
}

/// What becomes of bytes on a stream that stays open.
#[derive(Debug, PartialEq)]
enum Verdict {
    Waits,
    Accepted,
    Refused(HeadError),
}

/// Offers `bytes` in pieces of `size`; returns what becomes of them, and after how many.
fn verdict(bytes: &[u8], size: usize) -> (Verdict, usize) {
    let (mut near, far) = testing::duplex_with_capacity(1024 * 1024);
    let mut read = Box::pin(ServerHandshake::read(far, WebSocketConfig::new()));
    let mut count = 0;
    for piece in bytes.chunks(size) {
        let written = near.write_all(piece).now_or_never();
        written.expect("there is room").expect("the stream is open");
        count += piece.len();
        match read.as_mut().now_or_never() {
            None => {}
            Some(Err(Error::Rejected(Rejection::Head(error)))) => {
                return (Verdict::Refused(error), count);
            }
            Some(Ok(_) | Err(Error::Rejected(_))) => return (Verdict::Accepted, count),
            Some(Err(error)) => panic!("the stream is sound: {error}"),
        }
    }
    (Verdict::Waits, count)
}

/// Demands that `bytes` are refused at their last one, however they come, and not before.
fn assert_refused_at_the_end(bytes: &[u8], error: HeadError) {
    let text = bytes.escape_ascii();
    assert_eq!(
        verdict(bytes, 1),
        (Verdict::Refused(error), bytes.len()),
        "{text}"
    );
    assert_eq!(
        verdict(bytes, bytes.len()).0,
        Verdict::Refused(error),
        "{text}"
    );
    if let [before @ .., _] = bytes
        && !before.is_empty()
    {
        assert_eq!(verdict(before, before.len()).0, Verdict::Waits, "{text}");
    }
}

#[test]
fn rule_16_what_cannot_be_http_is_refused_at_its_first_wrong_byte_rfc9112_2() {
    for bytes in [
        &b"\x16"[..], // the ClientHello of TLS
        b"\x10",      // CONNECT of MQTT
        b"\0",
        b"\x80",
        b" ",
        b":",
        b"\rG",
        b"\r\n\r\r",
        b"SSH-2.0-OpenSSH_9.6\r",
        b"EHLO a.example\r",
        b"GET\r",
        b"GET\t",
        b"G\xc3",
        b"GET  ",
        b"GET /#",
        b"GET /\x7f",
        b"GET /\xc3",
        b"GET /\r",
        b"GET /\n",
        b"GET * ",
        b"GET a:80 ",
        b"GET /<",
        b"GET /a?>",
        b"GET /a?\" ",
        b"GET http://[zz]/ ",
        b"OPTIONS a:80 ",
        b"GET / h",
        b"GET /  ",
        b"GET / HTTP/1.2",
        b"GET / HTTP/11",
        b"GET / HTTP/x",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/1.1\rH",
        b"GET / HTTP/1.1\r\n ",
        b"GET / HTTP/1.1\r\n\t",
        b"GET / HTTP/1.1\r\n:",
        b"GET / HTTP/1.1\r\n\rH",
        b"GET / HTTP/1.1\r\nHost ",
        b"GET / HTTP/1.1\r\nHost\r",
        b"GET / HTTP/1.1\r\nHost\n",
        b"GET / HTTP/1.1\r\nH\xc3",
        b"GET / HTTP/1.1\r\nHost: a\rb",
        b"GET / HTTP/1.1\r\nHost: a\0",
        b"GET / HTTP/1.1\r\nHost: a\x1b",
        b"GET / HTTP/1.1\r\nHost: a\x7f",
        b"GET / HTTP/1.1\r\nHost: a\r\n ",
        b"GET / HTTP/1.1\nHost: a\n\t",
    ] {
        assert_refused_at_the_end(bytes, HeadError::Malformed);
    }
}

#[test]
fn rule_02_another_major_version_is_refused_at_its_digit_rfc9110_15_6_6() {
    for bytes in [
        &b"GET / HTTP/0"[..],
        b"GET / HTTP/2",
        b"OPTIONS * HTTP/3",
        b"PRI * HTTP/2",
    ] {
        assert_refused_at_the_end(bytes, HeadError::Version);
    }
    assert_eq!(Rejection::Head(HeadError::Version).status(), 505);
}

#[test]
fn rule_16_a_valid_head_passes_at_its_last_byte_whatever_its_pieces_rfc9112_2() {
    let request = Request::new().with("X", &["", "\u{e4}", "a b\tc"]);
    let text = String::from_utf8(request.bytes()).unwrap();
    for head in [
        text.clone(),
        text.replace("\r\n", "\n"),
        format!("\r\n\n\r\n{text}"),
        text.replace("GET / ", "GET http://[::1]:80/a?b "),
        text.replace(": ", ":"),
    ] {
        for size in [1, 2, 3, 7, head.len()] {
            let (verdict, count) = verdict(head.as_bytes(), size);
            assert_eq!((verdict, count), (Verdict::Accepted, head.len()), "{head}");
        }
    }
}

#[test]
fn rule_16_the_129th_header_line_is_refused_at_its_first_byte_rfc6585_5() {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    head.extend(b"a:\r\n".repeat(128));
    head.push(b'b');
    assert_refused_at_the_end(&head, HeadError::TooManyHeaders);
}

#[test]
fn rule_16_the_byte_behind_64_kib_is_refused_be_it_of_an_empty_line_rfc6585_5() {
    let short: [&[u8]; 4] = [
        b"",
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\n",
    ];
    for (start, pad) in short.into_iter().zip([b'\n', b'a', b'a', b'a']) {
        let mut head = start.to_vec();
        head.resize(LIMIT + 1, pad);
        assert_refused_at_the_end(&head, HeadError::TooLarge);
    }
}

/// Makes a handshake whose head has `size` bytes.
fn padded(size: usize) -> Vec<u8> {
    let empty = Request::new().with("X-Pad", &[""]).bytes().len();
    let pad = "a".repeat(size - empty);
    Request::new().with("X-Pad", &[&pad]).bytes()
}

/// The frames come with the end of the head, wherever its reads begin.
#[test]
fn rule_16_the_limit_of_a_head_does_not_count_the_frames_behind_it_rfc6585_5() {
    let texts: Vec<_> = (0..10).map(|n| format!("{n:01000}")).collect();
    let frames = texts.iter().flat_map(|text| masked(TEXT, text.as_bytes()));
    let frames: Vec<u8> = frames.collect();
    for size in [60 * 1024, LIMIT] {
        for first in [1, 100, 3000, 4095] {
            let bytes = [padded(size), frames.clone()].concat();
            let (mut near, far) = testing::duplex_with_capacity(2 * LIMIT);
            let mut accept = anyws::accept(far, WebSocketConfig::new());
            let (first, rest) = bytes.split_at(first);
            block_on(near.write_all(first)).unwrap();
            assert!((&mut accept).now_or_never().is_none());
            block_on(near.write_all(rest)).unwrap();
            let mut socket = block_on(accept).unwrap();
            for text in &texts {
                let message = block_on(socket.next()).unwrap().unwrap();
                assert_eq!(message, Message::text(text.as_str()), "{size}");
            }
        }
    }
}
