//! What errors print, each one level and its source the next, and what they mean to a handler.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
};

use anyws::{
    ConfigError, Error, HandshakeError, HeadError, InvalidMessage, InvalidUri, ProtocolError,
    Rejection, TimeoutPhase, rt,
    testing::{self, OpenError},
};
use http::StatusCode;

/// An error of another library, with a cause.
#[derive(Debug)]
struct Foreign(io::Error);

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server has stopped")
    }
}

impl StdError for Foreign {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn foreign() -> Foreign {
    Foreign(io::Error::other("the wire is cut"))
}

/// A client that has tried two addresses.
fn refused() -> Error {
    Error::Connect(vec![
        (
            "[::1]:80".parse().unwrap(),
            ErrorKind::ConnectionRefused.into(),
        ),
        (
            "1.2.3.4:80".parse().unwrap(),
            ErrorKind::HostUnreachable.into(),
        ),
    ])
}

fn handshake_errors() -> Vec<HandshakeError> {
    vec![
        HandshakeError::Ended,
        HandshakeError::Head(HeadError::Malformed),
        HandshakeError::TooManyInterim,
        HandshakeError::Version(http::Version::HTTP_10),
        HandshakeError::Body,
        HandshakeError::Upgrade,
        HandshakeError::Connection,
        HandshakeError::Accept,
        HandshakeError::Extensions,
        HandshakeError::Protocol,
        HandshakeError::NoProtocol,
    ]
}

fn config_errors() -> Vec<ConfigError> {
    vec![
        ConfigError::WriteLimit { max: 3, write: 4 },
        ConfigError::ZeroLimit("max_frame_size"),
        ConfigError::Protocol("a b".to_owned()),
        ConfigError::NoProtocols,
        ConfigError::Origin("*".to_owned()),
        ConfigError::NoOrigins,
        ConfigError::ProtocolNotOffered("chat".to_owned()),
        ConfigError::HandshakeHeader(http::header::UPGRADE),
        ConfigError::HeaderName,
        ConfigError::TooManyHeaders,
        ConfigError::HeaderValue(http::header::COOKIE),
        ConfigError::RepeatedProtocol("chat".to_owned()),
        ConfigError::ClientOrigin("*".to_owned()),
        ConfigError::Uri(InvalidUri::Malformed),
        ConfigError::Uri(InvalidUri::NotAscii),
        ConfigError::Uri(InvalidUri::Scheme),
        ConfigError::Uri(InvalidUri::Fragment),
        ConfigError::Uri(InvalidUri::UserInfo),
        ConfigError::Uri(InvalidUri::Host),
        ConfigError::Uri(InvalidUri::Port),
        ConfigError::TlsNotCompiled,
    ]
}

fn invalid_messages() -> Vec<InvalidMessage> {
    vec![
        InvalidMessage::ControlTooLong(126),
        InvalidMessage::CloseCode(1006),
        InvalidMessage::CloseReasonTooLong(124),
        InvalidMessage::RawFrame,
    ]
}

fn protocol_errors() -> Vec<ProtocolError> {
    vec![
        ProtocolError::ReservedBits,
        ProtocolError::UnknownOpcode(3),
        ProtocolError::UnmaskedFrame,
        ProtocolError::MaskedFrame,
        ProtocolError::FragmentedControl,
        ProtocolError::ControlTooLong,
        ProtocolError::UnexpectedContinuation,
        ProtocolError::ExpectedContinuation,
        ProtocolError::InvalidLength,
        ProtocolError::InvalidClose,
        ProtocolError::InvalidUtf8,
        ProtocolError::TooLarge { size: 2, limit: 1 },
        ProtocolError::TooManyFragments(131_072),
    ]
}

fn rejections() -> Vec<Rejection> {
    vec![
        Rejection::Method,
        Rejection::Http10,
        Rejection::HttpVersion,
        Rejection::Host,
        Rejection::UpgradeHeader,
        Rejection::ConnectionHeader,
        Rejection::KeyHeader,
        Rejection::VersionHeader,
        Rejection::ProtocolHeader,
        Rejection::ExtensionsHeader,
        Rejection::Body,
        Rejection::Origin,
        Rejection::NoProtocol,
        Rejection::NotUpgradable,
        Rejection::Head(HeadError::Malformed),
        Rejection::Head(HeadError::Version),
        Rejection::Head(HeadError::TooLarge),
        Rejection::Head(HeadError::TooManyHeaders),
        Rejection::Head(HeadError::Timeout),
    ]
}

fn boxed<E: StdError + 'static>(error: E) -> Box<dyn StdError> {
    Box::new(error)
}

/// Every kind of error of the crate.
fn errors() -> Vec<Box<dyn StdError>> {
    let mut errors = vec![
        Error::Closed,
        Error::ClosedWithoutHandshake,
        Error::NoRuntime,
        Error::Timeout(TimeoutPhase::Upgrade),
        Error::Timeout(TimeoutPhase::Close),
        Error::Timeout(TimeoutPhase::Operation),
        Error::Io(ErrorKind::BrokenPipe.into()),
        Error::Io(io::Error::other(foreign())),
        Error::Upgrade("the wire is cut".into()),
        Error::Upgrade(foreign().into()),
        Error::Timeout(TimeoutPhase::Resolve),
        Error::Timeout(TimeoutPhase::Connect),
        Error::Timeout(TimeoutPhase::Tls),
        Error::Timeout(TimeoutPhase::Handshake),
        Error::Tls(io::Error::other(foreign())),
        Error::Resolve {
            host: "a.example".into(),
            source: io::Error::other(foreign()),
        },
        refused(),
        Error::UnexpectedResponse(Box::new(http::Response::new(anyws::Bytes::new()))),
    ];
    errors.extend(handshake_errors().into_iter().map(Error::from));
    errors.extend(config_errors().into_iter().map(Error::from));
    errors.extend(invalid_messages().into_iter().map(Error::from));
    errors.extend(protocol_errors().into_iter().map(Error::from));
    errors.extend(rejections().into_iter().map(Error::from));

    let (one, two) = (testing::pair().0.split(), testing::pair().0.split());
    let mut all: Vec<Box<dyn StdError>> = vec![
        Box::new(OpenError::Status(StatusCode::FORBIDDEN)),
        Box::new(OpenError::Handshake(HandshakeError::Upgrade)),
        Box::new(one.0.reunite(two.1).unwrap_err()),
        Box::new(rt::TimeoutError::Elapsed),
        Box::new(rt::TimeoutError::NoTimers),
    ];
    all.extend(errors.into_iter().map(boxed));
    all.extend(config_errors().into_iter().map(boxed));
    all.extend(invalid_messages().into_iter().map(boxed));
    all.extend(protocol_errors().into_iter().map(boxed));
    all.extend(rejections().into_iter().map(boxed));
    all
}

/// Returns the text of an error and of each of its causes.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

#[test]
fn whoever_walks_the_sources_reads_no_text_twice() {
    for error in errors() {
        let texts = chain(&*error);
        for (index, text) in texts.iter().enumerate() {
            assert!(!text.is_empty(), "{error:?}");
            let mut later = texts[index + 1..].iter();
            assert!(!later.any(|cause| text.contains(&**cause)), "{texts:?}");
        }
    }
}

#[test]
fn the_alternate_form_prints_the_causes_once() {
    for error in [
        Error::Io(ErrorKind::BrokenPipe.into()),
        Error::Io(io::Error::other(foreign())),
        Error::Upgrade("the wire is cut".into()),
        Error::Upgrade(foreign().into()),
        Error::Tls(io::Error::other(foreign())),
        Error::Resolve {
            host: "a.example".into(),
            source: io::Error::other(foreign()),
        },
        refused(),
        Error::Closed,
        ConfigError::NoOrigins.into(),
    ] {
        assert_eq!(format!("{error:#}"), chain(&error).join(": "));
    }
    let error = Error::Upgrade(foreign().into());
    assert_eq!(error.to_string(), "the connection was not upgraded");
    assert_eq!(
        format!("{error:#}"),
        "the connection was not upgraded: the server has stopped: the wire is cut"
    );
}

#[test]
fn errors_of_other_libraries_are_sources_and_our_own_are_details() {
    let error = Error::Io(ErrorKind::BrokenPipe.into());
    assert!(error.source().unwrap().is::<io::Error>());
    let error = Error::Upgrade(foreign().into());
    assert!(error.source().unwrap().is::<Foreign>());
    let details = config_errors()
        .into_iter()
        .map(|it| (it.to_string(), it.into()));
    let details = details
        .chain(
            invalid_messages()
                .into_iter()
                .map(|it| (it.to_string(), it.into())),
        )
        .chain(
            protocol_errors()
                .into_iter()
                .map(|it| (it.to_string(), it.into())),
        )
        .chain(
            handshake_errors()
                .into_iter()
                .map(|it| (it.to_string(), it.into())),
        )
        .chain(
            rejections()
                .into_iter()
                .map(|it| (it.to_string(), it.into())),
        );
    for (detail, error) in details {
        let error: Error = error;
        assert!(error.source().is_none(), "{error:?}");
        assert!(error.to_string().ends_with(&detail), "{error}");
    }
}

/// The errors that mean the same to a handler.
#[test]
fn a_disconnect_is_told_from_what_somebody_did_wrong() {
    let gone = [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::NotConnected,
        ErrorKind::TimedOut,
        ErrorKind::UnexpectedEof,
    ];
    for kind in gone {
        assert!(Error::Io(kind.into()).is_disconnect(), "{kind}");
        assert!(Error::Tls(kind.into()).is_disconnect(), "{kind}");
    }
    for error in [
        Error::Closed,
        Error::ClosedWithoutHandshake,
        Error::Timeout(TimeoutPhase::Close),
    ] {
        assert!(error.is_disconnect(), "{error:?}");
    }
    let wrong = [
        Error::NoRuntime,
        Error::Timeout(TimeoutPhase::Upgrade),
        Error::Timeout(TimeoutPhase::Resolve),
        Error::Timeout(TimeoutPhase::Connect),
        Error::Timeout(TimeoutPhase::Tls),
        Error::Timeout(TimeoutPhase::Handshake),
        Error::Tls(ErrorKind::InvalidData.into()),
        refused(),
        Error::Protocol(ProtocolError::InvalidUtf8),
        Error::InvalidMessage(InvalidMessage::RawFrame),
        Error::Io(io::Error::other("the disk is full")),
        Error::Io(ErrorKind::InvalidData.into()),
    ];
    for error in wrong {
        assert!(!error.is_disconnect(), "{error:?}");
    }
}

#[test]
fn an_error_says_what_to_look_at() {
    let mut moved = http::Response::new(anyws::Bytes::new());
    assert!(
        !Error::UnexpectedResponse(Box::new(moved.clone()))
            .to_string()
            .contains("redirect")
    );
    *moved.status_mut() = StatusCode::FOUND;
    let moved = Error::UnexpectedResponse(Box::new(moved)).to_string();
    assert!(
        moved.contains("302") && moved.contains("`Location`"),
        "{moved}"
    );
    let tls = HandshakeError::Head(HeadError::Malformed).to_string();
    assert!(tls.contains("wss"), "{tls}");
    let many = (0..1000).map(|port| (([127, 0, 0, 1], port).into(), ErrorKind::TimedOut.into()));
    let many = Error::Connect(many.collect()).to_string();
    assert!(
        many.contains("127.0.0.1:7: ") && many.ends_with(", and 992 more"),
        "{many}"
    );
}
