use proptest::prelude::*;
use serde_json::json;

use super::micheline::Node;
use super::{Integer, Micheline, Primitive, Reader};

fn check(json: serde_json::Value, bytes: &str) {
    let expression = Micheline::from_json(&json).unwrap();
    assert_eq!(hex::encode(expression.to_bytes()), bytes);
    let encoded = hex::decode(bytes).unwrap();
    let mut reader = Reader::new(&encoded);
    assert_eq!(Micheline::read(&mut reader), Ok(expression.clone()));
    assert!(reader.is_empty());
    assert_eq!(expression.to_json(), json);
}

#[test]
fn each_shape_has_its_bytes() {
    check(json!({"prim": "Unit"}), "030b");
    check(json!({"int": "-5"}), "0045");
    check(json!({"string": "a"}), "010000000161");
    check(json!({"bytes": "00ff"}), "0a0000000200ff");
    check(json!([]), "0200000000");
    check(json!([{"int": "1"}, []]), "020000000700010200000000");
    check(
        json!({"prim": "bytes", "annots": [":a", "%b"]}),
        "0469000000053a61202562",
    );
    check(json!({"prim": "Some", "args": [{"int": "0"}]}), "05090000");
    check(
        json!({"prim": "list", "args": [{"prim": "nat"}], "annots": ["%x"]}),
        "065f0362000000022578",
    );
}

#[test]
fn nesting_costs_no_stack() {
    let depth = 200_000;
    let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let expression = Micheline::from_json_text(&text).unwrap();
    let bytes = expression.to_bytes();
    assert_eq!(bytes.len(), depth * 5);
    assert_eq!(Micheline::read(&mut Reader::new(&bytes)), Ok(expression));
}

#[test]
fn a_child_may_not_leave_its_sequence() {
    let bytes = hex::decode("02000000030100000001610b").unwrap();
    assert!(Micheline::read(&mut Reader::new(&bytes)).is_err());
}

fn expression() -> impl Strategy<Value = Micheline> {
    let annots = proptest::collection::vec("[:%@][a-z]{0,5}", 0..3);
    let leaf = prop_oneof![
        any::<i64>().prop_map(|value| Micheline::int(Integer::from(value))),
        "[ -~]{0,9}".prop_map(|text| Micheline::string(&text)),
        any::<Vec<u8>>().prop_map(|bytes| Micheline::bytes(&bytes)),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let items = proptest::collection::vec(inner, 0..5);
        prop_oneof![
            items.clone().prop_map(Micheline::seq),
            (0_u8..150, items, annots.clone()).prop_map(|(tag, args, annots)| {
                let mut whole = Micheline::prim(Primitive::of_tag(tag).unwrap(), args);
                if let Some(Node::Prim { annots: place, .. }) = whole.nodes.first_mut() {
                    *place = annots;
                }
                whole
            }),
        ]
    })
}

proptest! {
    #[test]
    fn expressions_round_trip(expression in expression()) {
        let bytes = expression.to_bytes();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(Micheline::read(&mut reader), Ok(expression.clone()));
        prop_assert!(reader.is_empty());
        let text = serde_json::to_string(&expression).unwrap();
        prop_assert_eq!(serde_json::from_str::<Micheline>(&text).unwrap(), expression.clone());
        let value = serde_json::to_value(&expression).unwrap();
        prop_assert_eq!(serde_json::from_value::<Micheline>(value).unwrap(), expression);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Micheline::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn arbitrary_text_is_read_or_refused(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let _ = Micheline::from_json_text(&text);
    }
}
