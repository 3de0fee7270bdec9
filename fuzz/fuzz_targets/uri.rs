//! URIs and headers of clients, as wrong as they may be, and the requests that come of them.

#![no_main]

use std::{pin::pin, sync::Arc, task::Poll};

use anyws::{ClientBuilder, ConfigError, Error, ServerHandshake, WebSocketConfig};
use anyws_fuzz::{
    head,
    script::{Acts, Script},
    task::{poll_once, poll_to_end},
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    uri: Text,
    headers: Vec<(Text, Text)>,
    origin: Option<Text>,
    protocols: Vec<Text>,
}

#[derive(Arbitrary, Debug)]
enum Text {
    Raw(String),
    Words(Vec<Word>),
    /// A URI that begins as it should.
    Uri(Vec<Word>),
}

#[derive(Arbitrary, Debug)]
enum Word {
    Known(u8),
    Raw(String),
    Byte(u8),
}

const WORDS: [&str; 32] = [
    "ws://",
    "WS://",
    "wss://",
    "http://",
    "example.org",
    "a",
    "a_b",
    "127.0.0.1",
    "[::1]",
    "[v1.a]",
    ":",
    ":80",
    ":443",
    ":08080",
    ":65536",
    "/",
    "//",
    "?",
    "?a=b&c",
    "#",
    "@",
    "%20",
    "%",
    ",",
    " ",
    "\r\n",
    "X: y",
    "host",
    "authorization",
    "sec-websocket-key",
    "content-length",
    "\u{e4}",
];

impl Text {
    fn string(&self) -> String {
        let (start, words) = match self {
            Self::Raw(raw) => return raw.clone(),
            Self::Words(words) => ("", words),
            Self::Uri(words) => ("ws://a", words),
        };
        let mut text = start.to_owned();
        for word in words {
            match word {
                Word::Known(at) => text += WORDS[usize::from(*at) % WORDS.len()],
                Word::Raw(raw) => text += raw,
                Word::Byte(byte) => text.push(char::from(byte % 128)),
            }
        }
        text
    }
}

fuzz_target!(|input: Input| {
    let uri = input.uri.string();
    let mut builder = ClientBuilder::new(uri.clone());
    for (name, value) in &input.headers {
        builder = builder.header(name.string(), value.string());
    }
    if let Some(origin) = &input.origin {
        builder = builder.origin(origin.string());
    }
    builder = builder.protocols(input.protocols.iter().map(Text::string));
    let acts = Acts {
        is_silent: true,
        ..Acts::default()
    };
    let (script, stream) = Script::new(Vec::new(), acts);
    let mut connecting = pin!(builder.connect_over(stream));
    // Settings are checked at once, and this stream takes a request at once.
    let polled = poll_once(&script, &Arc::default(), connecting.as_mut());
    let request = script.output();
    let Poll::Ready(connected) = polled else {
        check(&input, &uri, request);
        return;
    };
    assert!(request.is_empty(), "there is a request of wrong settings");
    match connected {
        Err(Error::Config(ConfigError::Uri(reason))) => {
            assert!(target(&uri).is_none_or(|it| !it.is_plain()), "{reason:?}");
        }
        Err(Error::Config(_)) => {}
        other => panic!("{other:?} comes from nowhere"),
    }
});

/// The request says what the settings say, and nothing else.
fn check(input: &Input, uri: &str, request: Vec<u8>) {
    let head = head::parse(&request).expect("the request is complete");
    head.check();
    let target = target(uri).expect("the URI is one");
    assert_eq!(head.first(), format!("GET {} HTTP/1.1", target.target));
    assert_eq!(head.one("host"), Some(target.host.as_str()));
    assert!(
        head.first()
            .bytes()
            .all(|byte| (b' '..0x7f).contains(&byte))
    );
    let lines = 5
        + input.headers.len()
        + usize::from(input.origin.is_some())
        + usize::from(!input.protocols.is_empty());
    assert_eq!(head.count(), lines, "{head:?}");
    assert!(request.ends_with(b"\r\n\r\n"));
    let ends = request.windows(4).filter(|bytes| bytes == b"\r\n\r\n");
    assert_eq!(ends.count(), 1);
    if lines <= 128 && request.len() <= 64 * 1024 {
        let (script, stream) = Script::new(request, Acts::default());
        let read = ServerHandshake::read(stream, WebSocketConfig::new());
        let read = poll_to_end(&script, read);
        assert!(read.is_ok(), "{read:?}");
    }
}

/// What a URI asks for.
struct Target {
    host: String,
    target: String,
}

/// Takes a URI apart at its delimiters (RFC 3986, appendix B).
fn target(uri: &str) -> Option<Target> {
    let (scheme, rest) = uri.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("ws") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let end = authority.rfind(']').unwrap_or(0);
    let end = authority[end..]
        .find(':')
        .map_or(authority.len(), |at| end + at);
    let (host, port) = authority.split_at(end);
    let port = port.strip_prefix(':').unwrap_or_default();
    if !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port = match port.trim_start_matches('0') {
        // There is no port 0.
        "" if !port.is_empty() => return None,
        "" | "80" => String::new(),
        port => format!(":{port}"),
    };
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some(Target {
        host: format!("{host}{port}"),
        target: format!("{slash}{target}"),
    })
}

impl Target {
    /// Nothing in it is a matter of opinion.
    fn is_plain(&self) -> bool {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let is_target =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
        let (host, is_port) = match self.host.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().is_ok()),
            None => (self.host.as_str(), true),
        };
        is_port
            && !host.is_empty()
            && host.bytes().all(is_host)
            && self.target.bytes().all(is_target)
            && self.target.len() < 60_000
    }
}
