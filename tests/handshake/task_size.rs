//! The size of the task that a server has for each of its sockets.

use std::sync::Arc;

use anyws::{HandlerOutput, Runtime, WebSocket, testing};
use support::{still::Still, upgrades::extract_from};

/// What the span of a handler adds, with the feature `tracing` only.
const SPAN: usize = if cfg!(feature = "tracing") { 40 } else { 0 };

/// Returns the size of a task whose handler holds its socket and nothing else.
fn task_size<T: HandlerOutput + Send + 'static>() -> usize {
    let still = Still::keeping();
    let runtime: Arc<dyn Runtime> = Arc::new(still.clone());
    let (request, _client) = testing::upgrade("/");
    let ws = extract_from(request, &runtime);
    let _ = ws.on_upgrade(|socket: WebSocket| async move {
        let _kept = socket;
        std::future::pending::<T>().await
    });
    size_of_val(&*still.tasks()[0])
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_task_grows_only_by_its_span() {
    let (never_fails, may_fail) = (task_size::<()>(), task_size::<anyws::Result<()>>());
    assert!(never_fails <= 104 + SPAN, "{never_fails} bytes");
    assert!(may_fail <= 160 + SPAN, "{may_fail} bytes");
}
