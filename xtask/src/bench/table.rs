//! Rows for people.

use std::fmt;

use super::row::{Row, Target, Verdict};

/// Rows beside their targets, one line each.
pub(super) struct Table {
    lines: Vec<[String; 7]>,
}

impl Table {
    pub(super) fn of(rows: &[Row], targets: &[Target]) -> Table {
        let head = ["id", "value", "baseline", "ratio", "gate", "goal", "verdict"].map(str::to_owned);
        let mut lines = vec![head];
        for row in rows {
            let target = targets
                .iter()
                .find(|target| target.section == row.section && target.id == row.id);
            let verdict = match row.verdict(targets) {
                Verdict::Goal => "goal",
                Verdict::Gate => "gate",
                Verdict::Missed => "MISSED",
                Verdict::Free => "",
            };
            lines.push([
                format!("{}/{}", row.section, row.id),
                format!("{} {}", number(row.value), row.unit),
                format!("{} {} ({})", number(row.baseline), row.unit, row.baseline_name),
                format!("{:.2}", row.value / row.baseline),
                target.map(|target| target.gate.to_string()).unwrap_or_default(),
                target.map(|target| target.goal.to_string()).unwrap_or_default(),
                verdict.to_owned(),
            ]);
        }
        Table { lines }
    }
}

/// Three or four figures, whatever the size.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; 7];
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &self.lines {
            let cells: Vec<_> = line
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
