//! Servers that shut down: what a tracker in their requests does.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyws::{Drain, Tracker};
use futures::channel::oneshot;
use http::StatusCode;
use support::{
    raw::{CLOSE, Raw, Request, TEXT, masked},
    tcp::{self, TcpServer},
    upgrades::echo,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// The payload of the Close of a drain.
const GOING_AWAY: &[u8] = b"\x03\xe9shutting down";

/// Demands that a drain closes the sockets of a server, which refuses all others meanwhile.
fn check(server: &TcpServer, tracker: &Tracker) {
    let request = Request::new().line("GET /ws HTTP/1.1");
    let mut clients: Vec<_> = (0..3).map(|_| server.open(&request)).collect();
    for client in &mut clients {
        client.send(&masked(TEXT, b"hello"));
        assert_eq!(client.text(), "hello");
    }
    assert_eq!(tracker.open(), 3);
    let (done, drained) = oneshot::channel();
    let draining = tracker.clone();
    std::thread::spawn(move || {
        let drain = draining.drain(Drain::new().deadline(DEADLINE));
        let _ = done.send(futures::executor::block_on(drain));
    });
    for client in &mut clients {
        assert_eq!(client.frame(), Some((CLOSE, GOING_AWAY.to_vec())));
    }
    // Nobody has answered yet, so the drain goes on.
    let mut late = server.connect();
    late.send(&request.bytes());
    let refusal = late.answer(&request).expect("there is an answer");
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers()["retry-after"], "1");
    for client in &mut clients {
        client.send(&masked(CLOSE, &[3, 0xe9]));
        assert_eq!(client.rest(), b"");
    }
    let drained = futures::executor::block_on(drained).unwrap();
    assert_eq!((drained.closed, drained.aborted), (3, 0));
    assert!(drained.took < DEADLINE, "{drained:?}");
    assert_eq!(tracker.open(), 0);
}

/// Limits each client to one socket, and writes down the address that the server has passed on.
fn limited(seen: &Arc<Mutex<Vec<Option<IpAddr>>>>) -> Tracker {
    let seen = Arc::clone(seen);
    Tracker::new().max_per_client(1, move |request, peer| {
        assert_eq!(request.uri.path(), "/ws");
        seen.lock().unwrap().push(peer);
        peer
    })
}

fn axum(tracker: &Tracker) -> TcpServer {
    use anyws::axum::WebSocketUpgrade;
    use axum::{Extension, Router, routing::any};

    let handler = async |ws: WebSocketUpgrade| ws.on_upgrade(echo);
    let app = Router::new()
        .route("/ws", any(handler))
        .layer(Extension(tracker.clone()));
    tcp::on_tokio(async |listener| axum::serve(listener, app).await.unwrap())
}

#[test]
fn on_axum() {
    support::bounded(|| {
        let tracker = Tracker::new();
        check(&axum(&tracker), &tracker);
    });
}

fn volo(tracker: &Tracker) -> TcpServer {
    use anyws::volo::WebSocketUpgrade;
    use volo::net::incoming::DefaultIncoming;
    use volo_http::{
        server::{
            Server,
            route::{Router, any},
        },
        utils::Extension,
    };

    let handler = async |ws: WebSocketUpgrade| ws.on_upgrade(echo);
    let app: Router = Router::new().route("/ws", any(handler));
    let app = app.layer(Extension(tracker.clone()));
    tcp::on_tokio(async move |listener| {
        let server = Server::new(app).run(DefaultIncoming::from(listener));
        server.await.unwrap();
    })
}

#[test]
fn on_volo() {
    support::bounded(|| {
        let tracker = Tracker::new();
        check(&volo(&tracker), &tracker);
    });
}

#[test]
fn volo_passes_the_address_of_the_peer_on() {
    support::bounded(|| {
        let seen = Arc::default();
        let server = volo(&limited(&seen));
        let request = Request::new().line("GET /ws HTTP/1.1");
        let _first = server.open(&request);
        let mut second: Raw = server.connect();
        second.send(&request.bytes());
        let refusal = second.answer(&request).expect("there is an answer");
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        let local = Some(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(*seen.lock().unwrap(), [local, local]);
    });
}

#[test]
fn axum_knows_no_address_by_itself() {
    support::bounded(|| {
        let seen = Arc::default();
        let server = axum(&limited(&seen));
        let request = Request::new().line("GET /ws HTTP/1.1");
        let _both = [server.open(&request), server.open(&request)];
        assert_eq!(*seen.lock().unwrap(), [None, None]);
    });
}

/// Answers a request of hyper that carries a tracker.
async fn serve_hyper(stream: impl anyws::Io + 'static, tracker: Tracker) {
    use std::convert::Infallible;

    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use support::upgrades::Upgrade;

    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(tracker.clone());
        let response = match Upgrade::from_request(&mut request) {
            Ok(ws) => ws.on_upgrade(echo),
            Err(rejection) => rejection.into_response(),
        };
        async { Ok::<_, Infallible>(response) }
    });
    let stream = smol_hyper::rt::FuturesIo::new(stream);
    let connection = http1::Builder::new().serve_connection(stream, service);
    // A connection that fails is seen by its client.
    let _ = connection.with_upgrades().await;
}

#[test]
fn on_hyper_and_tokio() {
    support::bounded(|| {
        let tracker = Tracker::new();
        let all = tracker.clone();
        let server = tcp::on_tokio(async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_hyper(anyws::io::TokioIo::new(stream), all.clone()));
            }
        });
        check(&server, &tracker);
    });
}

#[test]
fn on_hyper_and_smol() {
    support::bounded(|| {
        let tracker = Tracker::new();
        let all = tracker.clone();
        let server = tcp::on_smol(async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                smol::spawn(serve_hyper(stream, all.clone())).detach();
            }
        });
        check(&server, &tracker);
    });
}

/// Serves a bare stream, and guards its task.
async fn serve_bare(stream: impl anyws::Io + 'static, tracker: Tracker) {
    let config = anyws::WebSocketConfig::new().set_tracker(tracker.clone());
    let serve = async {
        if let Ok(socket) = anyws::accept(stream, config).await {
            echo(socket).await;
        }
    };
    tracker.guard(serve).await;
}

#[test]
fn on_bare_streams_of_tokio() {
    support::bounded(|| {
        let tracker = Tracker::new();
        let all = tracker.clone();
        let server = tcp::on_tokio(async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_bare(anyws::io::TokioIo::new(stream), all.clone()));
            }
        });
        check(&server, &tracker);
    });
}

#[test]
fn on_bare_streams_of_smol() {
    support::bounded(|| {
        let tracker = Tracker::new();
        let all = tracker.clone();
        let server = tcp::on_smol(async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                smol::spawn(serve_bare(stream, all.clone())).detach();
            }
        });
        check(&server, &tracker);
    });
}
