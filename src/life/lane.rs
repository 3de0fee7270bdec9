//! The queued messages of a socket, their bounds, and what happens when these are reached.

use std::{collections::VecDeque, iter, mem};

use crate::{
    config::{QueueConfig, WhenFull},
    error::Error,
    proto::{InvalidMessage, Outgoing, PreparedMessage},
};

/// What a queued message counts besides its payload, in bytes: its entry and its allocations.
const OVERHEAD: usize = 64;

/// How many control frames may be queued: more of them at once are of no use.
const MAX_CONTROL: u8 = 16;

/// For how many messages an empty queue keeps its memory: most are taken before the next one comes,
/// and to allocate for each would be a tenth of what it costs to deliver it.
const KEPT: usize = 1;

/// The messages, in order. Control frames are in front: they never wait behind data.
#[derive(Default)]
pub(super) struct Lanes {
    bounds: Bounds,
    entries: VecDeque<Entry>,
    /// How many of the entries are control frames.
    control: u8,
    /// The size of the others.
    bytes: usize,
    /// How many of the others were queued ever.
    queued: u64,
    dropped: u64,
}

/// A [`QueueConfig`] in half the memory: bounds above 4 Gi are none.
struct Bounds {
    messages: u32,
    bytes: u32,
    when_full: WhenFull,
}

struct Entry {
    message: PreparedMessage,
    key: Option<u64>,
}

/// Whether a message may take space that senders wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has waited, or nobody waits.
    Now,
    /// Others wait.
    Later,
    /// It never waits. If it had to, the socket is closed.
    Never,
}

/// What has become of a message.
pub(super) enum Pushed {
    Queued,
    /// The policy of the full queue drops it.
    Dropped(PreparedMessage),
    /// There is no space for it.
    Full(PreparedMessage),
    /// There is no space for it, and the socket is to be closed.
    GiveUp(PreparedMessage),
}

/// Messages that the socket has taken over.
pub(crate) struct Batch {
    /// Most often it is the only one.
    first: Option<PreparedMessage>,
    more: VecDeque<Entry>,
}

impl Batch {
    pub(crate) fn into_messages(self) -> impl Iterator<Item = PreparedMessage> {
        let more = self.more.into_iter().map(|entry| entry.message);
        self.first.into_iter().chain(more)
    }
}

/// How much the senders of a socket have queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffered {
    /// The number of messages that the socket has not taken over yet.
    pub messages: usize,
    /// The size of these messages in bytes: their payloads, and 64 bytes for each. Control frames
    /// do not count.
    pub bytes: usize,
    /// The number of messages that were dropped because the queue was full, since the first sender
    /// was created.
    pub dropped: u64,
}

/// Why a message was not queued.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The queue is full. The message is returned.
    #[error("the queue of the WebSocket is full: the peer reads too slowly")]
    Full(PreparedMessage),
    /// The socket sends nothing any more. The message is returned.
    #[error("the WebSocket is closed")]
    Closed(PreparedMessage),
    /// The message may not be sent.
    #[error("invalid message: {0}")]
    Invalid(InvalidMessage),
}

impl From<TrySendError> for Error {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full(_) => Self::QueueFull,
            TrySendError::Closed(_) => Self::Closed,
            TrySendError::Invalid(invalid) => invalid.into(),
        }
    }
}

impl Bounds {
    fn new(config: QueueConfig) -> Self {
        let bound = |max| u32::try_from(max).unwrap_or(u32::MAX);
        Self {
            messages: bound(config.messages),
            bytes: bound(config.bytes),
            when_full: config.when_full,
        }
    }

    fn messages(&self) -> usize {
        self.messages as usize
    }

    fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::new(QueueConfig::default())
    }
}

impl Entry {
    fn size(&self) -> usize {
        size(&self.message)
    }
}

/// Returns what a message counts.
fn size(message: &PreparedMessage) -> usize {
    payload(message).saturating_add(OVERHEAD)
}

fn payload(message: &PreparedMessage) -> usize {
    message.check().map_or(0, Outgoing::len)
}

impl Lanes {
    pub(super) fn set_config(&mut self, config: QueueConfig) {
        self.bounds = Bounds::new(config);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn buffered(&self) -> Buffered {
        Buffered {
            messages: self.entries.len(),
            bytes: self.bytes,
            dropped: self.dropped,
        }
    }

    /// Returns the policy of a full queue, and how many messages were dropped by it.
    pub(super) fn dropped(&self) -> (WhenFull, u64) {
        (self.bounds.when_full, self.dropped)
    }

    /// Returns how many data messages are queued.
    fn messages(&self) -> usize {
        self.entries.len() - usize::from(self.control)
    }

    /// Queues a message. Those that it replaces or displaces go to `dropped`.
    pub(super) fn push(
        &mut self,
        message: PreparedMessage,
        key: Option<u64>,
        turn: Turn,
        dropped: &mut Vec<PreparedMessage>,
    ) -> Pushed {
        if message.check().is_ok_and(Outgoing::is_control) {
            return self.push_control(message);
        }
        let at = key.and_then(|_| self.entries.iter().position(|it| it.key == key));
        let entry = match self.replace(at, Entry { message, key }) {
            Ok(replaced) => {
                dropped.push(replaced);
                return Pushed::Queued;
            }
            Err(entry) => entry,
        };
        let has_turn = turn != Turn::Later || self.bounds.when_full != WhenFull::Wait;
        if has_turn && self.has_room(entry.size()) {
            return self.append(entry);
        }
        match self.bounds.when_full {
            WhenFull::Wait if turn == Turn::Never => Pushed::GiveUp(entry.message),
            WhenFull::Wait => Pushed::Full(entry.message),
            WhenFull::Close => Pushed::GiveUp(entry.message),
            WhenFull::DropNewest => {
                self.dropped += 1;
                Pushed::Dropped(entry.message)
            }
            WhenFull::DropOldest => {
                // Or a later message could replace this one and still be sent before it.
                dropped.extend(at.and_then(|at| self.remove(at)));
                while !self.has_room(entry.size()) {
                    dropped.extend(self.remove_oldest());
                }
                self.append(entry)
            }
        }
    }

    /// Replaces the entry at `at` where it stands, if there is one and the new one fits. Returns
    /// the old message, or the new entry.
    fn replace(&mut self, at: Option<usize>, mut entry: Entry) -> Result<PreparedMessage, Entry> {
        let Some(known) = at.and_then(|at| self.entries.get_mut(at)) else {
            return Err(entry);
        };
        let bytes = self.bytes - known.size() + entry.size();
        if bytes > self.bounds.bytes().max(self.bytes) {
            return Err(entry);
        }
        self.bytes = bytes;
        mem::swap(known, &mut entry);
        Ok(entry.message)
    }

    fn push_control(&mut self, message: PreparedMessage) -> Pushed {
        if self.is_control_full() {
            return Pushed::Full(message);
        }
        let entry = Entry { message, key: None };
        self.entries.insert(self.control.into(), entry);
        self.control += 1;
        Pushed::Queued
    }

    /// An empty queue has space for any message.
    fn has_room(&self, size: usize) -> bool {
        let messages = self.messages();
        let fits = self.bytes.saturating_add(size) <= self.bounds.bytes();
        messages == 0 || (messages < self.bounds.messages() && fits)
    }

    /// Makes space for several messages at once, if there is none: afterwards it grows by itself.
    pub(super) fn reserve(&mut self, messages: usize) {
        if self.entries.capacity() == 0 {
            let most = self.bounds.messages().min(self.bounds.bytes() / OVERHEAD);
            self.entries.reserve_exact(messages.min(most));
        }
    }

    fn append(&mut self, entry: Entry) -> Pushed {
        self.bytes += entry.size();
        self.queued += 1;
        if self.entries.capacity() == 0 {
            // The standard growth would start with four.
            self.entries.reserve_exact(KEPT);
        }
        self.entries.push_back(entry);
        Pushed::Queued
    }

    fn remove_oldest(&mut self) -> Option<PreparedMessage> {
        let oldest = self.remove(self.control.into())?;
        self.dropped += 1;
        Some(oldest)
    }

    /// Removes a message that is no control frame.
    fn remove(&mut self, at: usize) -> Option<PreparedMessage> {
        let entry = self.entries.remove(at)?;
        self.bytes -= entry.size();
        Some(entry.message)
    }

    /// Takes messages until `room` is used up.
    pub(super) fn take(&mut self, mut room: usize) -> Batch {
        let first = self.pop(&mut room).map(|entry| entry.message);
        let more = if self.is_empty() {
            VecDeque::new()
        } else if self.control == 0 && self.bytes <= room {
            self.bytes = 0;
            mem::take(&mut self.entries)
        } else {
            iter::from_fn(|| self.pop(&mut room)).collect()
        };
        Batch { first, more }
    }

    /// Takes the next message if `room` is not used up.
    fn pop(&mut self, room: &mut usize) -> Option<Entry> {
        if *room == 0 {
            // Control frames too, or a peer that does not read would let them pile up.
            return None;
        }
        let entry = self.entries.pop_front()?;
        let size = entry.size();
        *room = room.saturating_sub(size);
        if self.control > 0 {
            self.control -= 1;
        } else {
            self.bytes -= size;
        }
        if self.is_empty() && self.entries.capacity() > KEPT {
            self.entries = VecDeque::new();
        }
        Some(entry)
    }

    pub(super) fn is_control_full(&self) -> bool {
        self.control >= MAX_CONTROL
    }

    /// Returns how many messages were queued ever, without control frames.
    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    /// Returns how many of them are still there.
    pub(super) fn left(&self) -> u64 {
        self.messages() as u64
    }

    /// Returns whether senders that wait for space are woken: there is space for several.
    pub(super) fn is_half_empty(&self) -> bool {
        self.messages() <= self.bounds.messages() / 2 && self.bytes <= self.bounds.bytes() / 2
    }

    /// Removes everything, and counts the data as dropped.
    pub(super) fn discard(&mut self, dropped: &mut Vec<PreparedMessage>) {
        self.dropped += self.messages() as u64;
        self.clear(dropped);
    }

    /// Removes everything: the socket has ended.
    pub(super) fn clear(&mut self, dropped: &mut Vec<PreparedMessage>) {
        let entries = mem::take(&mut self.entries);
        dropped.extend(entries.into_iter().map(|entry| entry.message));
        self.control = 0;
        self.bytes = 0;
    }
}
