//! What a listener counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::StatusCode;

use super::Web;
use crate::listen::Failures;
use crate::metrics::{Kind, Text};

/// The classes of answers, as metrics name them.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The counts of one listener.
#[derive(Default)]
pub(crate) struct Counts {
    connections: AtomicUsize,
    turned_away: AtomicU64,
    /// What the operating system did not give.
    pub(super) unaccepted: Arc<Failures>,
    answers: [AtomicU64; CLASSES.len()],
}

impl Counts {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn came(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn went(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(2);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what every listener counts.
pub(crate) fn write(web: &Web, text: &mut Text) {
    let all = web.all();
    let mut open = text.family(
        "odeon_http_connections",
        Kind::Gauge,
        "Connections to a listener.",
    );
    for known in &all {
        open.row(&[("listener", &known.name)], known.counts.connections());
    }
    let mut away = text.family(
        "odeon_http_connections_refused_total",
        Kind::Counter,
        "Connections beyond those that one address may have.",
    );
    for known in &all {
        let count = known.counts.turned_away.load(Ordering::Relaxed);
        away.row(&[("listener", &known.name)], count);
    }
    let mut unaccepted = text.family(
        "odeon_http_accept_failures_total",
        Kind::Counter,
        "Connections that could not be accepted, as without file descriptors.",
    );
    for known in &all {
        unaccepted.row(&[("listener", &known.name)], known.counts.unaccepted.ever());
    }
    let mut answers = text.family(
        "odeon_http_responses_total",
        Kind::Counter,
        "Requests that were answered, by the class of the status.",
    );
    for known in &all {
        for (class, count) in CLASSES.iter().zip(&known.counts.answers) {
            let labels = [("listener", &*known.name), ("status", class)];
            answers.row(&labels, count.load(Ordering::Relaxed));
        }
    }
}
