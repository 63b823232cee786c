use super::*;

const ADDRESS: &str = "sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm";
const SCR1: &str = "scr1BBMMrm3Zhq1S2Qy2LpRXdu4ebtW9sBrtY";

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &'static str, &str)],
) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let flags = flags
        .iter()
        .map(|(key, flag, value)| Given {
            key: (*key).into(),
            values: vec![(*value).into()],
            origin: Origin::Flag(flag),
        })
        .collect();
    Config::load(Some(path), &environment, flags).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    })
}

#[track_caller]
fn refused(file: &str, expected: &str) {
    assert_eq!(load(file, &[], &[]).unwrap_err(), expected);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "data_dir = \"/file\"\n[node]\nendpoints = [\"http://file:1/\"]\n[engine]\ndeadline_seconds = 7\n[log]\nformat = \"json\"";
    let config = load(
        file,
        &[
            ("WATCHTOWER_DATA_DIR", "/environment"),
            ("WATCHTOWER_NODE_ENDPOINTS", "http://a, http://b"),
        ],
        &[("data_dir", "--data-dir", "/flag")],
    )
    .unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/flag"));
    assert_eq!(config.endpoints, ["http://a", "http://b"]);
    assert_eq!(config.run_deadline, Duration::from_secs(7));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.kept_levels, Config::default().kept_levels);
}

#[test]
fn a_rollup_named_on_the_command_line_keeps_what_the_file_says_of_it() {
    let file = format!(
        "[[rollup]]\naddress = \"{ADDRESS}\"\npreimages = \"/p\"\n[[rollup]]\naddress = \"sr1EpNxztmmKESUP4xTcLdxfWtuAXNbjnLAW\"\n"
    );
    assert_eq!(load(&file, &[], &[]).unwrap().rollups.len(), 2);
    let config = load(&file, &[], &[("rollups", "ROLLUP", ADDRESS)]).unwrap();
    assert_eq!(config.rollups.len(), 1);
    assert_eq!(
        config.rollups.first().unwrap().preimages,
        Some(PathBuf::from("/p"))
    );
}

#[test]
fn errors_name_the_line_and_the_nearest_key() {
    refused(
        "# one\n\n[node]\nendpoint = [\"http://a\"]\n",
        "config.toml line 4: unknown key \"node.endpoint\": did you mean \"node.endpoints\"?",
    );
    refused(
        "\n[store]\nkept_levels = 1\n",
        "config.toml line 3: store.kept_levels: \"1\" is not a whole number from 2 to 1000000",
    );
    refused(
        "[[rollup]]\naddress = \"sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFn\"\n",
        "config.toml line 2: rollup.address: not a rollup address (sr1… or scr1…): \"sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFn\" has a bad checksum (expected a sr1… identifier; one character is probably wrong)",
    );
    refused(
        "[[rollup]]\nadress = \"sr1\"\n",
        "config.toml line 2: unknown key \"adress\": did you mean \"address\"? (in [[rollup]])",
    );
    refused(
        "[node]\nendpoints = [\"ftp://a\"]\n",
        "config.toml line 2: node.endpoints: \"ftp://a\" is not an http:// or https:// URL",
    );
    refused(
        "rollup = 1\n",
        "config.toml line 1: rollups are written as [[rollup]], with two brackets, one table for each",
    );
    assert!(
        load("[node\n", &[], &[])
            .unwrap_err()
            .starts_with("config.toml line 1: ")
    );
}

#[test]
fn errors_name_flags_and_variables() {
    assert_eq!(
        load("", &[("WATCHTOWER_LOG_FORMAT", "xml")], &[]).unwrap_err(),
        "environment variable WATCHTOWER_LOG_FORMAT: log.format: \"xml\" is neither human nor json"
    );
    assert_eq!(
        load("", &[], &[("node.endpoints", "--node", "localhost")]).unwrap_err(),
        "--node: node.endpoints: \"localhost\" is not an http:// or https:// URL"
    );
}

#[test]
fn one_tower_follows_one_dialect() {
    let file = format!("[[rollup]]\naddress = \"{ADDRESS}\"\n[[rollup]]\naddress = \"{SCR1}\"\n");
    assert!(
        load(&file, &[], &[])
            .unwrap_err()
            .contains("different dialects")
    );
}

#[test]
fn what_is_needed_and_missing_is_said() {
    let config = Config::default();
    assert!(
        config
            .needs_endpoints()
            .unwrap_err()
            .to_string()
            .contains("--node")
    );
    assert!(
        config
            .needs_rollups()
            .unwrap_err()
            .to_string()
            .contains("sr1")
    );
}

#[test]
fn the_defaults_that_are_shown_are_the_ones_in_force() {
    for setting in SETTINGS {
        // A path of the home directory and lists or texts that are empty cannot be written so.
        if setting.key == "data_dir" || ["[]", "\"\""].contains(&setting.default) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchtower.toml");
        let (section, key) = setting.key.split_once('.').unwrap();
        std::fs::write(&path, format!("[{section}]\n{key} = {}\n", setting.default)).unwrap();
        let config = Config::load(Some(path), &[], Vec::new()).unwrap();
        assert_eq!(config, Config::default(), "{}", setting.key);
    }
}

#[test]
fn a_remote_signer_may_name_its_account_at_the_end() {
    let account = "tz1gjaF81ZRRvdzjobyfVNsAeSC6PScjfQwN";
    for file in [
        format!("[signer]\nremote = \"https://signer:6732/deep/{account}\""),
        format!("[signer]\nremote = \"https://signer:6732/deep\"\naccount = \"{account}\""),
    ] {
        let signer = load(&file, &[], &[]).unwrap().signer;
        assert_eq!(signer.remote.as_deref(), Some("https://signer:6732/deep"));
        assert_eq!(
            signer.account.map(|a| a.to_string()).as_deref(),
            Some(account)
        );
        assert!(signer.is_given());
    }
    assert!(!load("", &[], &[]).unwrap().signer.is_given());
    assert!(
        load("[signer]\naccount = \"tz1\"", &[], &[])
            .unwrap_err()
            .starts_with("config.toml line 2: signer.account: ")
    );
    assert!(
        load("[signer]\npassphrase = \"x\"", &[], &[])
            .unwrap_err()
            .contains("did you mean \"signer.passphrase_file\"?")
    );
}

#[test]
fn the_example_of_alerts_is_understood() {
    let config = load(include_str!("../../contrib/alerts.toml"), &[], &[]).unwrap();
    let names: Vec<_> = config
        .alerts
        .channels
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["team", "chat", "night", "phones", "telegram", "automation"]
    );
    let heartbeat = config.alerts.heartbeat.unwrap();
    assert_eq!(heartbeat.every, Duration::from_secs(60));
    assert_eq!(config.listen.unwrap().port(), 9732);
    let off = load("[serve]\nlisten = \"none\"\n", &[], &[]).unwrap();
    assert_eq!(off.listen, None);
}

#[test]
fn errors_of_channels_name_the_line() {
    refused(
        "[[channel]]\nkind = \"email\"\nserver = \"a\"\nfrom = \"b@c\"\n",
        "config.toml line 1: channel.to: it is needed here",
    );
    refused(
        "[[channel]]\nkind = \"fax\"\n",
        "config.toml line 2: channel.kind: \"fax\" is none of email, webhook, slack, discord, telegram, pagerduty, ntfy",
    );
    refused(
        "[[channel]]\nkind = \"slack\"\nserver = \"a\"\n",
        "config.toml line 3: channel.server: a channel of kind slack has no such key",
    );
    refused(
        "[[channel]]\nkind = \"slack\"\nseverity = \"loud\"\n",
        "config.toml line 3: channel.severity: \"loud\" is none of notice, warning, critical",
    );
    refused(
        "[[channel]]\nkidn = \"slack\"\n",
        "config.toml line 2: unknown key \"kidn\": did you mean \"kind\"? (in [[channel]])",
    );
    refused(
        "[serve]\nlisten = \"9732\"\n",
        "config.toml line 2: serve.listen: \"9732\" is not an address with a port, such as 127.0.0.1:9732",
    );
}
