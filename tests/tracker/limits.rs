//! How many sockets a tracker lets in.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyws::{ConfigError, Error, Rejection, ServerHandshake, Tracker, testing};
use futures::{AsyncReadExt, AsyncWriteExt};
use http::StatusCode;
use support::{
    raw::Request,
    runtimes,
    upgrades::{echo, extract, failed},
};

use super::server::Server;

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A tracker whose clients name themselves.
fn named(tracker: Tracker) -> Tracker {
    tracker.max_per_client(2, |request, _| {
        let client = request.headers.get("x-client")?.to_str().unwrap();
        Some(client.parse().expect("an address"))
    })
}

fn request_of(client: &str) -> (http::Request<()>, testing::Client) {
    let (mut request, upgrade) = testing::upgrade("/");
    request
        .headers_mut()
        .insert("x-client", client.parse().unwrap());
    (request, upgrade)
}

runtimes! {
    async fn a_full_server_refuses_with_503_until_a_socket_ends(rt) {
        let server = Server::with(&rt, |tracker| tracker.max_sockets(2));
        let mut first = server.open(echo).await;
        let _second = server.open(echo).await;
        let (request, _) = testing::upgrade("/");
        let rejection = server.extract(request).unwrap_err();
        assert_eq!(rejection, Rejection::TooManySockets);
        assert_eq!(rejection.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(rejection.headers()["retry-after"], "1");
        first.close(None).await.unwrap();
        server.time.settle().await;
        let _third = server.open(echo).await;
        assert_eq!(server.tracker.open(), 2);
    }

    async fn a_client_with_too_many_sockets_is_refused_with_429(rt) {
        let server = Server::with(&rt, named);
        let (request, _kept) = request_of("192.0.2.1");
        let first = server.extract(request).unwrap();
        let _second = server.extract(request_of("192.0.2.1").0).unwrap();
        let rejection = server.extract(request_of("192.0.2.1").0).unwrap_err();
        assert_eq!(rejection, Rejection::TooManyPerClient);
        assert_eq!(rejection.status(), StatusCode::TOO_MANY_REQUESTS);
        // Others are not concerned, and those without a key are not limited.
        let _other = server.extract(request_of("192.0.2.2").0).unwrap();
        let exempt: Vec<_> = (0..5).map(|_| server.extract(testing::upgrade("/").0)).collect();
        assert!(exempt.iter().all(Result::is_ok));
        drop(first);
        let _third = server.extract(request_of("192.0.2.1").0).unwrap();
    }

    async fn ipv6_addresses_count_by_their_network(rt) {
        let server = Server::with(&rt, named);
        let _first = server.extract(request_of("2001:db8::1").0).unwrap();
        let _second = server.extract(request_of("2001:db8::2").0).unwrap();
        assert!(server.extract(request_of("2001:db8::3").0).is_err());
        let _other = server.extract(request_of("2001:db8:0:1::3").0).unwrap();
    }

    async fn a_key_sees_the_whole_request(rt) {
        let server = Server::with(&rt, |tracker| {
            tracker.max_per_client(1, |request, peer| {
                assert_eq!(request.uri, "/chat?room=1");
                assert_eq!(request.method, "GET");
                assert!(request.headers.contains_key("sec-websocket-key"));
                assert_eq!(peer, None);
                Some(*request.extensions.get::<IpAddr>().unwrap())
            })
        });
        let (mut request, _client) = testing::upgrade("/chat?room=1");
        request.extensions_mut().insert(ip("192.0.2.1"));
        let _upgrade = server.extract(request).unwrap();
        assert_eq!(server.tracker.open(), 1);
    }

    async fn a_key_that_panics_takes_no_permit(rt) {
        let server = Server::with(&rt, named);
        let panicked = catch_unwind(AssertUnwindSafe(|| server.extract(request_of("nobody").0)));
        assert!(panicked.is_err());
        assert_eq!(server.tracker.open(), 0);
        let _upgrade = server.extract(request_of("192.0.2.1").0).unwrap();
        assert_eq!(server.tracker.open(), 1);
    }

    async fn the_tracker_of_the_settings_refuses_in_on_upgrade(rt) {
        let tracker = Tracker::new().max_sockets(1);
        let (ws, _client) = extract(&rt);
        let config = support::config(&rt).set_tracker(tracker.clone());
        let (_response, _upgrading) = ws.set_config(config.clone()).accept();
        assert_eq!(tracker.open(), 1);
        let (ws, _client) = extract(&rt);
        let (response, error) = failed(ws.set_config(config)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(matches!(error, Error::Rejected(Rejection::TooManySockets)), "{error:?}");
        assert_eq!(tracker.open(), 1);
    }

    async fn a_key_of_the_settings_has_no_request_in_an_extractor(rt) {
        let (ws, _client) = extract(&rt);
        let config = support::config(&rt).set_tracker(named(Tracker::new()));
        let (response, error) = failed(ws.set_config(config)).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(matches!(error, Error::Config(ConfigError::TrackerNeedsRequest)), "{error:?}");
    }

    async fn the_tracker_of_the_settings_refuses_on_a_bare_stream(rt) {
        let tracker = named(Tracker::new());
        let config = support::config(&rt).set_tracker(tracker.clone());
        let mut sockets = Vec::new();
        for status in [101, 101, 429] {
            let (near, mut far) = testing::duplex();
            let request = Request::new().with("X-Client", &["192.0.2.1"]);
            far.write_all(&request.bytes()).await.unwrap();
            let accepted = anyws::accept(near, config.clone()).await;
            let head = support::upgrades::read_head(&mut far).await;
            assert_eq!(head.status(), status);
            match accepted {
                Ok(socket) => sockets.push((socket, far)),
                Err(error) => {
                    assert!(matches!(error, Error::Rejected(Rejection::TooManyPerClient)));
                    assert_eq!(head.headers().get_all("connection").iter().count(), 1);
                    let mut body = String::new();
                    far.read_to_string(&mut body).await.unwrap();
                    assert!(body.contains("as many WebSockets as the server allows"), "{body}");
                }
            }
        }
        assert_eq!(tracker.open(), 2);
        drop(sockets);
    }

    async fn a_drain_refuses_on_a_bare_stream(rt) {
        let tracker = Tracker::new();
        tracker.drain(anyws::Drain::new()).await;
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let config = support::config(&rt).set_tracker(tracker.clone());
        let handshake = ServerHandshake::read(near, config).await.unwrap();
        let refused = handshake.accept().await;
        assert!(matches!(refused, Err(Error::Rejected(Rejection::Draining))));
        let head = support::upgrades::read_head(&mut far).await;
        assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(head.headers()["retry-after"], "1");
        let connection: Vec<_> = head.headers().get_all("connection").iter().collect();
        assert_eq!(connection, ["close"]);
    }
}

#[test]
fn permits_by_hand_are_limited_by_client() {
    let tracker = Tracker::new().max_per_client(1, |_, _| None).max_sockets(3);
    let first = tracker.permit(ip("192.0.2.1")).unwrap();
    // As a socket reports it that accepts both families.
    let refused = tracker.permit(ip("::ffff:192.0.2.1")).unwrap_err();
    assert_eq!(refused, Rejection::TooManyPerClient);
    let _others = [tracker.permit(None).unwrap(), tracker.permit(None).unwrap()];
    let refused = tracker.permit(ip("192.0.2.2")).unwrap_err();
    assert_eq!(refused, Rejection::TooManySockets);
    drop(first);
    assert!(tracker.permit(ip("192.0.2.1")).is_ok());
}
