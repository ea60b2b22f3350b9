//! What a run is told as: a few lines with a plot for a person, one JSON document for a program, a drawing.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::load::Plan;
use super::measure::{Kind, Latencies, Tally};
use super::process::Usage;

/// Everything that is known of a run.
pub struct Report {
    pub label: Option<String>,
    pub plan: Plan,
    pub size: usize,
    pub keys: u64,
    pub zipf: Option<f64>,
    pub schema: Option<String>,
    pub warm_up_s: f64,
    pub measured: Duration,
    pub interrupted: bool,
    /// Messages that live readers should have received, and did, the warm-up included.
    pub expected: u64,
    pub delivered: u64,
    pub server: Option<Server>,
    pub tally: Tally,
}

/// The server's process over a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server {
    /// Before anything was sent but the creation of streams.
    pub before: Option<Usage>,
    /// Once live readers were connected.
    pub connected: Option<Usage>,
    pub from: Option<Usage>,
    pub to: Option<Usage>,
    /// The most that was seen while it was measured.
    pub peak_resident_bytes: u64,
}

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)];

impl Report {
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.measured.as_secs_f64().max(1e-9)
    }

    /// Kinds that there was any of.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &Kind)> {
        let tally = &self.tally;
        let all = [
            ("writes", &tally.writes),
            ("reads", &tally.reads),
            ("deliveries", &tally.deliveries),
            ("replays", &tally.replays),
        ];
        all.into_iter().filter(|(_, kind)| kind.requests + kind.messages + kind.bytes > 0)
    }

    pub fn json(&self) -> Value {
        let plan = &self.plan;
        let mut report = json!({
            "label": self.label,
            "target": plan.address.to_string(),
            "config": {
                "streams": plan.streams.len(), "connections": plan.connections, "rate": plan.rate, "batch": plan.batch,
                "ndjson": plan.ingests.is_some(), "read_share": plan.read_share, "size": self.size, "keys": self.keys,
                "zipf": self.zipf, "schema": self.schema, "readers": plan.readers, "replays": plan.replays,
                "threads": plan.threads, "warm_up_s": self.warm_up_s,
            },
            "measured_s": self.measured.as_secs_f64(),
            "interrupted": self.interrupted,
            "unsent": self.tally.unsent,
            "errors": self.tally.errors,
        });
        for (name, kind) in self.kinds() {
            report[name] = self.kind(kind);
        }
        if plan.readers > 0 {
            report["deliveries"]["expected"] = self.expected.into();
            report["deliveries"]["delivered"] = self.delivered.into();
        }
        if let Some(server) = &self.server {
            report["server"] = server.json();
        }
        report
    }

    fn kind(&self, kind: &Kind) -> Value {
        let mut report = json!({
            "requests": kind.requests,
            "requests_per_s": self.per_second(kind.requests),
            "messages": kind.messages,
            "messages_per_s": self.per_second(kind.messages),
            "bytes": kind.bytes,
            "mb_per_s": self.per_second(kind.bytes) / 1e6,
            "latency_ms": quantiles(&kind.latency),
        });
        if !kind.service.0.is_empty() {
            report["service_ms"] = quantiles(&kind.service);
        }
        report
    }

    /// For a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let early = if self.interrupted { ", ended early" } else { "" };
        let label = self.label.as_ref().map_or_else(String::new, |label| format!("{label}: "));
        lines.push(format!("{label}{}, measured for {:.1} s{early}", self.plan.address, self.measured.as_secs_f64()));
        for (name, kind) in self.kinds() {
            lines.push(String::new());
            lines.push(format!("{name:<11}{}", self.amount(kind)));
            let shown = quantiles(&kind.latency);
            let shown = QUANTILES.map(|(name, _)| format!("{} {} ms", name.replace('_', "."), shown[name]));
            lines.push(format!("{:<11}{}", "latency", shown.join(", ")));
            lines.extend(bars(&kind.latency.0));
        }
        if self.plan.readers > 0 {
            lines.push(format!("\ndelivered {} of {} messages to live readers", self.delivered, self.expected));
        }
        if self.tally.unsent > 0 {
            lines.push(format!(
                "unsent    {} requests were due and never sent: the rate was too high",
                self.tally.unsent
            ));
        }
        for (name, count) in &self.tally.errors {
            lines.push(format!("failed    {count} × {name}"));
        }
        lines.extend(self.server.as_ref().map(|server| server.line(self.measured)));
        lines
    }

    fn amount(&self, kind: &Kind) -> String {
        let mut parts = Vec::new();
        if kind.requests > 0 {
            parts.push(format!("{:.0} requests/s ({})", self.per_second(kind.requests), kind.requests));
        }
        if kind.messages > 0 {
            parts.push(format!("{:.0} messages/s", self.per_second(kind.messages)));
        }
        if kind.bytes > 0 {
            parts.push(format!("{:.1} MB/s", self.per_second(kind.bytes) / 1e6));
        }
        parts.join(", ")
    }

    /// Latency over the share of requests that took longer, both on scales of powers of ten.
    pub fn svg(&self) -> String {
        const COLOURS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"];
        let mut out = String::from(concat!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 420" font-family="sans-serif" font-size="12">"##,
            r##"<rect width="720" height="420" fill="#ffffff"/>"##
        ));
        let title = self.label.clone().unwrap_or_else(|| self.plan.address.to_string());
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        out.push_str(&format!(r#"<text x="60" y="24" font-size="15">{title}: latency</text>"#));
        let x = |share: f64| 60.0 + 600.0 * (-(1.0 - share).max(1e-5).log10()) / 5.0;
        let y = |ms: f64| 370.0 - 320.0 * ((ms.max(0.01).log10() + 2.0) / 6.0).min(1.0);
        for (share, name) in [(0.0, "0"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")] {
            let at = x(share);
            out.push_str(&format!(
                r##"<path d="M{at:.0} 50V370" stroke="#d8dee4"/><text x="{at:.0}" y="388">{name}</text>"##
            ));
        }
        for (ms, name) in [
            (0.01, "10 µs"),
            (0.1, "0.1 ms"),
            (1.0, "1 ms"),
            (10.0, "10 ms"),
            (100.0, "0.1 s"),
            (1_000.0, "1 s"),
            (10_000.0, "10 s"),
        ] {
            let at = y(ms);
            out.push_str(&format!(
                r##"<path d="M60 {at:.0}H660" stroke="#d8dee4"/><text x="8" y="{at:.0}">{name}</text>"##
            ));
        }
        for (index, (name, kind)) in self.kinds().filter(|(_, kind)| !kind.latency.0.is_empty()).enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<String> = (0..=200)
                .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 40.0))
                .map(|share| {
                    format!("{:.1},{:.1}", x(share), y(milliseconds(kind.latency.0.value_at_quantile(share))))
                })
                .collect();
            out.push_str(&format!(
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                points.join(" ")
            ));
            let row = 70 + 18 * index;
            out.push_str(&format!(r#"<text x="76" y="{row}" fill="{colour}">{name}</text>"#));
        }
        out.push_str("</svg>\n");
        out
    }
}

impl Server {
    fn json(&self) -> Value {
        let mut report = Map::new();
        let moments = [("before", self.before), ("connected", self.connected), ("from", self.from), ("to", self.to)];
        for (name, usage) in moments {
            report.insert(format!("resident_bytes_{name}"), usage.map(|usage| usage.resident_bytes).into());
        }
        report.insert("resident_bytes_peak".into(), self.peak_resident_bytes.into());
        if let (Some(from), Some(to)) = (self.from, self.to) {
            report.insert("cpu_s".into(), (to.cpu_s - from.cpu_s).into());
        }
        report.into()
    }

    fn line(&self, measured: Duration) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (Some(from), Some(to)) = (self.from, self.to) else { return "\nserver    is gone".into() };
        format!(
            "\nserver    {:.2} cores, {:.1} MiB resident ({:.1} before, {:.1} at most)",
            (to.cpu_s - from.cpu_s) / measured.as_secs_f64().max(1e-9),
            mib(to.resident_bytes),
            mib(self.before.map_or(0, |usage| usage.resident_bytes)),
            mib(self.peak_resident_bytes),
        )
    }
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}

fn quantiles(latencies: &Latencies) -> Value {
    let histogram = &latencies.0;
    let mut report = Map::new();
    report.insert("mean".into(), ((histogram.mean() / 1e3 * 1e3).round() / 1e3).into());
    for (name, quantile) in QUANTILES {
        report.insert(name.into(), milliseconds(histogram.value_at_quantile(quantile)).into());
    }
    report.into()
}

/// How many took how long: a bar per doubling.
fn bars(histogram: &Histogram<u64>) -> Vec<String> {
    const WIDTH: f64 = 40.0;
    if histogram.is_empty() {
        return Vec::new();
    }
    let mut counts = [0_u64; 40];
    for value in histogram.iter_recorded() {
        let doubling = value.value_iterated_to().max(1).ilog2() as usize;
        counts[doubling.min(39)] += value.count_at_value();
    }
    let most = counts.iter().max().copied().unwrap_or(1).max(1);
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    let line = |doubling: usize| {
        let (count, upper) = (counts[doubling], milliseconds(1 << (doubling + 1)));
        let bar = "█".repeat((count as f64 / most as f64 * WIDTH).ceil() as usize);
        let share = count as f64 * 100.0 / histogram.len() as f64;
        format!("  < {upper:>10.3} ms {bar:<40} {share:.2} %")
    };
    (first..=last).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stands_for_each_doubling() {
        let mut latencies = Latencies::default();
        for us in [100, 110, 120, 900] {
            latencies.record(Duration::from_micros(us));
        }
        let bars = bars(&latencies.0);
        assert_eq!(bars.len(), 4, "{bars:?}");
        assert!(bars[0].ends_with("75.00 %") && bars[3].ends_with("25.00 %"), "{bars:?}");
        assert_eq!(quantiles(&latencies)["p50"], 0.11);
    }
}
