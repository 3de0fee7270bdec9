//! Which servers there are, and clients.

/// The runtime that a contestant stands on: it is compared with the floor of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Tokio,
    Smol,
}

/// What a contestant is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Bare TCP echo: what nothing with a protocol can go below.
    Floor,
    /// anyws: a server is one of its examples.
    Ours,
    /// Another library, as its README shows it or as its authors tune it.
    Peer { tuned: bool },
}

/// One server of the comparison, and the client of the same library.
#[derive(Clone, Copy, Debug)]
pub struct Contestant {
    /// The name in tables and on the command line.
    pub name: &'static str,
    /// The binary of this package, which cargo puts beside the runner's own.
    pub binary: &'static str,
    /// The one that follows orders, tuned if this one is.
    pub orders: Option<&'static str>,
    /// The one that is a client, tuned if this one is.
    pub client: Option<&'static str>,
    /// Where its version is taken from; empty for what is no library.
    pub library: &'static str,
    pub runtime: Runtime,
    pub role: Role,
    /// Takes part in the workloads beyond the core ones: ours, the floors and the closest peers.
    pub in_tail: bool,
}

/// All of them, in the order of the tables.
pub const CONTESTANTS: &[Contestant] = &[
    floor("floor_tokio", Runtime::Tokio).with_client("floor_tokio"),
    floor("floor_smol", Runtime::Smol).with_client("floor_smol"),
    floor("copies_tokio", Runtime::Tokio).in_core_only(),
    ours("anyws_tokio", Runtime::Tokio)
        .with_orders("orders_anyws_tokio")
        .with_client("client_anyws_tokio"),
    ours("anyws_smol", Runtime::Smol)
        .with_orders("orders_anyws_smol")
        .with_client("client_anyws_smol"),
    ours("anyws_volo", Runtime::Tokio),
    ours("anyws_axum", Runtime::Tokio),
    // As a client there is nothing to tune.
    peer("fastwebsockets", "fastwebsockets", "fastwebsockets", false).with_client("fastwebsockets"),
    peer(
        "fastwebsockets tuned",
        "fastwebsockets",
        "fastwebsockets",
        true,
    )
    .in_tail(),
    peer(
        "tokio-websockets",
        "tokio_websockets",
        "tokio-websockets",
        false,
    )
    .with_client("tokio_websockets"),
    peer(
        "tokio-websockets tuned",
        "tokio_websockets",
        "tokio-websockets",
        true,
    )
    .with_orders("tokio_websockets")
    .with_client("tokio_websockets")
    .in_tail(),
    peer("sockudo-ws", "sockudo_ws", "sockudo-ws", false).with_client("sockudo_ws"),
    peer("sockudo-ws tuned", "sockudo_ws", "sockudo-ws", true)
        .with_orders("sockudo_ws")
        .with_client("sockudo_ws")
        .in_tail(),
    peer("yawc", "yawc", "yawc", false).with_client("yawc"),
    peer("yawc tuned", "yawc", "yawc", true)
        .with_orders("yawc")
        .with_client("yawc")
        .in_tail(),
    peer(
        "tokio-tungstenite",
        "tokio_tungstenite",
        "tokio-tungstenite",
        false,
    )
    .with_client("tokio_tungstenite"),
    peer(
        "tokio-tungstenite tuned",
        "tokio_tungstenite",
        "tokio-tungstenite",
        true,
    )
    .with_orders("tokio_tungstenite")
    .with_client("tokio_tungstenite"),
    peer(
        "async-tungstenite",
        "async_tungstenite_smol",
        "async-tungstenite",
        false,
    )
    .with_client("async_tungstenite_smol")
    .on_smol(),
    peer(
        "async-tungstenite tuned",
        "async_tungstenite_smol",
        "async-tungstenite",
        true,
    )
    .with_orders("async_tungstenite_smol")
    .with_client("async_tungstenite_smol")
    .on_smol(),
    peer("axum ws", "axum_ws", "axum", false),
    peer("axum ws tuned", "axum_ws", "axum", true),
    peer("volo-http ws", "volo_http_ws", "volo-http", false),
    peer("volo-http ws tuned", "volo_http_ws", "volo-http", true),
];

const fn floor(name: &'static str, runtime: Runtime) -> Contestant {
    Contestant {
        name,
        binary: name,
        orders: None,
        client: None,
        library: "",
        runtime,
        role: Role::Floor,
        in_tail: true,
    }
}

const fn ours(name: &'static str, runtime: Runtime) -> Contestant {
    Contestant {
        name,
        binary: name,
        orders: None,
        client: None,
        library: "anyws",
        runtime,
        role: Role::Ours,
        in_tail: true,
    }
}

const fn peer(
    name: &'static str,
    binary: &'static str,
    library: &'static str,
    tuned: bool,
) -> Contestant {
    Contestant {
        name,
        binary,
        orders: None,
        client: None,
        library,
        runtime: Runtime::Tokio,
        role: Role::Peer { tuned },
        in_tail: false,
    }
}

impl Contestant {
    const fn with_orders(mut self, binary: &'static str) -> Self {
        self.orders = Some(binary);
        self
    }

    const fn with_client(mut self, binary: &'static str) -> Self {
        self.client = Some(binary);
        self
    }

    const fn in_core_only(mut self) -> Self {
        self.in_tail = false;
        self
    }

    const fn in_tail(mut self) -> Self {
        self.in_tail = true;
        self
    }

    const fn on_smol(mut self) -> Self {
        self.runtime = Runtime::Smol;
        self
    }

    #[must_use]
    pub fn is_floor(&self) -> bool {
        self.role == Role::Floor
    }

    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.role == Role::Ours
    }

    #[must_use]
    pub fn is_peer(&self) -> bool {
        matches!(self.role, Role::Peer { .. })
    }

    #[must_use]
    pub fn is_tuned(&self) -> bool {
        self.role == Role::Peer { tuned: true }
    }

    /// The floor on the same runtime.
    #[must_use]
    pub fn floor(&self) -> &'static str {
        match self.runtime {
            Runtime::Tokio => "floor_tokio",
            Runtime::Smol => "floor_smol",
        }
    }
}
