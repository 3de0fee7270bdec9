//! What joins and leaves cost that make and end topics: a process of its own measures it, without
//! a network.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cores::Cores;
use crate::{Result, figures, process};

/// The name in tables and on the command line.
pub const NAME: &str = "hub-churn";

/// The binary of this package, which cargo puts beside the runner's own.
pub const BINARY: &str = "hub_churn";

/// How many topics there are, with one member each.
pub const TOPICS: usize = 100_000;

// Microseconds.
pub const JOIN: &str = "join";
pub const LEAVE: &str = "leave";

// Bytes for each topic.
pub const HELD: &str = "held";
pub const LEFT: &str = "left";

/// All figures with their units, in the order of the table.
pub const FIGURES: [(&str, &str); 4] = [
    (JOIN, "µs"),
    (LEAVE, "µs"),
    (HELD, "bytes"),
    (LEFT, "bytes"),
];

/// Measures all figures once, each of the times for as long as `measured` or for all topics.
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
