//! Messages under an open span: they make no event, and nothing grows.

use std::sync::Arc;

use allocation_counter::measure;
use anyws::{Message, testing};
use futures::{FutureExt, executor::block_on};
use support::{
    still::Still,
    tasks::Task,
    traces::Log,
    upgrades::{echo, extract_from},
};

const MESSAGES: usize = 100_000;

/// An event that a message makes, or a byte that it keeps, would be seen here.
#[test]
fn messages_make_no_event_and_grow_nothing() {
    let mut log = Log::here();
    let runtime = Arc::new(Still::keeping());
    let (request, client) = testing::upgrade("/");
    let rt: Arc<dyn anyws::Runtime> = runtime.clone();
    let response = extract_from(request, &rt).on_upgrade(echo);
    let mut client = client.set_config(runtime.config()).open(&response).unwrap();
    let mut tasks = runtime.tasks();
    let mut handler = Task::new(tasks.remove(0));
    let mut exchange = || {
        block_on(client.send("hello".into())).unwrap();
        // Each end yields now and then.
        let echoed = (0..4).find_map(|_| {
            handler.run();
            client.next().now_or_never()
        });
        assert_eq!(echoed.unwrap().unwrap().unwrap(), Message::text("hello"));
    };
    // The buffers of the thread, and of what is recorded.
    (0..1000).for_each(|_| exchange());
    log.all();
    let memory = measure(|| (0..MESSAGES).for_each(|_| exchange()));
    assert_eq!(memory.bytes_current, 0);
    assert_eq!(log.spans().len(), 1);
    assert!(!log.spans()[0].is_closed);
    assert!(log.all().is_empty());
}
