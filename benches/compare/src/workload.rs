//! Which loads there are.

use crate::wire::Side;

/// The workloads that every server runs, or only those that take part in the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Core,
    Tail,
}

/// What the messages hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Binary,
    /// Text of one byte for each character.
    Ascii,
    /// Text of two bytes for each character.
    Cyrillic,
    /// Text of three bytes for each character.
    Cjk,
}

/// How a message is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Whole,
    /// In so many frames of one size.
    Cut(usize),
    /// In so many frames of one size, with a ping before the last of them.
    CutWithPing(usize),
}

/// How long a workload runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duration {
    /// A warm-up, then as long as the window is.
    Window,
    /// Each connection sends once, to a server that has served nothing before.
    Once,
}

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Sends each message back.
    Echo,
    /// Receives a batch of messages, and tells then how many they were.
    Sink,
    /// Sends a batch of messages whenever it is asked for one.
    Source,
}

/// A load of messages that go to a server, come from it, or both; or to a client and back.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name in tables and on the command line; names are stable.
    pub name: &'static str,
    /// The side that is measured; the load is the other one.
    pub side: Side,
    pub connections: usize,
    /// How many messages are sent at once, before the first reply is awaited.
    pub depth: usize,
    /// Bytes of one message.
    pub payload: usize,
    pub content: Content,
    pub framing: Framing,
    /// How many bytes a write takes at most, if it is not all of them.
    pub write: Option<usize>,
    pub service: Service,
    pub duration: Duration,
    pub group: Group,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All workloads of single connections, in the order of a round.
pub const WORKLOADS: &[Workload] = &[
    core("64B-d1-c50", 64, 1, 50),
    core("64B-d16-c50", 64, 16, 50),
    core("1KiB-d16-c16", KIB, 16, 16),
    core("16KiB-d1-c16", 16 * KIB, 1, 16),
    // Beside the binary workload of this size, with which they are compared.
    tail("ascii-16KiB-d1-c16", 16 * KIB, 1, 16).of(Content::Ascii),
    tail("cyrillic-16KiB-d1-c16", 16 * KIB, 1, 16).of(Content::Cyrillic),
    tail("cjk-16KiB-d1-c16", 16 * KIB, 1, 16).of(Content::Cjk),
    core("1MiB-d1-c4", MIB, 1, 4),
    core("64MiB-once", 64 * MIB, 1, 1)
        .framed(Framing::Cut(4))
        .once(),
    tail("20B-d1-c50", 20, 1, 50),
    tail("64B-d1-c1", 64, 1, 1),
    tail("64B-d1-c500", 64, 1, 500),
    tail("64B-d64-c50", 64, 64, 50),
    // The longest payload with a header of two bytes, and the shortest with one of four.
    tail("125B-d1-c50", 125, 1, 50),
    tail("126B-d1-c50", 126, 1, 50),
    tail("1KiB-d1-c50", KIB, 1, 50),
    tail("64KiB+1-d1-c16", 64 * KIB + 1, 1, 16),
    tail("1KiB-in-4-frames-and-ping-c16", KIB, 1, 16).framed(Framing::CutWithPing(4)),
    tail("1KiB-in-writes-of-16B-c16", KIB, 1, 16).written(16),
    tail("1KiB-sink-c16", KIB, 64, 16).by(Service::Sink),
    tail("1KiB-source-c16", KIB, 64, 16).by(Service::Source),
    client("client-64B-d1-c50", 64, 1, 50),
    client("client-64B-d16-c50", 64, 16, 50),
    client("client-1KiB-d16-c16", KIB, 16, 16),
    client("client-16KiB-d1-c16", 16 * KIB, 1, 16),
];

const fn core(name: &'static str, payload: usize, depth: usize, connections: usize) -> Workload {
    let mut workload = tail(name, payload, depth, connections);
    workload.group = Group::Core;
    workload
}

const fn tail(name: &'static str, payload: usize, depth: usize, connections: usize) -> Workload {
    Workload {
        depth,
        ..Workload::echo(name, payload, connections)
    }
}

const fn client(name: &'static str, payload: usize, depth: usize, connections: usize) -> Workload {
    let mut workload = tail(name, payload, depth, connections);
    workload.side = Side::Client;
    workload
}

impl Workload {
    /// Whole binary messages, which are echoed one by one.
    #[must_use]
    pub const fn echo(name: &'static str, payload: usize, connections: usize) -> Self {
        Self {
            name,
            side: Side::Server,
            connections,
            depth: 1,
            payload,
            content: Content::Binary,
            framing: Framing::Whole,
            write: None,
            service: Service::Echo,
            duration: Duration::Window,
            group: Group::Tail,
        }
    }

    /// The load in words, for readers who do not know its name.
    #[must_use]
    pub fn in_words(&self) -> String {
        let size = match self.payload {
            bytes if bytes >= MIB => format!("{} MiB", bytes / MIB),
            bytes if bytes >= KIB => format!("{} KiB", bytes / KIB),
            bytes => format!("{bytes} bytes"),
        };
        let frames = match self.framing {
            Framing::Whole => String::new(),
            Framing::Cut(frames) | Framing::CutWithPing(frames) => format!(" in {frames} frames"),
        };
        let how_many = match (self.duration, self.depth) {
            (Duration::Once, _) => "a single message".to_owned(),
            (Duration::Window, 1) => "one message at a time".to_owned(),
            (Duration::Window, depth) => format!("{depth} messages at a time"),
        };
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            number => format!("{number} connections"),
        };
        format!("{size}{frames}, {how_many}, {connections}")
    }

    const fn of(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    const fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    const fn written(mut self, bytes: usize) -> Self {
        self.write = Some(bytes);
        self
    }

    const fn by(mut self, service: Service) -> Self {
        self.service = service;
        self
    }

    const fn once(mut self) -> Self {
        self.duration = Duration::Once;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_loads_in_words() {
        let core = WORKLOADS.iter().filter(|load| load.group == Group::Core);
        let words: Vec<_> = core.map(Workload::in_words).collect();
        assert_eq!(
            words,
            [
                "64 bytes, one message at a time, 50 connections",
                "64 bytes, 16 messages at a time, 50 connections",
                "1 KiB, 16 messages at a time, 16 connections",
                "16 KiB, one message at a time, 16 connections",
                "1 MiB, one message at a time, 4 connections",
                "64 MiB in 4 frames, a single message, 1 connection",
            ]
        );
    }
}
