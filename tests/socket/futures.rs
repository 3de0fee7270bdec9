//! What the types and the futures of the crate can be used in: other threads, `Sync` types,
//! `select!`.

use std::{any::Any, cell::Cell, time::Duration};

use anyws::{
    Error, Message, ReceiveHalf, SendHalf, ServerHandshake, UpgradeIo, Upgrading, WebSocket,
    WebSocketConfig, WebSocketUpgrade, testing,
};
use futures::{
    FutureExt, StreamExt,
    channel::oneshot,
    future::{FusedFuture, select},
    select as fused_select,
    stream::FusedStream,
};
use support::{
    frames::{Frame, Role},
    owning::Owning,
    sockets::now,
};

fn is_shared<T: Send + Sync + 'static>() {}
fn is_moved<T: Unpin>() {}

#[test]
fn the_types_may_be_shared_and_moved() {
    is_shared::<WebSocket>();
    is_shared::<SendHalf>();
    is_shared::<ReceiveHalf>();
    is_shared::<WebSocketUpgrade<String>>();
    is_shared::<Upgrading>();
    is_shared::<ServerHandshake>();
    is_shared::<UpgradeIo>();
    is_shared::<WebSocketConfig>();
    is_shared::<Error>();
    is_moved::<WebSocket>();
    is_moved::<SendHalf>();
    is_moved::<ReceiveHalf>();
    is_moved::<Upgrading>();
    is_moved::<ServerHandshake>();
}

/// A stream need not be `Sync` for that.
#[test]
fn a_socket_on_a_stream_that_is_not_sync_is_sync() {
    let (near, far) = testing::duplex();
    let config = WebSocketConfig::new();
    let server = testing::server(Owning(far, Cell::new(0)), &config);
    let mut server: Box<dyn Any + Send + Sync> = Box::new(server.unwrap());
    let mut client = testing::client(near, &config).unwrap();
    now(client.send("over".into())).unwrap();
    let server: &mut WebSocket = server.downcast_mut().unwrap();
    assert_eq!(now(server.next()).unwrap().unwrap(), Message::text("over"));
}

/// Each future of a socket and of its halves; compiling is the test.
#[test]
fn the_futures_are_fused_and_may_be_moved_and_sent() {
    fn check<T>(future: &(impl FusedFuture<Output = T> + Send + Unpin)) {
        assert!(!future.is_terminated());
    }
    let message = || Message::text("x");
    let (mut socket, other) = testing::pair();
    check(&socket.next());
    check(&socket.next_data());
    check(&socket.send(message()));
    check(&socket.feed(message()));
    check(&socket.flush());
    check(&socket.closed());
    check(&socket.close(None));
    check(&socket.close_within(None, Duration::ZERO));
    let (mut sender, mut receiver) = other.split();
    check(&receiver.next());
    check(&receiver.next_data());
    check(&sender.send(message()));
    check(&sender.feed(message()));
    check(&sender.flush());
    check(&sender.closed());
    check(&sender.close(None));
    check(&sender.close_within(None, Duration::ZERO));
}

#[test]
fn futures_own_select_takes_the_methods_as_they_are() {
    let (mut socket, mut peer) = Role::Server.with_peer(&WebSocketConfig::new());
    let (_keep, mut stop) = oneshot::channel::<()>();
    now(async {
        peer.send(Frame::text("one")).await;
        fused_select! {
            message = socket.next() => assert_eq!(message.unwrap().unwrap(), Message::text("one")),
            _ = stop => panic!("nobody stops"),
        }
        let (mut sender, mut receiver) = socket.split();
        peer.send(Frame::text("two")).await;
        fused_select! {
            message = receiver.next() => {
                assert_eq!(message.unwrap().unwrap(), Message::text("two"));
            }
            _ = stop => panic!("nobody stops"),
        }
        let sent = select(sender.send("three".into()), std::future::pending::<()>()).await;
        assert!(matches!(sent, futures::future::Either::Left((Ok(()), _))));
        assert_eq!(peer.frame().await, Some(Frame::text("three")));
    });
}

/// `select!` skips what is terminated, and comes to `complete`: a loop over it ends.
#[test]
fn after_the_end_next_is_terminated() {
    let (mut socket, mut peer) = Role::Server.with_peer(&WebSocketConfig::new());
    now(peer.send(Frame::text("one")));
    now(peer.send(Frame::close(1000, "")));
    let mut count = 0;
    now(async {
        for turn in 0.. {
            assert!(turn < 10, "it does not come to `complete`");
            fused_select! {
                message = socket.next() => count += usize::from(message.is_some()),
                complete => break,
            }
        }
    });
    assert_eq!(count, 2);
    assert!(socket.is_terminated() && socket.next().is_terminated());
    assert!(socket.next_data().is_terminated());
    let (_, mut receiver) = socket.split();
    assert!(receiver.next().is_terminated() && receiver.next_data().is_terminated());
}

/// A handler that passes over what it does not want ends by `None`, whatever came before that.
#[test]
fn select_comes_to_the_none_of_next() {
    macro_rules! receive {
        ($socket:ident) => {{
            let (_keep, mut stop) = oneshot::channel::<()>();
            now(async {
                for turn in 0.. {
                    assert!(turn < 10, "it does not come to `None`");
                    fused_select! {
                        message = $socket.next() => if message.is_none() { break },
                        _ = stop => panic!("nobody stops"),
                    }
                }
            });
        }};
    }
    let ends = [
        Frame::close(1000, "").masked(),
        Frame::text("x").with_bits(0x40).masked(),
    ];
    for end in &ends {
        let (mut socket, mut peer) = Role::Server.with_peer(&WebSocketConfig::new());
        now(peer.send_bytes(end));
        receive!(socket);

        let (socket, mut peer) = Role::Server.with_peer(&WebSocketConfig::new());
        let (_sender, mut receiver) = socket.split();
        now(peer.send_bytes(end));
        receive!(receiver);
    }

    // The other half has ended the connection before the receiver looks.
    let (socket, _peer) = Role::Server.with_peer(&WebSocketConfig::new());
    let (mut sender, mut receiver) = socket.split();
    sender.abort();
    receive!(receiver);
}

#[test]
fn a_future_that_was_ready_is_terminated() {
    let (mut socket, _peer) = Role::Server.with_peer(&WebSocketConfig::new());
    let mut send = socket.send("x".into());
    (&mut send).now_or_never().unwrap().unwrap();
    assert!(send.is_terminated());
    drop(send);
    let mut next = socket.next();
    assert!((&mut next).now_or_never().is_none());
    assert!(!next.is_terminated());
}

/// The methods of the socket and those of `StreamExt` live beside each other.
#[test]
fn next_of_futures_works_too() {
    let (mut socket, mut peer) = Role::Server.with_peer(&WebSocketConfig::new());
    now(peer.send(Frame::text("one")));
    let item = now(StreamExt::next(&mut socket));
    assert_eq!(item.unwrap().unwrap(), Message::text("one"));
}
