//! What holds for every head, however wrong: its pieces do not matter, and it is refused early only
//! if httparse and `http` refuse it in the end.

use anyws::{Error, Rejection, ServerHandshake, testing};
use futures::{AsyncWriteExt, FutureExt};
use http::{HeaderName, HeaderValue, Method, Uri};
use proptest::{collection::vec, prelude::*, sample::Index};
use support::{attack::alone, raw::Request};

/// What becomes of bytes on a stream that stays open.
#[derive(Debug, PartialEq)]
enum Verdict {
    Waits,
    /// It is HTTP/1, be it a handshake or not.
    Http,
    Malformed,
}

/// Offers `bytes` in pieces of `size`.
fn verdict(bytes: &[u8], size: usize) -> Verdict {
    let (mut near, far) = testing::duplex();
    // Without timers no connection lingers. Few may, and tests beside this one need some of them.
    let mut read = Box::pin(ServerHandshake::read(far, alone()));
    for piece in bytes.chunks(size) {
        let written = near.write_all(piece).now_or_never();
        written.expect("there is room").expect("the stream is open");
        match read.as_mut().now_or_never() {
            None => {}
            Some(Err(Error::Rejected(Rejection::Head(_)))) => return Verdict::Malformed,
            Some(Ok(_) | Err(Error::Rejected(_))) => return Verdict::Http,
            Some(Err(error)) => panic!("the stream is sound: {error}"),
        }
    }
    Verdict::Waits
}

/// The same by httparse and `http` alone, which look at the head once it is complete; `None` where
/// its target is one that they take and RFC 9112, section 3.2 does not.
fn expected(bytes: &[u8]) -> Option<Verdict> {
    let Some(end) = end(bytes) else {
        return Some(Verdict::Waits);
    };
    let mut lines = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut lines);
    if !matches!(
        parsed.parse(&bytes[..end]),
        Ok(httparse::Status::Complete(_))
    ) {
        return Some(Verdict::Malformed);
    }
    let target = parsed.path.unwrap();
    if !target.starts_with('/') || !target.is_ascii() || target.contains('#') {
        return None;
    }
    let is_line = |line: &httparse::Header<'_>| {
        HeaderName::from_bytes(line.name.as_bytes()).is_ok()
            && HeaderValue::from_bytes(line.value).is_ok()
    };
    let is_right = Method::from_bytes(parsed.method.unwrap().as_bytes()).is_ok()
        && target.parse::<Uri>().is_ok()
        && parsed.headers.iter().all(is_line);
    Some(if is_right {
        Verdict::Http
    } else {
        Verdict::Malformed
    })
}

/// Finds the end of the first empty line behind another one.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut has_started = false;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        at += line.len();
        match line {
            b"\n" | b"\r\n" if has_started => return Some(at),
            b"\n" | b"\r\n" => {}
            line if line.ends_with(b"\n") => has_started = true,
            _ => {}
        }
    }
    None
}

/// Bytes that mean something in a head, and any others.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(b'\r'),
        Just(b'\n'),
        Just(b' '),
        Just(b'\t'),
        Just(b':'),
        Just(b'/'),
        Just(b'1'),
        Just(b'#'),
        any::<u8>(),
    ]
}

/// A head with a few of its bytes replaced, inserted or removed.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), vec(byte(), 0..3), 0..3_usize), 0..4);
    let base = prop_oneof![
        Just(Request::new().bytes()),
        Just(
            Request::plain()
                .line("POST /a?b HTTP/1.0")
                .with("X", &["", "a\tb"])
                .bytes()
        ),
        Just([b"\r\n\n", &Request::plain().bytes()[..]].concat()),
    ];
    (base, edits, any::<bool>()).prop_map(|(mut bytes, edits, bare)| {
        if bare {
            bytes.retain(|&byte| byte != b'\r');
        }
        for (at, with, removed) in edits {
            let at = at.index(bytes.len());
            let to = bytes.len().min(at + removed);
            bytes.splice(at..to, with);
            if bytes.is_empty() {
                bytes.push(b'G');
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_head_is_refused_early_only_if_it_is_refused_in_the_end(head in head()) {
        let found = verdict(&head, head.len());
        match expected(&head) {
            // What is wrong already need not wait for the end.
            Some(Verdict::Waits) => prop_assert_ne!(found, Verdict::Http),
            Some(verdict) => prop_assert_eq!(found, verdict),
            None => {}
        }
    }

    #[test]
    fn a_head_that_waits_may_still_become_right(head in head(), cut in any::<Index>()) {
        // Of a right head no part is refused.
        if expected(&head) == Some(Verdict::Http) {
            let cut = cut.index(head.len());
            prop_assert_ne!(verdict(&head[..cut.max(1)], head.len()), Verdict::Malformed);
        }
    }

    #[test]
    fn the_pieces_of_a_head_do_not_matter(head in head(), size in 1..20_usize) {
        prop_assert_eq!(verdict(&head, size), verdict(&head, head.len()));
    }
}
