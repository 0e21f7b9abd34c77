//! The replay as a chart: arrivals, backlog, and shards over time, with the window's marks.

use std::fmt::Write as _;

use pnyx_core::scaling::simulation::{Broker, Moment, Replay};

use super::Trial;
use crate::numbers;

/// The picture, in pixels.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 640;
const LEFT: i64 = 84;
const RIGHT: i64 = 24;
const PLOT_WIDTH: i64 = WIDTH - LEFT - RIGHT;

/// Where the panels begin, and how high they are.
const PANEL_TOPS: [i64; 3] = [92, 276, 460];
const PANEL_HEIGHT: i64 = 136;

/// Where the marks of the window and what else is of note are named, below the panels.
const MARKS_Y: i64 = 614;
const NOTES_Y: i64 = 632;

/// Colours that keep their contrast on light and on dark backgrounds.
const STYLE: &str = "\
:root{color-scheme:light dark}\
.bg{fill:#fff}.ink{fill:#1f2430}.soft{fill:#5b6270}.grid{stroke:#d8dce3;stroke-width:1}\
.mark{stroke:#5b6270;stroke-width:1;stroke-dasharray:4 3}.away{fill:#c0392b;fill-opacity:.12}\
.arrivals{fill:#2b6cb0;fill-opacity:.25;stroke:#2b6cb0;stroke-width:1.5}\
.backlog{fill:#c05621;fill-opacity:.25;stroke:#c05621;stroke-width:1.5}\
.ready{fill:#2f855a;fill-opacity:.3;stroke:none}.wanted{fill:none;stroke:#2f855a;stroke-width:2}\
.partitions{fill:none;stroke:#805ad5;stroke-width:1.5;stroke-dasharray:2 3}\
text{font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}\
@media(prefers-color-scheme:dark){.bg{fill:#14171d}.ink{fill:#e6e9ef}.soft{fill:#a4abb8}.grid{stroke:#333a46}\
.mark{stroke:#a4abb8}}";

/// The whole picture.
pub(super) fn chart(trial: &Trial, replay: &Replay) -> String {
    let chart = Chart::new(replay);
    let summary = &replay.summary;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\">\n<title>Shards of {name} over its window</title>\n<style>{STYLE}</style>\n\
         <rect class=\"bg\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"ink title\" x=\"{LEFT}\" y=\"28\">{name}: {} ballots in {}</text>\n\
         <text class=\"soft\" x=\"{LEFT}\" y=\"48\">peak backlog {} at {} · {} shard-seconds, {} % of the ideal · {} changes of \
         shards, {} of partitions</text>",
        numbers::grouped(summary.ballots),
        numbers::duration(trial.scenario.window_s()),
        numbers::grouped(summary.peak_backlog),
        numbers::clock(summary.peak_second),
        numbers::grouped(summary.shard_seconds),
        summary.cost_percent(),
        summary.shard_changes,
        summary.partition_changes,
        name = escaped(&trial.name),
    );
    chart.broker_away(&mut out);
    let arrivals: Vec<u64> = chart.columns(|moment| moment.arrivals.milli().div_ceil(1_000));
    let backlog = chart.columns(|moment| moment.backlog);
    let shards = chart.columns(|moment| moment.shards.into());
    let ready = chart.columns_least(|moment| moment.ready.into());
    let partitions = chart.columns(|moment| moment.partitions.into());
    let legends = [
        "ballots written per second",
        "ballots that wait",
        "shards asked for (line), at work (area), partitions (dotted)",
    ];
    let panels = [
        vec![("arrivals", arrivals)],
        vec![("backlog", backlog)],
        vec![("ready", ready), ("partitions", partitions), ("wanted", shards)],
    ];
    for ((top, legend), series) in PANEL_TOPS.into_iter().zip(legends).zip(panels) {
        panel(&mut out, top, legend, &series);
    }
    chart.marks(&mut out, replay);
    out.push_str("</svg>\n");
    out
}

/// The moments, and the time that they span.
struct Chart<'a> {
    moments: &'a [Moment],
    first: i64,
    span: i64,
}

impl<'a> Chart<'a> {
    fn new(replay: &'a Replay) -> Self {
        let moments = replay.moments.as_slice();
        let first = moments.first().map_or(0, |moment| moment.second);
        let last = moments.last().map_or(0, |moment| moment.second);
        Self { moments, first, span: (last - first).max(1) }
    }

    fn x(&self, second: i64) -> i64 {
        LEFT + (second - self.first) * PLOT_WIDTH / self.span
    }

    /// The largest value of each column of pixels, so that no peak is lost.
    fn columns(&self, value: impl Fn(&Moment) -> u64) -> Vec<u64> {
        self.folded(value, u64::max)
    }

    /// The least value of each column.
    fn columns_least(&self, value: impl Fn(&Moment) -> u64) -> Vec<u64> {
        self.folded(value, u64::min)
    }

    fn folded(&self, value: impl Fn(&Moment) -> u64, fold: impl Fn(u64, u64) -> u64) -> Vec<u64> {
        let width = usize::try_from(PLOT_WIDTH).expect("the plot is wide");
        let mut columns: Vec<Option<u64>> = vec![None; width + 1];
        for moment in self.moments {
            let column = usize::try_from(self.x(moment.second) - LEFT).expect("a moment lies in the span");
            let cell = &mut columns[column];
            *cell = Some(cell.map_or_else(|| value(moment), |before| fold(before, value(moment))));
        }
        // Of short windows not every column has a second: the one before goes on.
        let mut last = 0;
        let filled = columns.into_iter().map(|cell| {
            last = cell.unwrap_or(last);
            last
        });
        filled.collect()
    }

    fn broker_away(&self, out: &mut String) {
        let mut since = None;
        for moment in self.moments {
            match (moment.broker, since) {
                (Broker::Away, None) => since = Some(moment.second),
                (Broker::Up, Some(start)) => {
                    let (from, to) = (self.x(start), self.x(moment.second));
                    let _ = writeln!(
                        out,
                        "<rect class=\"away\" x=\"{from}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n\
                         <text class=\"soft\" x=\"{from}\" y=\"{}\">broker away</text>",
                        PANEL_TOPS[0],
                        (to - from).max(1),
                        PANEL_TOPS[2] + PANEL_HEIGHT - PANEL_TOPS[0],
                        NOTES_Y,
                    );
                    since = None;
                }
                (Broker::Away, Some(_)) | (Broker::Up, None) => {}
            }
        }
    }

    /// Vertical lines where the window opens and closes and where the drain ends.
    fn marks(&self, out: &mut String, replay: &Replay) {
        let summary = &replay.summary;
        let drained = summary.drained_second.map(|second| (second, "drained", "start", NOTES_Y));
        let marks = [Some((0, "opens", "start", MARKS_Y)), Some((summary.window_s, "closes", "end", MARKS_Y)), drained];
        for (second, label, anchor, y) in marks.into_iter().flatten() {
            let x = self.x(second);
            let anchor = if x > WIDTH - 2 * LEFT { "end" } else { anchor };
            let _ = writeln!(
                out,
                "<line class=\"mark\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"/>\n\
                 <text class=\"soft\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{label} {}</text>",
                PANEL_TOPS[0] - 8,
                PANEL_TOPS[2] + PANEL_HEIGHT,
                numbers::clock(second),
            );
        }
    }
}

/// One panel: grid with its numbers, legend, and the series.
fn panel(out: &mut String, top: i64, legend: &str, series: &[(&str, Vec<u64>)]) {
    let largest = series.iter().flat_map(|(_, values)| values).copied().max().unwrap_or(0);
    let scale = Scale::of(largest);
    for tick in 0..=scale.ticks {
        let y = top + PANEL_HEIGHT - tick * PANEL_HEIGHT / scale.ticks;
        let value = scale.step * u64::try_from(tick).expect("ticks are counted from 0");
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>\n\
             <text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8,
            y + 4,
            numbers::grouped(value),
        );
    }
    let _ = writeln!(out, "<text class=\"ink\" x=\"{LEFT}\" y=\"{}\">{legend}</text>", top - 12);
    for (class, values) in series {
        let is_area = matches!(*class, "arrivals" | "backlog" | "ready");
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{}\"/>", path(values, top, &scale, is_area));
    }
}

/// A line in steps, since a number holds until it changes; closed along the ground where it is an area.
fn path(values: &[u64], top: i64, scale: &Scale, is_area: bool) -> String {
    let ground = top + PANEL_HEIGHT;
    let height = |value: u64| {
        let most = u128::from(scale.largest());
        let pixels = u128::from(value) * u128::from(PANEL_HEIGHT.unsigned_abs()) / most;
        ground - i64::try_from(pixels).expect("at most the panel's height")
    };
    let mut path = String::new();
    let mut last = None;
    if is_area {
        let _ = write!(path, "M{LEFT} {ground}");
    }
    for (x, value) in (LEFT..).zip(values) {
        let y = height(*value);
        match last {
            None if is_area => {
                let _ = write!(path, "V{y}");
            }
            None => {
                let _ = write!(path, "M{x} {y}");
            }
            Some(before) if before != y => {
                let _ = write!(path, "H{x}V{y}");
            }
            Some(_) => {}
        }
        last = Some(y);
    }
    let _ = write!(path, "H{}", WIDTH - RIGHT);
    if is_area {
        let _ = write!(path, "V{ground}Z");
    }
    path
}

/// The numbers at the side: a round step, and as many as cover the largest value.
struct Scale {
    step: u64,
    ticks: i64,
}

impl Scale {
    /// Three to five steps of 1, 2 or 5 times a power of ten.
    fn of(largest: u64) -> Self {
        let mut step = 1_u64;
        for factor in [2, 5, 10].into_iter().cycle().zip([1, 2, 5].into_iter().cycle()) {
            if step * 4 >= largest {
                break;
            }
            step = step / factor.1 * factor.0;
        }
        let ticks = largest.div_ceil(step).max(1);
        Self { step, ticks: i64::try_from(ticks).expect("at most four") }
    }

    fn largest(&self) -> u64 {
        self.step * self.ticks.unsigned_abs()
    }
}

/// A text that may stand in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
