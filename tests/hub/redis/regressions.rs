//! Faults that were found with a real Redis.

use std::sync::Arc;

use anyws::hub::{Event, Hub, RedisBackplane};
use support::{redis::Redis, tasks::yield_to_tasks};

use super::{super::Member, Node, on_tokio_and_smol, until, until_queued};

on_tokio_and_smol! {
    async fn clones_of_a_backplane_serve_hubs_of_their_own(rt) {
        let redis = Redis::start();
        let backplane = RedisBackplane::new(redis.url()).unwrap();
        let prefixes = ["anyws:", "other:"];
        let hubs = prefixes.map(|prefix| {
            let backplane = backplane.clone().prefix(prefix);
            Hub::with_backplane(backplane, Arc::clone(&rt)).0
        });
        let members = [Member::new(&rt), Member::new(&rt)];
        let mut memberships = [0, 1].map(|at| hubs[at].join("room", &members[at].sender));
        for membership in &mut memberships {
            membership.ready().await;
        }
        let far = Node::new(&redis, &rt).await;
        far.hub.publish("room", "x");
        until_queued(&rt, &members[0], 1).await;
        assert_eq!(members[1].queued(), 0);
    }

    async fn a_clone_that_is_kept_keeps_no_connection(rt) {
        let redis = Redis::start();
        let backplane = RedisBackplane::new(redis.url()).unwrap();
        let (hub, mut events) = Hub::with_backplane(backplane.clone(), Arc::clone(&rt));
        events.next().await;
        let connections = || redis.command(&["CLIENT", "LIST"]).lines().count();
        assert_eq!(connections(), 2, "the hub and this command");
        drop(hub);
        assert!(events.next().await.is_none());
        until(&rt, || connections() == 1).await;
        drop(backplane);
    }

    async fn a_subscription_that_is_lost_with_the_connection_is_not_refused(rt) {
        let mut redis = Redis::start();
        let mut node = Node::new(&redis, &rt).await;
        let ann = Member::new(&rt);
        redis.pause();
        let names = (0..1000).map(|at| at.to_string());
        let _memberships: Vec<_> = names.map(|name| node.hub.join(&name, &ann.sender)).collect();
        yield_to_tasks(&rt).await;
        redis.stop();
        let event = node.events.next().await;
        assert!(matches!(event, Some(Event::Down(_))), "{event:?}");
        redis.restart();
        node.expect_up().await;
    }

    async fn a_topic_that_is_joined_while_redis_stalls_is_subscribed_once_it_goes_on(rt) {
        let redis = Redis::start();
        let (mut node, far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let ann = Member::new(&rt);
        redis.pause();
        let mut membership = node.hub.join("room", &ann.sender);
        let event = node.events.next().await;
        assert!(matches!(event, Some(Event::SubscribeFailed { .. })), "{event:?}");
        redis.resume();
        assert_eq!(node.expect_down().await, "Redis did not answer in time");
        membership.ready().await;
        far.hub.publish("room", "x");
        until_queued(&rt, &ann, 1).await;
    }

    async fn a_server_that_answers_a_test_with_an_error_is_there(rt) {
        let redis = Redis::start();
        let rules = "ACL SETUSER chat on nopass allchannels +publish +subscribe +hello +client";
        redis.command(&rules.split_whitespace().collect::<Vec<_>>());
        let mut node = Node::starting(&redis.url().replace("//", "//chat:x@"), &rt);
        node.expect_up().await;
        let refused = || redis.command(&["ACL", "LOG"]).contains("ping");
        until(&rt, refused).await;
        // It has read the answer by now.
        node.hub.publish("room", "x");
        drop(node.hub);
        assert!(node.events.next().await.is_none());
    }
}
