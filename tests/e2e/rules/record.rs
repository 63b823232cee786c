//! What Prometheus would have kept of a tower: scrapes of a real one, put on a clock that moves when
//! told, and the alert rules evaluated on them by promtool.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Times of this machine: what counts is how long ago they were when the scrape was made.
const OF_THE_MACHINE: [&str; 3] = [
    "watchtower_last_tick_timestamp_seconds",
    "watchtower_heartbeat_timestamp_seconds",
    "watchtower_alert_test_timestamp_seconds",
];
/// A time of the chain, which the clock follows.
const OF_THE_CHAIN: &str = "watchtower_seen_block_timestamp_seconds";
/// The loop's sign of life: it moves while nothing else happens.
const TICK: &str = "watchtower_last_tick_timestamp_seconds";
/// Seconds before the first scrape, so that what was a moment ago has a time above 0; shorter than
/// any rule waits.
const BEFORE: i64 = 240;

/// One answer of `/metrics`.
#[derive(Debug, Clone)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub(crate) fn of(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let question = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines = body.lines().filter(|line| line.starts_with("watchtower"));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    /// Scrapes until one fits.
    pub(crate) fn until(address: &str, what: &str, fits: impl Fn(&Self) -> bool) -> Self {
        let began = Instant::now();
        loop {
            let scrape = Self::of(address);
            if fits(&scrape) {
                return scrape;
            }
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{what} never came: {scrape:#?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The largest of the series whose name begins so.
    #[track_caller]
    pub(crate) fn most(&self, name: &str) -> f64 {
        let values = self.0.iter().filter(|(series, _)| series.starts_with(name));
        let values: Vec<_> = values.map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "{name} is not served");
        values.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Scrapes in steps of equal length.
#[derive(Debug)]
pub(crate) struct Record {
    /// Seconds of a step.
    step: i64,
    steps: usize,
    series: BTreeMap<String, Vec<Option<f64>>>,
    /// The chain's time at our time 0.
    chain: Option<f64>,
}

impl Record {
    pub(crate) fn every(seconds: i64) -> Self {
        Self {
            step: seconds,
            steps: usize::try_from(BEFORE / seconds).unwrap(),
            series: BTreeMap::new(),
            chain: None,
        }
    }

    fn now(&self) -> f64 {
        let steps = i64::try_from(self.steps).unwrap();
        (steps * self.step) as f64
    }

    fn steps_of(&self, minutes: i64) -> i64 {
        minutes * 60 / self.step + 1
    }

    fn push(&mut self, name: &str, value: f64) {
        let steps = self.steps;
        let values = self.series.entry(name.to_owned()).or_default();
        values.resize(steps, None);
        values.push(Some(value));
    }

    /// A scrape of now.
    pub(crate) fn take(&mut self, scrape: &Scrape) {
        let real = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        let now = self.now();
        for (name, value) in &scrape.0 {
            let family = name.split('{').next().unwrap();
            let is_time = OF_THE_MACHINE.contains(&family);
            let moved = if *value == 0.0 {
                0.0
            } else if is_time {
                (now - (real - value)).round()
            } else if family == OF_THE_CHAIN {
                value - *self.chain.get_or_insert(value - now)
            } else {
                *value
            };
            self.push(name, moved);
        }
        self.steps += 1;
    }

    fn hold(&mut self, minutes: i64, change: impl Fn(&str, f64) -> f64) {
        let last: Vec<_> = self
            .series
            .iter()
            .filter_map(|(name, values)| Some((name.clone(), (*values.last()?)?)))
            .collect();
        for nth in 1..=self.steps_of(minutes) {
            for (name, value) in &last {
                let moved = change(name, (nth * self.step) as f64);
                self.push(name, value + moved);
            }
            self.steps += 1;
        }
    }

    /// Time passes, the tower's loop turns, and nothing else happens.
    pub(crate) fn pass(&mut self, minutes: i64) {
        self.hold(
            minutes,
            |name, later| if name == TICK { later } else { 0.0 },
        );
    }

    /// Time passes and nothing at all happens.
    pub(crate) fn hang(&mut self, minutes: i64) {
        self.hold(minutes, |_, _| 0.0);
    }

    /// Time passes and nothing answers.
    pub(crate) fn vanish(&mut self, minutes: i64) {
        self.steps += usize::try_from(self.steps_of(minutes)).unwrap();
    }

    /// The rules that fire at some time, as promtool finds.
    pub(crate) fn fired(&self, name: &str) -> BTreeSet<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.yml");
        std::fs::write(&path, self.yaml()).unwrap();
        let output = Command::new("promtool")
            .args(["test", "rules"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // The test expects silence: a failure names what is not.
        let found = said.split("alertname=\"").skip(1);
        let found: BTreeSet<_> = found
            .filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
            .collect();
        assert_eq!(output.status.success(), found.is_empty(), "{name}: {said}");
        found
    }

    fn yaml(&self) -> String {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/prometheus/watchtower.yml");
        let (step, end) = (self.step, self.now());
        let mut yaml = format!(
            "rule_files: [{}]\nevaluation_interval: {step}s\ntests:\n  - interval: {step}s\n    input_series:\n",
            rules.display()
        );
        for (name, values) in &self.series {
            let place = "instance=\"t\",job=\"w\"";
            let full = match name.strip_suffix('}') {
                Some(open) => format!("{open},{place}}}"),
                None => format!("{name}{{{place}}}"),
            };
            yaml.push_str(&format!(
                "      - series: '{full}'\n        values: '{}'\n",
                written(values, self.steps)
            ));
        }
        yaml.push_str(&format!(
            "    promql_expr_test:\n      - expr: 'count by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\"}}[{end}s]))'\n        eval_time: {end}s\n        exp_samples: []\n"
        ));
        yaml
    }
}

/// Values in promtool's notation: runs with the same difference are one word.
fn written(values: &[Option<f64>], steps: usize) -> String {
    let mut words = Vec::new();
    let mut rest = values;
    while let Some(first) = rest.first() {
        let Some(first) = *first else {
            let count = rest.iter().take_while(|value| value.is_none()).count();
            words.push(format!("_x{count}"));
            rest = &rest[count..];
            continue;
        };
        let second = rest.get(1).copied().flatten();
        let difference = second.map_or(0.0, |second| second - first);
        let (shown, difference) = match first {
            _ if first.is_nan() => ("NaN".to_owned(), 0.0),
            _ if first.is_infinite() => ("+Inf".to_owned(), 0.0),
            _ if difference.is_finite() => (first.to_string(), difference),
            _ => (first.to_string(), 0.0),
        };
        let mut count = 1;
        for value in rest.iter().skip(1).map_while(|value| *value) {
            let expected = difference.mul_add(f64::from(count), first);
            let is_same = value == expected || (value.is_nan() && expected.is_nan());
            if !is_same {
                break;
            }
            count += 1;
        }
        // Promtool's "x2" is the first value and two more.
        words.push(format!("{shown}{difference:+}x{}", count - 1));
        rest = &rest[usize::try_from(count).unwrap()..];
    }
    if values.len() < steps {
        // Gone: not the last value for five minutes more.
        words.push("stale".into());
    }
    words.join(" ")
}
