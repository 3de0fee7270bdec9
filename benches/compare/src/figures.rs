//! Figures that a process of its own prints, a line for each; and percentiles.

use std::time::Duration;

use crate::Result;

/// Writes a figure as [`read`] reads it.
#[must_use]
pub fn line(figure: &str, value: f64) -> String {
    format!("{figure}: {value:.4}")
}

/// Reads all figures that are `wanted`, in their order.
///
/// # Errors
///
/// When one of them is missing.
pub fn read(output: &str, wanted: &[&'static str]) -> Result<Vec<(&'static str, f64)>> {
    let read = |&figure| {
        let value = output.lines().find_map(|line| {
            let value = line.strip_prefix(figure)?.strip_prefix(": ")?;
            value.parse().ok()
        });
        Ok((
            figure,
            value.ok_or_else(|| format!("no figure of {figure}"))?,
        ))
    };
    wanted.iter().map(read).collect()
}

/// The least of the times that so many percent of them do not exceed; zero if there are none.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let of = |count: u64, percent| {
            let mut times: Vec<_> = (1..=count).rev().map(Duration::from_millis).collect();
            percentile(&mut times, percent).as_millis()
        };
        assert_eq!(of(0, 99), 0);
        assert_eq!(of(1, 99), 1);
        assert_eq!(of(100, 99), 99);
        assert_eq!(of(101, 99), 100);
        assert_eq!(of(1000, 99), 990);
        assert_eq!(of(1000, 50), 500);
    }

    #[test]
    fn a_figure_is_read_as_it_was_written() {
        let output = [line("one", 1.5), line("one of two", 0.25)].join("\n");
        let figures = read(&output, &["one of two", "one"]).unwrap();
        assert_eq!(figures, [("one of two", 0.25), ("one", 1.5)]);
        assert!(read(&output, &["two"]).is_err());
    }
}
