//! `watchtower keys` as people use it.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;

/// Runs `watchtower keys …` over a data directory; what it printed, or why it ended.
fn keys(folder: &Path, arguments: &[&str]) -> Result<String, (i32, String)> {
    let mut command = Command::cargo_bin("watchtower").unwrap();
    command.current_dir(folder).env_clear();
    command.args(["--data-dir", "data", "keys"]).args(arguments);
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    let complaint = String::from_utf8(output.stderr).unwrap();
    Err((output.status.code().unwrap(), complaint))
}

fn private(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn keys_are_made_imported_listed_and_kept_closed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    private(folder, "passphrase", "ahThie5H\n");
    // Published with the reference client, behind that passphrase.
    private(
        folder,
        "encrypted",
        "encrypted:edesk1oGXxunJ5FTGpQ6o1xdop8VGKdT36Fj7LwWF9HLjzEqaCC4V6tdRVN1jaeJTfCHS8bYf7U2YhMK2yW6jSUy\n",
    );
    private(
        folder,
        "plain",
        "p2sk2bixvFTFTuw9HtD4ucuDsktZTcwRJ5V3gDsQauwE2VTuh6hBiP\n",
    );
    let file = ["--passphrase-file", "passphrase"];
    let (_, told) = keys(folder, &["address"]).unwrap_err();
    assert!(told.contains("keys generate"), "{told}");
    let made = keys(
        folder,
        &[&["generate", "new", "--curve", "bls"], &file[..]].concat(),
    )
    .unwrap();
    assert!(made.starts_with("new  tz4"), "{made}");
    let import = |name, from| {
        keys(
            folder,
            &[&["import", name, "--file", from], &file[..]].concat(),
        )
    };
    assert!(import("one", "encrypted").unwrap().starts_with("one  tz1"));
    assert!(import("two", "plain").unwrap().starts_with("two  tz3"));
    let listed = keys(folder, &["list"]).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let text = std::fs::read_to_string(folder.join("data/keys.json")).unwrap();
    assert!(
        !text.contains("p2sk") && text.contains("encrypted:p2esk"),
        "{text}"
    );
    let (code, told) = keys(folder, &["address"]).unwrap_err();
    assert_eq!(code, 5);
    assert!(
        told.contains("several keys") && told.contains("new, one, two"),
        "{told}"
    );
    let address = keys(folder, &["address", "two"]).unwrap();
    assert!(listed.contains(address.trim()), "{address}");
    let (_, told) = import("one", "plain").unwrap_err();
    assert!(told.contains("named \"one\""), "{told}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_without_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    private(folder, "passphrase", "x\n");
    private(
        folder,
        "damaged",
        "edsk3vifWnPCr8jXyhnt1YLa5KeNYTPfHENDq9gxqAA8ERkvEigYMf",
    );
    let file = ["--passphrase-file", "passphrase"];
    let damaged = [&["import", "k", "--file", "damaged"], &file[..]].concat();
    let (code, told) = keys(folder, &damaged).unwrap_err();
    assert_eq!((code, told.lines().count()), (3, 1), "{told}");
    assert!(!told.contains("edsk3vif"), "{told}");
    std::fs::set_permissions(
        folder.join("passphrase"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let (code, told) = keys(folder, &["generate", "k", file[0], file[1]]).unwrap_err();
    assert!(code == 3 && told.contains("chmod 600"), "{told}");
}
