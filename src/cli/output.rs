//! Standard output: lines for people, JSON lines for programs.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

/// Where a command's data goes. Buffered: call [`Out::flush`] where somebody may be waiting for a line.
pub struct Out {
    target: BufWriter<Stdout>,
    json: bool,
}

impl Out {
    pub fn stdout(json: bool) -> Self {
        Self { target: BufWriter::new(io::stdout()), json }
    }

    /// Whether programs read the output.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person sees the output as it is printed, and the terminal's size: columns, rows.
    pub fn terminal(&self) -> Option<(u16, u16)> {
        let shown = !self.json && io::stdout().is_terminal();
        shown.then(|| crossterm::terminal::size().unwrap_or((100, 30)))
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.target, "{text}")
    }

    /// Text as it is.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.target.write_all(text.as_bytes())
    }

    /// One JSON document on one line.
    pub fn json(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.target, document)?;
        writeln!(self.target)
    }

    /// One JSON document for a person: indented, unless programs read it.
    pub fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        if self.json {
            return self.json(document);
        }
        serde_json::to_writer_pretty(&mut self.target, document)?;
        writeln!(self.target)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

/// Tells the person, not the pipe.
pub fn note(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}
