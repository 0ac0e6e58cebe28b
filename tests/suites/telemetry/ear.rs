//! What the exporter says in the host's own log.

use std::fmt::{Debug, Write as _};
use std::net::SocketAddr;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps what is said, of every host of this process.
struct Ear;

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is said from now on.
pub(crate) fn listen() {
    // Another test of this process may have had the same idea.
    let _first = tracing::subscriber::set_global_default(Ear);
}

/// What was said about this collector: each with its message and its fields.
pub(crate) fn heard(address: SocketAddr) -> Vec<String> {
    let mut heard = HEARD.lock().unwrap().clone();
    heard.retain(|said| said.contains(&format!(" address={address} ")));
    heard
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("odeon::telemetry")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if self.enabled(event.metadata()) {
            let mut fields = Fields(" ".to_owned());
            event.record(&mut fields);
            HEARD.lock().unwrap().push(fields.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
