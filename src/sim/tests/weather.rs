//! Time and weather: what befalls operations, blocks and endpoints.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::http::{HEAD, client, get, post, served};
use super::{claim, short, with_rollup};
use crate::protocol::operation::Action;
use crate::protocol::{Level, Protocol, StateHash};
use crate::sim::acts::{Act, Deed};
use crate::sim::scenario::{Event, Scenario};
use crate::sim::server::{Options, Shared, serve};
use crate::sim::weather::{Carriage, Weather, WrongGames};

/// Operations in the newest blocks after each of four accounts has sent one, by block and sender.
fn carried(carriage: Carriage, blocks: u32) -> Vec<Vec<u32>> {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.chain_mut().carry(carriage);
    for by in 1..=4 {
        scenario.act(&Act::messages(by, &[b"hello"])).unwrap();
    }
    (0..blocks)
        .map(|_| {
            scenario.advance().unwrap();
            let head = scenario.chain().head();
            let sources = head.operations.iter();
            let sources = sources.map(|included| included.signed.operation.contents[0].source);
            let sender = |source| {
                let mut people = 0..10;
                people.find(|nth| scenario.person(*nth).unwrap().account() == source)
            };
            sources.filter_map(sender).collect()
        })
        .collect()
}

#[test]
fn operations_are_lost_delayed_reordered_and_duplicated() {
    let plain = Carriage::default();
    assert_eq!(carried(plain, 1), [[1, 2, 3, 4]]);
    let lossy = Carriage {
        loses_every: Some(3),
        ..plain
    };
    assert_eq!(carried(lossy, 1), [[1, 2, 4]]);
    let slow = Carriage { delay: 2, ..plain };
    assert_eq!(carried(slow, 3), [vec![], vec![], vec![1, 2, 3, 4]]);
    let reversed = Carriage {
        reversed: true,
        ..plain
    };
    assert_eq!(carried(reversed, 1), [[4, 3, 2, 1]]);
    let twice = Carriage {
        duplicates: true,
        ..plain
    };
    assert_eq!(carried(twice, 2), [vec![1, 2, 3, 4], vec![]]);
    let dear = Carriage {
        price: 100,
        ..plain
    };
    assert_eq!(carried(dear, 2), [[0; 0]; 2]);
}

#[test]
fn money_comes_and_goes_when_told() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let owner = scenario.person(1).unwrap().account();
    let owner = crate::protocol::operation::Contract::Implicit(owner);
    let event = |scenario: &mut Scenario, event| {
        let next = scenario.chain().level().next().unwrap();
        scenario.expect(next, event);
        scenario.advance().unwrap();
        scenario.chain().context().ledger.balance(owner).0
    };
    // Even in the place of what the account has waiting.
    scenario.act(&Act::messages(1, &[b"hello"])).unwrap();
    let spend = Event::Spend {
        account: 1,
        leaves: 300,
    };
    assert_eq!(event(&mut scenario, spend), 300);
    let earn = Event::Earn {
        account: 1,
        mutez: 5_000,
    };
    assert_eq!(event(&mut scenario, earn), 5_300);
}

#[test]
fn a_head_goes_back_to_the_branch_that_was_left() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(6)).unwrap();
    let old = scenario.chain().head().hash;
    let chain = scenario.chain_mut();
    chain.switch_back().unwrap();
    assert_eq!(chain.head().hash, old, "there is no other branch");
    chain
        .reorganise(2, 3, crate::sim::Abandoned::Returned)
        .unwrap();
    let new = chain.head().hash;
    chain.switch_back().unwrap();
    assert_eq!(chain.head().hash, old);
    chain.switch_back().unwrap();
    assert_eq!(chain.head().hash, new);
    let heads: Vec<_> = chain.heads().iter().rev().map(|head| head.hash).collect();
    assert_eq!(heads[..3], [new, old, new]);
}

#[tokio::test]
async fn an_endpoint_stalls_and_says_heads_twice() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (shared, endpoint) = served(scenario).await;
    let good = serve(shared.clone(), Options::local()).await.unwrap();
    endpoint.change_weather(|weather| weather.stalls_every = Some(2));
    let path = format!("{HEAD}/hash");
    let answered = get(&endpoint, &path).await;
    let request = client().get(format!("{}{path}", endpoint.url()));
    let stalled = tokio::spawn(request.send());
    // What stalls holds nobody else up, and ends with the endpoint, without an answer.
    assert_eq!(get(&good, &path).await, answered);
    endpoint.stop();
    let told = stalled.await.unwrap();
    assert!(told.map_or(true, |answer| answer.status() == 503));
    let repeats = Weather {
        repeats_heads: true,
        ..Weather::default()
    };
    let options = Options {
        weather: repeats,
        ..Options::local()
    };
    let endpoint = serve(shared.clone(), options).await.unwrap();
    let url = format!("{}/monitor/heads/main", endpoint.url());
    let mut stream = client().get(url).send().await.unwrap().bytes_stream();
    shared.with(|scenario| scenario.advance().unwrap());
    let mut text = Vec::new();
    let mut levels: Vec<Value> = Vec::new();
    while levels.len() < 3 {
        text.extend(stream.next().await.unwrap().unwrap());
        let whole = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
        let heads = whole.filter_map(Result::ok);
        levels = heads.map(|head| head["level"].clone()).collect();
    }
    assert_eq!(levels, [2, 3, 3]);
}

#[tokio::test]
async fn an_endpoint_cuts_streams_keeps_silent_and_loses_what_it_took() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (shared, endpoint) = served(scenario).await;
    let heads = async |weather: Weather, stops: bool| {
        let options = Options {
            weather,
            ..Options::local()
        };
        let endpoint = serve(shared.clone(), options).await.unwrap();
        let url = format!("{}/monitor/heads/main", endpoint.url());
        let mut stream = client().get(url).send().await.unwrap().bytes_stream();
        for _ in 0..3 {
            shared.with(|scenario| scenario.advance().unwrap());
        }
        if stops {
            endpoint.stop();
        }
        let mut told = Vec::new();
        while let Some(Ok(part)) = stream.next().await {
            told.extend(part);
        }
        told.iter().filter(|byte| **byte == b'\n').count()
    };
    let cut = Weather {
        cut_stream_after: Some(2),
        ..Weather::default()
    };
    assert_eq!(heads(cut, false).await, 2);
    let silent = Weather {
        silent_stream: true,
        ..Weather::default()
    };
    assert_eq!(heads(silent, true).await, 0);
    endpoint.change_weather(|weather| {
        weather.unsynced = true;
        weather.loses_operations = true;
    });
    let synced = get(&endpoint, "/chains/main/is_bootstrapped").await;
    assert_eq!(
        synced,
        json!({"bootstrapped": false, "sync_state": "unsynced"})
    );
    let operation = shared.with(|scenario| {
        let messages = vec![b"lost".to_vec()];
        scenario.sign(1, vec![Action::AddMessages { messages }])
    });
    let operation = hex::encode(operation.unwrap()).into();
    let (status, hash) = post(&endpoint, "/injection/operation", &operation).await;
    assert!(status == 200 && hash.as_str().unwrap().starts_with('o'));
    let waiting = |shared: &Shared| shared.with_chain(|chain| chain.mempool().waiting().len());
    assert_eq!(waiting(&shared), 0);
    endpoint.change_weather(|weather| weather.loses_operations = false);
    let (_, again) = post(&endpoint, "/injection/operation", &operation).await;
    assert_eq!((again, waiting(&shared)), (hash, 1));
}

#[tokio::test]
async fn a_malicious_endpoint_shows_other_games() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(12)).unwrap();
    let root = scenario.chain().context().rollup(&rollup).unwrap().genesis;
    let claims = [claim(root, 12, 1), claim(root, 12, 2)];
    for (by, commitment) in (1..).zip(claims) {
        let publish = Deed::Publish { rollup, commitment };
        scenario.act(&Act::one(by, publish)).unwrap();
    }
    scenario.advance_to(Level::new(22)).unwrap();
    let [one, other] = [1, 2].map(|by| scenario.person(by).unwrap().account());
    let open = Deed::OpenGame {
        rollup,
        opponent: other,
        ours: claims[0].hash(),
        theirs: claims[1].hash(),
    };
    scenario.act(&Act::one(1, open)).unwrap();
    scenario.advance().unwrap();
    let (_, endpoint) = served(scenario).await;
    let path = format!("{HEAD}/context/smart_rollups/smart_rollup/{rollup}/staker/{one}/games");
    let mut shown = Vec::new();
    for wrong in [
        None,
        Some(WrongGames::Undisputed),
        Some(WrongGames::Contradictory),
    ] {
        endpoint.change_weather(|weather| weather.wrong_games = wrong);
        let games = get(&endpoint, &path).await;
        shown.push(games[0]["game"]["game_state"]["dissection"].clone());
    }
    for (wrong, of) in [
        (WrongGames::Hidden, "games"),
        (WrongGames::Deserted, "stakers"),
    ] {
        endpoint.change_weather(|weather| weather.wrong_games = Some(wrong));
        let leaf = match of {
            "games" => path.clone(),
            of => format!("{HEAD}/context/smart_rollups/smart_rollup/{rollup}/{of}"),
        };
        assert_eq!(get(&endpoint, &leaf).await, json!([]));
    }
    endpoint.change_weather(|weather| weather.wrong_games = Some(WrongGames::Final));
    let last = get(&endpoint, &path).await[0]["game"].clone();
    assert_eq!(last["game_state"]["kind"], "Final_move");
    let seat = if one < other { "bob" } else { "alice" };
    assert_eq!(last["turn"], seat);
    let [truth, undisputed, contradictory] = shown.try_into().unwrap();
    let states = |dissection: &Value| {
        let chunks = dissection.as_array().unwrap();
        let state = |chunk: &Value| chunk["state"].clone();
        (
            state(chunks.first().unwrap()),
            chunks[1..].iter().map(state).collect::<Vec<_>>(),
        )
    };
    let (start, ends) = states(&truth);
    assert_eq!(ends[0], StateHash([2; 32]).to_string());
    assert_eq!(states(&undisputed).0, start);
    assert_eq!(states(&undisputed).1, [StateHash([1; 32]).to_string()]);
    assert_eq!(states(&contradictory).1, ends);
    assert_ne!(states(&contradictory).0, start);
}

/// Data of plain types is packed; nobody interprets Michelson here.
#[tokio::test]
async fn scripts_are_packed_and_never_run() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let address = json!({"string": format!("{}%go", scenario.relay())});
    let (_, endpoint) = served(scenario).await;
    let path = |leaf: &str| format!("{HEAD}/helpers/scripts/{leaf}");
    let plain = |prim: &str| json!({"prim": prim});
    let pair = json!({"prim": "pair", "args": [plain("int"), plain("string"), plain("bool")]});
    let comb = json!([{"int": "1"}, {"string": "a"}, {"prim": "True"}]);
    for (of_type, data, packed) in [
        (plain("nat"), json!({"int": "1"}), "050001"),
        (plain("int"), json!({"int": "-64"}), "0500c001"),
        (plain("unit"), json!({"prim": "Unit"}), "05030b"),
        (pair, comb, "0507070001070701000000016103 0a"),
        (
            json!({"prim": "option", "args": [{"prim": "list", "args": [plain("bytes")]}]}),
            json!({"prim": "Some", "args": [[{"bytes": "00"}]]}),
            "050509020000000 60a0000000100",
        ),
    ] {
        let body = json!({"data": data, "type": of_type});
        let (status, answer) = post(&endpoint, &path("pack_data"), &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["packed"], packed.replace(' ', ""), "{of_type}");
        assert_eq!(answer["gas"], "unaccounted");
    }
    let body = json!({"data": address, "type": plain("address")});
    let (_, answer) = post(&endpoint, &path("pack_data"), &body).await;
    let text = answer["packed"].as_str().unwrap();
    assert!(
        text.starts_with("050a0000001801") && text.ends_with("00676f"),
        "{text}"
    );
    for (leaf, body) in [
        ("run_code", json!({})),
        (
            "pack_data",
            json!({"data": {"int": "-1"}, "type": plain("nat")}),
        ),
        ("pack_data", json!({"data": [], "type": {"prim": "lambda"}})),
    ] {
        let (status, errors) = post(&endpoint, &path(leaf), &body).await;
        assert_eq!(status, 500, "{leaf}");
        assert_eq!(
            errors[0]["id"],
            "proto.025-PsUshuai.simulated_chain.not_supported"
        );
    }
    assert_eq!(post(&endpoint, &path("nonsense"), &json!({})).await.0, 404);
    assert_eq!(post(&endpoint, &path("pack_data"), &json!({})).await.0, 400);
}
