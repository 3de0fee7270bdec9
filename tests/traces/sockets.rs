//! Sockets that open and close: two events, which belong to no span.

use anyws::{CloseCode, ServerHandshake, testing};
use support::{
    config, runtimes,
    tasks::yield_to_tasks,
    traces::{Entry, Log},
    upgrades::{echo, extract},
};
use tracing::info_span;

#[track_caller]
fn assert_is_root(entry: &Entry, text: &str) {
    assert_eq!(entry.text, text);
    assert!(entry.is_root, "{entry:?}");
}

runtimes! {
    async fn a_socket_opens_and_closes_once_and_outside_of_all_spans(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (ws, client) = extract(&rt);
        let response = info_span!("request").in_scope(|| ws.on_upgrade(echo));
        let opened = log.next("opened").await;
        assert_is_root(&opened, "DEBUG opened role=server");
        assert_eq!(opened.spans, ["websocket"], "the task has a span, the event has no parent");

        let mut client = client.open(&response).unwrap();
        assert_is_root(&log.next("opened").await, "DEBUG opened role=client");
        client.close((CloseCode::Away, "s3cret")).await.unwrap();
        drop(client);
        let mut texts = Vec::new();
        for _ in 0..2 {
            let closed = log.next("closed").await;
            assert!(closed.is_root);
            texts.push(closed.text);
        }
        texts.sort();
        let (near, far) = ("client code=1001 by=client", "server code=1001 by=peer");
        assert_eq!(texts, [near, far].map(|it| format!("DEBUG closed role={it}")));
    }

    async fn a_socket_whose_peer_is_gone_closes_without_a_code(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (near, far) = testing::duplex();
        let mut socket = testing::server(near, &config(&rt)).unwrap();
        drop(far);
        socket.next().await.unwrap().unwrap_err();
        drop(socket);
        assert_is_root(&log.next("closed").await, "DEBUG closed role=server");
    }

    async fn a_socket_that_is_aborted_and_kept_has_closed(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (near, _far) = testing::duplex();
        let mut socket = testing::server(near, &config(&rt)).unwrap();
        socket.abort();
        assert_is_root(&log.next("closed").await, "DEBUG closed role=server");
        socket.abort();
        drop(socket);
        yield_to_tasks(&rt).await;
        assert!(log.all().is_empty(), "it closes once");
    }
}

#[test]
fn without_a_runtime_a_dropped_socket_closes_too() {
    let mut log = Log::here();
    let (near, _far) = testing::duplex();
    let still = support::still::Still::without_timers();
    let socket = testing::server(near, &still.config()).unwrap();
    let only = |entries: Vec<Entry>, text| {
        assert_eq!(entries.len(), 1);
        assert_is_root(&entries[0], text);
    };
    only(log.all(), "DEBUG opened role=server");
    drop(socket);
    only(log.all(), "DEBUG closed role=server code=1000 by=server");
}

#[test]
fn a_refused_handshake_opens_nothing() {
    let mut log = Log::here();
    let (near, far) = testing::duplex();
    drop(far);
    futures::executor::block_on(ServerHandshake::read(near, anyws::WebSocketConfig::new()))
        .unwrap_err();
    assert!(log.all().is_empty());
}
