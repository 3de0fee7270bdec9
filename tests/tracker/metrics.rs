//! What the metrics of a tracker are told.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyws::{
    ClosedBy, Drain, End, Error, Meta, Metrics, QueueConfig, Rejection, TimeoutPhase, Tracker,
    Traffic, WebSocket, WhenFull, testing,
};
use futures::{AsyncReadExt, AsyncWriteExt, channel::oneshot};
use support::{
    raw::{Request, header, masked},
    runtimes,
    still::Still,
    upgrades::{echo, raw_upgrade},
};

use super::server::Server;

const SECOND: Duration = Duration::from_secs(1);

/// Writes down everything that it is told.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    opened: Vec<(Option<String>, Option<&'static str>)>,
    ended: Vec<Ended>,
    refused: Vec<Rejection>,
    moved: Vec<(Traffic, Traffic)>,
    round_trips: Vec<Duration>,
    dropped: Vec<(WhenFull, u64)>,
}

#[derive(Debug, PartialEq)]
struct Ended {
    meta: (Option<String>, Option<&'static str>),
    duration: Duration,
    code: u16,
    by: ClosedBy,
    error: Option<String>,
}

fn owned(meta: &Meta<'_>) -> (Option<String>, Option<&'static str>) {
    (meta.protocol.map(str::to_owned), meta.label)
}

impl Metrics for Log {
    fn opened(&self, meta: &Meta<'_>) {
        self.0.lock().unwrap().opened.push(owned(meta));
    }

    fn closed(&self, meta: &Meta<'_>, end: &End<'_>) {
        self.0.lock().unwrap().ended.push(Ended {
            meta: owned(meta),
            duration: end.duration,
            code: end.code.into(),
            by: end.by,
            error: end.error.map(|error| format!("{error:?}")),
        });
    }

    fn refused(&self, rejection: &Rejection) {
        self.0.lock().unwrap().refused.push(rejection.clone());
    }

    fn moved(&self, received: &Traffic, sent: &Traffic) {
        self.0.lock().unwrap().moved.push((*received, *sent));
    }

    fn round_trip(&self, time: Duration) {
        self.0.lock().unwrap().round_trips.push(time);
    }

    fn dropped(&self, policy: WhenFull, count: u64) {
        self.0.lock().unwrap().dropped.push((policy, count));
    }
}

impl Log {
    fn take(&self) -> Notes {
        mem::take(&mut self.0.lock().unwrap())
    }

    /// Returns the only end since the last call, if there was one.
    fn end(&self) -> Option<(u16, ClosedBy, Option<String>)> {
        let mut ended = self.take().ended.into_iter();
        let end = ended.next().map(|end| (end.code, end.by, end.error));
        assert_eq!(ended.next(), None);
        end
    }

    /// Returns what has moved since the last call.
    fn sums(&self) -> (Traffic, Traffic) {
        sums(self.take().moved)
    }
}

fn sums(moved: Vec<(Traffic, Traffic)>) -> (Traffic, Traffic) {
    let mut sums = (Traffic::default(), Traffic::default());
    for (received, sent) in moved {
        sums.0 += received;
        sums.1 += sent;
    }
    sums
}

fn measured(rt: &Arc<dyn anyws::Runtime>) -> (Server, Log) {
    let log = Log::default();
    let server = Server::with(rt, |tracker| tracker.metrics(log.clone()));
    (server, log)
}

fn numbers(traffic: &Traffic) -> [u64; 4] {
    let Traffic {
        text,
        binary,
        control,
        bytes,
        ..
    } = *traffic;
    [text, binary, control, bytes]
}

runtimes! {
    async fn they_are_told_of_a_socket_from_its_opening_to_its_end(rt) {
        let (server, log) = measured(&rt);
        let (mut request, client) = testing::upgrade("/");
        request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
        let upgrade = server.extract(request).unwrap().protocols(["chat"]).label("lobby");
        let response = upgrade.on_upgrade(echo);
        let mut client = client.set_config(server.config()).open(&response).unwrap();
        server.time.settle().await;
        let meta = (Some("chat".to_owned()), Some("lobby"));
        assert_eq!(log.take().opened, std::slice::from_ref(&meta));
        server.time.advance(7 * SECOND).await;
        client.close((4000, "bye")).await.unwrap();
        server.time.settle().await;
        let ended = log.take().ended;
        let end = Ended {
            meta,
            duration: 7 * SECOND,
            code: 4000,
            by: ClosedBy::Peer,
            error: None,
        };
        assert_eq!(ended, [end]);
    }

    async fn the_code_is_that_of_the_first_close(rt) {
        let (server, log) = measured(&rt);
        let mut client = server
            .open(async |mut socket: WebSocket| socket.close((4001, "enough")).await)
            .await;
        while client.next().await.is_some() {}
        drop(client);
        server.time.settle().await;
        assert_eq!(log.end(), Some((4001, ClosedBy::Server, None)));

        let mut client = server.open(echo).await;
        client.close(None).await.unwrap();
        server.time.settle().await;
        assert_eq!(log.end(), Some((1005, ClosedBy::Peer, None)));

        let mut client = server.open(async |socket: WebSocket| drop(socket)).await;
        while client.next().await.is_some() {}
        drop(client);
        server.time.settle().await;
        assert_eq!(log.end(), Some((1000, ClosedBy::Server, None)));
    }

    async fn the_error_is_the_one_that_ended_the_messages(rt) {
        let (server, log) = measured(&rt);
        let lost = server.open(echo).await;
        drop(lost.split().1);
        let (request, far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        server.time.settle().await;
        log.take();
        drop(far);
        server.time.settle().await;
        let error = Some("ClosedWithoutHandshake".to_owned());
        // The answer of the server to nobody.
        assert_eq!(log.end(), Some((1006, ClosedBy::Nobody, error)));

        let (request, mut far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        far.write_all(&masked(0xf1, b"reserved bits")).await.unwrap();
        server.time.settle().await;
        drop(far);
        server.time.settle().await;
        let (code, by, error) = log.end().unwrap();
        assert_eq!((code, by), (1002, ClosedBy::Server));
        assert!(error.as_ref().unwrap().starts_with("Protocol("), "{error:?}");
    }

    async fn a_timeout_is_an_error_too(rt) {
        let (server, log) = measured(&rt);
        let (request, mut far) = raw_upgrade();
        let config = server.config().set_idle_timeout(10 * SECOND);
        let _ = server.extract(request).unwrap().set_config(config).on_upgrade(echo);
        server.time.advance(14 * SECOND).await;
        far.write_all(&masked(0x88, &[3, 0xe9])).await.unwrap();
        server.time.settle().await;
        let error = format!("{:?}", Error::Timeout(TimeoutPhase::Idle));
        assert_eq!(log.end(), Some((1001, ClosedBy::Server, Some(error))));
    }

    async fn an_abort_and_a_drain_are_ends(rt) {
        let (server, log) = measured(&rt);
        let _client = server.open(async |mut socket: WebSocket| socket.abort()).await;
        server.time.settle().await;
        let (code, by, _) = log.end().unwrap();
        assert_eq!((code, by), (1006, ClosedBy::Nobody));

        let mut client = server.open(echo).await;
        let drained = server.drain(Drain::new().code(1012)).await;
        while client.next().await.is_some() {}
        drained.await.unwrap();
        assert_eq!(log.end(), Some((1012, ClosedBy::Server, None)));
    }

    async fn sums_are_what_was_sent(rt) {
        let (server, log) = measured(&rt);
        let (request, mut far) = raw_upgrade();
        let (give, sender) = oneshot::channel();
        let _ = server.extract(request).unwrap().on_upgrade(async |mut socket: WebSocket| {
            let _ = give.send(socket.sender());
            echo(socket).await;
        });
        // What the peer sends: 20 texts, 7 binary messages, the largest of 70,000 bytes in two
        // fragments, 5 pings and a Close.
        let mut sent = Vec::new();
        for text in 0..20 {
            sent.extend(masked(0x81, format!("text {text}").as_bytes()));
        }
        for size in [0, 1, 125, 126, 4096, 65536] {
            sent.extend(masked(0x82, &vec![7; size]));
        }
        sent.extend(masked(0x02, &vec![8; 35_000]));
        sent.extend(masked(0x80, &vec![8; 35_000]));
        for _ in 0..5 {
            sent.extend(masked(0x89, b"ping"));
        }
        let close = masked(0x88, &[3, 0xe8]);
        far.write_all(&sent).await.unwrap();
        sender.await.unwrap().send(vec![1; 1000]).await.unwrap();
        // What it gets: 20 texts, 1 binary message, 5 pongs, and a Close.
        let texts: usize = (0..20).map(|text| 2 + format!("text {text}").len()).sum();
        let expected = texts + (4 + 1000) + 5 * (2 + 4) + 4;
        let mut received = vec![0; expected - 4];
        far.read_exact(&mut received).await.unwrap();
        far.write_all(&close).await.unwrap();
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"\x88\x02\x03\xe8");
        server.time.settle().await;
        let (by_peer, by_server) = log.sums();
        assert_eq!(numbers(&by_peer), [20, 7, 6, (sent.len() + close.len()) as u64]);
        assert_eq!(numbers(&by_server), [20, 1, 6, expected as u64]);
        assert_eq!(header(0x82, 1000, false).len(), 4);
    }

    async fn what_comes_with_the_head_counts(rt) {
        let log = Log::default();
        let tracker = Tracker::new().metrics(log.clone());
        let (near, mut far) = testing::duplex();
        let frames = [masked(0x81, b"early"), masked(0x88, &[])].concat();
        far.write_all(&[Request::new().bytes(), frames.clone()].concat()).await.unwrap();
        let config = support::config(&rt).set_tracker(tracker);
        let mut socket = anyws::accept(near, config).await.unwrap();
        while socket.next().await.is_some() {}
        drop(socket);
        let (received, sent) = log.sums();
        assert_eq!(numbers(&received), [1, 0, 1, frames.len() as u64]);
        assert_eq!(numbers(&sent), [0, 0, 1, 2]);
    }

    async fn they_are_told_once_a_second_and_only_if_something_has_moved(rt) {
        let (server, log) = measured(&rt);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(server.open(echo).await);
        }
        for client in &mut clients {
            for _ in 0..10 {
                client.send("hello".into()).await.unwrap();
                client.next().await.unwrap().unwrap();
            }
        }
        server.time.settle().await;
        assert_eq!(log.take().moved, []);
        server.time.advance(SECOND).await;
        let moved = log.take().moved;
        assert_eq!(moved.len(), 1);
        assert_eq!(numbers(&moved[0].0), [30, 0, 0, 30 * (6 + 5)]);
        assert_eq!(numbers(&moved[0].1), [30, 0, 0, 30 * (2 + 5)]);
        server.time.advance(10 * SECOND).await;
        assert_eq!(log.take().moved, []);
        // The last socket takes the clock with it, and the next one starts another.
        drop(clients);
        server.time.advance(SECOND).await;
        assert_eq!(server.time.timers(), 0);
        let mut client = server.open(echo).await;
        client.send("hello".into()).await.unwrap();
        client.next().await.unwrap().unwrap();
        log.take();
        server.time.advance(SECOND).await;
        assert_eq!(log.take().moved.len(), 1);
    }

    async fn they_are_told_of_round_trips(rt) {
        let (server, log) = measured(&rt);
        let (request, mut far) = raw_upgrade();
        let config = server.config().set_keepalive(10 * SECOND, 10 * SECOND);
        let _ = server.extract(request).unwrap().set_config(config).on_upgrade(echo);
        let mut ping = [0; 2 + 4];
        let advance = server.time.advance(12 * SECOND);
        let (read, ()) = futures::join!(far.read_exact(&mut ping), advance);
        read.unwrap();
        assert_eq!(ping[0], 0x89);
        far.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
        server.time.settle().await;
        server.time.advance(SECOND).await;
        let notes = log.take();
        assert_eq!(notes.round_trips.len(), 1);
        assert!(notes.round_trips[0] <= 12 * SECOND, "{notes:?}");
        let (received, sent) = sums(notes.moved);
        assert_eq!((numbers(&received)[2], numbers(&sent)[2]), (1, 1));
    }

    async fn an_answer_that_comes_with_the_peers_close_counts(rt) {
        let (server, log) = measured(&rt);
        let (request, mut far) = raw_upgrade();
        let config = server.config().set_keepalive(10 * SECOND, 10 * SECOND);
        let _ = server.extract(request).unwrap().set_config(config).on_upgrade(echo);
        let mut ping = [0; 2 + 4];
        let advance = server.time.advance(12 * SECOND);
        let (read, ()) = futures::join!(far.read_exact(&mut ping), advance);
        read.unwrap();
        let both = [masked(0x8a, &ping[2..]), masked(0x88, &[])].concat();
        far.write_all(&both).await.unwrap();
        server.time.settle().await;
        let (received, sent) = log.sums();
        assert_eq!(numbers(&received), [0, 0, 2, both.len() as u64]);
        assert_eq!(numbers(&sent), [0, 0, 2, 6 + 2]);
    }

    async fn a_peer_that_is_gone_before_the_answer_to_its_close_is_no_error(rt) {
        let (server, log) = measured(&rt);
        let (request, mut far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        far.write_all(&masked(0x88, &[3, 0xe8])).await.unwrap();
        drop(far);
        server.time.settle().await;
        assert_eq!(log.end(), Some((1000, ClosedBy::Peer, None)));
    }

    async fn their_panics_do_no_harm(rt) {
        let server = Server::with(&rt, |tracker| tracker.metrics(Panicking));
        let (mut request, _) = testing::upgrade("/");
        request.headers_mut().remove("sec-websocket-key");
        assert!(server.extract(request).is_err());
        let mut client = server.open(echo).await;
        // Another panic unwinds while this one's socket ends.
        let mut panicking = server.open(async |_: WebSocket| panic!("as the test wants it")).await;
        client.send("hello".into()).await.unwrap();
        client.next().await.unwrap().unwrap();
        server.time.advance(SECOND).await;
        let drained = server.drain(Drain::new()).await;
        while client.next().await.is_some() {}
        while panicking.next().await.is_some() {}
        assert_eq!(drained.await.unwrap().aborted, 0);
        assert_eq!(server.tracker.open(), 0);
    }

    async fn they_are_told_of_messages_that_are_dropped(rt) {
        let (server, log) = measured(&rt);
        let (give, sender) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                let queue = QueueConfig::default().messages(3).when_full(WhenFull::DropOldest);
                let _ = give.send(socket.sender_with(queue));
                may_go_on.await.unwrap();
                echo(socket).await;
            })
            .await;
        let sender = sender.await.unwrap();
        for count in 0..10 {
            sender.send(format!("{count}")).await.unwrap();
        }
        go_on.send(()).unwrap();
        for count in 7..10 {
            let message = client.next().await.unwrap().unwrap();
            assert_eq!(message.to_text().unwrap(), format!("{count}"));
        }
        client.close(None).await.unwrap();
        server.time.settle().await;
        assert_eq!(log.take().dropped, [(WhenFull::DropOldest, 7)]);
    }

    async fn they_are_told_of_refused_handshakes(rt) {
        let (server, log) = measured(&rt);
        let (mut request, _) = testing::upgrade("/");
        request.headers_mut().remove("sec-websocket-key");
        assert!(server.extract(request).is_err());
        // A page of the same handler.
        assert!(server.extract(http::Request::new(())).is_err());
        let upgrade = server.extract(testing::upgrade("/").0).unwrap();
        let _ = upgrade.allowed_origins(["https://app.example"]).on_upgrade(echo);
        drop(server.drain(Drain::new()).await);
        assert!(server.extract(testing::upgrade("/").0).is_err());
        let refused = log.take().refused;
        assert_eq!(refused, [Rejection::KeyHeader, Rejection::Origin, Rejection::Draining]);
    }

    async fn they_are_told_of_handshakes_that_the_settings_refuse(rt) {
        let log = Log::default();
        let tracker = Tracker::new().metrics(log.clone()).max_sockets(0);
        let config = support::config(&rt).set_tracker(tracker.clone());
        let (ws, _client) = support::upgrades::extract(&rt);
        let _ = ws.set_config(config.clone()).on_upgrade(echo);
        for request in [Request::new(), Request::new().with("Upgrade", &["h2c"])] {
            let (near, mut far) = testing::duplex();
            far.write_all(&request.bytes()).await.unwrap();
            assert!(anyws::accept(near, config.clone()).await.is_err());
        }
        // A permit by hand is of a tracker of its own.
        let other = Tracker::new();
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let config = other_origins(&rt).set_tracker(other);
        let handshake = anyws::ServerHandshake::read(near, config).await.unwrap();
        let permit = Tracker::new().metrics(log.clone()).permit(None).unwrap();
        assert!(handshake.permit(permit).accept().await.is_err());
        let full = || Rejection::TooManySockets;
        let expected = [full(), full(), Rejection::UpgradeHeader, Rejection::Origin];
        assert_eq!(log.take().refused, expected);
    }
}

#[derive(Debug)]
struct Panicking;

impl Metrics for Panicking {
    fn opened(&self, _: &Meta<'_>) {
        panic!("as the test wants it");
    }

    fn closed(&self, _: &Meta<'_>, _: &End<'_>) {
        panic!("as the test wants it");
    }

    fn refused(&self, _: &Rejection) {
        panic!("as the test wants it");
    }

    fn moved(&self, _: &Traffic, _: &Traffic) {
        panic!("as the test wants it");
    }
}

fn other_origins(rt: &Arc<dyn anyws::Runtime>) -> anyws::WebSocketConfig {
    support::config(rt).set_allowed_origins(["https://app.example"])
}

#[test]
fn without_timers_they_are_told_as_sockets_end() {
    let log = Log::default();
    let tracker = Tracker::new().metrics(log.clone());
    let config = Still::without_timers().config().set_tracker(tracker);
    let open = || {
        let (near, far) = testing::duplex();
        (testing::server(near, &config).unwrap(), far)
    };
    futures::executor::block_on(async {
        let (_kept, _far) = open();
        let (mut socket, mut far) = open();
        far.write_all(&masked(0x88, &[])).await.unwrap();
        while socket.next().await.is_some() {}
        let notes = log.take();
        assert_eq!((notes.moved.len(), notes.ended.len()), (1, 1));
    });
}

#[test]
fn the_default_methods_do_nothing() {
    #[derive(Debug)]
    struct Deaf;
    impl Metrics for Deaf {}

    let tracker = Tracker::new().metrics(Deaf);
    let (near, far) = testing::duplex();
    let config = anyws::WebSocketConfig::new().set_tracker(tracker.clone());
    drop((testing::server(near, &config).unwrap(), far));
    assert!(tracker.permit(None).is_ok());
}
