//! What a following tower serves: silent about the honest, loud about a liar, gone when told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use watchtower::crypto::Dialect;

use crate::world::{PERIOD, World, setup};

/// A tower that follows and serves on a port of its own choice.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(world: &World) -> Self {
        let mut child = world
            .watchtower_in(&world.data())
            .args([
                "follow",
                &world.name(),
                "--node",
                &world.chain.endpoint.url(),
            ])
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
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
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nLast-Event-ID: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.open(path).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Listens to the live events until one fits.
    fn wait(&self, what: &str, fits: impl Fn(&serde_json::Value) -> bool) {
        let lines = BufReader::new(self.open("/api/v1/events")).lines();
        let data = lines.map_while(Result::ok).filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok()
        });
        assert!(
            data.into_iter().any(|event| fits(&event)),
            "{what} never came"
        );
    }

    fn series(&self, name: &str) -> f64 {
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

    let told = std::process::Command::new("kill")
        .args(["-TERM", &tower.child.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
}
