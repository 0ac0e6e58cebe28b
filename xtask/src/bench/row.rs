//! One measurement, and what it has to reach.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A measurement beside its baseline of the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) section: String,
    pub(super) id: String,
    pub(super) value: f64,
    pub(super) unit: String,
    /// In the unit of `value`.
    pub(super) baseline: f64,
    pub(super) baseline_name: String,
    /// `value / baseline`; computed when the measurement leaves it out.
    #[serde(default)]
    pub(super) ratio: Option<f64>,
    /// The gate of the ratio as text, `<= 2.5`; set from the table of targets.
    #[serde(default)]
    pub(super) target: Option<String>,
}

/// What the ratio of one row must be, and what it should be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) section: String,
    pub(super) id: String,
    pub(super) gate: Bound,
    pub(super) goal: Bound,
}

/// `<= 2.5` or `>= 0.75`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What a row reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Goal,
    Gate,
    Missed,
    /// There is no target for it.
    Free,
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Bound::AtMost(limit) => ratio <= limit,
            Bound::AtLeast(limit) => ratio >= limit,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::AtMost(limit) => write!(f, "<= {limit}"),
            Bound::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}

impl TryFrom<String> for Bound {
    type Error = String;

    fn try_from(text: String) -> Result<Bound, String> {
        let number = |rest: &str| rest.trim().parse().map_err(|_| format!("{text:?} has no number"));
        if let Some(rest) = text.strip_prefix("<=") {
            number(rest).map(Bound::AtMost)
        } else if let Some(rest) = text.strip_prefix(">=") {
            number(rest).map(Bound::AtLeast)
        } else {
            Err(format!("expected `<= number` or `>= number`, found {text:?}"))
        }
    }
}

impl Target {
    pub(super) fn read(path: &Path) -> Result<Vec<Target>> {
        #[derive(Deserialize)]
        struct File {
            target: Vec<Target>,
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: File =
            toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))?;
        Ok(file.target)
    }

    fn is_for(&self, row: &Row) -> bool {
        self.section == row.section && self.id == row.id
    }
}

impl Row {
    /// Fills in what follows from the rest, and refuses numbers that mean nothing.
    pub(super) fn complete(&mut self, targets: &[Target]) -> Result<()> {
        if !self.value.is_finite() || !self.baseline.is_finite() || self.baseline <= 0.0 {
            bail!(
                "{} {}: value {} beside baseline {}",
                self.section,
                self.id,
                self.value,
                self.baseline
            );
        }
        let ratio = self.value / self.baseline;
        if let Some(said) = self.ratio
            && (said - ratio).abs() > ratio.abs() * 0.01
        {
            bail!(
                "{} {}: says ratio {said}, value / baseline is {ratio}",
                self.section,
                self.id
            );
        }
        self.ratio = Some(ratio);
        if let Some(target) = targets.iter().find(|target| target.is_for(self)) {
            self.target = Some(target.gate.to_string());
        }
        Ok(())
    }

    pub(super) fn verdict(&self, targets: &[Target]) -> Verdict {
        let ratio = self.ratio.unwrap_or(self.value / self.baseline);
        match targets.iter().find(|target| target.is_for(self)) {
            None => Verdict::Free,
            Some(target) if target.goal.holds(ratio) => Verdict::Goal,
            Some(target) if target.gate.holds(ratio) => Verdict::Gate,
            Some(_) => Verdict::Missed,
        }
    }
}

/// The rows of a run, one JSON object per line.
pub(super) fn parse(text: &str) -> Result<Vec<Row>> {
    let rows = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).with_context(|| format!("expected a row, found {line:?}")))
        .collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        bail!("the measurements printed no row; is there such a section?");
    }
    Ok(rows)
}

/// `kept` with every row of `fresh` put in the place of its namesake, or at the end.
pub(super) fn merge(mut kept: Vec<Row>, fresh: &[Row]) -> Vec<Row> {
    for row in fresh {
        match kept
            .iter_mut()
            .find(|old| old.section == row.section && old.id == row.id)
        {
            Some(old) => *old = row.clone(),
            None => kept.push(row.clone()),
        }
    }
    kept
}

/// The targets of `section` (or of all) that no row belongs to.
pub(super) fn missing<'a>(targets: &'a [Target], rows: &[Row], section: Option<&str>) -> Vec<&'a Target> {
    targets
        .iter()
        .filter(|target| section.is_none_or(|section| section == target.section))
        .filter(|target| !rows.iter().any(|row| target.is_for(row)))
        .collect()
}
