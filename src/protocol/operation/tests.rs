use proptest::prelude::*;

use super::*;
use crate::codec::Reader;
use crate::protocol::OperationHash;

const FORM: Form = Form::Modern(Protocol::Ushuaia);

fn content(json: serde_json::Value) -> Content {
    Content::from_json(&json, FORM).unwrap()
}

/// Bytes published by tests of public libraries, decoded and forged again.
fn check_bytes(hex_text: &str) -> Content {
    let bytes = hex::decode(hex_text).unwrap();
    let mut reader = Reader::new(&bytes);
    let content = Content::read(FORM, &mut reader).unwrap();
    assert!(reader.is_empty());
    assert_eq!(hex::encode(content.to_bytes(FORM).unwrap()), hex_text);
    let json = content.to_json(FORM).unwrap();
    assert_eq!(Content::from_json(&json, FORM).unwrap(), content);
    content
}

fn check_hash(content: Content, branch: &str, signature: &str, hash: &str) {
    let signed = SignedOperation {
        operation: Operation {
            branch: branch.parse().unwrap(),
            contents: vec![content],
        },
        signature: signature.parse().unwrap(),
    };
    let expected: OperationHash = hash.parse().unwrap();
    assert_eq!(signed.hash(FORM).unwrap(), expected);
    let bytes = signed.to_bytes(FORM).unwrap();
    assert_eq!(
        SignedOperation::from_bytes(FORM, &bytes),
        Ok(signed.clone())
    );
    let json = signed.to_json(FORM).unwrap();
    assert_eq!(SignedOperation::from_json(&json, FORM), Ok(signed));
}

#[test]
fn operations_of_public_networks_have_their_bytes_and_hashes() {
    check_bytes(
        "ca00e7670f32038107a59a2b9cfefae36ea21f5aa63cd2099506d00f0afceda8e679c698b26b5f6772411955354a81a05c",
    );
    let ones = "11".repeat(32);
    let zeros = "00".repeat(32);
    check_bytes(&format!(
        "cb03ae7b7d713977a27ec643969f0c2e665ba9ad9aa1a01f3de8200027b7e1d8fb4292cca7b57c065ac9f210fcf22501{ones}0000002a{zeros}00000000499602d2"
    ));
    check_hash(
        check_bytes(
            "cc00385e05454e77b6ab69d89da0bf4d8593c5cabfb0af07aac301dd2f00486487baf14f36243c60a3329b019195a550c78b006aab1b141051b5a7c1b27c8bb5dcaa6495655c8300f628e18ff94472fb09154c9f736517f2bf55353ef4a1d7dc2e6e3183565918442f0e94b0683b568372f957ccbd41b91e2f906d3980f629b9c6283ee77ef49b17",
        ),
        "BMJcT8gh5PgoTvjWi6SQSUGn7gbx3Bb2rSKcdJQKB9PbzpS7FvH",
        "sigg9W1bDVuvKgs7WDq9Q4wKp2oTtMwWsm1tt7khCYYCa4PZ3fvsWUWktuAR8SyTzmywKmBWX752VcDb28JzHUmYJ7De94Kt",
        "opUUHJwTXLDe2jMwvTWtC3bwoEQukhBjdPiYa5Ri1qBo7TiYJpq",
    );
    check_hash(
        check_bytes(
            "cd0057dd2a86c6450ee6a219b3b0968a69f4840cbe9cf105a5b401a72400cb32a218fab3971a1068b79eb2ba7820b3c8e8190057dd2a86c6450ee6a219b3b0968a69f4840cbe9c00f815d7e8e509fc39a9d2d89528e851e131fa6f15",
        ),
        "BLpiGot997JRMKyrYoP8MmjVMWHHXMiLj17gue86uNaRnip8jux",
        "sigN53ibLsMQAnkeE7EQZY9ZFkiBgtdsLKtsPdswdvGHU4kPAMh3Arz2fFDGKT3EyKHuYy5G9T6pJtTdfkRuWpN2fgvmH1Pr",
        "opZMSbsYYSL1tMKYxgPoDvtaehAt24PSbwuNeQo8ry52KpWwzqa",
    );
    check_hash(
        check_bytes(
            "cf00ad80f1541aaa1fea5e6df12ba3aefd0534e0800cc0843dc4c401b01f005d5afdd7b73c015631fc966b67e36494af181a1700ad80f1541aaa1fea5e6df12ba3aefd0534e0800c",
        ),
        "BL5EYnuHPXMTq9s1HR8CcFWkgNHCvoZyVQCU2H2DjSudr6GXgXf",
        "sigPbtnebwMZD1CZUEfFnhcjGuhyLhX2WPEFvQEFKaD6DKeYjMSBD6pc4UkR4zkAw5KdifSH7QdJ7wg9CmsruSi9cUGvqEap",
        "opWkyTZEwh5929VqXC4BZgrBSRQ7JvomNTv71rdkx1QAiRLpYAu",
    );
}

#[test]
fn operations_of_public_networks_given_as_json_have_their_hashes() {
    check_hash(
        content(serde_json::json!({
            "kind": "smart_rollup_publish", "source": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4", "fee": "964",
            "counter": "41266", "gas_limit": "6418", "storage_limit": "0",
            "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN",
            "commitment": {
                "compressed_state": "srs13FywcbcZV9VvHxdVkYK83Ch4477cqHMgM8d5oT955yf4XXMvKS", "inbox_level": 197151,
                "predecessor": "src12i7dL2z9VbgshFDdGFP5TPBoJu6WnZNWJXGa1QQgPTErVPPtd8", "number_of_ticks": "880000000000"
            }
        })),
        "BM8ZBBpLnURFuRB1Wd6s7Z6iN3LiddUkKM4vsTS3LgqSmFMtCLE",
        "sigiYrQFjQLnYe94Vc9VH1jGEkfSAsBGkZzBVL8jLgBK88vhbLM6fBD2x24wBhBdN718WRRTSMBqCGR7Zp9Z5eDmDotgGaTu",
        "opaTRLSsdqtd8APeDHqU3BxvqYDg4Lor3roR2cdh3V3Hv1VXucm",
    );
    check_hash(
        content(serde_json::json!({
            "kind": "smart_rollup_add_messages", "source": "tz2Q3yRaczTqZVf3ZQvwiiTqKjhJFyDzeRSz", "fee": "398",
            "counter": "12191", "gas_limit": "1103", "storage_limit": "0",
            "message": ["0000000031010000000b48656c6c6f20776f726c6401cc9e352a850d7475bf9b6cf103aa17ca404bc9dd000000000764656661756c74"]
        })),
        "BL7USLDrUeuMzDUX6PdxuCbhngMYCcnmy9WFuotiVRmdBftZeDv",
        "sigSUjvKxjAZ4dBWbo4idKKwFDVfLtYscMMqHoQY8KgyghtyaswECPaBhjK921vj2uEsdKD7WJTeVVT1ZDcvwp8rkRuEW9kv",
        "op3GFxBQArsgC3eHjEiw4Qp31jHrprKfftcgwibKAwnANpzWncG",
    );
}

/// Tags, lengths and names of `sc_rollup_proof_repr.ml`, `sc_rollup_game_repr.ml` and, for pages,
/// `dal_slot_repr.ml`: of raw data alone the length has two bytes.
#[test]
fn reveal_proofs_have_the_bytes_and_names_of_the_protocol() {
    let reveal =
        |proof| serde_json::json!({ "input_proof_kind": "reveal_proof", "reveal_proof": proof });
    let raw = serde_json::json!({ "reveal_proof_kind": "raw_data_proof", "raw_data": "00ff10" });
    let page = serde_json::json!({
        "reveal_proof_kind": "dal_page_proof",
        "dal_page_id": { "published_level": 258, "slot_index": 31, "page_index": 63 },
        "dal_proof": "c0ffee"
    });
    let metadata = serde_json::json!({ "reveal_proof_kind": "metadata_proof" });
    let parameters = serde_json::json!({ "reveal_proof_kind": "dal_parameters_proof" });
    let inbox = serde_json::json!({
        "input_proof_kind": "inbox_proof", "level": 7, "message_counter": "300",
        "serialized_proof": "0102"
    });
    let first = serde_json::json!({ "input_proof_kind": "first_input" });
    for (input, bytes) in [
        (reveal(raw), "0100000300ff10"),
        (reveal(metadata), "0101"),
        (reveal(page), "0102000001021f003f00000003c0ffee"),
        (reveal(parameters), "0103"),
        (inbox, "0000000007ac02000000020102"),
        (first, "02"),
    ] {
        let json = serde_json::json!({
            "kind": "smart_rollup_refute", "source": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4",
            "fee": "1", "counter": "2", "gas_limit": "3", "storage_limit": "0",
            "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN",
            "opponent": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4",
            "refutation": {
                "refutation_kind": "move", "choice": "5",
                "step": { "pvm_step": "abcd", "input_proof": input }
            }
        });
        let content = content(json.clone());
        assert_eq!(content.to_json(FORM).unwrap(), json);
        let forged = hex::encode(content.to_bytes(FORM).unwrap());
        let end = format!("01050100000002abcdff{bytes}");
        assert!(forged.ends_with(&end), "{forged} does not end with {end}");
        check_bytes(&forged);
    }
    let long =
        serde_json::json!({ "reveal_proof_kind": "raw_data_proof", "raw_data": "00".repeat(4097) });
    let json = serde_json::json!({
        "kind": "smart_rollup_refute", "source": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4",
        "fee": "1", "counter": "2", "gas_limit": "3", "storage_limit": "0",
        "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN",
        "opponent": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4",
        "refutation": {
            "refutation_kind": "move", "choice": "5",
            "step": { "pvm_step": "abcd", "input_proof": reveal(long) }
        }
    });
    assert!(Content::from_json(&json, FORM).is_err());
}

#[test]
fn a_bls_signature_stands_behind_its_mark() {
    let signed = SignedOperation {
        operation: Operation {
            branch: crate::protocol::BlockHash([7; 32]),
            contents: vec![],
        },
        signature: Signature::Bls([9; 96]),
    };
    let bytes = signed.to_bytes(FORM).unwrap();
    assert_eq!(bytes.len(), SignedOperation::overhead(&signed.signature));
    assert_eq!(bytes.get(32..34), Some([0xff, 0x03].as_slice()));
    assert_eq!(SignedOperation::from_bytes(FORM, &bytes), Ok(signed));
}

#[test]
fn forms_refuse_what_they_have_no_place_for() {
    let cement = content(serde_json::json!({
        "kind": "smart_rollup_cement", "source": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4", "fee": "1", "counter": "2",
        "gas_limit": "3", "storage_limit": "0", "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN"
    }));
    let refused = cement.to_bytes(Form::Modern(Protocol::Mumbai)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "mumbai_016 requires the commitment of a smart_rollup_cement"
    );
}

#[test]
fn the_older_dialect_names_and_shapes_differ() {
    let start = Content {
        action: Action::Refute {
            rollup: RollupAddress([1; 20]),
            opponent: PublicKeyHash::Tz1([2; 20]),
            refutation: Refutation::StartOnConflict,
        },
        source: PublicKeyHash::Tz1([3; 20]),
        fee: Mutez(1),
        counter: Counter(2),
        gas_limit: Gas(3),
        storage_limit: StorageBytes(0),
    };
    let json = start.to_json(Form::Scr1).unwrap();
    assert_eq!(json["kind"], "sc_rollup_refute");
    assert!(json["rollup"].as_str().unwrap().starts_with("scr1"));
    assert!(json.get("refutation").is_none());
    assert_eq!(Content::from_json(&json, Form::Scr1), Ok(start.clone()));
    let bytes = start.to_bytes(Form::Scr1).unwrap();
    assert_eq!(bytes.last(), Some(&0));
    assert_eq!(
        Content::read(Form::Scr1, &mut Reader::new(&bytes)),
        Ok(start)
    );
}

fn transaction(amount: &str, parameters: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "kind": "transaction", "source": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4", "fee": "1",
        "counter": "2", "gas_limit": "3", "storage_limit": "0", "amount": amount,
        "destination": "tz1gCe1sFpppbGGVwCt5jLRqDS9FD1W4Qca4", "parameters": parameters,
    })
}

#[test]
fn parameters_that_say_nothing_are_forgotten() {
    let unit = serde_json::json!({"prim": "Unit"});
    let nothing = serde_json::json!({"entrypoint": "default", "value": unit});
    let plain = content(transaction("5", nothing));
    assert!(matches!(
        plain.action,
        Action::Transaction {
            parameters: None,
            ..
        }
    ));
    let other = serde_json::json!({"entrypoint": "root", "value": unit});
    let said = content(transaction("5", other));
    assert_eq!(
        said.to_json(FORM).unwrap()["parameters"]["entrypoint"],
        "root"
    );
    // Bytes may spell them out: they are kept, for the hash, but not what is to be signed.
    let of = |content: &Content| Operation {
        branch: crate::protocol::BlockHash([7; 32]),
        contents: vec![content.clone()],
    };
    let mut bytes = of(&plain).to_bytes(FORM).unwrap();
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend([0xff, 0, 0, 0, 0, 2, 3, 11]);
    let spelled = Operation::from_bytes(FORM, &bytes).unwrap();
    assert_eq!(spelled.to_bytes(FORM).unwrap(), bytes);
    assert_eq!(spelled.to_sign(FORM), of(&plain).to_sign(FORM));
    assert_eq!(spelled.size(FORM), of(&plain).size(FORM));
    assert_eq!(spelled.to_json(FORM), of(&plain).to_json(FORM));
}

/// A name may be spelled out although it has a tag, and be of anything; none is the usual one.
#[test]
fn entrypoints_are_read_as_the_protocol_reads_them() {
    let unit = serde_json::json!({"prim": "Unit"});
    let named = |name: &str| {
        let parameters = serde_json::json!({"entrypoint": name, "value": unit});
        content(transaction("5", parameters))
    };
    for (spelled, name) in [("root", "root"), ("a-b c", "a-b c"), ("", "default")] {
        let mut bytes = named("remove_me").to_bytes(FORM).unwrap();
        let end = bytes.len() - b"\x09remove_me\0\0\0\x02\x03\x0b".len();
        bytes.truncate(end);
        bytes.push(spelled.len() as u8);
        bytes.extend(spelled.bytes());
        bytes.extend([0, 0, 0, 2, 3, 11]);
        let read = Content::read(FORM, &mut Reader::new(&bytes)).unwrap();
        let Action::Transaction { parameters, .. } = &read.action else {
            panic!("{read:?}");
        };
        assert_eq!(parameters.as_ref().unwrap().entrypoint.name(), name);
    }
    assert!("a".repeat(32).parse::<Entrypoint>().is_err());
    assert!(
        Content::from_json(
            &transaction(
                "5",
                serde_json::json!({
                    "entrypoint": "a".repeat(32), "value": unit,
                })
            ),
            FORM
        )
        .is_err()
    );
}

#[test]
fn amounts_and_lists_end_where_the_protocols_do() {
    let null = serde_json::Value::Null;
    let most = content(transaction("9223372036854775807", null.clone()));
    check_bytes(&hex::encode(most.to_bytes(FORM).unwrap()));
    let over = transaction("9223372036854775808", null);
    assert!(Content::from_json(&over, FORM).is_err());
    let mut over = most;
    if let Action::Transaction { amount, .. } = &mut over.action {
        *amount = Mutez(1 << 63);
    }
    let bytes = over.to_bytes(FORM).unwrap();
    assert!(Content::read(FORM, &mut Reader::new(&bytes)).is_err());
    for (members, is_read) in [(194, true), (195, false)] {
        let origination = Origination {
            pvm: PvmKind::Wasm,
            kernel: Vec::new(),
            origination_proof: None,
            parameters_type: Micheline::unit(),
            whitelist: Some(vec![PublicKeyHash::Tz1([3; 20]); members]),
        };
        let mut content = over.clone();
        content.action = Action::Originate(Box::new(origination));
        let bytes = content.to_bytes(FORM).unwrap();
        let read = Content::read(FORM, &mut Reader::new(&bytes));
        assert_eq!(read.is_ok(), is_read, "{members}");
    }
}

pub(crate) fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![
        proptest::sample::select(&Protocol::ALL[..]).prop_map(Form::Modern),
        Just(Form::Scr1)
    ]
}

proptest! {
    /// The first byte is a known tag, so that decoding gets past it.
    #[test]
    fn arbitrary_contents_are_read_or_refused(
        form in any_form(), kind in proptest::sample::select(&Kind::ALL[..]), small: [u8; 25], rest: Vec<u8>,
    ) {
        let mut bytes = vec![kind.tag(), 0];
        bytes.extend(small.map(|byte| byte & 0x7f));
        bytes.extend(rest);
        let mut reader = Reader::new(&bytes);
        if let Ok(content) = Content::read(form, &mut reader) {
            let again = content.to_bytes(form).unwrap();
            prop_assert_eq!(Content::read(form, &mut Reader::new(&again)), Ok(content.clone()));
            let json = content.to_json(form).unwrap();
            let mut understood = content;
            if let Action::Transaction { parameters, .. } = &mut understood.action {
                parameters.take_if(|said| said.say_nothing());
            }
            prop_assert_eq!(Content::from_json(&json, form), Ok(understood));
        }
    }

    #[test]
    fn arbitrary_operations_are_read_or_refused(form in any_form(), bytes: Vec<u8>) {
        let _ = SignedOperation::from_bytes(form, &bytes);
        let _ = Operation::from_bytes(form, &bytes);
    }
}
