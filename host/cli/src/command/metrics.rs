//! `odeon metrics`: what a host counts.

use odeon_protocol::{AdminRequest, MetricsReply};

use super::Context;
use crate::output::Done;

pub(crate) fn run(context: &Context) -> Done {
    let reply: MetricsReply = context.ask(&AdminRequest::Metrics {})?;
    context
        .out
        .either(&serde_json::json!({ "metrics": reply.text }), || {
            reply.text.trim_end().to_owned()
        })
}
