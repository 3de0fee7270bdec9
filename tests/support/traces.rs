//! What `tracing` is told in one test: a subscriber for its thread, and for tasks on any thread.

use std::{
    collections::HashMap,
    fmt::{self, Debug, Write},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, ThreadId},
    time::Instant,
};

use anyws::{Runtime, Sleep};
use futures::{
    StreamExt,
    channel::mpsc::{self, UnboundedReceiver, UnboundedSender},
    future::BoxFuture,
};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    dispatcher::{self, DefaultGuard},
    field::{Field, Visit},
    instrument::WithSubscriber,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_core::span::Current;

/// An event of anyws.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Level, message and fields.
    pub text: String,
    /// It has no parent, whatever span is current.
    pub is_root: bool,
    /// The spans that were entered on its thread, the inner one last.
    pub spans: Vec<&'static str>,
}

/// A span of anyws or of the test.
#[derive(Clone, Debug)]
pub struct SpanEntry {
    /// Level, name and fields.
    pub text: String,
    pub target: &'static str,
    /// It has no parent, whatever span was current.
    pub is_root: bool,
    /// The spans that it follows from.
    pub follows: Vec<&'static str>,
    pub is_closed: bool,
    metadata: &'static Metadata<'static>,
    references: usize,
}

/// What a test has to say of its events and spans. While it lives, it records.
pub struct Log {
    entries: UnboundedReceiver<Entry>,
    recorder: Arc<Recorder>,
    _default: DefaultGuard,
}

impl Log {
    /// Records on this thread, and in the tasks of the returned runtime, which uses `inner`.
    pub fn start(inner: &Arc<dyn Runtime>) -> (Arc<dyn Runtime>, Self) {
        let log = Self::here();
        let dispatch = dispatcher::get_default(Clone::clone);
        let inner = Arc::clone(inner);
        (Arc::new(Traced { inner, dispatch }), log)
    }

    /// Records on this thread.
    pub fn here() -> Self {
        let (sender, entries) = mpsc::unbounded();
        let recorder = Arc::new(Recorder {
            sender,
            state: Mutex::default(),
        });
        let dispatch = Dispatch::new(Arc::clone(&recorder));
        Self {
            entries,
            recorder,
            _default: dispatcher::set_default(&dispatch),
        }
    }

    /// Returns the next event with a message, and skips those before it.
    pub async fn next(&mut self, message: &str) -> Entry {
        loop {
            let entry = self.entries.next().await.expect("the log holds a sender");
            if entry.says(message) {
                return entry;
            }
        }
    }

    /// Returns the events that were made and not looked at, but for those of open sockets.
    pub fn rest(&mut self) -> Vec<Entry> {
        let mut entries = self.all();
        entries.retain(|entry| !entry.says("opened") && !entry.says("closed"));
        entries
    }

    /// Returns all events that were made and not looked at.
    pub fn all(&mut self) -> Vec<Entry> {
        std::iter::from_fn(|| self.entries.try_recv().ok()).collect()
    }

    /// Returns the spans that were made.
    pub fn spans(&self) -> Vec<SpanEntry> {
        self.recorder.lock().spans.clone()
    }

    /// Returns the spans of a name.
    pub fn spans_named(&self, name: &str) -> Vec<SpanEntry> {
        let spans = self.spans().into_iter();
        spans.filter(|span| span.metadata.name() == name).collect()
    }
}

impl Entry {
    fn says(&self, message: &str) -> bool {
        let text = self.text.split_once(' ').map_or("", |(_, text)| text);
        text.strip_prefix(message)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

struct Recorder {
    sender: UnboundedSender<Entry>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spans: Vec<SpanEntry>,
    entered: HashMap<ThreadId, Vec<Id>>,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn span(&mut self, id: &Id) -> &mut SpanEntry {
        let index = usize::try_from(id.into_u64()).unwrap() - 1;
        &mut self.spans[index]
    }

    fn stack(&mut self) -> &mut Vec<Id> {
        self.entered.entry(thread::current().id()).or_default()
    }
}

impl Subscriber for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    /// What other crates say is none of the test's business.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let mut text = format!("{} {}", metadata.level(), metadata.name());
        attributes.record(&mut Fields(&mut text));
        let mut state = self.lock();
        state.spans.push(SpanEntry {
            text,
            target: metadata.target(),
            is_root: attributes.is_root(),
            follows: Vec::new(),
            is_closed: false,
            metadata,
            references: 1,
        });
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.lock().span(span).text));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let mut state = self.lock();
        let name = state.span(follows).metadata.name();
        state.span(span).follows.push(name);
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if metadata.target() != "anyws" {
            return;
        }
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        let mut text = format!("{} {message}", metadata.level());
        event.record(&mut Fields(&mut text));
        let mut state = self.lock();
        let entered = state.stack().clone();
        let names = entered.iter().map(|id| state.span(id).metadata.name());
        let entry = Entry {
            text,
            is_root: event.is_root(),
            spans: names.collect(),
        };
        drop(state);
        // The test may have ended.
        let _ = self.sender.unbounded_send(entry);
    }

    fn enter(&self, span: &Id) {
        self.lock().stack().push(span.clone());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.lock().stack().pop().as_ref(), Some(span));
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.lock().span(span).references += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut state = self.lock();
        let entry = state.span(&span);
        entry.references -= 1;
        entry.is_closed = entry.references == 0;
        entry.is_closed
    }

    fn current_span(&self) -> Current {
        let mut state = self.lock();
        let current = state.stack().last().cloned();
        current.map_or_else(Current::none, |id| {
            let metadata = state.span(&id).metadata;
            Current::new(id, metadata)
        })
    }
}

/// Appends the fields but for the message.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}

/// A runtime whose tasks tell the subscriber of a test, on whatever thread they run.
struct Traced {
    inner: Arc<dyn Runtime>,
    dispatch: Dispatch,
}

impl Runtime for Traced {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let task = task.with_subscriber(self.dispatch.clone());
        self.inner.spawn(Box::pin(task));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.inner.sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn has_timers(&self) -> bool {
        self.inner.has_timers()
    }
}

impl Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").finish_non_exhaustive()
    }
}
