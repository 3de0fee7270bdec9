//! What a hub tells if Redis fails, and that no socket is harmed.

use std::sync::Arc;

use anyws::hub::{Event, RedisBackplane};
#[cfg(feature = "rt-tokio")]
use anyws::{Runtime, TokioRuntime};
use support::redis::Redis;

use super::{super::Member, Node, on_tokio_and_smol, until_queued};

on_tokio_and_smol! {
    async fn a_server_that_dies_and_comes_back_loses_what_is_told(rt) {
        let mut redis = Redis::start();
        let (mut near, mut far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let (mut ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        let mut memberships = [
            near.hub.join("room", &ann.sender),
            far.hub.join("room", &ben.sender),
        ];
        for membership in &mut memberships {
            membership.ready().await;
        }
        near.hub.publish("room", "1");
        until_queued(&rt, &ben, 1).await;
        redis.stop();
        near.expect_down().await;
        far.expect_down().await;
        for text in ["2", "3", "4"] {
            // The members of the same process still get it.
            assert_eq!(near.hub.publish("room", text).queued, 1);
        }
        assert_eq!(near.expect_failure().await.0, 3);
        redis.restart();
        for node in [&mut near, &mut far] {
            node.expect_up().await;
            assert_eq!(node.expect_gap().await, ("room".to_owned(), None));
        }
        near.hub.publish("room", "5");
        assert_eq!(far.expect_gap().await, ("room".to_owned(), Some(3)));
        until_queued(&rt, &ben, 2).await;
        assert_eq!(ann.read(5).await, ["1", "2", "3", "4", "5"]);
        assert_eq!(ben.read(2).await, ["1", "5"]);
    }

    async fn a_server_that_is_away_at_the_start_is_told_once(rt) {
        let mut redis = Redis::start();
        redis.stop();
        let mut node = Node::starting(&redis.url(), &rt);
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        let reason = node.expect_down().await;
        assert!(reason.contains("refused"), "{reason}");
        assert_eq!(node.hub.publish("room", "x").queued, 1);
        assert_eq!(node.expect_failure().await.0, 1);
        redis.restart();
        let event = node.events.next().await;
        assert!(matches!(event, Some(Event::Up)), "{event:?}");
        membership.ready().await;
        assert_eq!(node.expect_gap().await, ("room".to_owned(), None));
    }

    async fn a_wrong_password_is_told_until_it_is_right(rt) {
        let redis = Redis::with(&["--requirepass", "right"]);
        let secret = redis.url().replace("//", "//:wrong@");
        let mut node = Node::starting(&secret, &rt);
        let reason = node.expect_down().await;
        assert!(reason.contains("WRONGPASS"), "{reason}");
        assert!(!reason.contains("wrong@"), "{reason}");
        redis.command(&["ACL", "SETUSER", "default", ">wrong"]);
        node.expect_up().await;
        assert!(!format!("{:?}", RedisBackplane::new(secret).unwrap()).contains("wrong"));
    }

    async fn a_channel_that_is_not_allowed_is_told(rt) {
        let redis = Redis::start();
        let rules = "ACL SETUSER chat on >secret resetchannels &chat:* \
            +publish +subscribe +unsubscribe +ping +hello +client";
        redis.command(&rules.split_whitespace().collect::<Vec<_>>());
        let url = redis.url().replace("//", "//chat:secret@");
        let mut node = Node::starting(&url, &rt);
        node.expect_up().await;
        let ann = Member::new(&rt);
        let _membership = node.hub.join("room", &ann.sender);
        let reason = node.expect(|event| match event {
            Event::SubscribeFailed { topic, error, .. } => {
                assert_eq!(&**topic, "room");
                Some(error.to_string())
            }
            _ => None,
        });
        let reason = reason.await;
        // Valkey writes it with a capital.
        assert!(reason.contains("o permissions"), "{reason}");
        node.hub.publish("room", "x");
        let (lost, reason) = node.expect_failure().await;
        assert!(lost == 1 && reason.contains("o permissions"), "{lost} {reason}");
        // The guide's rules are enough for the guide's prefix.
        let backplane = RedisBackplane::new(url).unwrap().prefix("chat:");
        let (hub, mut events) = anyws::hub::Hub::with_backplane(backplane, Arc::clone(&rt));
        let mut membership = hub.join("room", &ann.sender);
        membership.ready().await;
        hub.publish("room", "x");
        drop(hub);
        assert!(matches!(events.next().await, Some(Event::Up)));
        assert!(events.next().await.is_none());
    }

    async fn a_server_that_stalls_is_given_up(rt) {
        let redis = Redis::start();
        let mut node = Node::new(&redis, &rt).await;
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        membership.ready().await;
        redis.pause();
        assert_eq!(node.hub.publish("room", "x").queued, 1);
        let (lost, reason) = node.expect_failure().await;
        assert!(lost == 1 && reason.contains("timed out"), "{lost} {reason}");
        node.expect_down().await;
        redis.resume();
        node.expect_up().await;
        membership.ready().await;
    }

    async fn a_connection_that_is_killed_is_made_again(rt) {
        let redis = Redis::start();
        let mut node = Node::new(&redis, &rt).await;
        for _ in 0..5 {
            redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            assert_eq!(node.expect_down().await, "Redis has ended the connection");
            node.expect_up().await;
        }
    }

    async fn a_server_that_is_no_redis_is_told(rt) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let mut node = Node::starting(&format!("redis://{address}"), &rt);
        let reason = node.expect_down().await;
        assert!(!reason.is_empty());
        server.join().unwrap();
    }
}

#[test]
fn a_wrong_url_is_an_error() {
    for url in [
        "",
        "127.0.0.1",
        "http://127.0.0.1",
        "redis://",
        "redis://host/x",
        "rediss://host",
    ] {
        let error = RedisBackplane::new(url).unwrap_err();
        assert!(!error.to_string().is_empty(), "{url}");
    }
}

/// Returns why a hub is down on this runtime. Its members are unharmed.
#[cfg(feature = "rt-tokio")]
fn down_on(tokio: &tokio::runtime::Runtime) -> String {
    let redis = Redis::start();
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new(tokio.handle().clone()));
    tokio.block_on(async {
        let mut node = Node::starting(&redis.url(), &runtime);
        let reason = node.expect_down().await;
        let ann = Member::new(&runtime);
        let _membership = node.hub.join("room", &ann.sender);
        assert_eq!(node.hub.publish("room", "x").queued, 1);
        reason
    })
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_runtime_without_io_is_told_and_panics_nowhere_else() {
    support::bounded(|| {
        let mut tokio = tokio::runtime::Builder::new_current_thread();
        let reason = down_on(&tokio.enable_time().build().unwrap());
        assert!(
            reason.contains("panicked") && reason.contains("IO"),
            "{reason}"
        );
    });
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_runtime_without_timers_is_told() {
    support::bounded(|| {
        let mut tokio = tokio::runtime::Builder::new_current_thread();
        let reason = down_on(&tokio.enable_io().build().unwrap());
        assert!(reason.contains("no timers"), "{reason}");
    });
}
