//! The names and labels that Prometheus gets, against those of the documentation.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyws::{
    QueueConfig, Runtime, TokioRuntime, Tracker, WebSocket, WebSocketConfig, WhenFull,
    metrics::Facade,
    testing::{self, Duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt};
use metrics_exporter_prometheus::PrometheusBuilder;
use support::{raw::masked, time::Paused, upgrades::Upgrade};

const SECOND: Duration = Duration::from_secs(1);

/// Returns the names of the table in the documentation of `anyws::metrics`.
fn documented() -> BTreeSet<String> {
    let rows = include_str!("../../src/metrics.md").lines();
    let names = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

/// Opens a socket whose peer is the test.
fn open<Fut>(
    tracker: &Tracker,
    config: WebSocketConfig,
    handler: impl FnOnce(WebSocket) -> Fut + Send + 'static,
) -> Duplex
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let (mut request, far) = support::upgrades::raw_upgrade();
    request.extensions_mut().insert(tracker.clone());
    let ws = Upgrade::from_request(&mut request).unwrap();
    let _ = ws.set_config(config).label("lobby").on_upgrade(handler);
    far
}

async fn listen(mut socket: WebSocket) {
    while socket.next().await.is_some() {}
}

async fn overflow(mut socket: WebSocket) {
    let queue = QueueConfig::default();
    let sender = socket.sender_with(queue.messages(1).when_full(WhenFull::DropNewest));
    for _ in 0..3 {
        let _ = sender.try_send("one of three");
    }
    listen(socket).await;
}

/// Lets sockets do all that there are metrics for.
async fn live(runtime: &Arc<dyn Runtime>) {
    let time = Paused::new(runtime);
    let tracker = Tracker::new().metrics(Facade::new());
    let pinged = time.config().set_keepalive(10 * SECOND, 10 * SECOND);
    let mut peer = open(&tracker, pinged, listen);
    time.advance(12 * SECOND).await;
    let mut ping = [0; 6];
    peer.read_exact(&mut ping).await.unwrap();
    peer.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
    // An answer that comes with a message is not measured.
    time.settle().await;
    peer.write_all(&masked(0x81, b"a text")).await.unwrap();
    peer.write_all(&masked(0x88, &[0x0f, 0xa7])).await.unwrap();
    time.settle().await;

    let mut peer = open(&tracker, time.config(), overflow);
    time.settle().await;
    peer.write_all(&masked(0x88, &[])).await.unwrap();

    let idle = time.config().set_idle_timeout(10 * SECOND);
    let mut peer = open(&tracker, idle, listen);
    time.advance(15 * SECOND).await;
    peer.write_all(&masked(0x88, &[])).await.unwrap();
    time.settle().await;

    let (mut request, _) = testing::upgrade("/");
    request.extensions_mut().insert(tracker.clone());
    request.headers_mut().remove("sec-websocket-key");
    assert!(Upgrade::from_request(&mut request).is_err());
    let _open = open(&tracker, time.config(), listen);
    time.settle().await;
}

#[test]
fn a_second_tracker_does_not_begin_at_zero() {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let tracker = Tracker::new().metrics(Facade::new());
        let config = WebSocketConfig::new().set_tracker(tracker);
        let (near, _far) = testing::duplex();
        let socket = testing::server(near, &config).unwrap();
        let _other = Tracker::new().metrics(Facade::new());
        let text = recorder.handle().render();
        assert!(
            text.contains("websocket_server_active_connections 1\n"),
            "{text}"
        );
        drop(socket);
    });
}

#[test]
fn prometheus_gets_what_the_documentation_says() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // It is that of this thread, on which everything runs.
    metrics::with_local_recorder(&recorder, || {
        tokio.block_on(async {
            let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
            live(&runtime).await;
        });
    });
    let text = recorder.handle().render();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<_> = kinds
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(names, documented(), "{text}");
    for line in [
        r#"active_connections{label="lobby"} 1"#,
        r#"connection_duration_seconds_count{label="lobby",code="4xxx",initiator="peer"} 1"#,
        r#"connection_duration_seconds_count{label="lobby",code="1005",initiator="peer"} 1"#,
        r#"connection_duration_seconds_count{label="lobby",code="1001",initiator="server"} 1"#,
        r#"handshakes_refused_total{status="400"} 1"#,
        r#"messages_total{network_io_direction="receive",type="text"} 1"#,
        r#"messages_total{network_io_direction="receive",type="control"} 4"#,
        r#"messages_total{network_io_direction="transmit",type="text"} 1"#,
        r#"messages_total{network_io_direction="transmit",type="control"} 4"#,
        r#"io_bytes_total{network_io_direction="receive"} 42"#,
        "round_trip_seconds_count 1",
        r#"queue_dropped_total{policy="drop_newest"} 2"#,
        r#"timeouts_total{phase="idle"} 1"#,
    ] {
        let line = format!("websocket_server_{line}");
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(
        text.contains("# HELP websocket_server_active_connections "),
        "{text}"
    );
}
