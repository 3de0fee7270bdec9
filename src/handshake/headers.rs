//! Headers that occur once, and those that announce a body.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Returns the value of a header that is present exactly once.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// Returns whether the request has a body after its head: its bytes would be parsed as frames.
pub(super) fn announces_body(headers: &HeaderMap) -> bool {
    let is_zero = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(|&digit| digit == b'0')
    };
    headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(is_zero)
}
