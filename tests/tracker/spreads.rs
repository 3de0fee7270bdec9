//! Drains that ask their sockets over a time.

use std::time::Duration;

use anyws::{Drain, Message, Rejection, WebSocket};
use futures::{FutureExt, future::join_all};
use support::{runtimes, upgrades::echo};

use super::server::{Server, assert_drained, assert_is_closed};

const SPREAD: Duration = Duration::from_secs(20);
/// A millisecond less.
const ALMOST: Duration = Duration::from_millis(19_999);
const SOCKETS: usize = 40;

runtimes! {
    async fn sockets_are_asked_in_twenty_parts_and_random_order(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drain = Drain::new().spread(SPREAD).deadline(2 * SPREAD);
        let drained = server.drain(drain).await;
        let mut order = Vec::new();
        for second in 0..20 {
            for (index, client) in clients.iter_mut().enumerate() {
                if let Some(Some(Ok(Message::Close(_)))) = client.next().now_or_never() {
                    order.push(index);
                }
            }
            // Two of 40 at once, and two more each second.
            assert_eq!(order.len(), 2 * (second + 1));
            // Those that were asked end; the others do not.
            server.time.settle().await;
            assert_eq!(server.tracker.open(), SOCKETS - order.len());
            server.time.advance(SPREAD / 20).await;
        }
        assert!(!order.is_sorted(), "{order:?}");
        let drained = drained.await.unwrap();
        assert_drained(&drained, SOCKETS, 0);
        assert_eq!(drained.took, SPREAD * 19 / 20);
    }

    async fn nobody_is_asked_before_the_notice_has_passed(rt) {
        let server = Server::new(&rt);
        assert!(!server.tracker.is_draining());
        let draining = server.tracker.draining();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                draining.await;
                socket.send("goodbye".into()).await?;
                socket.closed().await
            })
            .await;
        let mut other = server.open(echo).await;
        let drained = server.drain(Drain::new().notice(SPREAD).deadline(2 * SPREAD)).await;
        assert!(server.tracker.is_draining());
        assert!(matches!(server.tracker.permit(None), Err(Rejection::Draining)));
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("goodbye"));
        server.time.advance(ALMOST).await;
        other.send("hello".into()).await.unwrap();
        assert_eq!(other.next().await.unwrap().unwrap(), Message::text("hello"));
        server.time.advance(Duration::from_millis(1)).await;
        assert_is_closed(&mut client, 1001).await;
        assert_is_closed(&mut other, 1001).await;
        let drained = drained.await.unwrap();
        assert_drained(&drained, 2, 0);
        assert_eq!(drained.took, SPREAD);
    }

    async fn a_notice_comes_before_the_spread(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drain = Drain::new().notice(SPREAD).spread(SPREAD).deadline(3 * SPREAD);
        let drained = server.drain(drain).await;
        server.time.advance(SPREAD + SPREAD / 2).await;
        let mut asked = 0;
        for client in &mut clients {
            asked += usize::from(client.next().now_or_never().is_some());
        }
        // Ten parts have been due, and the next one is.
        assert_eq!(asked, SOCKETS * 11 / 20);
        drop(clients);
        server.time.advance(SPREAD).await;
        assert_drained(&drained.await.unwrap(), SOCKETS, 0);
    }

    async fn a_spread_that_no_clock_can_express_ends_at_the_deadline(rt) {
        let server = Server::new(&rt);
        let _clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drain = Drain::new().spread(Duration::MAX).deadline(SPREAD);
        let drained = server.drain(drain).await;
        server.time.advance(SPREAD).await;
        assert_drained(&drained.await.unwrap(), 0, SOCKETS);
    }

    async fn a_few_sockets_are_asked_within_the_spread(rt) {
        let server = Server::new(&rt);
        let mut client = server.open(echo).await;
        let drained = server.drain(Drain::new().spread(SPREAD).deadline(2 * SPREAD)).await;
        server.time.advance(SPREAD).await;
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_deadline_before_the_end_of_the_spread_ends_the_rest(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drained = server.drain(Drain::new().spread(SPREAD).deadline(SPREAD / 2)).await;
        server.time.advance(SPREAD / 2).await;
        let drained = drained.await.unwrap();
        // The clients have not answered yet.
        assert_drained(&drained, 0, SOCKETS);
        for client in &mut clients {
            assert_is_closed(client, 1001).await;
        }
    }

    async fn a_second_drain_that_is_dropped_leaves_the_spread_to_the_first(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drained = server.drain(Drain::new().spread(SPREAD).deadline(2 * SPREAD)).await;
        assert!(server.tracker.drain(Drain::new()).now_or_never().is_none());
        server.time.settle().await;
        let closed = clients.iter_mut().filter_map(|client| client.next().now_or_never());
        assert_eq!(closed.count(), 2);
        drop(clients);
        assert_drained(&drained.await.unwrap(), SOCKETS, 0);
    }

    async fn sockets_that_are_not_asked_yet_go_on(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..SOCKETS).map(|_| server.open(echo))).await;
        let drained = server.drain(Drain::new().spread(SPREAD).deadline(2 * SPREAD)).await;
        let mut echoed = 0;
        for client in &mut clients {
            client.send("hello".into()).await.unwrap();
            if client.next().await.unwrap().unwrap().is_text() {
                echoed += 1;
            }
        }
        assert_eq!(echoed, SOCKETS - 2);
        drop(clients);
        assert_drained(&drained.await.unwrap(), SOCKETS, 0);
    }
}

#[cfg(feature = "rt-tokio")]
#[test]
fn timers_of_a_runtime_that_was_shut_down_spread_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let timers = anyws::TokioRuntime::new(runtime.handle().clone());
    let tracker = anyws::Tracker::new().runtime(std::sync::Arc::new(timers));
    let _permits: Vec<_> = (0..SOCKETS).map(|_| tracker.permit(None)).collect();
    drop(runtime);
    // Those timers are ready at once: a drain that waits for them would be busy for the spread.
    let drained = tracker.drain(Drain::new().spread(SPREAD)).now_or_never();
    assert_drained(&drained.unwrap(), 0, SOCKETS);
}
