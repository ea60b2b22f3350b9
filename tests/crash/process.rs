//! The server as a process: started, watched through its log, killed.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyfold::storage::die::{self, Point};

/// Producers in the field give up about so long after the server went away.
pub const SERVING_WITHIN: Duration = Duration::from_secs(9);

const SIGABRT: i32 = 6;

/// A started server, which may not serve yet. Killed when dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<Vec<String>>>,
    started: Instant,
}

impl Process {
    /// Starts the binary on `dir`, with a log in JSON and no environment.
    pub fn start(dir: &Path, more: &[&str]) -> Self {
        Self::start_with(dir, more, None)
    }

    /// As [`Process::start`], but for a server that dies by itself: at that passage of that point.
    pub fn start_to_die(dir: &Path, more: &[&str], at: Point, passage: usize) -> Self {
        Self::start_with(dir, more, Some((die::VARIABLE, format!("{}:{passage}", at.name()))))
    }

    /// As [`Process::start`], but that passage of that point fails.
    pub fn start_to_fail(dir: &Path, more: &[&str], at: Point, passage: usize) -> Self {
        Self::start_with(dir, more, Some((die::FAIL_VARIABLE, format!("{}:{passage}", at.name()))))
    }

    fn start_with(dir: &Path, more: &[&str], variable: Option<(&str, String)>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyfold"))
            .args(["serve", "--log-format", "json", "--data-dir"])
            .arg(dir)
            .args(if more.contains(&"--port") { &[][..] } else { &["--port", "0"][..] })
            .args(more)
            .env_clear()
            .envs(variable)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, lines) = channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        Self { child, lines, log, started: Instant::now() }
    }

    /// Waits until the server serves and gives its address.
    pub fn url(&self) -> String {
        self.serves().unwrap_or_else(|| panic!("ended instead of serving:\n{}", self.log()))
    }

    /// As [`Process::url`]; `None` where it ended before that.
    pub fn serves(&self) -> Option<String> {
        loop {
            let left = SERVING_WITHIN.saturating_sub(self.started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                    if line["message"] == "keyfold serves" {
                        return Some(line["url"].as_str().expect("it tells its address").to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not serving after {SERVING_WITHIN:?}:\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// What it has logged, warnings and errors included.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// SIGKILL: no code of the server runs any more.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Whether it has died at a point, and nothing else; `None` while it lives.
    pub fn died_at(&mut self, point: Point) -> Option<bool> {
        let status = self.child.try_wait().expect("it is our child")?;
        // What it wrote last is read once the log has ended.
        while self.lines.recv_timeout(SERVING_WITHIN).is_ok() {}
        let said = self.log().ends_with(&format!("died at {}", point.name()));
        Some(status.signal() == Some(SIGABRT) && said)
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {within:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("the server's log ends with:\n{}", &log[log.len().saturating_sub(4000)..]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
