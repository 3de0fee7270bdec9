//! Errors for settings that contradict each other, or that no input can satisfy.

use http::HeaderName;

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `max_write_buffer_size` is not above `write_buffer_size`.
    #[error("max_write_buffer_size ({max}) is not above write_buffer_size ({write})")]
    WriteLimit {
        /// The limit, in bytes.
        max: usize,
        /// The size at which buffered frames are written, in bytes.
        write: usize,
    },
    /// A limit of 0 bytes lets no message through.
    #[error("{0} is 0: no message would pass")]
    ZeroLimit(&'static str),
    /// A timeout of 0 would end each socket at once.
    #[error("{0} was called with a duration of 0: every socket would end at once")]
    ZeroTimeout(&'static str),
    /// At a rate of 0, or with a burst of 0, nothing could be received.
    #[error("{0} was called with a rate or a burst of 0: nothing could be received")]
    ZeroRate(&'static str),
    /// `fragment_size` is less than 1 KiB: such fragments cost more than what they carry.
    #[error("fragment_size is {0}: at least 1024 bytes are needed")]
    FragmentSize(usize),
    /// Compression was set, but the feature `deflate` is off: enable it in `Cargo.toml`.
    #[error("compression was set, but the feature `deflate` of anyws is off: enable it")]
    DeflateNotCompiled,
    /// A window of compression is not 9 to 15 bits; see
    /// [`send_window_bits`](crate::DeflateConfig::send_window_bits) and
    /// [`receive_window_bits`](crate::DeflateConfig::receive_window_bits).
    #[error("{setter} is {bits}: 9 to 15 are possible")]
    WindowBits {
        /// The name of the setter.
        setter: &'static str,
        /// What was set.
        bits: u8,
    },
    /// A level of compression is not 1 to 9; see [`level`](crate::DeflateConfig::level).
    #[error("compression level {0}: 1 to 9 are possible")]
    CompressionLevel(u8),
    /// A supported subprotocol is not a token (RFC 6455, section 4.1, item 10).
    #[error("subprotocol {0:?} is not a token")]
    Protocol(String),
    /// A subprotocol is required, but none is supported and no callback chooses one.
    #[error(
        "a subprotocol is required, but none is supported: \
         set some with `protocols`, `set_protocols` or `on_protocol`"
    )]
    NoProtocols,
    /// An allowed origin has none of the forms that
    /// [`set_allowed_origins`](crate::WebSocketConfig::set_allowed_origins) accepts.
    #[error(
        "allowed origin {0:?} is malformed: \
         write scheme://host[:port], scheme://*.domain[:port], null or file://"
    )]
    Origin(String),
    /// The list of allowed origins is empty, and a missing origin is not allowed: no client could
    /// connect.
    #[error(
        "no origin is allowed: \
         list some, allow a missing one with `set_allow_missing_origin`, or set no list"
    )]
    NoOrigins,
    /// A callback chose a subprotocol that the client did not offer (RFC 6455, section 4.2.2).
    #[error("the chosen subprotocol {0:?} was not offered by the client")]
    ProtocolNotOffered(String),
    /// An additional header is one that the handshake sets itself, or one that announces a body. In
    /// a response, see [`ServerHandshake::accept_with`](crate::ServerHandshake::accept_with). In a
    /// request, `Host` comes from the URI, and `Origin` and the subprotocols have setters.
    #[error(
        "anyws sets header `{0}` itself, or a handshake may not have it: \
         leave it out, or use its own setter, such as `protocols` or `origin`"
    )]
    HandshakeHeader(HeaderName),
    /// The name of an additional header is not a token (RFC 9110, section 5.1).
    #[error("an additional header has a name that is not a token")]
    HeaderName,
    /// The value of an additional header has bytes that no header may have (RFC 9110, section 5.5).
    /// It is not shown: it may be a secret.
    #[error("the value of header `{0}` has bytes that no header may have, such as a line break")]
    HeaderValue(HeaderName),
    /// There are more additional headers than a request can have.
    #[error("there are too many additional headers")]
    TooManyHeaders,
    /// A client offers a subprotocol twice (RFC 6455, section 4.1, item 10).
    #[error("subprotocol {0:?} is offered twice")]
    RepeatedProtocol(String),
    /// The origin of a client is malformed.
    #[error("origin {0:?} is malformed: write scheme://host[:port], null or file://")]
    ClientOrigin(String),
    /// A client's URI cannot be connected to. It is not shown: its query may be a secret.
    #[error("the URI {0}")]
    Uri(InvalidUri),
    /// The URI of a client starts with `wss`, but the feature `tls` is off: enable it in
    /// `Cargo.toml`.
    #[error("the URI starts with `wss`, but the feature `tls` of anyws is off: enable it")]
    TlsNotCompiled,
    /// The tracker of the settings limits the sockets of each client, but the extractor does not
    /// keep the request by which it could tell clients apart; see
    /// [`Tracker::max_per_client`](crate::Tracker::max_per_client).
    #[error(
        "the tracker limits the sockets of each client, which only requests tell apart: \
         a server puts the tracker into a request's extensions, and a client needs another one"
    )]
    TrackerNeedsRequest,
}

/// What is wrong with the URI of a client (RFC 6455, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUri {
    /// It is not a URI, or is longer than 65,534 bytes.
    #[error("is malformed")]
    Malformed,
    /// It has other characters than ASCII: encode a path in UTF-8 and percent signs, and a host in
    /// punycode.
    #[error(
        "has other characters than ASCII: percent-encode them in the path, \
         and write the host in punycode"
    )]
    NotAscii,
    /// It does not start with `ws://` or `wss://`.
    #[error("does not start with ws:// or wss://")]
    Scheme,
    /// It has a fragment: a `#`.
    #[error("has a fragment, which no server would see: leave out everything from the `#` on")]
    Fragment,
    /// It has a user name or a password: set the header `Authorization` instead.
    #[error("has a user name or a password: set the header `Authorization` instead")]
    UserInfo,
    /// Its host is neither a name nor an IP address.
    #[error("has a host that is neither a name nor an IP address")]
    Host,
    /// Its port is not a number from 1 to 65535.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
}
