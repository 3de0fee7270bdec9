//! The body of an answer that is no 101 (RFC 9112, section 6).

use http::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::handshake::{headers::one, tokens::members};

/// How much of a body a client keeps, in bytes: enough for a page that explains an error, and too
/// little to hurt.
const MAX_BODY: usize = 16 * 1024;

/// The maximum size of a chunk's first line, in bytes. Extensions of chunks are rare and short.
const MAX_CHUNK_LINE: usize = 256;

/// Collects the beginning of a body.
pub(crate) struct Body {
    framing: Framing,
    /// What has arrived and is not decoded yet: only ever a part of a chunk's line.
    line: Vec<u8>,
    decoded: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Framing {
    /// This many bytes, then the end.
    Length(u64),
    /// Everything up to the end of the connection.
    UntilClose,
    /// The line before a chunk.
    ChunkLine,
    /// This many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Nothing.
    End,
}

impl Body {
    /// Starts with the body of `response`.
    pub(crate) fn new<B>(response: &Response<B>) -> Self {
        Self {
            framing: framing(response),
            line: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Returns whether nothing more is wanted.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.framing, Framing::End | Framing::Length(0)) || self.decoded.len() == MAX_BODY
    }

    /// Adds bytes that arrived. What is malformed ends the body.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_complete() {
            self.framing = match self.framing {
                Framing::Length(left) => Framing::Length(self.take(left, &mut bytes)),
                Framing::UntilClose => {
                    self.take(u64::MAX, &mut bytes);
                    Framing::UntilClose
                }
                Framing::Chunk(left) => match self.take(left, &mut bytes) {
                    0 => Framing::ChunkEnd,
                    left => Framing::Chunk(left),
                },
                Framing::ChunkLine | Framing::ChunkEnd => match self.take_line(&mut bytes) {
                    Some(next) => next,
                    None => self.framing,
                },
                Framing::End => return,
            };
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.decoded
    }

    /// Decodes up to `left` of the bytes; returns how many are then left.
    fn take(&mut self, left: u64, bytes: &mut &[u8]) -> u64 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        let room = MAX_BODY - self.decoded.len();
        let (taken, rest) = bytes.split_at(wanted.min(room).min(bytes.len()));
        self.decoded.extend_from_slice(taken);
        *bytes = rest;
        left - taken.len() as u64
    }

    /// Consumes a line of the chunked coding. Returns what comes after it; `None` if it is not
    /// complete.
    fn take_line(&mut self, bytes: &mut &[u8]) -> Option<Framing> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (taken, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(taken);
        *bytes = rest;
        if self.line.len() > MAX_CHUNK_LINE {
            return Some(Framing::End);
        }
        end?;
        let line = std::mem::take(&mut self.line);
        Some(match self.framing {
            Framing::ChunkEnd if line == b"\r\n" => Framing::ChunkLine,
            Framing::ChunkLine => match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, size @ 1..))) => Framing::Chunk(size),
                _ => Framing::End,
            },
            _ => Framing::End,
        })
    }
}

/// Returns how the body of an answer to a GET is delimited.
fn framing<B>(response: &Response<B>) -> Framing {
    let headers = response.headers();
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        return Framing::End;
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // Only the last coding delimits the body.
        let last = members(headers, &TRANSFER_ENCODING).last();
        return if last.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            Framing::ChunkLine
        } else {
            Framing::UntilClose
        };
    }
    let length = one(headers, &CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        // `parse` would take a plus sign.
        .filter(|length| length.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|length| length.parse().ok());
    length.map_or(Framing::UntilClose, Framing::Length)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::{Body, MAX_BODY};

    /// Returns what is kept of a body, in pieces of this size, and whether more is wanted.
    fn body(headers: &[(&str, &str)], bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let mut response = Response::builder().status(403);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let mut body = Body::new(&response.body(()).unwrap());
        for piece in bytes.chunks(piece) {
            body.push(piece);
        }
        let is_complete = body.is_complete();
        (body.into_bytes(), is_complete)
    }

    #[test]
    fn each_framing_gives_the_body_and_its_end() {
        let chunked = ("transfer-encoding", "chunked");
        let whole: &[u8] = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        for piece in [1, 2, 3, 100] {
            for (headers, bytes, kept, is_complete) in [
                (
                    &[("content-length", "3")][..],
                    &b"abcdef"[..],
                    &b"abc"[..],
                    true,
                ),
                (&[("content-length", "3")], b"ab", b"ab", false),
                (&[("content-length", "0")], b"ab", b"", true),
                (&[("content-length", "x")], b"ab", b"ab", false),
                (&[("content-length", "+1")], b"ab", b"ab", false),
                (&[], b"abc", b"abc", false),
                (&[chunked], whole, b"abcde", true),
                (&[chunked, ("content-length", "1")], whole, b"abcde", true),
                (
                    &[("transfer-encoding", "gzip, Chunked")],
                    whole,
                    b"abcde",
                    true,
                ),
                (&[chunked, ("transfer-encoding", "x")], b"ab", b"ab", false),
                (&[chunked], b"3\r\nab", b"ab", false),
                (&[chunked], b"x\r\nab", b"", true),
                (&[chunked], b"1\r\nabc", b"a", false),
                (&[chunked], b"1\r\nabc\n", b"a", true),
            ] {
                let expected = (kept.to_vec(), is_complete);
                assert_eq!(
                    body(headers, bytes, piece),
                    expected,
                    "{headers:?} {bytes:?}"
                );
            }
        }
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let bytes = vec![b'a'; 2 * MAX_BODY];
        for headers in [&[][..], &[("content-length", "9999999999")]] {
            let (kept, is_complete) = body(headers, &bytes, 1000);
            assert_eq!((kept.len(), is_complete), (MAX_BODY, true));
        }
        let chunked = [("transfer-encoding", "chunked")];
        let (kept, is_complete) = body(&chunked, &[b"8000\r\n", &bytes[..]].concat(), 1000);
        assert_eq!((kept.len(), is_complete), (MAX_BODY, true));
        // A line without an end is not collected, either.
        let endless = [&b"1;"[..], &bytes].concat();
        assert_eq!(body(&chunked, &endless, 1000), (Vec::new(), true));
    }
}
