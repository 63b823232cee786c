//! Bad input: one clear line each, and an exit code.

use std::path::{Path, PathBuf};
use std::process::Command;

use watchtower::crypto::Dialect;
use watchtower::protocol::Dialected;

use crate::world::{PERIOD, World, code, complaint, setup};

#[test]
fn what_cannot_be_followed_is_refused_in_one_line() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let name = world.name();
    let url = world.chain.endpoint.url();
    let other = world.rollup.text(Dialect::Scr1);
    let nobody = watchtower::protocol::RollupAddress([9; 20]).to_string();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["follow", &name], 3, "no node given"),
        (&["follow", "--node", &url], 3, "no rollup given"),
        (
            &["follow", "sr1typo", "--node", &url],
            3,
            "not a rollup address",
        ),
        (&["follow", &name, "--node", "localhost"], 3, "http://"),
        (&["follow", &other, "--node", &url], 3, &name),
        (&["follow", &nobody, "--node", &url], 3, &nobody),
        (
            &[
                "follow",
                &name,
                "--node",
                &url,
                "--chain",
                "NetXdQprcVkpaWU",
            ],
            4,
            "NetXdQprcVkpaWU",
        ),
        // Nobody listens at this port.
        (
            &["follow", &name, "--node", "http://127.0.0.1:1"],
            4,
            "127.0.0.1:1",
        ),
        (
            &["follow", &name, "--node", &url, "--mode", "defend"],
            3,
            "--signer",
        ),
        (
            &["follow", &name, "--node", &url, "--mode", "shadow"],
            3,
            "--account",
        ),
        (
            &["follow", &name, "--node", &url, "--mode", "attack"],
            3,
            "--mode",
        ),
        (
            &["follow", &name, "--node", &url, "--listen", "here"],
            3,
            "--listen",
        ),
        (&["log"], 5, "no journal at"),
        (&["status"], 5, "no journal at"),
        (&["--log-format", "xml", "log"], 3, "--log-format"),
    ];
    for (index, (arguments, expected, said)) in cases.iter().enumerate() {
        let data = world.folder().join(format!("case{index}"));
        let output = world
            .watchtower_in(&data)
            .args(*arguments)
            .output()
            .unwrap();
        let complaint = complaint(&output);
        assert_eq!(code(&output), *expected, "{arguments:?}: {complaint}");
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
        let lines = complaint
            .lines()
            .filter(|line| line.starts_with("watchtower: "));
        assert_eq!(lines.count(), 1, "{arguments:?}: {complaint}");
    }
}

/// A data directory that is in trouble: what is wrong with it is arranged, held while the tower
/// tries, and undone.
struct Trouble {
    name: &'static str,
    arrange: fn(&Path) -> Option<Held>,
    /// Any of these names it.
    said: &'static [&'static str],
}

/// What keeps the trouble up.
pub(crate) enum Held {
    Mount(PathBuf),
    Lock { _file: std::fs::File },
    Transaction { _journal: rusqlite::Connection },
    Nothing,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Mount(path) = self {
            // Whoever could mount can unmount.
            let _ = Command::new("umount").arg(path).status();
        }
    }
}

/// A small file system over the data directory; none where this user may not mount.
pub(crate) fn mount(data: &Path, options: &str) -> Option<Held> {
    let done = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(data)
        .output();
    if done.is_ok_and(|output| output.status.success()) {
        return Some(Held::Mount(data.to_owned()));
    }
    println!("no file system can be mounted here: {options} is not tried");
    None
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        name: "read-only disk",
        arrange: |data| mount(data, "ro"),
        said: &["Read-only file system"],
    },
    Trouble {
        name: "full disk",
        arrange: |data| mount(data, "size=160k"),
        said: &["No space left on device", "disk is full"],
    },
    Trouble {
        name: "another tower",
        arrange: |data| {
            let file = std::fs::File::create(data.join("lock")).unwrap();
            file.lock().unwrap();
            Some(Held::Lock { _file: file })
        },
        said: &["in use by another watchtower"],
    },
    Trouble {
        name: "locked journal",
        arrange: |data| {
            let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
            journal.execute_batch("BEGIN EXCLUSIVE").unwrap();
            Some(Held::Transaction { _journal: journal })
        },
        said: &["locked"],
    },
    Trouble {
        name: "somebody else's file",
        arrange: |data| {
            std::fs::write(data.join("journal.sqlite"), [7; 4096]).unwrap();
            Some(Held::Nothing)
        },
        said: &["not a database"],
    },
    Trouble {
        name: "a file where the directory should be",
        arrange: |data| {
            std::fs::remove_dir(data).unwrap();
            std::fs::write(data, "no directory").unwrap();
            Some(Held::Nothing)
        },
        said: &["File exists", "Not a directory"],
    },
];

#[test]
fn a_data_directory_in_trouble_is_refused_in_one_line() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(2 * PERIOD);
    for trouble in TROUBLES {
        let data = world.folder().join(trouble.name.replace(' ', "-"));
        std::fs::create_dir_all(&data).unwrap();
        let Some(_held) = (trouble.arrange)(&data) else {
            continue;
        };
        let output = world
            .follow_in(&data, world.level(2 * PERIOD))
            .output()
            .unwrap();
        let complaint = complaint(&output);
        assert_eq!(code(&output), 5, "{}: {complaint}", trouble.name);
        let lines: Vec<_> = complaint
            .lines()
            .filter(|line| line.starts_with("watchtower: "))
            .collect();
        assert_eq!(lines.len(), 1, "{}: {complaint}", trouble.name);
        let is_named = trouble.said.iter().any(|said| lines[0].contains(said));
        assert!(is_named, "{}: {complaint}", trouble.name);
    }
}

#[test]
fn a_preimages_directory_that_is_missing_is_said_and_does_not_stop_the_tower() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD + 3);
    let output = world
        .follow_in(&world.data(), world.level(PERIOD + 3))
        .args(["--preimages", "/nowhere/at/all", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    let said = complaint(&output);
    let line = said.lines().find(|line| line.contains("/nowhere/at/all"));
    assert!(line.unwrap().contains("not there"), "{said}");
    let listed = world
        .watchtower_in(&world.data())
        .args(["alerts", "list", "--all"])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("/nowhere/at/all"), "{listed}");
}

#[test]
fn channels_that_cannot_work_are_refused_before_anything_is_followed() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let channel = "[[channel]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"/nowhere/url\"\n";
    std::fs::write(world.folder().join("watchtower.toml"), channel).unwrap();
    let output = world
        .follow_in(&world.data(), world.level(PERIOD))
        .output()
        .unwrap();
    assert_eq!(code(&output), 3, "{output:?}");
    let said = complaint(&output);
    assert!(said.contains("/nowhere/url"), "{said}");
}

#[test]
fn a_configuration_file_is_refused_by_its_line() {
    let world = World::new(setup(Dialect::Modern));
    let path = world.folder().join("watchtower.toml");
    std::fs::write(&path, "data_dir = \"d\"\n[node]\nendpoint = \"http://a\"\n").unwrap();
    let output = world
        .watchtower_in(&world.data())
        .arg("log")
        .output()
        .unwrap();
    assert_eq!(code(&output), 3);
    let said = complaint(&output);
    assert!(said.contains("watchtower.toml line 3"), "{said}");
    assert!(said.contains("did you mean \"node.endpoints\""), "{said}");
}

#[test]
fn a_wrong_kernel_file_is_refused() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let path = world.folder().join("kernel.wasm");
    std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    let kernel = path.display().to_string();
    let output = world
        .follow_in(&world.data(), world.level(PERIOD))
        .args(["--kernel", &kernel])
        .output()
        .unwrap();
    assert_eq!(code(&output), 12, "{output:?}");
    assert!(complaint(&output).contains("genesis commitment"));
}
