//! `odeon describe`: everything about one plugin.

use odeon_protocol::{AdminRequest, Code, DescribeReply, PluginName};

use super::{Context, list};
use crate::{
    failure::Failure,
    human,
    invocation::line,
    output::{Done, clean},
};

/// Flags of `describe`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// Print its WIT
    #[arg(long)]
    wit: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let Args { name, wit } = args;
    let reply: DescribeReply = context.ask(&AdminRequest::Describe { name, wit })?;
    if wit && !context.out.is_json() {
        let wit = reply.wit.as_deref().ok_or_else(|| {
            let message = format!("the component of {} cannot be written as WIT", reply.plugin.name);
            Failure::new(Code::NotCarriable, message).helped("leave out --wit to see its methods")
        })?;
        return context.out.line(clean(wit).trim_end());
    }
    context.out.either(&reply, || text(&reply))
}

fn text(reply: &DescribeReply) -> String {
    let DescribeReply {
        plugin,
        methods,
        imports,
        grants,
        limits,
        size_bytes,
        lines,
        ..
    } = reply;
    let mut text = String::new();
    let mut put = |name: &str, value: &str| text.push_str(&format!("{name:<11}{value}\n"));
    put("name", plugin.name.as_str());
    put("generation", &plugin.generation.to_string());
    put("version", &clean(plugin.version.as_deref().unwrap_or("-")));
    put("digest", &plugin.digest.to_string());
    put(
        "signed by",
        if plugin.signed_by.is_empty() {
            "-".into()
        } else {
            plugin.signed_by.join(", ")
        }
        .as_str(),
    );
    put("size", &human::size(*size_bytes));
    if let Some(lines) = lines {
        put(
            "lines",
            &format!(
                "of {} places in {} files, {} left out",
                lines.places, lines.files, lines.left_out
            ),
        );
    }
    put(
        "instances",
        &format!("{}, engine class {}", plugin.instance, plugin.class),
    );
    put("state", list::state(plugin.state));
    put(
        "calls",
        &format!(
            "{}, {} faults, {} running",
            plugin.calls, plugin.faults, plugin.in_flight
        ),
    );
    let mut section = |title: &str, lines: Vec<String>| {
        text.push_str(&format!("\n{title}\n"));
        if lines.is_empty() {
            text.push_str("  none\n");
        }
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
    };
    section("methods", methods.iter().map(|row| line(row, methods)).collect());
    section("imports", imports.iter().map(|import| clean(import)).collect());
    if !plugin.links.is_empty() {
        let links = plugin.links.iter().map(|link| match link.generation {
            Some(generation) => format!(
                "{} = {} generation {generation}",
                clean(&link.interface),
                link.provider
            ),
            None => format!(
                "{} = {}, which is not loaded",
                clean(&link.interface),
                link.provider
            ),
        });
        section("links", links.collect());
    }
    section("grants", grants.iter().map(|grant| clean(grant)).collect());
    section(
        "limits",
        limits
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect(),
    );
    text.trim_end().to_owned()
}
