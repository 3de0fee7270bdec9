//! Measures what compressed messages take to echo, and what memory their connections do.

use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::courses::Courses;
use crate::deflate::{Deflate, Takeover};
use crate::echo::{Sample, Window};
use crate::load::{Load, Until};
use crate::process::{Server, allow_open_files, settled_memory};
use crate::wire;

/// A load of messages of JSON that are compressed both ways.
#[derive(Clone, Copy, Debug)]
pub struct Json {
    /// The name in tables and on the command line; names are stable.
    pub name: &'static str,
    pub payload: usize,
    /// How many messages are sent at once.
    pub depth: usize,
    pub connections: usize,
    /// The level of all that can be told one.
    pub level: u8,
}

/// All loads of compressed messages.
pub const LOADS: [Json; 4] = [
    Json {
        name: SMALL,
        payload: 300,
        depth: 1,
        connections: 50,
        level: 1,
    },
    Json {
        name: "json-300B-level1-d16-c50",
        payload: 300,
        depth: 16,
        connections: 50,
        level: 1,
    },
    Json {
        name: MEDIUM,
        payload: 4 << 10,
        depth: 1,
        connections: 50,
        level: 3,
    },
    Json {
        name: "json-64KiB-level3-d1-c16",
        payload: 64 << 10,
        depth: 1,
        connections: 16,
        level: 3,
    },
];

/// Those for which there are [targets](crate::targets).
pub const SMALL: &str = "json-300B-level1-d1-c50";
pub const MEDIUM: &str = "json-4KiB-level3-d1-c50";

pub const TOKIO: &str = "anyws_tokio, none";
pub const SMOL: &str = "anyws_smol, none";

/// The name of the measurement of memory, in tables and on the command line.
pub const MEMORY: &str = "json-memory";

/// What each connection has echoed before it is idle: both windows are full then.
const USE: Json = Json {
    name: MEMORY,
    payload: 4 << 10,
    depth: 1,
    connections: 0,
    level: 3,
};
const USES: usize = 4;
/// Open files beside the connections: standard streams, the first connections, `/proc`.
const SPARE_FILES: usize = 32;
/// So many connections are open before the others are counted.
const FIRST: usize = 8;

/// A server and how it compresses.
#[derive(Clone, Copy, Debug)]
pub struct Compressor {
    /// The name in tables and on the command line.
    pub name: &'static str,
    /// The binary, which cargo puts beside the runner's own.
    pub binary: &'static str,
    /// Where its version is taken from.
    pub library: &'static str,
    /// `None` for a server that does not compress: what it costs not to.
    pub takeover: Option<Takeover>,
    pub is_ours: bool,
    /// What the report says of it.
    pub how: &'static str,
}

/// All servers, in the order of the tables.
pub const COMPRESSORS: &[Compressor] = &[
    ours(TOKIO, "compressed_anyws_tokio", Takeover::None).that("`Takeover::None`, the default"),
    ours(
        "anyws_tokio, window",
        "compressed_anyws_tokio",
        Takeover::Window,
    )
    .that("`Takeover::Window`"),
    ours(
        "anyws_tokio, dedicated",
        "compressed_anyws_tokio",
        Takeover::Dedicated,
    )
    .that("`Takeover::Dedicated`"),
    ours(SMOL, "compressed_anyws_smol", Takeover::None).that("the first on smol"),
    ours(
        "anyws_smol, window",
        "compressed_anyws_smol",
        Takeover::Window,
    )
    .that("the second on smol"),
    ours(
        "anyws_smol, dedicated",
        "compressed_anyws_smol",
        Takeover::Dedicated,
    )
    .that("the third on smol"),
    peer("yawc, pool", "yawc", "yawc", Takeover::None)
        .that("no takeover; each message borrows a codec from the library's pool"),
    peer("yawc, dedicated", "yawc", "yawc", Takeover::Dedicated)
        .that("takeover; each connection owns two codecs"),
    peer(
        "sockudo-ws, shared",
        "sockudo_ws",
        "sockudo-ws",
        Takeover::None,
    )
    .that(
        "no takeover, the settings of `Compression::Shared` except for the level. Its streams do \
         not use the library's pool: each connection owns two codecs",
    ),
    peer(
        "sockudo-ws, dedicated",
        "sockudo_ws",
        "sockudo-ws",
        Takeover::Dedicated,
    )
    .that("takeover; each connection owns two codecs"),
    peer(
        "soketto",
        "anyws-compare-soketto",
        "soketto",
        Takeover::None,
    )
    .that(
        "no takeover; each message makes two codecs, of the C zlib. Its level is 1 and cannot be \
         set, so it does not compare with the others at level 3. It is built with flate2 1.1.10",
    ),
    Compressor {
        takeover: None,
        ..peer(
            "tokio-tungstenite",
            "tokio_tungstenite",
            "tokio-tungstenite",
            Takeover::None,
        )
    }
    .that("no compression: it receives and sends the same messages as they are"),
];

const fn ours(name: &'static str, binary: &'static str, takeover: Takeover) -> Compressor {
    Compressor {
        is_ours: true,
        ..peer(name, binary, "anyws", takeover)
    }
}

const fn peer(
    name: &'static str,
    binary: &'static str,
    library: &'static str,
    takeover: Takeover,
) -> Compressor {
    Compressor {
        name,
        binary,
        library,
        takeover: Some(takeover),
        is_ours: false,
        how: "",
    }
}

impl Compressor {
    const fn that(mut self, how: &'static str) -> Self {
        self.how = how;
        self
    }

    /// It is ours, with the default settings.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.is_ours && self.takeover == Some(Takeover::None)
    }

    /// How it compresses at this level.
    #[must_use]
    pub fn deflate(&self, level: u8) -> Option<Deflate> {
        self.takeover.map(|takeover| Deflate { takeover, level })
    }
}

impl Json {
    /// Runs this load against a server once; gives the bytes as well that it sends for each
    /// message.
    ///
    /// # Errors
    ///
    /// When the server does not start or a reply is wrong.
    pub fn measure(
        &self,
        compressor: &Compressor,
        folder: &Path,
        window: Window,
    ) -> Result<(Sample, f64)> {
        let deflate = compressor.deflate(self.level);
        let courses = Courses::new(self.payload, self.depth, deflate)?;
        let server = Server::start_compressor(compressor, self.level, true, folder)?;
        let mut load = Load::of_courses(open(&server, deflate, self.connections)?, &courses)?;
        // All that comes back is looked at before anything is measured.
        load.run(Until::Elapsed(window.warm_up))?;
        load.unpack_few();

        let received = load.received();
        let before = server.process().processor_time()?;
        let started = Instant::now();
        let messages = load.run(Until::Elapsed(window.measured))?;
        let elapsed = started.elapsed();
        let processor_time = server.process().processor_time()?.saturating_sub(before);
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss)]
        let bytes = (load.received() - received) as f64 / messages as f64;
        Ok((Sample::new(messages, processor_time, elapsed)?, bytes))
    }
}

/// KiB of resident memory for each of so many connections that have had messages echoed.
///
/// # Errors
///
/// When a connection cannot be opened or a reply is wrong.
pub fn measure_memory(compressor: &Compressor, folder: &Path, connections: usize) -> Result<f64> {
    allow_open_files((connections + SPARE_FILES) as u64)?;
    let deflate = compressor.deflate(USE.level);
    let courses = Courses::new(USE.payload, USE.depth, deflate)?;
    let server = Server::start_compressor(compressor, USE.level, false, folder)?;
    let run = |connections| {
        let mut load = Load::of_courses(open(&server, deflate, connections)?, &courses)?;
        for _ in 0..USES {
            load.run(Until::OneBatchEach)?;
        }
        Result::Ok(load)
    };
    // What the first connections touch belongs to the server.
    let _first = run(FIRST)?;
    let before = settled_memory(server.process().pid())?;
    let _others = run(connections)?;
    let after = settled_memory(server.process().pid())?;
    // Small numbers.
    #[expect(clippy::cast_precision_loss)]
    let connections = connections as f64;
    Ok((f64::from(after) - f64::from(before)) / connections)
}

fn open(server: &Server, deflate: Option<Deflate>, count: usize) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|_| wire::connect_compressed(server.address(), deflate))
        .collect()
}
