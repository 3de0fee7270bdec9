//! Which ways to broadcast there are.

/// A server that sends the same messages to many connections. All but the floor use anyws.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The name in tables and on the command line, that of the server's included.
    pub name: &'static str,
    /// The binary of this package, which cargo puts beside the runner's own.
    pub binary: &'static str,
    /// How it is done, for the report.
    pub how: &'static str,
    /// Takes no handshake, and an order as a line.
    pub is_raw: bool,
    /// Waits until each connection has accepted its messages: one that does not read stops all.
    pub waits: bool,
    /// How many threads the tasks of the sockets run on.
    pub threads: u8,
}

/// What the others are compared with.
pub const FLOOR: &str = "floor";

/// Those for which there are [targets](crate::targets).
pub const SENDER: &str = "sender";
pub const SENDER_ON_SMOL: &str = "sender on smol";
pub const HUB: &str = "hub";
pub const HUB_ON_SMOL: &str = "hub on smol";
pub const HUB_ON_2_THREADS: &str = "hub on 2 threads";
pub const HUB_ON_SMOL_ON_2_THREADS: &str = "hub on smol on 2 threads";

/// All ways, in the order of the tables.
pub const WAYS: &[Way] = &[
    Way {
        name: FLOOR,
        binary: "broadcast_floor",
        how: "no WebSocket library and no runtime: one `send` of ready-made frames for each \
              connection",
        is_raw: true,
        waits: false,
        threads: 1,
    },
    Way {
        name: "loop",
        binary: "broadcast_tokio",
        how: "the publisher's task calls `feed` and `flush` on one `SendHalf` after the other",
        is_raw: false,
        waits: true,
        threads: 1,
    },
    Way {
        name: "tokio-broadcast",
        binary: "broadcast_tokio",
        how: "each socket's task waits for a `tokio::sync::broadcast` channel and for its socket",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: "mpsc",
        binary: "broadcast_tokio",
        how: "the same with a `tokio::sync::mpsc` channel for each socket",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: SENDER,
        binary: "broadcast_tokio",
        how: "an `anyws::Sender` for each socket, whose task only asks for the next message",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: SENDER_ON_SMOL,
        binary: "broadcast_smol",
        how: "the same on smol; a way that does not name smol is on tokio",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: HUB,
        binary: "broadcast_tokio",
        how: "an `anyws::hub::Hub` with one topic: `publish`, and `publish_all` for 16 messages; a \
              socket's task only asks for the next message",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: HUB_ON_SMOL,
        binary: "broadcast_smol",
        how: "the same on smol",
        is_raw: false,
        waits: false,
        threads: 1,
    },
    Way {
        name: HUB_ON_2_THREADS,
        binary: "broadcast_tokio",
        how: "`hub` on a runtime of two threads",
        is_raw: false,
        waits: false,
        threads: 2,
    },
    Way {
        name: HUB_ON_SMOL_ON_2_THREADS,
        binary: "broadcast_smol",
        how: "`hub on smol` on an executor of two threads",
        is_raw: false,
        waits: false,
        threads: 2,
    },
];
