//! A reader of the text format of Prometheus that lets nothing pass.

use std::collections::{BTreeMap, BTreeSet};

/// A sample's name and labels.
type Key = (String, BTreeMap<String, String>);

/// What a host said.
#[derive(Debug)]
pub(crate) struct Metrics {
    samples: BTreeMap<Key, f64>,
    /// The kind of each metric.
    kinds: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads every line.
    ///
    /// # Panics
    ///
    /// At the first line that is not of the format.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(
            text.ends_with('\n') && !text.contains('\r'),
            "each line has an end"
        );
        let mut metrics = Metrics {
            samples: BTreeMap::new(),
            kinds: BTreeMap::new(),
        };
        let mut family = String::new();
        let mut helped = None;
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("a name and words");
                assert!(is_name(name) && !words.is_empty(), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a kind");
                assert_eq!(helped.take().as_deref(), Some(name), "its help is before it");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let before = metrics.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is in two places");
                name.clone_into(&mut family);
            } else {
                metrics.sample(line, &family);
            }
        }
        assert_eq!(helped, None, "help for nothing");
        metrics.histograms();
        metrics
    }

    #[track_caller]
    fn sample(&mut self, line: &str, family: &str) {
        let end = line.find(['{', ' ']).expect("a name and a value");
        let (name, rest) = line.split_at(end);
        assert!(is_name(name), "{line}");
        let suffix = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("behind {family}: {line}"));
        let suffixes: &[&str] = match self.kinds[family].as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest),
            None => (BTreeMap::new(), rest),
        };
        let value = value.strip_prefix(' ').expect("a blank before the value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value >= 0.0, "{line}");
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert_eq!(before, None, "twice: {line}");
    }

    /// Buckets rise with their bounds, and the last is the count.
    #[track_caller]
    fn histograms(&self) {
        let kinds = self.kinds.iter().filter(|(_, kind)| *kind == "histogram");
        for (name, _) in kinds {
            let mut of: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
            for ((_, labels), value) in self
                .samples
                .iter()
                .filter(|((at, _), _)| *at == format!("{name}_bucket"))
            {
                let mut labels = labels.clone();
                let bound = labels.remove("le").expect("a bucket has a bound");
                of.entry(labels)
                    .or_default()
                    .push((bound.parse().expect("a bound is a number"), *value));
            }
            for (labels, mut buckets) in of {
                buckets.sort_by(|one, two| one.0.total_cmp(&two.0));
                assert!(
                    buckets.is_sorted_by_key(|(_, count)| *count),
                    "{labels:?}: {buckets:?}"
                );
                let (last, all) = *buckets.last().expect("a bucket");
                assert_eq!(last, f64::INFINITY, "{labels:?}");
                assert_eq!(self.samples[&(format!("{name}_count"), labels.clone())], all);
                assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)));
            }
        }
    }

    /// The sample of this name with these labels, if there is one.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.samples.get(&(name.to_owned(), labels.collect())).copied()
    }

    /// The same, which is there.
    #[track_caller]
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }

    /// What a label stands at, over all samples.
    pub(crate) fn values_of(&self, label: &str) -> BTreeSet<&str> {
        let labels = self.samples.keys().filter_map(|(_, labels)| labels.get(label));
        labels.map(String::as_str).collect()
    }

    /// No count is less than it was, and none is gone.
    #[track_caller]
    pub(crate) fn are_not_below(&self, before: &Metrics) {
        for ((name, labels), was) in &before.samples {
            let stem = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let kind = self.kinds.get(name).or_else(|| self.kinds.get(stem?));
            if kind.is_some_and(|kind| kind == "gauge") {
                continue;
            }
            let now = self.samples.get(&(name.clone(), labels.clone()));
            assert!(
                now.is_some_and(|now| now >= was),
                "{name} {labels:?}: {was}, then {now:?}"
            );
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with("odeon_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// The labels up to the brace that ends them, and what is behind it.
#[track_caller]
fn labels(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").expect("a label has a name and a value");
        assert!(
            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()),
            "{name}"
        );
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().expect("a value has an end") {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next().expect("what is escaped").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    other => panic!("\\{other} is nothing"),
                }),
                (_, other) => value.push(other),
            }
        };
        assert_eq!(labels.insert(name.to_owned(), value), None, "{name} twice");
        let behind = &quoted[end + 1..];
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, behind.strip_prefix('}').expect("a brace ends the labels")),
        }
    }
}
