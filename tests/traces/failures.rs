//! Upgrades that fail after the 101 response.

use std::{future::pending, sync::Arc, time::Duration};

use anyws::Runtime;
use support::{
    runtimes,
    still::Still,
    time::Paused,
    traces::Log,
    upgrades::{Upgrade, echo, extract_from, failure, request_on},
};

/// An upgrade whose server says that it failed.
fn failing(rt: &Arc<dyn Runtime>) -> Upgrade {
    extract_from(request_on(async { Err("the server is gone".into()) }), rt)
}

runtimes! {
    async fn an_upgrade_that_fails_is_an_event_in_the_span_of_its_task(rt) {
        let (rt, mut log) = Log::start(&rt);
        let _ = failing(&rt).on_upgrade(echo);
        let entry = log.next("upgrade failed").await;
        let text = "WARN upgrade failed error=the connection was not upgraded: the server is gone";
        assert_eq!(entry.text, text);
        assert_eq!(entry.spans, ["websocket"]);
    }

    async fn an_upgrade_that_somebody_listens_for_is_no_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (on_failed_upgrade, failed) = failure();
        let _ = failing(&rt).on_failed_upgrade(on_failed_upgrade).on_upgrade(echo);
        failed.await.unwrap();
        support::tasks::yield_to_tasks(&rt).await;
        assert!(log.rest().is_empty());
    }

    async fn a_server_that_is_late_is_an_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        let time = Paused::new(&rt);
        let config = time.config().set_upgrade_timeout(Duration::from_secs(5));
        let ws = extract_from(request_on(pending()), &rt).set_config(config);
        let _ = ws.runtime(time.clone()).on_upgrade(echo);
        time.advance(Duration::from_secs(5)).await;
        let text = "WARN upgrade failed error=timed out waiting for the HTTP server to upgrade the \
                    connection";
        assert_eq!(log.next("upgrade failed").await.text, text);
    }
}

#[test]
fn a_task_that_its_runtime_drops_is_an_event() {
    let mut log = Log::here();
    let rt: Arc<dyn Runtime> = Arc::new(Still::default());
    let response = extract_from(request_on(pending()), &rt).on_upgrade(echo);
    assert_eq!(response.status(), 500);
    let [entry] = &log.rest()[..] else {
        panic!("not one event");
    };
    let text = "WARN upgrade failed error=the connection was not upgraded: the runtime dropped";
    assert!(entry.text.starts_with(text), "{}", entry.text);
}
