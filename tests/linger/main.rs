//! How many connections of refused clients a process keeps to send them their answer. No other test
//! is here: the number is the process's.

use anyws::{Error, Rejection};
use futures::executor::block_on;
use support::{
    attack::{Attack, Then},
    raw::Request,
    still::Still,
};

/// The number that the crate promises.
const MOST: usize = 256;

#[test]
fn only_so_many_refused_clients_linger_at_once_and_each_is_small() {
    let runtime = Still::keeping();
    let config = runtime.config();
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

    let mut lingering = Vec::new();
    for count in 1..=MOST {
        assert!(!refuse());
        lingering.extend(runtime.tasks());
        assert_eq!(lingering.len(), count);
    }
    assert!(refuse(), "one above the bound is dropped at once");
    assert!(runtime.tasks().is_empty());
    for task in &lingering {
        let size = size_of_val(&**task);
        assert!(size < 256, "{size} bytes for a client that was refused");
    }

    // Each place that is given back is one for somebody else.
    drop(lingering.pop());
    assert!(!refuse());
    assert!(refuse());
    lingering.clear();
    drop(runtime.tasks());
    assert!(!refuse());
}
