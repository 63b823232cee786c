//! What packages and operators get from the program itself: manual pages, completions, a first
//! configuration, copies of the journal; and that what lies in `contrib` names things that exist.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use assert_cmd::Command;
use watchtower::journal::{Entry, Journal};

fn watchtower(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("watchtower").unwrap();
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("WATCHTOWER_DATA_DIR", folder.join("data"));
    command
}

fn said(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    watchtower(folder.path())
        .args(["manual", "--output", "pages"])
        .assert()
        .success();
    for page in [
        "watchtower.1",
        "watchtower-follow.1",
        "watchtower-state-get.1",
    ] {
        let text = std::fs::read_to_string(folder.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let text = said(watchtower(folder.path()).args(["completions", shell]));
        assert!(text.contains("follow"), "{shell}");
    }
}

#[test]
fn the_first_configuration_is_commented_whole_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let init = |more: &[&str]| {
        let mut command = watchtower(folder.path());
        command.args(["init", "--yes"]).args(more);
        command
    };
    init(&[]).assert().code(3);
    let answers = [
        "--node",
        "http://127.0.0.1:1",
        "sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm",
        "--preimages",
        "/nowhere",
    ];
    // The node and the folder are not there: the file is written all the same, doctor complains.
    init(&answers).assert().code(13);
    let text = std::fs::read_to_string(folder.path().join("watchtower.toml")).unwrap();
    for line in [
        "endpoints = [\"http://127.0.0.1:1\"]",
        "address = \"sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm\"",
        "preimages = \"/nowhere\"",
        "# timeout_seconds = 30",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some("[[channel]]") => "[[channel]]",
            Some(rest)
                if rest.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                }) =>
            {
                rest
            }
            _ => line,
        })
        .collect();
    toml::from_str::<toml::Table>(&uncommented.join("\n")).unwrap();
    let output = init(&answers).assert().code(3).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("exists"));
}

/// The examples of channels in the first configuration work once their marks are taken away.
#[test]
fn the_first_configurations_channels_can_be_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let address = "sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm";
    let doctor = |expected: &str| {
        let output = watchtower(folder.path()).arg("doctor").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    };
    watchtower(folder.path())
        .args(["init", "--yes", "--node", "http://127.0.0.1:1", address])
        .assert()
        .code(13);
    doctor("alerts: nobody is told of anything");
    let path = folder.path().join("watchtower.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (above, channels) = text.split_once("# [[channel]]").unwrap();
    let channels = channels.replace("\n# ", "\n");
    let (channels, _) = channels.split_once("kind may also be").unwrap();
    std::fs::write(folder.path().join("password"), "secret\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.path().join("password"), private).unwrap();
    let channels = channels.replace("/etc/watchtower/smtp-password", "password");
    std::fs::write(&path, format!("{above}[[channel]]{channels}")).unwrap();
    doctor("alerts: go to phones, team");
}

/// Asked and answered at a terminal, a wrong answer first.
#[test]
fn init_asks_at_a_terminal() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let binary = assert_cmd::cargo::cargo_bin("watchtower");
    let child = std::process::Command::new("script")
        .args([
            "-q",
            "-e",
            "-c",
            &format!("{} init", binary.display()),
            "/dev/null",
        ])
        .current_dir(folder.path())
        .env("WATCHTOWER_DATA_DIR", folder.path().join("data"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("script of util-linux is not installed");
        return;
    };
    let answers = "http://127.0.0.1:1\nsr1typo\nsr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm\n\n\n";
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(answers.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Layer-1 nodes"), "{said}");
    assert!(said.contains("not a rollup address"), "{said}");
    assert!(said.contains("watchtower.toml is written"), "{said}");
    let text = std::fs::read_to_string(folder.path().join("watchtower.toml")).unwrap();
    assert!(
        text.contains("endpoints = [\"http://127.0.0.1:1\"]"),
        "{text}"
    );
    assert!(
        text.contains("sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm"),
        "{text}"
    );
}

#[test]
fn the_journal_is_copied_checked_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("data/journal.sqlite");
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    let started = |command: &str| Entry::RunStarted {
        version: "1".into(),
        command: command.into(),
    };
    Journal::open(&journal)
        .unwrap()
        .write(vec![started("one")])
        .unwrap();
    let run = |arguments: &[&str]| said(watchtower(folder.path()).arg("journal").args(arguments));
    assert!(run(&["backup", "copy"]).contains("1 run"));
    assert!(run(&["check"]).contains("sound"));
    Journal::open(&journal)
        .unwrap()
        .write(vec![started("two")])
        .unwrap();
    assert!(run(&["check"]).contains("2 run"));
    assert!(run(&["restore", "copy"]).contains("replaced-1"));
    assert!(run(&["check"]).contains("1 run"));

    // Not beside a running tower.
    let lock = std::fs::File::create(folder.path().join("data/lock")).unwrap();
    lock.try_lock().unwrap();
    watchtower(folder.path())
        .args(["journal", "restore", "copy"])
        .assert()
        .code(5);
}

#[test]
fn the_unit_is_hardened_where_systemd_can_say_so() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/watchtower.service");
    let security = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output();
    let Ok(output) = security else {
        println!("systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // Older ones know no --offline.
    if said.contains("Overall exposure level") {
        assert!(output.status.success(), "exposed by more than 2.0:\n{said}");
    }
    let text = std::fs::read_to_string(unit).unwrap();
    assert!(text.contains("WatchdogSec=") && text.contains("ExecReload="));
}

#[test]
fn the_unit_is_sound_and_starts_a_command_that_exists() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/watchtower.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/watchtower "))
        .unwrap();
    let mut words = start.split(' ');
    let folder = tempfile::tempdir().unwrap();
    watchtower(folder.path())
        .args([words.next().unwrap(), "--help"])
        .assert()
        .success();
    assert_eq!(words.next(), Some("--config"));

    // Where the binary is, and without the pages that a package installs, systemd has nothing to say.
    let binary = assert_cmd::cargo::cargo_bin("watchtower");
    let here = unit.replace("/usr/local/bin/watchtower", &binary.display().to_string());
    let path = folder.path().join("watchtower.service");
    std::fs::write(&path, here).unwrap();
    let verified = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output();
    let Ok(output) = verified else {
        println!("systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// An instruction of a container file with what follows it, continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap();
            let rest: Vec<_> = rest.split_whitespace().collect();
            (word.to_owned(), rest.join(" "))
        })
        .collect()
}

/// The image itself is built where its two base images can be fetched; here everything that the file
/// names is held against the repository and the program.
#[test]
fn everything_that_the_container_file_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("contrib/Containerfile")).unwrap();
    let all = instructions(&text);
    let of = |word: &str| -> Vec<&str> {
        let found = all.iter().filter(|(found, _)| found == word);
        found.map(|(_, rest)| rest.as_str()).collect()
    };
    let one = |word: &str| match of(word).as_slice() {
        [one] => (*one).to_owned(),
        other => panic!("{word}: {other:?}"),
    };
    let list = |word: &str| serde_json::from_str::<Vec<String>>(&one(word)).unwrap();
    for (word, _) in &all {
        let known = [
            "FROM",
            "WORKDIR",
            "COPY",
            "RUN",
            "USER",
            "VOLUME",
            "ENV",
            "ENTRYPOINT",
            "CMD",
        ];
        assert!(known.contains(&word.as_str()), "{word} is not checked here");
    }

    // Both stages stand on one release of Debian, or the program misses its C library.
    let bases = of("FROM");
    let [build, run] = bases.as_slice() else {
        panic!("{bases:?}")
    };
    let release = |base: &str| {
        let tag = base.split(' ').next().unwrap().rsplit(':').next().unwrap();
        let tag = tag.trim_end_matches("-slim");
        tag.rsplit('-').next().unwrap().to_owned()
    };
    assert_eq!(release(build), release(run));
    let stage = build.rsplit_once(" AS ").unwrap().1;

    // What is built is what is copied and started.
    let runs = of("RUN");
    assert!(
        runs[0].starts_with("cargo build --release --locked"),
        "{runs:?}"
    );
    assert!(root.join("Cargo.lock").is_file());
    let copies = of("COPY");
    let binary = format!("{}/target/release/watchtower", one("WORKDIR"));
    let entry = list("ENTRYPOINT");
    assert_eq!(
        copies,
        [". .", &format!("--from={stage} {binary} {}", entry[0])]
    );
    let ignored = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    for path in ["**/target", ".git"] {
        assert!(ignored.lines().any(|line| line == path), "{path} is copied");
    }

    // Scripts are sound, and make the user and the directory that are named.
    for script in &runs {
        let output = std::process::Command::new("sh")
            .args(["-n", "-c", script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }
    let (user, volume) = (one("USER"), one("VOLUME"));
    assert!(
        runs[1].contains("ca-certificates"),
        "no node by https without them"
    );
    assert!(
        runs[1].contains(&format!("--home-dir {volume} {user}")),
        "{runs:?}"
    );
    assert!(
        runs[1].contains(&format!("--owner={user} --mode=0700 {volume}")),
        "{runs:?}"
    );

    // The program needs nothing that the small image lacks.
    let built = assert_cmd::cargo::cargo_bin("watchtower");
    if let Ok(output) = std::process::Command::new("ldd").arg(built).output() {
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let library = line.split_whitespace().next().unwrap();
            let library = library.rsplit('/').next().unwrap();
            let is_there = [
                "linux-vdso.so",
                "ld-linux",
                "libc.so",
                "libm.so",
                "libgcc_s.so",
            ]
            .iter()
            .any(|known| library.starts_with(known));
            assert!(is_there, "{library} is in no slim image");
        }
    }

    // Its settings are the program's own, and what it starts ends well.
    let folder = tempfile::tempdir().unwrap();
    let mut command = watchtower(folder.path());
    let mut listen = String::new();
    for setting in of("ENV") {
        let (name, value) = setting.split_once('=').unwrap();
        // The program reads it: something else there is complained about.
        let mut other = watchtower(folder.path());
        let other = other
            .env(name, "elsewhere")
            .arg("status")
            .assert()
            .failure();
        let complaint = String::from_utf8_lossy(&other.get_output().stderr).into_owned();
        assert!(complaint.contains("elsewhere"), "{name}: {complaint}");
        match name {
            "WATCHTOWER_DATA_DIR" => assert_eq!(value, volume),
            "WATCHTOWER_SERVE_LISTEN" => value.clone_into(&mut listen),
            other => panic!("{other} is not checked here"),
        }
        command.env(name, value);
    }
    command.args(list("CMD")).assert().success();
    let port = listen.rsplit(':').next().unwrap();
    let usage = text.lines().find(|line| line.starts_with("# podman run"));
    let usage = usage.unwrap();
    assert!(
        usage.contains(&format!("127.0.0.1:{port}:{port} ")),
        "{usage}"
    );
    assert!(usage.contains(&format!("watchtower:{volume} ")), "{usage}");
    let (_, started) = usage.rsplit_once(" watchtower ").unwrap();
    let first = started.split(' ').next().unwrap();
    watchtower(folder.path())
        .args([first, "--help"])
        .assert()
        .success();
}
