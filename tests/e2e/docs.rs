//! Every `watchtower …` command of the documentation is run, on a network where a game was played.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::page::Program;

/// Where commands are written down.
const PAGES: [&str; 3] = [
    "README.md",
    "contrib/operator-guide.md",
    "alerts/runbook.md",
];

/// Commands that are only read, not run, each with the reason.
const ONLY_READ: &[(&str, &str)] = &[(
    "follow --mode defend",
    "needs an account with a bond on it; `demo` runs the same, and the drills do",
)];

/// Exit codes other than 0 that a command rightly ends with here, where a liar was caught.
const CODES: &[(&str, &[i32])] = &[
    ("follow", &[10]),
    ("status", &[10]),
    // The simulated node is no archive, and nobody mounted a preimages folder.
    ("doctor", &[0, 13]),
    ("init", &[0, 13]),
];

/// The commands of a page, in order: lines of its blocks, continued ones joined, and words in
/// backquotes.
fn commands(page: &str) -> Vec<String> {
    let text = page.replace(" \\\n", " ");
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(command) = line.strip_prefix("watchtower ") {
            found.push(command);
            continue;
        }
        let pieces = line.split('`').skip(1).step_by(2);
        found.extend(pieces.filter_map(|piece| piece.strip_prefix("watchtower ")));
    }
    let bare = |command: &str| {
        command
            .split(" #")
            .next()
            .unwrap_or(command)
            .trim()
            .to_owned()
    };
    found.into_iter().map(bare).collect()
}

/// Words as a shell would split them.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('"').enumerate();
    let mut words = Vec::new();
    for (index, part) in parts {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Answers every request with 200.
fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/topic", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    url
}

/// A demo that has come to its end and stays.
struct Ended {
    demo: Program,
    node: String,
    rollup: String,
    tower: String,
}

impl Ended {
    fn new() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchtower"));
        command
            .args(["demo", "--listen", "127.0.0.1:0", "--stay"])
            .stdin(Stdio::null());
        let mut said = Vec::new();
        let demo = Program::start(command, |line| {
            said.push(line.to_owned());
            line.contains("still there")
        });
        let word = |start: &str| {
            let words = said.iter().flat_map(|line| line.split(' '));
            let mut found = words.filter(|word| word.starts_with(start));
            found.next().unwrap().to_owned()
        };
        let tower = said
            .iter()
            .find(|line| line.starts_with("The tower defends"));
        let tower = tower.and_then(|line| line.split(' ').find(|word| word.starts_with("tz1")));
        Self {
            node: word("http://"),
            rollup: word("sr1"),
            tower: tower.unwrap().to_owned(),
            demo: demo.unwrap(),
        }
    }

    /// Where the demo's tower keeps its journal.
    fn data(&self) -> PathBuf {
        std::env::temp_dir().join(format!("watchtower-demo-{}", self.demo.child.id()))
    }

    fn head(&self) -> i32 {
        let reader = watchtower::journal::Reader::open(&self.data().join("journal.sqlite"));
        reader.unwrap().head().unwrap().unwrap().level.get()
    }

    fn commitment(&self) -> String {
        use watchtower::protocol::Dialected;
        let reader =
            watchtower::journal::Reader::open(&self.data().join("journal.sqlite")).unwrap();
        let rollup = reader.rollups().unwrap().remove(0);
        let published = reader.published(&rollup.address).unwrap();
        published[0].commitment.hash().text(rollup.dialect)
    }
}

/// A working directory in which the commands of one page are run, one after the other.
struct Desk<'a> {
    ended: &'a Ended,
    folder: &'a Path,
    places: BTreeMap<&'static str, String>,
}

impl Desk<'_> {
    /// The command with everything that stands for something else put in.
    fn filled(&self, command: &str) -> Vec<String> {
        let fill = |word: String| {
            let found = self.places.iter().find(|(place, _)| word == **place);
            found.map_or(word, |(_, value)| value.clone())
        };
        words(command).into_iter().map(fill).collect()
    }

    fn run(&self, page: &str, command: &str) {
        let mut arguments = self.filled(command);
        let first = arguments[0].clone();
        let is_read = ONLY_READ
            .iter()
            .any(|(known, _)| command.starts_with(known));
        if is_read {
            arguments.push("--help".into());
        } else if first == "follow" {
            arguments.extend(["--until".into(), self.ended.head().to_string()]);
        }
        // What is followed or put back here has a journal of its own; the rest looks at the game.
        let has_own = ["follow", "journal"].contains(&first.as_str());
        let data = if has_own {
            self.folder.join("data")
        } else {
            self.ended.data()
        };
        let output = Command::new(env!("CARGO_BIN_EXE_watchtower"))
            .args(&arguments)
            .current_dir(self.folder)
            .env("WATCHTOWER_DATA_DIR", data)
            .env("WATCHTOWER_SERVE_LISTEN", "none")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let expected: &[i32] = CODES
            .iter()
            .find(|(known, _)| *known == first && !is_read)
            .map_or(&[0], |(_, codes)| codes);
        let code = output.status.code().unwrap();
        assert!(
            expected.contains(&code),
            "{page}: `watchtower {command}` ended with {code}:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if first == "init" {
            let path = self.folder.join("watchtower.toml");
            let mut text = std::fs::read_to_string(&path).unwrap();
            let channel = format!("\n[[channel]]\nkind = \"ntfy\"\nurl = \"{}\"\n", receiver());
            text.push_str(&channel);
            std::fs::write(path, text).unwrap();
        }
    }
}

/// The guide's table of exit codes is the program's.
#[test]
fn every_exit_code_is_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_watchtower"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("contrib/operator-guide.md")).unwrap();
    let mut count = 0;
    for line in codes.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (code, meaning) = line.split_once(' ').unwrap();
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(guide.contains(&row), "the guide lacks: {row}");
        count += 1;
    }
    assert!(count >= 10, "{codes}");
}

#[test]
fn every_command_of_the_documentation_is_run() {
    let ended = Ended::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(folder.path().join("preimages")).unwrap();
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(passphrase, private).unwrap();
    let places = BTreeMap::from([
        ("sr1…", ended.rollup.clone()),
        ("tz1…", ended.tower.clone()),
        ("https://your.node", ended.node.clone()),
        ("http://127.0.0.1:8732", ended.node.clone()),
        ("<other>", ended.node.clone()),
        ("<hash>", ended.commitment()),
        ("ID", "1".into()),
        ("/path/to/preimages", path("preimages")),
        ("/path/to/passphrase", path("passphrase")),
        ("/path/to/backup.sqlite", path("backup.sqlite")),
    ]);
    let desk = Desk {
        ended: &ended,
        folder: folder.path(),
        places,
    };
    let mut count = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for command in commands(&text) {
            desk.run(page, &command);
            count += 1;
        }
    }
    assert!(count > 40, "only {count} commands were found");
    for (known, why) in ONLY_READ {
        println!("only read: watchtower {known} ({why})");
    }
}
