//! Sockets that a test polls by hand, and what it demands of them.

use std::{future::Future, sync::Arc, time::Duration};

use anyws::{CloseCode, CloseFrame, Message, Runtime, TransportConfig, WebSocket, WebSocketConfig};
use futures::FutureExt;

use super::{
    config,
    scripted::{Event, Script},
};

/// Settings for the tests that are not to end by a timeout.
pub fn patient(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    config(runtime).set_close_timeout(Duration::from_secs(3600))
}

/// The same with other limits than the default ones.
pub fn with_limits(
    runtime: &Arc<dyn Runtime>,
    set: impl FnOnce(TransportConfig) -> TransportConfig,
) -> WebSocketConfig {
    patient(runtime).set_transport(set(TransportConfig::default()))
}

pub fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }
}

pub fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(close_frame(code, reason)))
}

/// Returns what a future comes to that has nothing to wait for.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("there is nothing to wait for")
}

/// Receives a message that has arrived.
pub fn received(socket: &mut WebSocket) -> Message {
    let item = now(socket.next()).expect("no end yet");
    item.expect("no error yet")
}

/// Demands that there is neither a message nor an end.
pub fn assert_waits(socket: &mut WebSocket) {
    let item = socket.next().now_or_never();
    assert!(item.is_none(), "{item:?}");
}

/// What was done with a stream beside writing.
pub fn order(script: &Script) -> Vec<Event> {
    let events = script.events().into_iter();
    events.filter(|it| !matches!(it, Event::Write(_))).collect()
}
