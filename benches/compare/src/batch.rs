//! What is sent at once, and the messages that it is made of.

use crate::orders::{self, Order};
use crate::random::Random;
use crate::wire::{self, BINARY, CONTINUATION, PING, Side, TEXT};
use crate::workload::{Content, Framing, Service, Workload};

/// Enough that no two connections next to each other send the same.
const BATCHES: usize = 8;
/// Beyond this many bytes of payload there are fewer batches: the load shall not live on
/// memory that the processor's cache does not hold.
const PAYLOAD_IN_ALL: usize = 4 << 20;
const PING_PAYLOAD: usize = 16;

/// What is sent in one go, before the first reply is awaited.
#[derive(Debug)]
pub struct Batch {
    /// The frames; masked, if a server gets them.
    pub frames: Vec<u8>,
    /// How many messages are echoed, received or sent by the server.
    pub count: usize,
    /// The opcode of all messages of the reply.
    pub opcode: u8,
    /// The messages of the reply.
    pub messages: Vec<Vec<u8>>,
    /// What the pongs have to hold.
    pub pings: Vec<Vec<u8>>,
    /// Which batch a connection sends after this one.
    pub next: usize,
}

impl Batch {
    /// Makes the batches of a workload, the same ones every time.
    #[must_use]
    pub fn all(workload: &Workload) -> Vec<Self> {
        let mut random = Random::new(0);
        let room = PAYLOAD_IN_ALL / (workload.payload * workload.depth);
        let count = room.clamp(1, BATCHES);
        (0..count)
            .map(|number| Self {
                next: (number + 1) % count,
                ..Self::new(workload, &mut random)
            })
            .collect()
    }

    fn new(workload: &Workload, random: &mut Random) -> Self {
        let opcode = match workload.content {
            Content::Binary => BINARY,
            Content::Ascii | Content::Cyrillic | Content::Cjk => TEXT,
        };
        let mut batch = Self {
            frames: Vec::new(),
            count: workload.depth,
            opcode,
            messages: Vec::new(),
            pings: Vec::new(),
            next: 0,
        };
        if workload.service == Service::Source {
            let order = Order::Send {
                count: workload.depth,
                length: workload.payload,
            };
            batch.order(&order, random);
            let message = vec![orders::FILLING; workload.payload];
            batch.messages = vec![message; workload.depth];
            return batch;
        }
        for _ in 0..workload.depth {
            let message = content(workload.content, workload.payload, random);
            match workload.side {
                Side::Server => batch.write(&message, workload.framing, random),
                Side::Client => wire::write_message(&mut batch.frames, opcode, &message),
            }
            batch.messages.push(message);
        }
        if workload.service == Service::Sink {
            batch.order(&Order::Count, random);
            batch.opcode = TEXT;
            batch.messages = vec![workload.depth.to_string().into_bytes()];
        }
        batch
    }

    /// Adds an order to what is sent.
    fn order(&mut self, order: &Order, random: &mut Random) {
        let text = order.to_string().into_bytes();
        wire::write_frame(&mut self.frames, true, TEXT, random.mask(), &text);
    }

    fn write(&mut self, message: &[u8], framing: Framing, random: &mut Random) {
        let (count, with_ping) = match framing {
            Framing::Whole => (1, false),
            Framing::Cut(count) => (count, false),
            Framing::CutWithPing(count) => (count, true),
        };
        let size = message.len().div_ceil(count);
        let mut opcode = self.opcode;
        for (number, fragment) in (1..).zip(message.chunks(size)) {
            let is_last = number == count;
            if is_last && with_ping {
                let ping = content(Content::Binary, PING_PAYLOAD, random);
                wire::write_frame(&mut self.frames, true, PING, random.mask(), &ping);
                self.pings.push(ping);
            }
            let mask = random.mask();
            wire::write_frame(&mut self.frames, is_last, opcode, mask, fragment);
            opcode = CONTINUATION;
        }
    }
}

/// Random content of exactly `length` bytes.
fn content(content: Content, length: usize, random: &mut Random) -> Vec<u8> {
    let (first, count) = match content {
        Content::Binary => {
            return (0..length)
                .map(|_| random.draw().to_le_bytes()[0])
                .collect();
        }
        Content::Ascii => (' ', 95),
        Content::Cyrillic => ('а', 32),
        Content::Cjk => ('一', 20_000),
    };
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // Nothing random lies beyond the range, so every number is a character.
        let character = u32::from(first) + random.below(count);
        match char::from_u32(character) {
            Some(character) if text.len() + character.len_utf8() <= length => text.push(character),
            _ => text.push('.'),
        }
    }
    text.into_bytes()
}
