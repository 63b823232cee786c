use super::*;
use crate::crypto::{Dialect, Hash};
use crate::protocol::{
    BlockHash, ChainId, Commitment, CommitmentHash, InboxHash, Level, ProtocolHash, PublicKeyHash,
    RollupAddress, StateHash,
};

const ROLLUP: RollupAddress = RollupAddress([3; 20]);

struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(Journal::FILE)
    }
}

fn hash(branch: u8, level: u16) -> BlockHash {
    let mut bytes = [branch; 32];
    bytes[..2].copy_from_slice(&level.to_be_bytes());
    BlockHash(bytes)
}

fn block(branch: u8, level: u16, predecessor: BlockHash) -> Entry {
    Entry::Block(BlockRow {
        hash: hash(branch, level),
        level: Level::new(level),
        predecessor,
        timestamp: i64::from(level) * 8,
        protocol: ProtocolHash([9; 32]),
        period: 30,
        opens_protocol: false,
    })
}

fn rollup() -> Entry {
    Entry::Rollup(RollupRow {
        address: ROLLUP,
        dialect: Dialect::Scr1,
        chain: ChainId([1, 2, 3, 4]),
        origination_level: Level::new(1),
        genesis_commitment: CommitmentHash([4; 32]),
        genesis_state: StateHash([5; 32]),
        kernel: Hash([6; 32]),
        protocol: ProtocolHash([9; 32]),
    })
}

fn state(of: BlockHash, level: u16) -> Entry {
    Entry::State(StateRow {
        rollup: ROLLUP,
        block: of,
        level: Level::new(level),
        hash: StateHash([level as u8; 32]),
        ticks: 11_000_000_000,
        status: "collect".into(),
        edges: vec!["load-at-end".into()],
    })
}

fn commitment(level: u16) -> Commitment {
    Commitment {
        compressed_state: StateHash([level as u8; 32]),
        inbox_level: Level::new(level),
        predecessor: CommitmentHash([4; 32]),
        number_of_ticks: 7,
    }
}

fn published(block: Option<BlockHash>, staker: u8, level: u16) -> PublishedRow {
    PublishedRow {
        rollup: ROLLUP,
        block,
        published_level: block.map(|_| Level::new(level + 1)),
        position: 0,
        staker: PublicKeyHash::Tz1([staker; 20]),
        commitment: commitment(level),
    }
}

fn seeded(journal: &Journal) {
    journal
        .write(vec![
            rollup(),
            block(0, 1, hash(0, 0)),
            block(0, 2, hash(0, 1)),
            block(0, 3, hash(0, 2)),
            state(hash(0, 2), 2),
            state(hash(0, 3), 3),
        ])
        .unwrap();
}

#[test]
fn what_is_written_is_read_back_after_reopening() {
    let scratch = Scratch::new();
    let inbox = InboxRow {
        block: hash(0, 2),
        level: Level::new(2),
        hash: InboxHash([7; 32]),
        cell: vec![1, 2, 3],
        messages: vec![vec![0, 1], vec![], vec![0, 2]],
        node_hash: Some(InboxHash([7; 32])),
    };
    {
        let journal = Journal::open(&scratch.path()).unwrap();
        seeded(&journal);
        journal.write(vec![Entry::Inbox(inbox.clone())]).unwrap();
        journal
            .write(vec![
                Entry::Published(published(Some(hash(0, 3)), 1, 2)),
                Entry::Own {
                    rollup: ROLLUP,
                    block: hash(0, 2),
                    commitment: commitment(2),
                },
            ])
            .unwrap();
    }
    let reader = Reader::open(&scratch.path()).unwrap();
    assert_eq!(reader.inbox(&hash(0, 2)).unwrap(), Some(inbox));
    assert_eq!(reader.head().unwrap().unwrap().hash, hash(0, 3));
    assert_eq!(
        reader.own_commitments(&ROLLUP).unwrap(),
        vec![(hash(0, 2), commitment(2))]
    );
    assert_eq!(
        reader.published(&ROLLUP).unwrap(),
        vec![published(Some(hash(0, 3)), 1, 2)]
    );
    let last = reader.last_state(&ROLLUP).unwrap().unwrap();
    assert_eq!(
        (last.block, last.edges),
        (hash(0, 3), vec!["load-at-end".to_owned()])
    );
}

#[test]
fn writing_an_entry_twice_changes_nothing() {
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    seeded(&journal);
    let more = vec![
        Entry::Published(published(Some(hash(0, 3)), 1, 2)),
        Entry::Published(published(None, 2, 2)),
        Entry::Alarm(Alarm {
            rollup: None,
            level: None,
            severity: Severity::Warning,
            kind: "node",
            subject: "http://a".into(),
            message: "node unreachable".into(),
        }),
    ];
    journal.write(more.clone()).unwrap();
    let before = journal.reader().unwrap().counts().unwrap();
    seeded(&journal);
    journal.write(more).unwrap();
    assert_eq!(journal.reader().unwrap().counts().unwrap(), before);
}

#[test]
fn a_reorganisation_marks_and_a_return_restores() {
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    seeded(&journal);
    journal
        .write(vec![
            Entry::Published(published(Some(hash(0, 3)), 1, 2)),
            Entry::Reorganisation(Reorganisation {
                fork: hash(0, 2),
                fork_level: Level::new(2),
                old_head: hash(0, 3),
                old_level: Level::new(3),
            }),
            block(1, 3, hash(0, 2)),
        ])
        .unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.head().unwrap().unwrap().hash, hash(1, 3));
    assert_eq!(reader.published(&ROLLUP).unwrap(), vec![]);
    assert_eq!(
        reader.last_state(&ROLLUP).unwrap().unwrap().block,
        hash(0, 2)
    );
    assert!(
        reader.state(&ROLLUP, &hash(0, 3)).unwrap().is_some(),
        "a reverted state stays"
    );
    journal
        .write(vec![
            Entry::Reorganisation(Reorganisation {
                fork: hash(0, 2),
                fork_level: Level::new(2),
                old_head: hash(1, 3),
                old_level: Level::new(3),
            }),
            block(0, 3, hash(0, 2)),
        ])
        .unwrap();
    assert_eq!(reader.head().unwrap().unwrap().hash, hash(0, 3));
    assert_eq!(reader.published(&ROLLUP).unwrap().len(), 1);
}

#[test]
fn a_batch_that_cannot_be_written_leaves_nothing() {
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    seeded(&journal);
    // Two blocks in force at one level: the second must not pass, nor anything before it.
    let refused = journal.write(vec![block(0, 4, hash(0, 3)), block(1, 4, hash(0, 3))]);
    assert!(matches!(refused, Err(JournalError::Database { .. })));
    assert_eq!(
        journal.reader().unwrap().head().unwrap().unwrap().hash,
        hash(0, 3)
    );
    assert!(
        journal.write(vec![state(hash(5, 5), 5)]).is_err(),
        "state of an unknown block"
    );
    journal.write(vec![block(0, 4, hash(0, 3))]).unwrap();
}

#[test]
fn newest_verdict_is_in_force_unless_its_block_left() {
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    seeded(&journal);
    let verdict = |block: Option<BlockHash>, judgement| {
        Entry::Verdict(VerdictRow {
            rollup: ROLLUP,
            block,
            commitment: commitment(3).hash(),
            level: Level::new(3),
            judgement,
        })
    };
    let blind = Judgement::NotJudgeable {
        reason: "missing preimage".into(),
        detail: "00ab".into(),
    };
    let false_ = Judgement::False {
        field: "number_of_ticks",
        claimed: "1".into(),
        computed: "2".into(),
    };
    journal.write(vec![verdict(None, blind.clone())]).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(
        reader.verdicts(&ROLLUP).unwrap(),
        vec![],
        "nobody published it"
    );
    journal
        .write(vec![Entry::Published(published(None, 1, 3))])
        .unwrap();
    journal
        .write(vec![verdict(Some(hash(0, 3)), false_.clone())])
        .unwrap();
    let in_force = |reader: &Reader| {
        reader
            .verdicts(&ROLLUP)
            .unwrap()
            .into_iter()
            .map(|row| row.judgement)
            .collect::<Vec<_>>()
    };
    assert_eq!(in_force(&reader), vec![false_]);
    journal
        .write(vec![Entry::Reorganisation(Reorganisation {
            fork: hash(0, 2),
            fork_level: Level::new(2),
            old_head: hash(0, 3),
            old_level: Level::new(3),
        })])
        .unwrap();
    assert_eq!(in_force(&reader), vec![blind]);
}

#[test]
fn a_newer_and_a_foreign_schema_are_refused_by_name() {
    let scratch = Scratch::new();
    drop(Journal::open(&scratch.path()).unwrap());
    let raw = rusqlite::Connection::open(scratch.path()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    for error in [
        Journal::open(&scratch.path()).map(|_| ()).unwrap_err(),
        Reader::open(&scratch.path()).map(|_| ()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("schema 99"), "{error}");
    }
    raw.pragma_update(None, "user_version", schema::KNOWN)
        .unwrap();
    raw.execute("UPDATE migration SET checksum = 'x'", [])
        .unwrap();
    assert!(matches!(
        Journal::open(&scratch.path()),
        Err(JournalError::Foreign { version: 1, .. })
    ));
    assert!(matches!(
        Reader::open(&scratch.folder.path().join("none")),
        Err(JournalError::Absent(_))
    ));
}

#[test]
fn the_log_is_one_record_in_the_order_of_writing() {
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    journal
        .write(vec![Entry::RunStarted {
            version: "1".into(),
            command: "follow".into(),
        }])
        .unwrap();
    seeded(&journal);
    journal
        .write(vec![
            Entry::Published(published(Some(hash(0, 3)), 1, 2)),
            Entry::RunEnded {
                outcome: "stopped".into(),
            },
            Entry::RunEnded {
                outcome: "stopped twice".into(),
            },
        ])
        .unwrap();
    let reader = journal.reader().unwrap();
    let all = reader.log(&LogFilter::default()).unwrap();
    assert_eq!(
        all.iter().map(|row| row.seq).collect::<Vec<_>>(),
        (1..=all.len() as i64).collect::<Vec<_>>()
    );
    assert_eq!(
        all.last().unwrap().to_json().get("outcome").unwrap(),
        "stopped"
    );
    let told = reader
        .log(&LogFilter {
            rollup: Some(ROLLUP),
            kinds: vec![LogKind::Published, LogKind::State],
            from: Some(Level::new(2)),
            to: Some(Level::new(2)),
            limit: Some(1),
            ..LogFilter::default()
        })
        .unwrap();
    let json = told.first().unwrap().to_json().to_string();
    assert!(json.contains("\"kind\":\"published\""), "{json}");
    assert!(
        json.contains("\"commitment\":\"scc1") && json.contains("\"rollup\":\"scr1"),
        "{json}"
    );
}

/// One who goes on after the last row that was shown, while others write, is shown every row.
#[test]
fn whoever_follows_the_log_misses_no_row() {
    const PAIRS: usize = 400;
    let scratch = Scratch::new();
    let journal = Journal::open(&scratch.path()).unwrap();
    seeded(&journal);
    let reader = journal.reader().unwrap();
    let mut after = reader.newest().unwrap();
    let writing = std::thread::spawn(move || {
        for pair in 0..PAIRS {
            let alarm = Alarm {
                rollup: None,
                level: None,
                severity: Severity::Warning,
                kind: "node",
                subject: pair.to_string(),
                message: String::new(),
            };
            let run = Entry::RunStarted {
                version: pair.to_string(),
                command: "follow".into(),
            };
            journal.write(vec![Entry::Alarm(alarm), run]).unwrap();
        }
    });
    let mut seen = 0;
    let mut is_over = false;
    while !is_over {
        is_over = writing.is_finished();
        let rows = reader.log(&LogFilter {
            kinds: vec![LogKind::Alarm, LogKind::Run],
            after,
            ..LogFilter::default()
        });
        for row in rows.unwrap() {
            assert_eq!(row.seq, after + 1, "a row was passed over");
            after = row.seq;
            seen += 1;
        }
    }
    writing.join().unwrap();
    assert_eq!(seen, 2 * PAIRS);
}

mod play {
    use super::*;
    use crate::protocol::operation::Stakers;
    use crate::protocol::{OperationHash, Player, Tick};

    const ALICE: PublicKeyHash = PublicKeyHash::Tz1([1; 20]);
    const BOB: PublicKeyHash = PublicKeyHash::Tz1([2; 20]);

    fn game(start: u16) -> GameName {
        GameName {
            rollup: ROLLUP,
            stakers: Stakers::new(BOB, ALICE),
            start: Level::new(start),
            inbox_level: Level::new(2),
        }
    }

    fn position(at: u16, byte: u8) -> PlayEntry {
        PlayEntry::Position(PositionRow {
            game: game(3),
            block: hash(0, at),
            level: Level::new(at),
            position: Hash([byte; 32]),
            turn: Player::Bob,
            alice_left: 100,
            bob_left: -3,
            last_turn: Level::new(at),
            stage: "dissecting",
            content: vec![byte],
        })
    }

    fn end(at: u16, ending: Ending) -> PlayEntry {
        PlayEntry::End(GameEndRow {
            game: game(3),
            block: hash(0, at),
            level: Level::new(at),
            ending,
            reason: Some("timeout".into()),
        })
    }

    fn assertion(tick: u128, state: Option<u8>) -> AssertionRow {
        AssertionRow {
            rollup: ROLLUP,
            period: hash(0, 2),
            parent: CommitmentHash([4; 32]),
            level: Level::new(2),
            tick: Tick(tick),
            state: state.map(|byte| StateHash([byte; 32])),
        }
    }

    fn write(journal: &Journal, entries: Vec<PlayEntry>) {
        journal
            .write(entries.into_iter().map(Entry::from).collect())
            .unwrap();
    }

    #[test]
    fn games_moves_and_ends_are_read_back_once() {
        let scratch = Scratch::new();
        let journal = Journal::open(&scratch.path()).unwrap();
        seeded(&journal);
        let seen = PlayEntry::Game(GameRow {
            game: game(3),
            block: hash(0, 3),
            level: Level::new(3),
        });
        let found = MoveRow {
            game: game(3),
            position: Hash([1; 32]),
            kind: "proof",
            refutation: Some(vec![9, 9]),
            milliseconds: 12,
            detail: "{}".into(),
        };
        for _ in 0..2 {
            write(
                &journal,
                vec![
                    seen.clone(),
                    position(3, 1),
                    position(3, 2),
                    PlayEntry::Move(found.clone()),
                    end(3, Ending::Loser(ALICE)),
                ],
            );
        }
        let foresee = |foreseen| {
            PlayEntry::Forecast(ForecastRow {
                game: game(3),
                position: Hash([1; 32]),
                foreseen,
            })
        };
        write(
            &journal,
            vec![foresee(Foreseen::Unknown), foresee(Foreseen::Unknown)],
        );
        write(&journal, vec![foresee(Foreseen::Loser(ALICE))]);
        let reader = journal.reader().unwrap();
        let position = Hash([1; 32]);
        let foreseen = [Foreseen::Unknown, Foreseen::Loser(ALICE)];
        assert_eq!(
            reader.forecasts(&game(3)).unwrap(),
            foreseen.map(|foreseen| (position, foreseen))
        );
        let games = reader.games(&ROLLUP).unwrap();
        let ended = Some((Level::new(3), Ending::Loser(ALICE)));
        assert_eq!(games, [(game(3), ended)]);
        let positions = reader.positions(&game(3)).unwrap();
        assert_eq!(positions.len(), 2);
        let first = positions.first().unwrap();
        assert_eq!((first.turn, first.bob_left), (Player::Bob, -3));
        let moves = reader.moves(&game(3)).unwrap();
        assert_eq!(moves.len(), 1);
        assert_eq!(moves.first().unwrap().refutation, found.refutation);
        assert_eq!(reader.positions(&game(4)).unwrap(), []);
        // An end in a block that left the chain is none.
        journal
            .write(vec![Entry::Reorganisation(Reorganisation {
                fork: hash(0, 2),
                fork_level: Level::new(2),
                old_head: hash(0, 3),
                old_level: Level::new(3),
            })])
            .unwrap();
        assert_eq!(reader.games(&ROLLUP).unwrap(), [(game(3), None)]);
        let everything = reader.log(&LogFilter::default()).unwrap();
        let kinds: std::collections::BTreeSet<_> =
            everything.iter().map(|row| row.kind.name()).collect();
        for kind in ["game", "position", "move", "forecast", "game-end"] {
            assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
        }
    }

    #[test]
    fn decisions_consents_assertions_operations_and_holds_are_read_back() {
        let scratch = Scratch::new();
        let journal = Journal::open(&scratch.path()).unwrap();
        seeded(&journal);
        let decision = DecisionRow {
            rollup: ROLLUP,
            block: hash(0, 3),
            level: Level::new(3),
            verb: Verb::Want,
            what: "publish".into(),
            reason: "a lie stands".into(),
            deadline: Some(Level::new(40)),
            slack: Some(36),
            mode: "defend",
            hold: None,
        };
        let consent = ConsentRow {
            rollup: ROLLUP,
            block: hash(0, 2),
            level: Level::new(2),
            commitment: CommitmentHash([4; 32]),
            is_given: true,
            detail: "both engines".into(),
        };
        let step = OperationStepRow {
            step: "signed".into(),
            hash: Some(OperationHash([5; 32])),
            detail: "{\"entry\":\"signed\"}".into(),
        };
        let hold = |is_on, rollup| {
            PlayEntry::Hold(HoldRow {
                rollup,
                hold: "brake",
                is_on,
                reason: "maintenance".into(),
            })
        };
        write(
            &journal,
            vec![
                PlayEntry::Decision(decision),
                PlayEntry::Consent(consent.clone()),
                PlayEntry::Operation(step.clone()),
                PlayEntry::Assertion(assertion(5, Some(1))),
                PlayEntry::Assertion(assertion(9, None)),
                PlayEntry::Assertion(assertion(5, Some(7))),
                hold(true, None),
                hold(true, Some(ROLLUP)),
                hold(false, None),
            ],
        );
        let reader = journal.reader().unwrap();
        let decisions = reader.decisions(&ROLLUP, 10).unwrap();
        assert_eq!(decisions.first().unwrap().slack, Some(36));
        assert_eq!(reader.consents(&ROLLUP).unwrap(), [consent]);
        let steps = reader.operation_steps().unwrap();
        assert_eq!(
            steps.into_iter().map(|(_, row)| row).collect::<Vec<_>>(),
            [step]
        );
        // The first answer about a point stays.
        let asserted = reader
            .assertions(&ROLLUP, &hash(0, 2), &CommitmentHash([4; 32]))
            .unwrap();
        assert_eq!(asserted, [assertion(5, Some(1)), assertion(9, None)]);
        let holds = reader.holds().unwrap();
        assert_eq!(holds.len(), 1, "{holds:?}");
        assert_eq!(holds.first().unwrap().rollup, Some(ROLLUP));
        assert!(!reader.log(&LogFilter::default()).unwrap().is_empty());
    }
}
