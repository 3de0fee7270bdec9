//! Figures that a process of its own prints, a line for each.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_as_it_was_written() {
        let output = [line("one", 1.5), line("one of two", 0.25)].join("\n");
        let figures = read(&output, &["one of two", "one"]).unwrap();
        assert_eq!(figures, [("one of two", 0.25), ("one", 1.5)]);
        assert!(read(&output, &["two"]).is_err());
    }
}
