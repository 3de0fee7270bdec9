//! Runtimes that drop the task of a connection: whoever waits for a handler is told.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyws::{Error, Runtime, Sleep, WebSocket, testing};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use support::{
    runtimes,
    threads::ThreadRuntime,
    upgrades::{self, Upgrade},
};

/// What `on_failed_upgrade` was called with.
type Told = Arc<Mutex<Vec<Error>>>;

/// Upgrades on `rt`; returns the answer and what the callback is told. The handler must not run.
fn upgrade(rt: Arc<dyn Runtime>, mut request: Request<()>) -> (Response<String>, Told) {
    let told = Told::default();
    let callback = Arc::clone(&told);
    let ws = Upgrade::from_request(&mut request).unwrap();
    let response = ws
        .refusal_body(|reason| reason)
        .runtime(rt)
        .on_failed_upgrade(move |error| callback.lock().unwrap().push(error))
        .on_upgrade(|_: WebSocket| async { unreachable!("no handler runs") });
    (response, told)
}

/// Demands that the callback was called exactly once, with an error that names the runtime.
fn assert_told_once(told: &Told) {
    let told = told.lock().unwrap();
    let [Error::Upgrade(error)] = &told[..] else {
        panic!("not one failed upgrade: {told:?}");
    };
    assert!(error.to_string().contains("the runtime dropped the task"));
}

/// Demands that an upgrade on `rt` is answered 500, and that the callback knows why.
fn assert_answers_500(rt: Arc<dyn Runtime>) {
    let (request, client) = testing::upgrade("/");
    let (response, told) = upgrade(rt, request);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.body(), "the server's runtime has stopped");
    assert!(client.open(&response).is_err());
    assert_told_once(&told);
}

/// A runtime that drops its tasks: at once, or once it is told to.
#[derive(Default)]
struct Dropping {
    keeps: bool,
    tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
}

impl std::fmt::Debug for Dropping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dropping")
    }
}

impl Runtime for Dropping {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if self.keeps {
            self.tasks.lock().unwrap().push(task);
        }
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        ThreadRuntime.sleep_until(deadline)
    }
}

#[test]
fn a_runtime_that_drops_its_tasks_is_an_answer_of_500_and_a_call_back() {
    assert_answers_500(Arc::new(Dropping::default()));
}

#[test]
fn a_task_that_is_dropped_unpolled_after_the_answer_is_told_of() {
    let rt = Arc::new(Dropping {
        keeps: true,
        ..Dropping::default()
    });
    let (response, told) = upgrade(rt.clone(), testing::upgrade("/").0);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(told.lock().unwrap().is_empty());
    rt.tasks.lock().unwrap().clear();
    assert_told_once(&told);
}

#[test]
fn a_callback_that_panics_while_a_panic_drops_its_task_harms_nobody() {
    let rt = Arc::new(Dropping {
        keeps: true,
        ..Dropping::default()
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let mut request = testing::upgrade("/").0;
    let ws = Upgrade::from_request(&mut request).unwrap();
    let _response = ws
        .runtime(rt.clone())
        .on_failed_upgrade(move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            panic!("a callback");
        })
        .on_upgrade(|_: WebSocket| async {});
    let tasks = std::mem::take(&mut *rt.tasks.lock().unwrap());
    let thread = std::thread::spawn(move || {
        let _dropped_by_the_panic = tasks;
        panic!("the thread of the tasks");
    });
    let panic = thread.join().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the thread of the tasks"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_callback_a_runtime_that_drops_its_tasks_is_an_answer_of_500_too() {
    let mut request = testing::upgrade("/").0;
    let ws = Upgrade::from_request(&mut request).unwrap();
    let ws = ws.runtime(Arc::new(Dropping::default()));
    let response = ws.on_upgrade(|_: WebSocket| async {});
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

runtimes! {
    async fn a_handler_that_ended_at_once_is_no_failure(rt) {
        let (request, client) = testing::upgrade("/");
        let mut request = request;
        let ws = Upgrade::from_request(&mut request).unwrap();
        let (done, ended) = futures::channel::oneshot::channel();
        let (on_failed_upgrade, failed) = upgrades::failure();
        let response = ws
            .runtime(rt)
            .on_failed_upgrade(on_failed_upgrade)
            .on_upgrade(|_| async { done.send(()).unwrap() });
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(ended.await, Ok(()));
        assert!(failed.await.is_err());
        drop(client);
    }
}

#[cfg(feature = "rt-smol")]
#[test]
fn an_executor_of_smol_that_is_gone_is_an_answer_of_500_and_a_call_back() {
    let executor = Arc::new(smol::Executor::new());
    let rt = anyws::SmolRuntime::with_executor(&executor);
    drop(executor);
    assert_answers_500(Arc::new(rt));
}

#[cfg(feature = "rt-smol")]
#[test]
fn an_executor_of_smol_that_goes_later_is_told_of() {
    let executor = Arc::new(smol::Executor::new());
    let rt = anyws::SmolRuntime::with_executor(&executor);
    let (response, told) = upgrade(Arc::new(rt), upgrades::request_on(std::future::pending()));
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    while executor.try_tick() {}
    assert!(told.lock().unwrap().is_empty());
    drop(executor);
    assert_told_once(&told);
}

#[cfg(feature = "rt-tokio")]
fn tokio() -> (tokio::runtime::Runtime, Arc<dyn Runtime>) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let rt = anyws::TokioRuntime::new(tokio.handle().clone());
    (tokio, Arc::new(rt))
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_runtime_of_tokio_that_was_shut_down_is_an_answer_of_500_and_a_call_back() {
    let (tokio, rt) = tokio();
    drop(tokio);
    assert_answers_500(rt);
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_runtime_of_tokio_that_is_shut_down_while_the_upgrade_is_pending_is_told_of() {
    let (tokio, rt) = tokio();
    let (polled, was_polled) = futures::channel::oneshot::channel();
    let request = upgrades::request_on(async {
        polled.send(()).unwrap();
        std::future::pending().await
    });
    let (response, told) = upgrade(rt, request);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    futures::executor::block_on(was_polled).unwrap();
    assert!(told.lock().unwrap().is_empty());
    drop(tokio);
    assert_told_once(&told);
}
