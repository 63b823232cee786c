//! The remote signer over HTTP, against a small signer of our own; the key file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::remote::request_to_sign;
use super::*;
use crate::crypto::{BlsSuite, Curve, PublicKey, SecretKey, Signature};
use crate::protocol::PublicKeyHash;

fn secret(curve: Curve, seed: u8) -> SecretKey {
    let mut bytes = [seed; 32];
    bytes[31] = 1;
    SecretKey::from_bytes(curve, &bytes).unwrap()
}

/// A signer of one key. It checks requests as the reference signer does.
struct Signer {
    key: SecretKey,
    authorized: Vec<PublicKey>,
    /// Signs something else, as a broken or hostile one would.
    lies: bool,
    requests: Mutex<Vec<BTreeMap<String, String>>>,
}

type Answer = (StatusCode, Json<Value>);

fn failure(message: &str) -> Answer {
    let error = json!([{"kind": "temporary", "id": "failure", "msg": message}]);
    (StatusCode::INTERNAL_SERVER_ERROR, Json(error))
}

async fn authorized_keys(State(signer): State<Arc<Signer>>) -> Json<Value> {
    if signer.authorized.is_empty() {
        return Json(json!({}));
    }
    let keys = signer.authorized.iter().map(PublicKeyHash::of_key);
    Json(json!({ "authorized_keys": keys.map(|key| key.to_string()).collect::<Vec<_>>() }))
}

async fn public_key(State(signer): State<Arc<Signer>>, Path(account): Path<String>) -> Answer {
    if PublicKeyHash::of_key(signer.key.public()).to_string() != account {
        return (StatusCode::NOT_FOUND, Json(Value::Null));
    }
    let key = signer.key.public().to_string();
    (StatusCode::OK, Json(json!({ "public_key": key })))
}

async fn sign(
    State(signer): State<Arc<Signer>>,
    Path(account): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(body): Json<String>,
) -> Answer {
    signer.requests.lock().unwrap().push(query.clone());
    let account: PublicKeyHash = account.parse().unwrap();
    let data = hex::decode(body).unwrap();
    if data.first() != Some(&0x03) {
        return failure("magic byte not allowed");
    }
    if !signer.authorized.is_empty() {
        let Some(text) = query.get("authentication") else {
            return failure("missing authentication signature field");
        };
        let signature: Signature = text.parse().unwrap();
        let request = request_to_sign(account, &data);
        let suite = BlsSuite::ProofOfPossession;
        let is_vouched = |key: &PublicKey| key.verifies(&request, &signature, suite);
        if !signer.authorized.iter().any(is_vouched) {
            return failure("invalid authentication signature");
        }
    }
    let suite = match query.get("version").map(String::as_str) {
        Some("1") => BlsSuite::Augmented,
        _ => BlsSuite::ProofOfPossession,
    };
    let data = if signer.lies {
        b"another".to_vec()
    } else {
        data
    };
    let signature = signer.key.sign(&data, suite).unwrap();
    (
        StatusCode::OK,
        Json(json!({ "signature": signature.to_string() })),
    )
}

async fn possession(State(signer): State<Arc<Signer>>) -> Json<Value> {
    let proof = signer.key.prove_possession().unwrap();
    Json(json!({ "bls_prove_possession": proof.to_string() }))
}

async fn served(signer: Signer) -> (Arc<Signer>, String) {
    let signer = Arc::new(signer);
    let router = Router::new()
        .route("/deep/authorized_keys", get(authorized_keys))
        .route("/deep/keys/{account}", get(public_key).post(sign))
        .route("/deep/bls_prove_possession/{account}", get(possession))
        .with_state(Arc::clone(&signer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/deep/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (signer, url)
}

fn signer(key: SecretKey, authorized: Vec<PublicKey>) -> Signer {
    Signer {
        key,
        authorized,
        lies: false,
        requests: Mutex::default(),
    }
}

/// `04 01`, the tagged account, the data: as `signer_messages.ml` concatenates them.
#[test]
fn an_authenticated_request_is_made_of_tags_account_and_data() {
    let account = PublicKeyHash::Tz2([0xab; 20]);
    let expected = format!("040101{}{}", "ab".repeat(20), "0399");
    assert_eq!(hex::encode(request_to_sign(account, &[3, 0x99])), expected);
}

#[tokio::test]
async fn every_curve_signs_remotely_and_the_suite_is_named_for_bls() {
    for curve in Curve::ALL {
        let (served, url) = served(signer(secret(curve, 7), Vec::new())).await;
        let account = PublicKeyHash::of_key(served.key.public());
        let key = Key::remote(Remote::new(&url, account, None).unwrap())
            .await
            .unwrap();
        assert_eq!(key.public(), served.key.public());
        for suite in [BlsSuite::Augmented, BlsSuite::ProofOfPossession] {
            let signature = key.sign(b"\x03bytes", suite).await.unwrap();
            assert!(
                key.public().verifies(b"\x03bytes", &signature, suite),
                "{curve:?}"
            );
        }
        let proof = key.prove_possession().await.unwrap();
        assert_eq!(proof.is_some(), curve == Curve::Bls);
        let versions: Vec<_> = served
            .requests
            .lock()
            .unwrap()
            .iter()
            .map(|query| query.get("version").cloned())
            .collect();
        let named = |version: &str| (curve == Curve::Bls).then(|| version.to_owned());
        assert_eq!(versions, [named("1"), named("2")]);
    }
}

#[tokio::test]
async fn requests_are_authenticated_where_the_signer_wants_it() {
    for curve in Curve::ALL {
        let authority = secret(curve, 9);
        let (served, url) =
            served(signer(secret(Curve::Ed25519, 7), vec![*authority.public()])).await;
        let account = PublicKeyHash::of_key(served.key.public());
        let remote = |key| Remote::new(&url, account, key).unwrap();
        let key = Key::remote(remote(Some(authority))).await.unwrap();
        let suite = BlsSuite::ProofOfPossession;
        let signature = key.sign(b"\x03bytes", suite).await.unwrap();
        assert!(key.public().verifies(b"\x03bytes", &signature, suite));
        for other in [None, Some(secret(Curve::Ed25519, 10))] {
            let key = Key::remote(remote(other)).await.unwrap();
            let error = key.sign(b"\x03bytes", suite).await.unwrap_err();
            assert!(!error.is_transient());
            assert!(
                error.to_string().contains("signer.authentication"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_signer_does_wrong_is_told() {
    let (refusing, url) = served(signer(secret(Curve::Ed25519, 7), Vec::new())).await;
    let account = PublicKeyHash::of_key(refusing.key.public());
    let remote = Remote::new(&url, account, None).unwrap();
    let refused = remote.sign(b"\x11block", BlsSuite::Augmented).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("HTTP 500") && text.contains("magic byte not allowed"),
        "{text}"
    );
    let unknown = Remote::new(&url, PublicKeyHash::Tz1([1; 20]), None).unwrap();
    let error = unknown.public_key().await.unwrap_err();
    assert!(matches!(error, RemoteError::Unknown { .. }), "{error}");
    let away = Remote::new("http://user:secret@127.0.0.1:9", account, None).unwrap();
    let error = away.public_key().await.unwrap_err();
    assert!(
        error.is_transient() && !error.to_string().contains("secret"),
        "{error}"
    );
    assert!(matches!(
        Remote::new("ftp://x", account, None).unwrap_err(),
        RemoteError::BadUrl { .. }
    ));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_never_leaves_the_gate() {
    let lying = Signer {
        lies: true,
        ..signer(secret(Curve::Ed25519, 7), Vec::new())
    };
    let (served, url) = served(lying).await;
    let account = PublicKeyHash::of_key(served.key.public());
    let key = Key::remote(Remote::new(&url, account, None).unwrap())
        .await
        .unwrap();
    let policy = Policy {
        authority: Authority::Defend,
        rollups: [crate::protocol::RollupAddress([1; 20])].into(),
        stake_cap: crate::protocol::Mutez(0),
        fee_cap: crate::protocol::Mutez(10),
        daily_fee_cap: crate::protocol::Mutez(10),
        hourly_cap: 1,
    };
    let mut gate = Gate::new(key, policy, Memory::default(), Brake::default());
    let form = crate::protocol::operation::Form::Modern(crate::protocol::Protocol::Ushuaia);
    let content = crate::protocol::operation::Content {
        source: account,
        fee: crate::protocol::Mutez(1),
        counter: crate::protocol::Counter(1),
        gas_limit: crate::protocol::Gas(1),
        storage_limit: crate::protocol::StorageBytes(0),
        action: crate::protocol::operation::Action::Cement {
            rollup: crate::protocol::RollupAddress([1; 20]),
            commitment: None,
        },
    };
    let operation = crate::protocol::operation::Operation {
        branch: crate::protocol::BlockHash([1; 32]),
        contents: vec![content],
    };
    let moment = Moment {
        now: crate::protocol::Timestamp(0),
        stake: crate::protocol::Mutez(1),
        bonded: Default::default(),
        lost: crate::protocol::Mutez(0),
    };
    let bytes = operation.to_bytes(form).unwrap();
    let admission = gate.admit(&bytes, form, &[None], moment).unwrap();
    let outcome = gate.sign(admission).await;
    assert!(
        matches!(outcome, Err(SignError::Forged { .. })),
        "{outcome:?}"
    );
}

#[test]
fn the_key_file_keeps_secrets_closed_and_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join(KeyStore::FILE);
    let passphrase = Passphrase::new("correct horse".into());
    let mut store = KeyStore::open(&path).unwrap();
    assert!(
        store
            .find(None)
            .unwrap_err()
            .to_string()
            .contains("keys generate")
    );
    let first = secret(Curve::Ed25519, 7);
    store.add("main", &first, &passphrase).unwrap();
    let again = KeyStore::open(&path).unwrap();
    assert_eq!(again, store);
    let opened = again.find(None).unwrap().unlock(&passphrase).unwrap();
    assert_eq!(opened.public(), first.public());
    let wrong = again
        .find(Some("main"))
        .unwrap()
        .unlock(&Passphrase::new("x".into()));
    assert!(matches!(wrong, Err(StoreError::Closed { .. })));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("encrypted:edesk"), "{text}");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert!(matches!(
        store.add("main", &secret(Curve::P256, 7), &passphrase),
        Err(StoreError::Taken(_))
    ));
    assert!(matches!(
        store.add("again", &first, &passphrase),
        Err(StoreError::Known { .. })
    ));
    assert!(matches!(
        store.add("a b", &first, &passphrase),
        Err(StoreError::Name(_))
    ));
    store
        .add("second", &secret(Curve::P256, 7), &passphrase)
        .unwrap();
    assert!(matches!(store.find(None), Err(StoreError::Several { .. })));
    let account = PublicKeyHash::of_key(first.public()).to_string();
    assert_eq!(store.find(Some(&account)).unwrap().name, "main");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        KeyStore::open(&path),
        Err(StoreError::Open { mode: 0o640, .. })
    ));
}

#[test]
fn a_passphrase_file_is_its_first_line_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    std::fs::write(&path, "two words\r\nrest\n").unwrap();
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(matches!(
        Passphrase::from_file(&path),
        Err(PassphraseError::Open { mode: 0o644, .. })
    ));
    mode(0o400);
    let passphrase = Passphrase::from_file(&path).unwrap();
    assert_eq!(passphrase.as_bytes(), b"two words");
    assert_eq!(format!("{passphrase:?}"), "Passphrase");
}

#[test]
fn drawn_keys_are_of_their_curve_and_differ() {
    for curve in Curve::ALL {
        let (one, other) = (draw(curve).unwrap(), draw(curve).unwrap());
        assert_eq!(one.curve(), curve);
        assert_ne!(one.public(), other.public());
    }
}
