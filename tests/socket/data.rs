//! `next_data` and `close_frame`: data alone, and the peer's Close afterwards.

use anyws::{Error, Message, ProtocolError};
use futures::{FutureExt, future::join};
use support::{
    frames::{CLOSE, Frame, PING, PONG, Role, TEXT},
    runtimes,
    sockets::{close, close_frame, now, patient},
};

runtimes! {
    async fn next_data_leaves_out_control_frames_which_are_answered(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            let talk = async {
                peer.send(Frame::new(PING, "1")).await;
                assert_eq!(peer.frame().await, Some(Frame::new(PONG, "1")));
                peer.send(Frame::new(PONG, "nobody asked")).await;
                peer.send(Frame::text("")).await;
                peer.send(Frame::new(2, "bytes")).await;
                peer.send(Frame::new(PING, "2")).await;
                peer.send(Frame::close(4000, "done")).await;
                assert_eq!(peer.frame().await, Some(Frame::new(PONG, "2")));
                assert_eq!(peer.frame().await, Some(Frame::close(4000, "done")));
            };
            let receive = async {
                let mut messages = Vec::new();
                while let Some(message) = socket.next_data().await {
                    messages.push(message.unwrap());
                }
                messages
            };
            let (messages, ()) = join(receive, talk).await;
            assert_eq!(messages, [Message::text(""), Message::binary("bytes")]);
            assert_eq!(socket.close_frame(), Some(close_frame(4000, "done")));
            assert!(now(socket.next_data()).is_none() && now(socket.next()).is_none());
        }
    }

    async fn the_halves_have_the_same(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (sender, mut receiver) = socket.split();
        peer.send(Frame::new(PING, "")).await;
        peer.send(Frame::text("one")).await;
        assert_eq!(receiver.next_data().await.unwrap().unwrap(), Message::text("one"));
        assert_eq!((sender.close_frame(), receiver.close_frame()), (None, None));
        peer.send(Frame::close(1001, "")).await;
        assert!(receiver.next_data().await.is_none());
        let frame = Some(close_frame(1001, ""));
        assert_eq!((sender.close_frame(), receiver.close_frame()), (frame.clone(), frame));
    }

    async fn a_close_without_a_code_has_no_frame(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::new(CLOSE, "")).await;
        assert!(socket.next_data().await.is_none());
        assert_eq!(socket.close_frame(), None);
    }

    async fn next_shows_the_close_and_close_frame_keeps_it(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::close(1000, "bye")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), close(1000, "bye"));
        assert_eq!(socket.close_frame(), Some(close_frame(1000, "bye")));
    }

    async fn close_keeps_the_peers_frame(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        assert!(socket.close((1000, "ours")).now_or_never().is_none());
        peer.send(Frame::close(3000, "theirs")).await;
        peer.finish().await;
        socket.close(None).await.unwrap();
        assert_eq!(socket.close_frame(), Some(close_frame(3000, "theirs")));
        // It was discarded by `close`, so `next` still shows it, once.
        assert_eq!(now(socket.next()).unwrap().unwrap(), close(3000, "theirs"));
        assert!(now(socket.next()).is_none());
    }

    async fn an_error_is_returned_and_is_no_close(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::new(TEXT, [0xff])).await;
        let item = socket.next_data().await;
        let error = item.unwrap().unwrap_err();
        assert!(matches!(error, Error::Protocol(ProtocolError::InvalidUtf8)), "{error:?}");
        assert!(socket.next_data().await.is_none());
        assert_eq!(socket.close_frame(), None);

        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.finish().await;
        let error = socket.next_data().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::ClosedWithoutHandshake), "{error:?}");
        assert_eq!(socket.close_frame(), None);
    }
}
