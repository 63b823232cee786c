//! The page through a whole demo game, in headless Chromium: what it shows, that it asks nobody else,
//! and that it serves a phone, a dark room and a keyboard. Pictures are left in the target's
//! temporary folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Longest time that something may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);
/// Width of a small phone.
const PHONE: u32 = 360;

/// A program that is ended with the test.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// The first line of its output that fits.
    pub(crate) line: String,
}

impl Program {
    /// Starts it and waits for a line; none where there is no such program.
    pub(crate) fn start(mut command: Command, fits: impl FnMut(&str) -> bool) -> Option<Self> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.ok()?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut fits = fits;
        let line = lines.by_ref().map_while(Result::ok).find(|line| fits(line));
        // What it goes on to say must flow, or it waits for its reader.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            line: line.expect("the program says what is waited for"),
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked first: it tidies up behind itself then.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Gone by now is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser, driven over the WebDriver protocol.
struct Browser {
    runtime: Runtime,
    http: reqwest::Client,
    session: String,
    _driver: Program,
}

impl Browser {
    /// None where no driver is installed.
    fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let driver = Program::start(command, |line| line.contains("started successfully"))?;
        let digits = |c: char| c.is_ascii_digit();
        let port = driver
            .line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .unwrap();
        let port: u16 = port.trim_matches(|c| !digits(c)).parse().unwrap();
        // Fails only when it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut browser = Self {
            runtime: Runtime::new().unwrap(),
            http: reqwest::Client::new(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1100,1000",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let made = browser.post("", &wanted);
        browser.session = format!(
            "{}/{}",
            browser.session,
            made["sessionId"].as_str().unwrap()
        );
        Some(browser)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session)).json(body);
        let answer: Value = self
            .runtime
            .block_on(async { request.send().await?.json().await })
            .unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }

    #[track_caller]
    fn run(&self, script: &str) -> Value {
        let script = format!("return {script}");
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    fn text(&self, place: &str) -> String {
        let script = format!("document.getElementById({place:?}).textContent");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: &str) {
        let begun = Instant::now();
        while self.run(condition) != json!(true) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {}", self.text("main"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body)
    }

    fn picture(&self, name: &str) {
        let taken = self.devtools(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true}),
        );
        let bytes = from_base64(taken["data"].as_str().unwrap());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(path, bytes).unwrap();
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": kind}));
        entries.as_array().unwrap().clone()
    }

    fn press(&self, key: &str) {
        let actions = json!({"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key},
        ]}]});
        self.post("/actions", &actions);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; its driver follows.
        let request = self.http.delete(&self.session).send();
        let _ = self.runtime.block_on(request);
    }
}

/// Base64 as browsers write it.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in text.bytes().filter_map(value) {
        held = held << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}

fn demo() -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchtower"));
    command
        .args(["demo", "--listen", "127.0.0.1:0", "--stay"])
        .args(["--block-milliseconds", "700"])
        .stdin(Stdio::null());
    Program::start(command, |line| {
        line.contains("http://127.0.0.1:") && line.contains("browser")
    })
    .unwrap()
}

#[test]
fn the_page_shows_a_whole_game_to_everybody() {
    let Some(browser) = Browser::start() else {
        println!("chromedriver is not installed: .ci/run installs it and runs this");
        return;
    };
    let demo = demo();
    let url = demo
        .line
        .split(' ')
        .find(|word| word.starts_with("http"))
        .unwrap();
    browser.post("/url", &json!({"url": url}));

    // The game: two clocks, and sections that narrow, row under row.
    let pictures = "document.querySelectorAll('#games .picture').length > 0";
    browser.wait("a game with its picture", pictures);
    browser.wait(
        "both clocks",
        "document.querySelectorAll('#games .clock b').length === 2",
    );
    browser.wait(
        "a clock that runs",
        "document.querySelectorAll('#games .clock.runs').length === 1",
    );
    let disputed = "document.querySelectorAll('#games .picture .disputed').length";
    browser.wait(
        "32 sections in a row",
        "document.querySelectorAll('#games .picture rect').length >= 32",
    );
    browser.wait("a section in dispute", &format!("{disputed} >= 1"));
    browser.wait("a second row: it narrows", &format!("{disputed} >= 2"));
    let spoken =
        browser.run("document.querySelector('#games .picture').getAttribute('aria-label')");
    assert!(
        spoken.as_str().unwrap().contains("disputed"),
        "for screen readers: {spoken}"
    );
    browser.picture("page-in-a-game.png");

    // The rollup, what stakers claim, and our operations.
    let rollups = browser.text("rollups");
    assert!(rollups.contains("sr1"), "{rollups}");
    assert!(
        rollups.contains("false") && rollups.contains("true"),
        "{rollups}"
    );
    assert!(rollups.contains("tz1"), "stakers: {rollups}");
    phone(&browser, "page-in-a-game-on-a-phone.png");
    assert!(
        browser.text("operations").contains("signed"),
        "{}",
        browser.text("operations")
    );
    assert!(
        browser.text("alerts").contains("false"),
        "{}",
        browser.text("alerts")
    );

    let won = "/1 game[^.]*won|won: 1|1 won/i.test(document.getElementById('games').textContent)";
    browser.wait("the game is won", won);
    browser.wait(
        "no false commitment stands any more",
        "document.getElementById('state').textContent === 'all is well'",
    );
    browser.picture("page-after-the-game.png");
    dark(&browser);
    keyboard(&browser);

    // Nothing went wrong in it, and it talked to the tower alone.
    let complaints: Vec<_> = browser
        .log("browser")
        .into_iter()
        .filter(|entry| entry["level"] == "SEVERE")
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let base = url.trim_end_matches('/');
    let mut asked = 0;
    for entry in browser.log("performance") {
        let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        if event["message"]["method"] == "Network.requestWillBeSent" {
            let to = &event["message"]["params"]["request"]["url"];
            let to = to.as_str().unwrap();
            assert!(
                to.starts_with(base) || to.starts_with("data:"),
                "an outside request: {to}"
            );
            asked += 1;
        }
    }
    assert!(asked > 5, "it asked {asked} times");
}

/// Nothing is wider than a phone.
fn phone(browser: &Browser, name: &str) {
    let size = json!({"width": PHONE, "height": 800, "deviceScaleFactor": 1, "mobile": true});
    browser.devtools("Emulation.setDeviceMetricsOverride", size);
    let width = browser.run("document.documentElement.scrollWidth");
    assert!(
        width.as_u64() <= Some(u64::from(PHONE)),
        "{width} pixels wide on a phone"
    );
    // Cells stand below each other there, each with the head of its column.
    let head = "getComputedStyle(document.querySelector('#health td'), '::before').content";
    assert_eq!(browser.run(head), "\"node\"");
    browser.picture(name);
    browser.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
}

fn dark(browser: &Browser) {
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = browser.run(paper);
    let features = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
    browser.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    assert_ne!(browser.run(paper), light, "dark where the system is dark");
    browser.picture("page-in-the-dark.png");
    browser.devtools("Emulation.setEmulatedMedia", json!({"features": []}));
}

/// The first stop of the keyboard leads past the head of the page, and is seen.
fn keyboard(browser: &Browser) {
    let (tab, enter) = ("\u{e004}", "\u{e007}");
    browser.run("(document.activeElement.blur(), window.scrollTo(0, 0), true)");
    browser.press(tab);
    let focused = "document.activeElement.className";
    assert_eq!(browser.run(focused), "skip");
    let left = browser.run("document.activeElement.getBoundingClientRect().left");
    assert!(
        left.as_f64() >= Some(0.0),
        "the focused link is on the page"
    );
    let outline = browser.run("getComputedStyle(document.activeElement).outlineStyle");
    assert_ne!(outline, "none", "focus is seen");
    browser.press(enter);
    browser.wait(
        "the main part has the focus",
        "document.activeElement.id === 'main'",
    );
}
