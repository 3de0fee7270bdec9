//! How many connections of refused clients a process keeps to send them their answer. No other test
//! is here: the number is the process's.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Instant,
};

use anyws::{Error, Rejection, Runtime, Sleep, WebSocketConfig};
use futures::{executor::block_on, future::BoxFuture};
use support::{
    attack::{Attack, Then},
    raw::Request,
};

/// The number that the crate promises.
const MOST: usize = 256;

/// A runtime that keeps its tasks, and whose clock stands still.
#[derive(Default)]
struct Keeping(Mutex<Vec<BoxFuture<'static, ()>>>);

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeping")
    }
}

impl Runtime for Keeping {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().push(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Never)
    }
}

struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}

#[test]
fn only_so_many_refused_clients_linger_at_once_and_each_is_small() {
    let rt = Arc::new(Keeping::default());
    let config = WebSocketConfig::new().set_runtime(rt.clone());
    let refuse = || {
        let request = Request::new().with("Sec-WebSocket-Key", &[]);
        let mut stream = Attack::new(request.bytes(), Then::Wait);
        let (log, mut dropped) = (stream.log(), stream.dropped());
        let accepted = block_on(anyws::accept(stream, config.clone()));
        assert!(matches!(
            accepted,
            Err(Error::Rejected(Rejection::KeyHeader))
        ));
        assert!(log.written() > 0, "the client is answered in any case");
        // Is the stream gone?
        dropped.try_recv().unwrap().is_some()
    };
    let lingering = || rt.0.lock().unwrap().len();

    for count in 1..=MOST {
        assert!(!refuse());
        assert_eq!(lingering(), count);
    }
    assert!(refuse(), "one above the bound is dropped at once");
    assert_eq!(lingering(), MOST);
    for task in rt.0.lock().unwrap().iter() {
        let size = size_of_val(&**task);
        assert!(size < 256, "{size} bytes for a client that was refused");
    }

    // Each place that is given back is one for somebody else.
    drop(rt.0.lock().unwrap().pop());
    assert!(!refuse());
    assert!(refuse());
    rt.0.lock().unwrap().clear();
    assert!(!refuse());
}
