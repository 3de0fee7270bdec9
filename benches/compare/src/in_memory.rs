//! Figures of compression that a process of its own measures, without a network.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cores::Cores;
use crate::{Result, figures, process};

/// The name in tables and on the command line.
pub const NAME: &str = "json-in-memory";

/// The name of what is measured, on the command line.
pub const SERVER: &str = "anyws_in_memory";

/// The binary of this package, which cargo puts beside the runner's own.
pub const BINARY: &str = "in_memory";

// Microseconds for each message.
pub const CODEC_SMALL: &str = "codec, 300 B, level 1";
pub const ECHO_SMALL: &str = "echo, 300 B, level 1";
pub const CODEC_MEDIUM: &str = "codec, 4 KiB, level 3";
pub const ECHO_MEDIUM: &str = "echo, 4 KiB, level 3";
pub const BURST_WINDOW: &str = "burst, window";
pub const BURST_DEDICATED: &str = "burst, dedicated";

// Bytes for each idle socket.
pub const IDLE_PLAIN: &str = "idle, not agreed";
pub const IDLE_NONE: &str = "idle, no takeover";
pub const IDLE_WINDOW: &str = "idle, window";

/// All figures with their units, in the order of the table.
pub const FIGURES: [(&str, &str); 9] = [
    (CODEC_SMALL, "µs"),
    (ECHO_SMALL, "µs"),
    (CODEC_MEDIUM, "µs"),
    (ECHO_MEDIUM, "µs"),
    (BURST_WINDOW, "µs"),
    (BURST_DEDICATED, "µs"),
    (IDLE_PLAIN, "bytes"),
    (IDLE_NONE, "bytes"),
    (IDLE_WINDOW, "bytes"),
];

/// Measures all figures once, each of the times for as long as `measured`.
///
/// # Errors
///
/// When one of them is missing.
pub fn measure(folder: &Path, measured: Duration) -> Result<Vec<(&'static str, f64)>> {
    let mut command = Command::new(folder.join(BINARY));
    command.arg(measured.as_millis().to_string());
    let output = process::run(&mut command, Cores::One)?;
    figures::read(&output, &FIGURES.map(|(figure, _)| figure))
}
