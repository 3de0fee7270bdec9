//! What the tests share: one body run on every runtime, and runtimes to run it on.
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "its users are the tests beside it"
)]

use std::{any::Any, env, future::Future, panic, sync::Arc, sync::mpsc, thread, time::Duration};

use anyws::{Runtime, WebSocketConfig};

#[cfg(feature = "testing")]
pub mod attack;
pub mod broker;
pub mod busy;
pub mod chaos;
pub mod cost;
#[cfg(feature = "testing")]
pub mod frames;
#[cfg(all(feature = "client", feature = "testing"))]
pub mod network;
#[cfg(feature = "testing")]
pub mod owning;
pub mod random;
pub mod raw;
pub mod redis;
pub mod room;
#[cfg(feature = "testing")]
pub mod scripted;
pub mod servers;
#[cfg(feature = "testing")]
pub mod sockets;
pub mod stages;
pub mod still;
pub mod tasks;
pub mod tcp;
pub mod threads;
pub mod time;
#[cfg(feature = "tracing")]
pub mod traces;
#[cfg(feature = "testing")]
pub mod upgrades;

/// A test that takes longer has hung.
const TEST_LIMIT: Duration = Duration::from_secs(60);

/// Seconds that replace this limit, for processes that a test starts.
pub const LIMIT_VARIABLE: &str = "ANYWS_TEST_SECONDS";

/// Runs each test body on tokio, on smol and on bare threads, as far as the features allow.
///
/// The body gets the runtime as a value; `rt::detect()` finds the same one, except on bare threads.
#[macro_export]
macro_rules! runtimes {
    ($($(#[$meta:meta])* async fn $name:ident($runtime:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            async fn body($runtime: std::sync::Arc<dyn anyws::Runtime>) $body

            $crate::ready_made_runtimes!(body);

            #[test]
            fn threads() {
                $crate::on_threads(body);
            }
        }
    )*};
}

/// The tests of a body on tokio and on smol, as far as the features allow.
#[macro_export]
macro_rules! ready_made_runtimes {
    ($body:ident) => {
        #[cfg(feature = "rt-tokio")]
        #[test]
        fn tokio() {
            $crate::on_tokio($body);
        }

        #[cfg(feature = "rt-smol")]
        #[test]
        fn smol() {
            $crate::on_smol($body);
        }
    };
}

#[cfg(feature = "rt-tokio")]
pub fn on_tokio<F: Future<Output = ()>>(body: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static) {
    bounded(|| {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let runtime = Arc::new(anyws::TokioRuntime::new(tokio.handle().clone()));
        tokio.block_on(body(runtime));
    });
}

#[cfg(feature = "rt-smol")]
pub fn on_smol<F: Future<Output = ()>>(body: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static) {
    bounded(|| smol::block_on(body(Arc::new(anyws::SmolRuntime::new()))));
}

pub fn on_threads<F: Future<Output = ()>>(
    body: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static,
) {
    bounded(|| futures::executor::block_on(body(Arc::new(threads::ThreadRuntime))));
}

/// Runs a test on a thread of its own and fails it when it hangs.
pub fn bounded(test: impl FnOnce() + Send + 'static) {
    let seconds = env::var(LIMIT_VARIABLE).ok();
    let limit = seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    bounded_by(limit.unwrap_or(TEST_LIMIT), test);
}

/// Does the same with a limit of the test's own.
pub fn bounded_by(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        // The receiver is gone only if the test has hung before.
        let _ = done.send(());
    });
    match finished.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            thread
                .join()
                .unwrap_or_else(|panic: Box<dyn Any + Send>| panic::resume_unwind(panic));
        }
    }
}

/// The default settings on a given runtime.
pub fn config(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    WebSocketConfig::new().set_runtime(Arc::clone(runtime))
}
