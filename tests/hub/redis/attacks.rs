//! Strangers on the channels, and publishers that are faster than Redis.

use anyws::{PreparedMessage, WhenFull};
use support::redis::Redis;

use super::{
    super::{Member, bounds},
    Node, on_tokio_and_smol, until, until_queued,
};

on_tokio_and_smol! {
    async fn what_a_stranger_publishes_is_ignored_and_counted(rt) {
        let redis = Redis::start();
        let (near, far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let ann = Member::new(&rt);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        let huge = [b"anyw\x01\x02\0\0".as_slice(), &vec![0; 20 << 20]].concat();
        let strange = [b"".as_slice(), b"hello", b"anyw\x02\x01", &[0; 32], &huge];
        for bytes in strange {
            redis.command(&[b"PUBLISH".as_slice(), b"anyws:room", bytes]);
        }
        near.hub.publish("room", "from a hub");
        until_queued(&rt, &ann, 1).await;
        assert_eq!(far.hub.ignored(), strange.len());
    }

    async fn a_publisher_that_is_faster_than_redis_hears_of_it(rt) {
        let redis = Redis::start();
        let (mut near, mut far) = (Node::new(&redis, &rt).await, Node::new(&redis, &rt).await);
        let ann = Member::with_queue(&rt, bounds(1, WhenFull::DropOldest));
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        redis.pause();
        let message = PreparedMessage::from(vec![0; 1 << 20]);
        for _ in 0..200 {
            near.hub.publish("room", &message);
        }
        let (lost, reason) = near.expect_failure().await;
        assert!(lost > 150 && reason.contains("full"), "{lost} {reason}");
        redis.resume();
        // All that was accepted arrives. The last one is in the queue of the member.
        until(&rt, || ann.sender.buffered().dropped == 200 - lost - 1).await;
        near.hub.publish("room", "the next one");
        // Some may have found space again between those that are lost.
        let mut gaps = 0;
        while gaps < lost {
            gaps += far.expect_gap().await.1.unwrap();
        }
        assert_eq!(gaps, lost);
    }
}
