//! `Sec-WebSocket-Key`, and the `Sec-WebSocket-Accept` that answers it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use sha1::{Digest, Sha1};

/// The GUID that a server appends to the key before it hashes (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of the nonce in `Sec-WebSocket-Key`, in bytes (RFC 6455, section 4.1).
pub(super) const NONCE_LEN: usize = 16;

/// The length of the key and of the accept, in characters: base64 of 16 and of 20 bytes.
pub(super) const KEY_LEN: usize = 24;
const ACCEPT_LEN: usize = 28;

/// Returns the `Sec-WebSocket-Accept` for `key`, or `None` if `key` is not the canonical base64 of
/// 16 bytes (RFC 6455, section 4.2.1, item 5).
pub(crate) fn accept_key(key: &[u8]) -> Option<HeaderValue> {
    // As many bytes as so many characters can stand for.
    let mut nonce = [0; KEY_LEN / 4 * 3];
    if STANDARD.decode_slice(key, &mut nonce) != Ok(NONCE_LEN) {
        return None;
    }
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    STANDARD.encode_slice(hash, &mut accept).ok()?;
    HeaderValue::from_bytes(&accept).ok()
}

#[cfg(test)]
mod tests {
    use super::accept_key;

    #[test]
    fn the_example_of_section_1_3() {
        let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_canonical_base64_of_16_bytes() {
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",       // no padding
            "dGhlIHNhbXBsZSBub25jZR==",     // bits behind the last byte
            "dGhlIHNhbXBsZSBub25j",         // 15 bytes
            "dGhlIHNhbXBsZSBub25jZSE=",     // 17 bytes
            "dGhlIHNhbXBsZSBub25jZQ== ",    // a space
            "dGhlIHNhbXBsZSBub25jZ-==",     // the alphabet of URLs
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", // 21 bytes
        ] {
            assert_eq!(accept_key(key.as_bytes()), None, "{key:?}");
        }
    }
}
