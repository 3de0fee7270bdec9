//! The numbers of messages, by which a hub notices what it has missed.

/// The position of a message among those that one hub has published on one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Random, and another one if the hub has forgotten the number.
    pub(super) epoch: u64,
    /// 1 for the first message of the epoch.
    pub(super) number: u64,
}

/// What a message says about those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It follows the last one, or is the first that was heard of its hub.
    Next,
    /// So many are missing before it; `None` if their number is unknown.
    AfterGap(Option<u64>),
    /// It was heard before.
    Again,
}

impl Sequence {
    /// Starts an epoch, before its first message.
    pub(super) fn start() -> Self {
        Self {
            epoch: rand::random(),
            number: 0,
        }
    }

    /// Returns the position of the next message.
    pub(super) fn next(&mut self) -> Self {
        self.number += 1;
        *self
    }

    /// Notes the message at `next`, and compares it with the last one that was heard.
    pub(super) fn hear(last: &mut Option<Self>, next: Self) -> Heard {
        let heard = match *last {
            None => Heard::Next,
            Some(last) if last.epoch != next.epoch => Heard::AfterGap(None),
            Some(last) if next.number <= last.number => return Heard::Again,
            Some(last) => match next.number - last.number - 1 {
                0 => Heard::Next,
                missing => Heard::AfterGap(Some(missing)),
            },
        };
        *last = Some(next);
        heard
    }
}
