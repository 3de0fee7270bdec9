//! Heads of requests, as wrong as they may be, and the answers to them.

#![no_main]

use anyws::{
    Error, ServerHandshake, UpgradeIo, WebSocketConfig, WebSocketUpgrade,
    http::{HeaderName, HeaderValue, Method, Request, Uri, Version},
};
use anyws_fuzz::{
    head,
    script::{Acts, Script},
    task::poll_to_end,
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tungstenite::handshake::derive_accept_key;

/// The largest head and the most lines that the crate says it takes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_LINES: usize = 128;

#[derive(Arbitrary, Debug)]
struct Input {
    head: Head,
    early: Vec<u8>,
    acts: Acts,
}

#[derive(Arbitrary, Debug)]
enum Head {
    Raw(Vec<u8>),
    Changed(Vec<head::Change>),
}

fuzz_target!(|input: Input| {
    let mut bytes = match &input.head {
        Head::Raw(raw) => raw.clone(),
        Head::Changed(changes) => head::request(changes),
    };
    bytes.extend(&input.early);
    let mut acts = input.acts;
    acts.is_silent = false;
    let (script, stream) = Script::new(bytes.clone(), acts);
    let read = poll_to_end(
        &script,
        ServerHandshake::read(stream, WebSocketConfig::new()),
    );
    // Faults of the stream hide what the request is.
    let is_harmed = script.read_failed() || script.write_failed();
    match read {
        Ok(handshake) => {
            let head = head::parse(&bytes).expect("it was taken");
            head.check();
            let upgraded = upgrades(&bytes);
            assert_eq!(upgraded, Some(true), "from_request refuses what was taken");
            let accepted = poll_to_end(&script, handshake.accept());
            let output = script.output();
            if script.write_failed() {
                assert!(accepted.is_err());
            } else {
                let socket = accepted.expect("nothing failed");
                let key = head.one("sec-websocket-key").expect("it was checked");
                let accept = derive_accept_key(key.as_bytes());
                head::check_switching(&output, &accept);
                drop(socket);
            }
        }
        Err(Error::Rejected(rejection)) => {
            let output = script.output();
            if !script.write_failed() {
                let status = head::check_refusal(&output, bytes.starts_with(b"HEAD "));
                assert_eq!(status, rejection.status().as_u16());
            }
            if !matches!(rejection, anyws::Rejection::Head(_)) {
                assert_eq!(upgrades(&bytes), Some(false), "from_request takes it");
            }
            if let Head::Changed(changes) = &input.head {
                let is_right = changes.iter().all(head::Change::is_harmless);
                assert!(!is_right, "{rejection:?} of a valid request");
            }
        }
        Err(Error::ClosedWithoutHandshake) => {
            assert!(
                is_harmed || head::parse(&bytes).is_none(),
                "the head is there"
            );
            assert!(script.output().is_empty());
        }
        Err(Error::Io(_)) => assert!(is_harmed),
        Err(error) => panic!("{error:?} comes from nowhere"),
    }
});

/// Tells whether the same request is taken from an HTTP server; `None` if none would read it.
fn upgrades(bytes: &[u8]) -> Option<bool> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut parsed = httparse::Request::new(&mut lines);
    let end = parsed.parse(bytes).ok()?;
    if end.is_partial() || end.unwrap() > MAX_HEAD {
        return None;
    }
    let mut request = Request::new(());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(line.value).ok()?;
        request.headers_mut().append(name, value);
    }
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = parsed.path?.parse::<Uri>().ok()?;
    *request.version_mut() = match parsed.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let (_, stream) = Script::new(Vec::new(), Acts::default());
    let io = UpgradeIo::new(async move { Ok(stream) });
    request.extensions_mut().insert(io);
    let Ok(upgrade) = WebSocketUpgrade::<()>::from_request(&mut request) else {
        return Some(false);
    };
    let (response, upgrading) = upgrade.accept();
    assert_eq!(response.status(), 101);
    let (script, _) = Script::new(Vec::new(), Acts::default());
    poll_to_end(&script, upgrading).expect("the settings work");
    Some(true)
}
