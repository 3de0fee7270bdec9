//! Draws `results.svg`: for each core workload, the cost of every server against the floor.

use std::fs;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;
use crate::contestants::{CONTESTANTS, Contestant};
use crate::options::Options;
use crate::results::Results;
use crate::workload::{Group, Workload};

/// The name of the file.
pub const FILE: &str = "results.svg";

const COLUMNS: usize = 2;
const WIDTH: u32 = 1000;
const TITLE: i32 = 92;
const LEGEND: i32 = 62;
/// The side of a square of the legend.
const SQUARE: i32 = 12;
const PANEL_TITLE: i32 = 46;
const BAR: i32 = 20;
const GAP: i32 = 4;
const PANEL_END: i32 = 18;
/// Room for names to the left of the bars, and for figures to the right.
const NAMES: i32 = 190;
const FIGURES: i32 = 56;
/// Longer bars are cut: fifteen times the floor would leave no room for the differences.
const LONGEST: f64 = 4.0;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(200, 200, 200);
const OURS: RGBColor = RGBColor(200, 80, 20);
const PEERS: RGBColor = RGBColor(120, 140, 165);
/// What the colors mean, and how far to the right each text begins.
const MEANINGS: [(RGBColor, i32, &str); 3] = [
    (OURS, 16, "anyws"),
    (
        PEERS,
        100,
        "another library, the better of its plain and its tuned server",
    ),
    (
        INK,
        420,
        "1×: bare TCP echo on the same runtime. Less is better; longer bars are cut.",
    ),
];

/// A server and its ratio to the floor.
type Bar = (&'static Contestant, f64);

/// Draws the picture; nothing, if nothing that it shows was run.
///
/// # Errors
///
/// When it cannot be drawn or written.
pub fn write(options: &Options, results: &Results) -> Result<()> {
    let panels: Vec<_> = options
        .workloads()
        .filter(|workload| workload.group == Group::Core)
        .map(|workload| (workload, bars(workload, results)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let Some(most) = panels.iter().map(|(_, bars)| bars.len()).max() else {
        return Ok(());
    };
    let panel_height = PANEL_TITLE + i32::try_from(most)? * (BAR + GAP) + PANEL_END;
    let rows = u32::try_from(panels.len().div_ceil(COLUMNS))?;
    let height = TITLE.unsigned_abs() + rows * panel_height.unsigned_abs();

    fs::create_dir_all(&options.output)?;
    let path = options.output.join(FILE);
    let root = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = "Server processor time for each message, as a multiple of bare TCP echo";
    root.draw_text(title, &style(20, INK, HPos::Left), (16, 30))?;
    draw_legend(&root)?;

    let width = i32::try_from(WIDTH)? / i32::try_from(COLUMNS)?;
    for (number, (workload, bars)) in panels.iter().enumerate() {
        let left = i32::try_from(number % COLUMNS)? * width;
        let top = TITLE + i32::try_from(number / COLUMNS)? * panel_height;
        draw_panel(&root, (left, top), width, workload, bars)?;
    }
    root.present()?;
    Ok(())
}

/// The ratio of each server, of two variants the better one; the lowest comes first.
fn bars(workload: &Workload, results: &Results) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for server in CONTESTANTS.iter().filter(|server| !server.is_floor()) {
        let Some(ratio) = results.ratio(workload.name, server.name, server.floor()) else {
            continue;
        };
        let bar = (server, ratio.median);
        match bars
            .iter_mut()
            .find(|(known, _)| known.binary == server.binary)
        {
            Some(known) if bar.1 < known.1 => *known = bar,
            Some(_) => {}
            None => bars.push(bar),
        }
    }
    bars.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    bars
}

fn draw_legend(root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<()> {
    for (color, left, meaning) in MEANINGS {
        // A floor is a line in the panels, not a bar.
        let width = if color == INK { 1 } else { SQUARE };
        let upper = LEGEND - SQUARE / 2;
        let corners = [(left, upper), (left + width, upper + SQUARE)];
        root.draw(&Rectangle::new(corners, color.filled()))?;
        let at = (left + width + 6, LEGEND);
        root.draw_text(meaning, &style(13, INK, HPos::Left), at)?;
    }
    Ok(())
}

fn draw_panel(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    (left, top): (i32, i32),
    width: i32,
    workload: &Workload,
    bars: &[Bar],
) -> Result<()> {
    let from = left + NAMES;
    let full = width - NAMES - FIGURES;
    // The bars start at nothing, so that their lengths compare as the figures do.
    #[expect(clippy::cast_possible_truncation)]
    let end = |ratio: f64| from + (f64::from(full) * ratio.min(LONGEST) / LONGEST).round() as i32;

    root.draw_text(
        &workload.in_words(),
        &style(16, INK, HPos::Left),
        (left + 16, top + 14),
    )?;
    let first = top + PANEL_TITLE;
    let last = first + i32::try_from(bars.len())? * (BAR + GAP);
    for ratio in [1.0, 2.0, 3.0, LONGEST] {
        let line = vec![(end(ratio), first - 4), (end(ratio), last)];
        let color = if ratio > 1.0 { FAINT } else { INK };
        root.draw(&PathElement::new(line, color))?;
        let text = format!("{ratio}×");
        root.draw_text(
            &text,
            &style(11, INK, HPos::Center),
            (end(ratio), first - 10),
        )?;
    }

    for ((server, ratio), number) in bars.iter().zip(0..) {
        let upper = first + number * (BAR + GAP);
        let lower = upper + BAR;
        let middle = upper + BAR / 2;
        let color = if server.is_ours() { OURS } else { PEERS };
        root.draw(&Rectangle::new(
            [(from, upper), (end(*ratio), lower)],
            color.filled(),
        ))?;
        let name = style(13, INK, HPos::Right);
        root.draw_text(server.name, &name, (from - 8, middle))?;
        let figure = if *ratio > LONGEST {
            format!("{ratio:.1} →")
        } else {
            format!("{ratio:.2}")
        };
        let at = (end(*ratio) + 6, middle);
        root.draw_text(&figure, &style(13, INK, HPos::Left), at)?;
    }
    Ok(())
}

fn style(size: i32, color: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, size).into_font(),
        color: color.to_backend_color(),
        pos: Pos::new(horizontal, VPos::Center),
    }
}
