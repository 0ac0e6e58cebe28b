//! `odeon logs`: what plugins and the host wrote.

use odeon_protocol::{AdminRequest, LogLine, LogSource, MAX_LOG_TAIL, PluginName};

use super::{Context, wait};
use crate::{
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
        let id = client
            .admin_begin(&AdminRequest::Logs { name, follow, tail })
            .await?;
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
                context.out.either(&line, || text(&line))?;
            }
            if !more {
                return Ok(());
            }
        }
    })
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
        LogSource::Host | LogSource::Log => level.as_str(),
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
