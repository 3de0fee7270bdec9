//! What all sockets have moved, told once a second.

use std::{mem, sync::Arc, time::Duration};

use super::{Shared, lock, metrics::tell};
use crate::rt::Runtime;

/// How often metrics are told. Systems that collect them ask less often.
const PERIOD: Duration = Duration::from_secs(1);

impl Shared {
    /// Tells the metrics what has moved since the last call.
    pub(super) fn report(&self) {
        let Some(metrics) = lock(&self.door).metrics.clone() else {
            return;
        };
        let (received, sent) = self.seats.take_traffic();
        if !(received.is_empty() && sent.is_empty()) {
            tell(&*metrics, |metrics| metrics.moved(&received, &sent));
        }
    }

    /// Starts to report once a second, if there are metrics and nobody does.
    pub(super) fn start_reports(self: &Arc<Self>, runtime: &Arc<dyn Runtime>) {
        if !runtime.has_timers() {
            return;
        }
        let starts = {
            let mut door = lock(&self.door);
            door.metrics.is_some() && !mem::replace(&mut door.is_reporting, true)
        };
        if starts {
            let shared = Arc::clone(self);
            let reports = Reports {
                shared,
                has_ended: false,
            };
            runtime.spawn(Box::pin(run(reports, Arc::clone(runtime))));
        }
    }
}

/// Reports of a tracker. If their task is dropped because its runtime is shut down, the next socket
/// starts them again.
struct Reports {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Reports {
    /// Ends the reports if nobody is counted. Whoever is counted later starts them again.
    fn end_unused(&mut self) -> bool {
        let mut door = lock(&self.shared.door);
        self.has_ended = door.open == 0;
        door.is_reporting = !self.has_ended;
        self.has_ended
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(&self.shared.door).is_reporting = false;
        }
    }
}

/// Reports until no socket is open.
async fn run(mut reports: Reports, runtime: Arc<dyn Runtime>) {
    while !reports.end_unused() {
        runtime.sleep_until(runtime.now() + PERIOD).await;
        reports.shared.report();
    }
}
