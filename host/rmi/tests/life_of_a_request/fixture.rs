//! Requests, and what is seen of them.

use std::time::Duration;

use odeon_protocol::Generation;
use odeon_rmi::{Answer, Event, NewRequest, Outcome, RequestLimits, Requests, Ticket, Watcher};

pub(crate) fn requests() -> Requests {
    Requests::new(RequestLimits::default())
}

pub(crate) fn new() -> NewRequest {
    NewRequest::new("calc/add", "uid:1000")
}

pub(crate) fn accept(requests: &Requests) -> (Ticket, Watcher) {
    requests.accept(new()).unwrap()
}

pub(crate) fn success() -> Outcome {
    Outcome::Succeeded(Answer {
        body: vec![1, 2],
        generation: Generation(3),
        elapsed: Duration::from_micros(4),
    })
}

/// Everything that is still to be seen; the request must have ended.
async fn rest(mut watcher: Watcher) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(status) = watcher.next().await {
        events.push(status.event);
    }
    events
}

/// The codes of all that is seen, in words.
pub(crate) async fn told(watcher: Watcher) -> String {
    let words = rest(watcher).await.into_iter().map(|event| match event {
        Event::Accepted => "accepted".to_owned(),
        Event::Started => "started".to_owned(),
        Event::Progress(progress) => format!("progress {}", progress.completed),
        Event::Final(outcome) => match outcome.code() {
            None => outcome.kind().as_str().to_owned(),
            Some(code) => format!("{} {code}", outcome.kind().as_str()),
        },
    });
    words.collect::<Vec<_>>().join(", ")
}
