//! Bad input: one clear line each, and an exit code.

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

#[test]
fn two_towers_do_not_share_a_data_directory() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    std::fs::create_dir_all(world.data()).unwrap();
    let lock = std::fs::File::create(world.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let output = world
        .follow_in(&world.data(), world.level(PERIOD))
        .output()
        .unwrap();
    assert_eq!(code(&output), 5, "{output:?}");
    assert!(complaint(&output).contains("in use"));
}
