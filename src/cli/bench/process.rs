//! What the server's process costs, where it runs on this machine: read from `/proc`.

use serde::Serialize;

/// Clock ticks of `/proc` per second; the kernel shows 100 on every platform it runs on here.
const TICKS: f64 = 100.0;
/// `statm` counts pages.
const PAGE_BYTES: u64 = 4_096;

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// User and system time of all threads so far.
    pub cpu_s: f64,
    pub resident_bytes: u64,
}

impl Usage {
    /// `None` where there is no such process, or no `/proc`. What may not be read counts as nothing.
    pub fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let stat = read("stat");
        // The name, in brackets, may hold anything; the fields after it are numbers.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let pages = read("statm").split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok())?;
        Some(Self { cpu_s: (ticks(11)? + ticks(12)?) / TICKS, resident_bytes: pages * PAGE_BYTES })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 1 << 20, "{usage:?}");
    }
}
