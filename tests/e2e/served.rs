//! What a following tower serves: silent about the honest, loud about a liar, gone when told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use watchtower::crypto::Dialect;

use crate::world::{PERIOD, RESTARTED, World, setup};

/// A tower that follows and serves on a port of its own choice.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// Lines of its log that nobody has looked at.
    lines: Receiver<String>,
}

impl Serving {
    pub(crate) fn start(world: &World) -> Self {
        let mut command = world.watchtower_in(&world.data());
        command
            .args([
                "follow",
                &world.name(),
                "--node",
                &world.chain.endpoint.url(),
            ])
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
        Self::of(command)
    }

    /// A command that follows, serves and logs as JSON.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
            .find_map(|line| Some(line.get("address")?.as_str()?.to_owned()))
            .unwrap();
        // The log must go on flowing, or the tower waits for its reader.
        let (sender, received) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody may be looking any more.
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            address,
            lines: received,
        }
    }

    /// The next line of the log that holds all of these.
    pub(crate) fn logged(&self, parts: &[&str]) -> String {
        let patience = Duration::from_secs(60);
        loop {
            let line = self.lines.recv_timeout(patience);
            let line = line.unwrap_or_else(|_| panic!("{parts:?} was never logged"));
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// It started anew in there, and serves at another port.
    pub(crate) fn moved(&mut self) {
        let line = self.logged(&["serving", "\"address\""]);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["address"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.address);
    }

    pub(crate) fn signal(&self, name: &str) {
        let told = std::process::Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
    }

    fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nLast-Event-ID: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.open(path).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Listens to the live events until one fits.
    pub(crate) fn wait(&self, what: &str, fits: impl Fn(&serde_json::Value) -> bool) {
        let lines = BufReader::new(self.open("/api/v1/events")).lines();
        let data = lines.map_while(Result::ok).filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok()
        });
        assert!(
            data.into_iter().any(|event| fits(&event)),
            "{what} never came"
        );
    }

    pub(crate) fn series(&self, name: &str) -> f64 {
        let text = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value
            .unwrap_or_else(|| panic!("{name} is not in {text}"))
            .parse()
            .unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_honest_run_is_silent_a_lie_is_loud_and_the_end_is_orderly() {
    let world = World::new(setup(Dialect::Modern));
    world.hire_liar(PERIOD + 1);
    world.advance(PERIOD + 3);
    let mut tower = Serving::start(&world);
    let reached = |level: i32| {
        move |event: &serde_json::Value| {
            event["rollups"][0]["reached_level"].as_i64() >= Some(i64::from(level))
                && event["rollups"][0]["unverified"] == 0
        }
    };
    tower.wait("the head", reached(world.level(PERIOD + 3).get()));
    let name = world.name();
    let of = |series: &str| format!("{series}{{rollup=\"{name}\"");
    assert!(
        tower.get("/readyz").starts_with("HTTP/1.1 200"),
        "{}",
        tower.get("/readyz")
    );
    assert!(tower.series(&format!("{},verdict=\"true\"", of("watchtower_verdicts"))) >= 1.0);
    let lies = format!("{},verdict=\"false\"", of("watchtower_verdicts"));
    assert_eq!(tower.series(&lies), 0.0);
    assert_eq!(tower.series(&of("watchtower_blocked")), 0.0);
    assert_eq!(tower.series("watchtower_challenge_window_blocks"), 1000.0);
    assert_eq!(
        tower.series("watchtower_alerts_open{severity=\"critical\"}"),
        0.0
    );
    assert!(tower.series("watchtower_source_answers_total") > 0.0);
    assert!(tower.series(&of("watchtower_run_levels_total")) >= f64::from(PERIOD));

    world.advance(2 * PERIOD + 3);
    tower.wait("the alert", |event| {
        event["kind"] == "alert" && event["rule"] == "false-commitment"
    });
    tower.wait("the verdict", |event| {
        event["rollups"][0]["judged_false"].as_u64() >= Some(1)
    });
    assert!(tower.series(&lies) >= 1.0);
    assert!(tower.series("watchtower_alerts_unacknowledged{severity=\"critical\"}") >= 1.0);
    assert!(tower.get("/api/v1/alerts").contains("false-commitment"));

    let ack = world
        .watchtower_in(&world.data())
        .args(["alerts", "ack", "1", "--by", "ann"])
        .output()
        .unwrap();
    assert!(ack.status.success(), "{ack:?}");
    let list = world
        .watchtower_in(&world.data())
        .args(["alerts", "list", "--all", "--json"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&list.stdout).contains("\"acknowledged_by\":\"ann\""),
        "{list:?}"
    );

    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
}

#[test]
fn a_hang_up_changes_what_is_logged_at_once_and_the_rest_by_an_orderly_restart() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let write = |text: &str| {
        std::fs::write(world.folder().join("watchtower.toml"), text).unwrap();
    };
    write("[log]\nlevel = \"info\"\n");
    let mut tower = Serving::start(&world);
    tower.logged(&["caught up"]);

    write("[log]\nlevel = \"debug\"\n");
    tower.signal("-HUP");
    tower.logged(&["configuration read again", "\"starts_anew\":false"]);
    world.advance(PERIOD + 1);
    tower.logged(&["\"level\":\"DEBUG\""]);

    write("[log]\nlevel = \"loud\"\n");
    tower.signal("-HUP");
    tower.logged(&["the configuration is refused", "log.level"]);

    // Beside the running tower.
    write("[log]\nlevel = \"info\"\n");
    let copy = world.folder().join("copy.sqlite");
    for arguments in [["backup"], ["check"]] {
        let output = world
            .watchtower_in(&world.data())
            .args(["--log-level", "info", "journal"])
            .args(arguments)
            .arg(&copy)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    write("[log]\nlevel = \"info\"\n[store]\nkept_levels = 77\n");
    tower.signal("-HUP");
    tower.logged(&["configuration read again", "\"starts_anew\":true"]);
    tower.logged(&["caught up"]);
    world.advance(PERIOD + 2);
    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
    let counts = world.reader().counts().unwrap();
    let count = |kind: &str| counts.iter().find(|(name, _)| *name == kind).unwrap().1;
    assert_eq!((count("run"), count("run-end")), (2, 2), "{counts:?}");
    assert_eq!(world.reader().alarms_of(RESTARTED).unwrap(), 0);
}
