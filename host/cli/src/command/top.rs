//! `odeon top`: a host, watched.
//!
//! Owns the screen and its keys (q, esc or ctrl-c to leave). Without a
//! terminal there is nothing to draw on, so that `--json` prints one status a
//! second instead.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use odeon_protocol::{AdminRequest, PluginRow, StatusReport};
use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Paragraph, Row, Table},
};

use super::{Context, list, status, wait};
use crate::{
    client::Client,
    failure::Failure,
    human,
    output::{Done, clean},
    signals::Interrupts,
};

/// How often the host is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often the keys are looked at.
const KEYS: Duration = Duration::from_millis(50);

pub(crate) fn run(context: &Context) -> Done {
    if context.out.is_json() {
        return wait(stream(context));
    }
    if !io::stdout().is_terminal() {
        return Err(
            Failure::usage("top draws on a terminal, and standard output is none")
                .helped("use `odeon top --json` for one status a second, or `odeon status`"),
        );
    }
    wait(async {
        let mut client = context.connect().await?;
        let first = ask(&mut client).await?;
        let interrupts = Interrupts::listen()?;
        let mut terminal = ratatui::try_init()
            .map_err(|error| Failure::system("the terminal cannot be drawn on", &error))?;
        let _restored = Restored;
        watch(&mut terminal, &mut client, first, interrupts).await
    })
}

/// Gives the terminal back as it was, however watching ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn ask(client: &mut Client) -> Done<StatusReport> {
    client.admin(&AdminRequest::Status {}).await
}

async fn stream(context: &Context) -> Done {
    let mut client = context.connect().await?;
    let mut interrupts = Interrupts::listen()?;
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            biased;
            () = interrupts.next() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let status = ask(&mut client).await?;
        context.out.document(&serde_json::json!({ "status": status }))?;
    }
}

async fn watch(
    terminal: &mut DefaultTerminal,
    client: &mut Client,
    first: StatusReport,
    mut interrupts: Interrupts,
) -> Done {
    let wrong = |error: io::Error| Failure::system("the terminal cannot be drawn on", &error);
    let mut before = first;
    let mut now = ask(client).await?;
    let mut asks = tokio::time::interval(EVERY);
    let mut keys = tokio::time::interval(KEYS);
    asks.tick().await;
    loop {
        terminal.draw(|frame| draw(frame, &before, &now)).map_err(wrong)?;
        tokio::select! {
            () = interrupts.next() => return Ok(()),
            _ = keys.tick() => {
                while event::poll(Duration::ZERO).map_err(wrong)? {
                    if is_end(&event::read().map_err(wrong)?) {
                        return Ok(());
                    }
                }
            }
            _ = asks.tick() => before = std::mem::replace(&mut now, ask(client).await?),
        }
    }
}

fn is_end(event: &Event) -> bool {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
            _ => false,
        },
        _ => false,
    }
}

fn draw(frame: &mut Frame<'_>, before: &StatusReport, now: &StatusReport) {
    let requests = u16::try_from(now.in_flight.len())
        .unwrap_or(u16::MAX)
        .clamp(1, 10)
        .saturating_add(3);
    let areas = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(4),
        Constraint::Length(requests),
    ]);
    let [head, plugins, running] = areas.areas(frame.area());
    let title = format!(
        "odeon {}  process {}  up {}",
        now.version,
        now.pid,
        human::span(now.uptime_ms)
    );
    let lines = vec![
        Line::from(title),
        Line::from(status::totals(now)),
        Line::from("q leaves").style(faint()),
    ];
    frame.render_widget(Paragraph::new(lines), head);
    frame.render_widget(plugin_table(before, now), plugins);
    let rows = now.in_flight.iter().map(|row| {
        Row::new([
            row.serial.to_string(),
            clean(&row.method),
            row.state.clone(),
            human::span(row.age_ms),
        ])
    });
    let widths = [
        Constraint::Length(36),
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(12),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["REQUEST", "METHOD", "STATE", "AGE"]).style(faint()))
        .block(Block::bordered().title("running"));
    frame.render_widget(table, running);
}

fn plugin_table<'a>(before: &StatusReport, now: &StatusReport) -> Table<'a> {
    let elapsed = now.uptime_ms.saturating_sub(before.uptime_ms).max(1);
    let rows = now.plugins.iter().map(|plugin| {
        let rate = calls_before(before, plugin)
            .map(|calls| plugin.calls.saturating_sub(calls).saturating_mul(1000) / elapsed);
        Row::new([
            plugin.name.to_string(),
            plugin.generation.to_string(),
            list::state(plugin.state).to_owned(),
            rate.map_or_else(none, |rate| rate.to_string()),
            plugin.calls.to_string(),
            plugin.faults.to_string(),
            plugin
                .latency_us
                .map_or_else(none, |took| human::micros(took.p50)),
            plugin
                .latency_us
                .map_or_else(none, |took| human::micros(took.p99)),
            plugin.in_flight.to_string(),
            plugin.waiting.to_string(),
            limits_hit(plugin).to_string(),
            plugin.instances.to_string(),
            human::size(plugin.memory_bytes),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(5),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(10),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(10),
    ];
    let head = [
        "PLUGIN",
        "GEN",
        "STATE",
        "CALLS/S",
        "CALLS",
        "FAULTS",
        "P50",
        "P99",
        "RUNNING",
        "WAITING",
        "LIMITS",
        "INSTANCES",
        "MEMORY",
    ];
    Table::new(rows, widths)
        .header(Row::new(head).style(faint()))
        .block(Block::bordered().title("plugins"))
}

/// What stands where there is no number.
fn none() -> String {
    "-".to_owned()
}

/// How often any limit said no.
fn limits_hit(plugin: &PluginRow) -> u64 {
    plugin
        .limits_hit
        .values()
        .fold(0, |all, times| all.saturating_add(*times))
}

/// How many calls the same generation had; none if it is new.
fn calls_before(before: &StatusReport, plugin: &PluginRow) -> Option<u64> {
    let same = |row: &&PluginRow| row.name == plugin.name && row.generation == plugin.generation;
    before.plugins.iter().find(same).map(|row| row.calls)
}

fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

#[cfg(test)]
mod tests {
    use odeon_protocol::{Digest, Generation, LatencyRow, PluginState, RequestTotals};
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn report(uptime_ms: u64, calls: u64) -> StatusReport {
        let plugin = PluginRow {
            name: "calculator".parse().unwrap(),
            generation: Generation(2),
            digest: Digest::of(b""),
            version: None,
            signed_by: Vec::new(),
            instance: "fresh".into(),
            class: "fast".into(),
            state: PluginState::Ready,
            transient: false,
            calls,
            faults: 0,
            in_flight: 0,
            waiting: 6,
            latency_us: Some(LatencyRow {
                p50: 730,
                p99: 12_340,
            }),
            instances: 0,
            memory_bytes: 0,
            limits_hit: [("cpu".to_owned(), 40), ("queue".to_owned(), 2)].into(),
            links: Vec::new(),
            http: None,
        };
        StatusReport {
            folder: None,
            descriptors: Vec::new(),
            walls: Vec::new(),
            listeners: Vec::new(),
            version: "0.1.0".into(),
            pid: 7,
            uptime_ms,
            socket: "/run/odeon.sock".into(),
            state_dir: None,
            plugins: vec![plugin],
            requests: RequestTotals::default(),
            in_flight: Vec::new(),
        }
    }

    #[test]
    fn the_screen_shows_each_plugin_with_its_calls_per_second_and_their_times() {
        let mut terminal = Terminal::new(TestBackend::new(120, 20)).unwrap();
        terminal
            .draw(|frame| draw(frame, &report(1000, 500), &report(3000, 2500)))
            .unwrap();
        let text = terminal.backend().to_string();
        for shown in ["calculator", "1000", "730 us", "12.3 ms", " 6 ", " 42 "] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }

    #[test]
    fn the_smallest_terminal_does_no_harm() {
        let mut terminal = Terminal::new(TestBackend::new(1, 1)).unwrap();
        terminal
            .draw(|frame| draw(frame, &report(0, 0), &report(0, 0)))
            .unwrap();
    }
}
