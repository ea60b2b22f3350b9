//! `keyfold watch`: a collection as a table that follows its changes; into a pipe, its changes as lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use futures_util::StreamExt;
use futures_util::stream::FusedStream;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Remote;
use super::failure::Failure;
use super::output::note;
use super::table::{self, Columns};
use super::tail::print_change;
use crate::client::{Change, Watch, WatchEvent, WatchOptions};

#[derive(Args)]
pub struct WatchArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// The entity's type, for example `execution`.
    #[arg(value_name = "TYPE")]
    entity_type: String,
    /// Only entities whose key begins so.
    #[arg(long)]
    key_prefix: Option<String>,
    /// The columns to show; by default as many as fit.
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    columns: Vec<String>,
}

pub async fn run(Remote { args, connection }: Remote<WatchArgs>) -> Result<(), Failure> {
    let stream = connection.client()?.stream(&args.stream);
    // As in `tail`: called with a wrong address, say so instead of waiting.
    stream.inspect().await?;
    let watch = stream.watch(WatchOptions {
        entity_type: Some(args.entity_type.clone()),
        key_prefix: args.key_prefix.clone(),
        ..WatchOptions::default()
    });
    let mut out = connection.out();
    match out.terminal() {
        Some(_) => show(watch, Board::new(args)).await,
        None => print(watch, &mut out).await,
    }
}

async fn print(mut watch: Watch, out: &mut super::Out) -> Result<(), Failure> {
    while let Some(event) = watch.next().await? {
        match event {
            WatchEvent::Change { change, offset } => print_change(out, change, &offset)?,
            WatchEvent::Ready { .. } => {}
            WatchEvent::Reset => note("# history is gone: everything live follows again"),
            WatchEvent::Disconnected { reason, .. } => note(&format!("# {reason}; trying again")),
        }
    }
    Ok(())
}

/// Draws at most ten times a second, however fast the changes come.
async fn show(watch: Watch, mut board: Board) -> Result<(), Failure> {
    let _screen = Screen::enter()?;
    let mut events = pin!(watch.into_stream().fuse());
    let mut stopped = pin!(tokio::signal::ctrl_c());
    let mut frames = interval(Duration::from_millis(100));
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            event = events.next(), if !events.is_terminated() => match event {
                Some(event) => board.apply(event?),
                None => board.status = "the stream is closed".into(),
            },
            _ = frames.tick() => board.draw()?,
            stopped = &mut stopped => return Ok(stopped?),
        }
    }
}

/// The terminal's second screen; what was on the first is there again when this is dropped.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no cleaning up.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
    }
}

/// What is shown: the live entities, and when each was seen to change.
struct Board {
    title: String,
    asked: Vec<String>,
    rows: BTreeMap<String, Value>,
    changed: BTreeMap<String, Instant>,
    changes: u64,
    ready: bool,
    offset: String,
    status: String,
    /// Kept while nothing asks for other ones, so that a table does not jump.
    columns: Columns,
    columns_for: (u16, BTreeSet<String>),
}

impl Board {
    fn new(args: WatchArgs) -> Self {
        Self {
            title: format!("{} {}", args.stream, args.entity_type),
            asked: args.columns,
            rows: BTreeMap::new(),
            changed: BTreeMap::new(),
            changes: 0,
            ready: false,
            offset: String::new(),
            status: "connecting".into(),
            columns: Columns::default(),
            columns_for: (0, BTreeSet::new()),
        }
    }

    fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Change { change, offset } => {
                self.offset = offset;
                self.put(change);
            }
            WatchEvent::Ready { offset } => {
                self.offset = offset.unwrap_or_default();
                self.ready = true;
                self.status = "live".into();
            }
            WatchEvent::Reset => {
                self.rows.clear();
                self.changed.clear();
                self.ready = false;
                self.status = "starting again: history is gone".into();
            }
            WatchEvent::Disconnected { reason, .. } => self.status = format!("{reason}; trying again"),
        }
    }

    fn put(&mut self, change: Change) {
        self.changes += u64::from(self.ready);
        match change.value.filter(|_| change.headers.operation != crate::model::Operation::Delete) {
            Some(value) => {
                if self.ready {
                    self.changed.insert(change.key.clone(), Instant::now());
                }
                self.rows.insert(change.key, value);
            }
            None => {
                self.rows.remove(&change.key);
                self.changed.remove(&change.key);
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let (width, height) = crossterm::terminal::size()?;
        let text = self.render(width, height);
        let mut screen = io::BufWriter::new(io::stdout());
        queue!(screen, BeginSynchronizedUpdate, cursor::MoveTo(0, 0))?;
        for (index, line) in text.lines().enumerate() {
            if index > 0 {
                write!(screen, "\r\n")?;
            }
            write!(screen, "{line}")?;
            queue!(screen, Clear(ClearType::UntilNewLine))?;
        }
        queue!(screen, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        screen.flush()
    }

    /// Title, table, and a last line that says how to leave. Never more lines than the screen has.
    fn render(&mut self, width: u16, height: u16) -> String {
        let room = usize::from(height).saturating_sub(4);
        let keys = self.newest(room);
        let shown: Vec<_> = keys.iter().map(|key| (key.as_str(), &self.rows[key])).collect();
        let fields: BTreeSet<String> =
            shown.iter().flat_map(|(_, value)| value.as_object()).flat_map(|object| object.keys().cloned()).collect();
        if self.columns_for.0 != width || !fields.is_subset(&self.columns_for.1) {
            self.columns = Columns::choose(&self.asked, &shown, width);
            self.columns_for = (width, fields);
        }
        let now = Instant::now();
        let changed = |key: &str| self.changed.get(key).map_or_else(String::new, |at| age(now.duration_since(*at)));
        let table = table::entities(&self.columns, &shown, width, Some(&changed));
        let more = match self.rows.len() - shown.len() {
            0 => String::new(),
            hidden => format!(", {hidden} more not shown"),
        };
        let title =
            format!("{}: {} live{more}, {} changes, {}", self.title, self.rows.len(), self.changes, self.status);
        let foot = format!("{}  ctrl-c leaves", self.offset);
        let fit = |line: &str| line.chars().take(usize::from(width)).collect::<String>();
        let lines = [fit(&title), String::new()].into_iter().chain(table.lines().map(fit)).chain([fit(&foot)]);
        lines.take(usize::from(height)).collect::<Vec<_>>().join("\n")
    }

    /// The keys shown: all if there is room, else those that changed last; in order of key.
    fn newest(&self, room: usize) -> Vec<String> {
        if self.rows.len() <= room {
            return self.rows.keys().cloned().collect();
        }
        let mut keys: Vec<_> = self.rows.keys().collect();
        keys.sort_by_key(|key| std::cmp::Reverse(self.changed.get(*key)));
        keys.truncate(room);
        keys.sort();
        keys.into_iter().cloned().collect()
    }
}

/// How long ago, in one word.
fn age(span: Duration) -> String {
    match span.as_secs() {
        0 => "now".into(),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn board(entities: u32) -> Board {
        let args = WatchArgs { stream: "s".into(), entity_type: "job".into(), key_prefix: None, columns: vec![] };
        let mut board = Board::new(args);
        for number in 0..entities {
            let key = format!("k{number:03}");
            board.put(Change::upsert("job", &key, json!({"id": key, "status": "running"})));
        }
        board.apply(WatchEvent::Ready { offset: Some("0a".into()) });
        board
    }

    #[test]
    fn a_board_fits_its_screen_and_shows_what_changed_last() {
        let mut board = board(100);
        board.put(Change::upsert("job", "k077", json!({"id": "k077", "status": "failed"})));
        let text = board.render(60, 10);
        assert_eq!(text.lines().count(), 10, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("100 live, 94 more not shown, 1 changes, live"), "{text}");
        assert!(text.lines().any(|line| line.contains("k077") && line.contains("failed") && line.contains("now")));
    }

    #[test]
    fn deleted_entities_leave_the_board() {
        let mut board = board(2);
        board.put(Change::delete("job", "k000"));
        let text = board.render(60, 10);
        assert!(!text.contains("k000") && text.contains("k001") && text.contains("1 live"), "{text}");
    }
}
