//! `odeon logs`: what plugins and the host wrote.

use odeon_protocol::{AdminRequest, Code, Fault, LogLine, LogSource, MAX_LOG_TAIL, PluginName, PluginRow};

use super::{Context, wait};
use crate::{
    client::Client,
    output::{Done, clean},
    signals::Interrupts,
};

/// Lines of the past when nobody says how many.
const TAIL: u32 = 100;

/// Flags of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this plugin's lines
    name: Option<PluginName>,
    /// Go on with new lines until ctrl-c
    #[arg(long, short)]
    follow: bool,
    /// How many lines of the past come first
    #[arg(long, value_name = "LINES", default_value_t = TAIL, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_LOG_TAIL)))]
    tail: u32,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let Args { name, follow, tail } = args;
    wait(async {
        let mut client = context.connect().await?;
        let mut interrupts = Interrupts::listen()?;
        let absent = match &name {
            Some(name) => absent(&mut client, name).await?,
            None => None,
        };
        if let (true, Some(fault)) = (follow, &absent) {
            context
                .out
                .say(&format!("note: {}; waiting for its lines", fault.message));
        }
        let id = client
            .admin_begin(&AdminRequest::Logs { name, follow, tail })
            .await?;
        let mut shown = 0_u64;
        loop {
            let (line, more): (Option<LogLine>, bool) = tokio::select! {
                biased;
                () = interrupts.next() => {
                    // Ends the stream; what it was asked for, it did.
                    return client.cancel(id).await;
                }
                answer = client.admin_next(id) => answer?,
            };
            if let Some(line) = line {
                context
                    .out
                    .either(&serde_json::json!({ "line": line }), || text(&line))?;
                shown = shown.saturating_add(1);
            }
            if !more {
                // A plugin that is gone may have left lines; one that never was, none.
                return match absent.filter(|_| shown == 0) {
                    Some(fault) => Err(fault.into()),
                    None => Ok(()),
                };
            }
        }
    })
}

/// Why there may be no lines of this plugin: it is not loaded.
async fn absent(client: &mut Client, name: &PluginName) -> Done<Option<Fault>> {
    let plugins: Vec<PluginRow> = client.admin(&AdminRequest::List {}).await?;
    let is_loaded = plugins.iter().any(|plugin| plugin.name == *name);
    Ok((!is_loaded).then(|| {
        let message = format!("no plugin {name} is loaded, and no line of it is kept");
        Fault::new(Code::PluginNotFound, message)
    }))
}

fn text(line: &LogLine) -> String {
    let LogLine {
        time,
        plugin,
        level,
        stream,
        text,
        dropped,
        ..
    } = line;
    let name = plugin.as_ref().map_or("host", |name| name.as_str());
    let source = match stream {
        LogSource::Host | LogSource::Log | LogSource::Unknown => level.as_str(),
        LogSource::Stdout => "out",
        LogSource::Stderr => "err",
    };
    let lost = if *dropped > 0 {
        format!(" ({dropped} lines before this one were dropped)")
    } else {
        String::new()
    };
    format!(
        "{time} {name} {source:<5} {}{lost}",
        clean(text).replace('\n', " ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_line_stays_one_line() {
        let line = LogLine {
            time: "2026-01-01T00:00:00Z".into(),
            plugin: Some("calc".parse().unwrap()),
            generation: None,
            level: "info".into(),
            stream: LogSource::Stdout,
            text: "one\ntwo\u{1b}[2J".into(),
            dropped: 2,
        };
        let expected =
            "2026-01-01T00:00:00Z calc out   one two\u{fffd}[2J (2 lines before this one were dropped)";
        assert_eq!(text(&line), expected);
    }
}
