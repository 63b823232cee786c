//! What goes wrong with the machine while a tower runs: said in one line, seen wherever one looks,
//! told to people, and survived.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use watchtower::crypto::Dialect;
use watchtower::sim::Setup;

use crate::refusals::mount;
use crate::served::Serving;
use crate::world::{PERIOD, World, setup};

/// Somebody who is told things by webhook.
struct People(Receiver<String>);

impl People {
    /// Listens, and is named in the configuration.
    fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let channel_lines =
            format!("[[channel]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"{url}\"\n");
        std::fs::write(world.folder().join("watchtower.toml"), channel_lines).unwrap();
        let (sender, received) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    let header = line.to_ascii_lowercase();
                    if let Some(value) = header.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                reader.get_mut().write_all(answer).unwrap();
                // The test may be over.
                let _ = sender.send(String::from_utf8(body).unwrap());
            }
        });
        Self(received)
    }

    fn hear(&self, parts: &[&str]) {
        loop {
            let told = self.0.recv_timeout(Duration::from_secs(60));
            let told = told.unwrap_or_else(|_| panic!("{parts:?} was never told"));
            if parts.iter().all(|part| told.contains(part)) {
                return;
            }
        }
    }
}

/// What `status` says beside the running tower.
fn status(world: &World, tower: &Serving) -> String {
    let output = world
        .watchtower_in(&world.data())
        .env("WATCHTOWER_SERVE_LISTEN", &tower.address)
        .arg("status")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn judged(periods: u64) -> impl Fn(&Value) -> bool {
    move |event| event["rollups"][0]["judged_true"].as_u64() >= Some(periods)
}

fn is_troubled(event: &Value) -> bool {
    event["disk_trouble"].is_string()
}

/// A disk that is full and has room again, by any means.
struct Disk<'a> {
    fill: &'a dyn Fn(&Serving),
    free: &'a dyn Fn(&Serving),
}

fn a_full_disk_is_waited_for(world: &World, disk: &Disk<'_>) {
    world.advance(PERIOD + 3);
    let people = People::of(world);
    let mut tower = Serving::start(world);
    tower.wait("the first verdict", judged(1));
    assert!(status(world, &tower).contains("tower      running, ready"));
    (disk.fill)(&tower);
    world.advance(2 * PERIOD + 3);
    tower.wait("the trouble", is_troubled);
    tower.logged(&["\"ERROR\"", "takes nothing: waiting for the disk"]);
    let ready = tower.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("nothing can be written"), "{ready}");
    assert_eq!(tower.series("watchtower_disk_failing"), 1.0);
    let said = status(world, &tower);
    assert!(said.contains("NOT READY: nothing can be written"), "{said}");
    // Although it cannot even be journalled.
    people.hear(&["nothing can be written"]);
    assert_eq!(tower.child.try_wait().unwrap(), None, "it lives");
    assert!(!world.reader().verdicts(&world.rollup).unwrap().is_empty());

    (disk.free)(&tower);
    tower.wait("the second verdict", judged(2));
    tower.wait("no trouble", |event| event["disk_trouble"].is_null());
    people.hear(&["over:", "nothing can be written"]);
    assert!(tower.get("/readyz").starts_with("HTTP/1.1 200"));
    assert_eq!(tower.series("watchtower_disk_failing"), 0.0);
    world.assert_honest_true(2);
    assert!(world.reader().alarms_of("disk failing").unwrap() >= 1);

    // To be told to stop ends the wait, in one line; the next start goes on.
    (disk.fill)(&tower);
    world.advance(3 * PERIOD + 3);
    tower.wait("more trouble", is_troubled);
    tower.signal("-TERM");
    assert_eq!(tower.child.wait().unwrap().code(), Some(5));
    tower.logged(&["watchtower: journal "]);
    (disk.free)(&tower);
    assert_eq!(world.follow(3 * PERIOD + 3, &[]), 0);
    world.assert_honest_true(3);
}

/// The form that every user can try: no file may grow.
#[test]
fn files_that_may_not_grow_are_waited_for() {
    let world = World::new(setup(Dialect::Modern));
    let limit = |tower: &Serving, bytes: &str| {
        let done = Command::new("prlimit")
            .args(["--pid", &tower.child.id().to_string()])
            .arg(format!("--fsize={bytes}:unlimited"))
            .status()
            .unwrap();
        // The process may have ended, and then nothing limits it.
        assert!(done.success() || bytes == "unlimited");
    };
    a_full_disk_is_waited_for(
        &world,
        &Disk {
            fill: &|tower| limit(tower, "1"),
            free: &|tower| limit(tower, "unlimited"),
        },
    );
}

/// The real thing, where this user may mount a small disk.
#[test]
fn a_disk_that_fills_up_is_waited_for() {
    let world = World::new(setup(Dialect::Modern));
    std::fs::create_dir_all(world.data()).unwrap();
    let Some(_mounted) = mount(&world.data(), "size=16m") else {
        return;
    };
    let ballast: PathBuf = world.data().join("ballast");
    let fill = |_: &Serving| {
        let mut file = std::fs::File::create(&ballast).unwrap();
        let page = [0; 4096];
        while file.write_all(&page).is_ok() {}
    };
    a_full_disk_is_waited_for(
        &world,
        &Disk {
            fill: &fill,
            free: &|_| std::fs::remove_file(&ballast).unwrap(),
        },
    );
}

#[test]
fn a_clock_that_is_behind_is_said_and_seen_and_told() {
    let now = jiff::Timestamp::now().as_second();
    let world = World::new(Setup {
        genesis_time: now + 3600,
        ..setup(Dialect::Modern)
    });
    world.advance(PERIOD + 3);
    let people = People::of(&world);
    let mut tower = Serving::start(&world);
    tower.wait("the verdict, in spite of it", judged(1));
    tower.logged(&["\"WARN\"", "clock is behind the newest block"]);
    let ready = tower.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("this machine's clock is"), "{ready}");
    assert!(tower.series("watchtower_clock_skew_seconds") > 3000.0);
    let said = status(&world, &tower);
    assert!(
        said.contains("NOT READY: this machine's clock is"),
        "{said}"
    );
    people.hear(&["clock is", "behind the newest block"]);
    let listed = world
        .watchtower_in(&world.data())
        .args(["alerts", "list"])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("clock-skew"), "{listed}");
    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
    world.assert_honest_true(1);
}
