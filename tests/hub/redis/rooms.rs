//! Rooms over two hubs.

use std::{sync::Arc, time::Duration};

use anyws::{
    Bytes, Message, Runtime,
    hub::{Hub, RedisBackplane},
};
use futures::join;
use support::{redis::Redis, time::Paused};

use super::{
    super::{
        Member,
        bursts::{expect, serve},
    },
    Node, on_tokio_and_smol, until, until_queued,
};

on_tokio_and_smol! {
    async fn members_of_both_hubs_get_a_message_once(rt) {
        let redis = Redis::start();
        let nodes = [Node::new(&redis, &rt).await, Node::new(&redis, &rt).await];
        let mut members = [Member::new(&rt), Member::new(&rt)];
        let mut near = nodes[0].hub.join("room", &members[0].sender);
        let mut far = nodes[1].hub.join("room", &members[1].sender);
        near.ready().await;
        far.ready().await;
        let texts: Vec<_> = (0..200).map(|at| at.to_string()).collect();
        for (at, text) in texts.iter().enumerate() {
            nodes[0].hub.publish("room", text.as_str());
            assert_eq!(members[0].queued(), at + 1);
        }
        until_queued(&rt, &members[1], 200).await;
        assert_eq!(members[0].read(200).await, texts);
        assert_eq!(members[1].read(200).await, texts);
        nodes[1].hub.publish("room", "answer");
        until_queued(&rt, &members[0], 1).await;
        assert_eq!((nodes[0].hub.ignored(), nodes[1].hub.ignored()), (0, 0));
    }

    async fn a_burst_closes_nobody_who_reads(rt) {
        let redis = Redis::start();
        let (near, far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let ann = Member::new(&rt);
        let mut subscription = far.hub.join("room", &ann.sender);
        subscription.ready().await;
        let mut client = serve(ann, &rt);
        // The queue of a member holds 256.
        near.hub.publish_all("room", (1..=4096).map(|number| number.to_string()));
        expect(&mut client, 4096).await;
    }

    async fn any_topic_and_any_payload_arrive(rt) {
        let redis = Redis::start();
        let (near, far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let long = "x".repeat(4096);
        let topics = ["", " ", "a b\r\nPING\r\n", "\0", "*", "[a-z]?", "r\u{f6}om", &long];
        let payloads = [
            Message::text(""),
            Message::text("\0\r\n$-1"),
            Message::binary(Bytes::new()),
            Message::binary(vec![0xff; 1 << 20]),
        ];
        for topic in topics {
            let mut ann = Member::new(&rt);
            let mut membership = far.hub.join(topic, &ann.sender);
            membership.ready().await;
            for payload in &payloads {
                near.hub.publish(topic, payload.clone());
                until_queued(&rt, &ann, 1).await;
                let (flushed, read) = join!(ann.socket.flush(), ann.client.next());
                flushed.unwrap();
                assert_eq!(read.unwrap().unwrap(), *payload, "on {topic:.20?}");
            }
        }
        assert_eq!(far.hub.ignored(), 0);
    }

    async fn hubs_with_different_prefixes_do_not_hear_each_other(rt) {
        let redis = Redis::start();
        let node = Node::new(&redis, &rt).await;
        let backplane = RedisBackplane::new(redis.url()).unwrap().prefix("other:");
        let (other, mut events) = Hub::with_backplane(backplane, Arc::clone(&rt));
        events.next().await;
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let mut memberships = vec![
            node.hub.join("room", &ann.sender),
            other.join("room", &ben.sender),
        ];
        for membership in &mut memberships {
            membership.ready().await;
        }
        let channels = redis.command(&["PUBSUB", "CHANNELS"]);
        let mut channels: Vec<_> = channels.lines().collect();
        channels.sort_unstable();
        assert_eq!(channels, ["anyws:room", "other:room"]);
        // Redis has passed both on once another hub of the same prefix has them.
        let witness = [Member::new(&rt), Member::new(&rt)];
        let hubs = ["anyws:", "other:"].map(|prefix| {
            let backplane = RedisBackplane::new(redis.url()).unwrap().prefix(prefix);
            Hub::with_backplane(backplane, Arc::clone(&rt)).0
        });
        for (hub, member) in hubs.iter().zip(&witness) {
            memberships.push(hub.join("room", &member.sender));
        }
        for membership in &mut memberships {
            membership.ready().await;
        }
        node.hub.publish("room", "1");
        other.publish("room", "2");
        for member in &witness {
            until_queued(&rt, member, 1).await;
        }
        // Each connection gets messages in their order, so nothing is missing behind these.
        for hub in &hubs {
            hub.publish("room", "3");
        }
        until_queued(&rt, &ann, 2).await;
        until_queued(&rt, &ben, 2).await;
    }

    async fn ten_thousand_joins_are_one_subscription(rt) {
        let redis = Redis::start();
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let node = Node::new(&redis, &runtime).await;
        let ann = Member::new(&rt);
        let calls = |name: &str| {
            let stats = redis.command(&["INFO", "commandstats"]);
            let line = format!("cmdstat_{name}:calls=");
            let found = stats.lines().find_map(|it| it.strip_prefix(&line)?.split(',').next());
            found.map_or(0, |calls| calls.parse::<u32>().unwrap())
        };
        for at in 0..10_000 {
            drop(node.hub.join(&format!("room {}", at % 2), &ann.sender));
        }
        let mut membership = node.hub.join("room 0", &ann.sender);
        membership.ready().await;
        drop(membership);
        // The task may begin the grace at any time.
        while !redis.command(&["PUBSUB", "CHANNELS"]).is_empty() {
            time.advance(Duration::from_secs(10)).await;
        }
        assert!(calls("subscribe") <= 2 && calls("unsubscribe") <= 2);
    }

    async fn ten_thousand_topics_are_subscribed_again_after_a_restart(rt) {
        let mut redis = Redis::start();
        let mut node = Node::new(&redis, &rt).await;
        let ann = Member::new(&rt);
        let names: Vec<_> = (0..10_000).map(|at| format!("room {at}")).collect();
        let mut memberships: Vec<_> =
            names.iter().map(|name| node.hub.join(name, &ann.sender)).collect();
        for membership in &mut memberships {
            membership.ready().await;
        }
        redis.restart();
        node.expect_up().await;
        let subscribed = redis.command(&["PUBSUB", "CHANNELS"]).lines().count();
        assert_eq!(subscribed, names.len());
    }

    async fn the_connection_ends_with_the_hub(rt) {
        let redis = Redis::start();
        let mut node = Node::new(&redis, &rt).await;
        let connections = || redis.command(&["CLIENT", "LIST"]).lines().count();
        assert_eq!(connections(), 2, "the hub and this command");
        node.hub.publish("room", "the last one");
        drop(node.hub);
        assert!(node.events.next().await.is_none());
        until(&rt, || connections() == 1).await;
        let stats = redis.command(&["INFO", "commandstats"]);
        assert!(stats.contains("cmdstat_publish:calls=1"), "{stats}");
    }
}
