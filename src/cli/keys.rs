//! `watchtower keys`: the encrypted key file, and which key would sign.

use serde_json::json;

use super::args::{CurveName, KeysCommand, PassphraseFlags};
use super::exit::{Exit, Failure};
use super::output::{line, runtime};
use crate::config::Config;
use crate::crypto::{Curve, EncryptedKey, SecretKey};
use crate::signer::{Key, KeyStore, Passphrase, Remote, StoredKey, draw};

pub(super) fn run(config: &Config, command: &KeysCommand) -> Result<Exit, Failure> {
    let mut store = KeyStore::open(&config.key_path())?;
    match command {
        KeysCommand::List { json } => list(&store, *json)?,
        KeysCommand::Generate {
            name,
            curve,
            passphrase,
        } => {
            let passphrase = chosen(config, passphrase)?;
            let key = draw(of_name(*curve))?;
            told(store.add(name, &key, &passphrase)?)?;
        }
        KeysCommand::Import {
            name,
            file,
            passphrase,
        } => {
            let text = match file {
                Some(file) => Passphrase::from_file(file)?,
                None => Passphrase::ask("secret key")?,
            };
            let (key, passphrase) = imported(config, text.as_text(), passphrase)?;
            told(store.add(name, &key, &passphrase)?)?;
        }
        KeysCommand::Address { name } => address(config, &store, name.as_deref())?,
    }
    Ok(Exit::Fine)
}

const fn of_name(curve: CurveName) -> Curve {
    match curve {
        CurveName::Ed25519 => Curve::Ed25519,
        CurveName::Secp256k1 => Curve::Secp256k1,
        CurveName::P256 => Curve::P256,
        CurveName::Bls => Curve::Bls,
    }
}

fn list(store: &KeyStore, as_json: bool) -> Result<(), Failure> {
    for key in store.entries() {
        if as_json {
            let (account, public) = (key.account.to_string(), key.public_key.to_string());
            let shown = json!({ "name": key.name, "account": account, "public_key": public });
            line(shown.to_string())?;
        } else {
            told(key)?;
        }
    }
    Ok(())
}

fn told(key: &StoredKey) -> Result<(), Failure> {
    line(format!("{}  {}  {}", key.name, key.account, key.public_key))?;
    Ok(())
}

/// The secret key that the text is, and the passphrase it is kept behind.
fn imported(
    config: &Config,
    text: &str,
    flags: &PassphraseFlags,
) -> Result<(SecretKey, Passphrase), Failure> {
    let text = text.trim();
    let plain = text.strip_prefix("unencrypted:").unwrap_or(text);
    if let Ok(key) = plain.parse::<SecretKey>() {
        return Ok((key, chosen(config, flags)?));
    }
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::said(
            Exit::Configuration,
            format!("cannot import the key: {error}"),
        )
    };
    let sealed: EncryptedKey = text.parse().map_err(|_| {
        wrong(&"neither a secret key (edsk…, spsk…, p2sk…, BLsk…) nor an encrypted one (edesk…, spesk…, p2esk…, BLesk…)")
    })?;
    let passphrase = opening(config, flags)?;
    let key = sealed.open(passphrase.as_bytes()).map_err(|e| wrong(&e))?;
    Ok((key, passphrase))
}

fn passphrase_file<'a>(
    config: &'a Config,
    flags: &'a PassphraseFlags,
) -> Option<&'a std::path::Path> {
    let configured = config.signer.passphrase_file.as_deref();
    flags.passphrase_file.as_deref().or(configured)
}

/// A passphrase for a key that is about to be closed.
fn chosen(config: &Config, flags: &PassphraseFlags) -> Result<Passphrase, Failure> {
    let passphrase = match passphrase_file(config, flags) {
        Some(file) => Passphrase::from_file(file)?,
        None => Passphrase::choose("new passphrase")?,
    };
    if passphrase.as_bytes().is_empty() {
        return Err(Failure::said(
            Exit::Configuration,
            "an empty passphrase protects nothing",
        ));
    }
    Ok(passphrase)
}

/// The passphrase of a key that is closed.
fn opening(config: &Config, flags: &PassphraseFlags) -> Result<Passphrase, Failure> {
    Ok(match passphrase_file(config, flags) {
        Some(file) => Passphrase::from_file(file)?,
        None => Passphrase::ask("passphrase")?,
    })
}

fn address(config: &Config, store: &KeyStore, name: Option<&str>) -> Result<(), Failure> {
    match (name, &config.signer.remote) {
        (None, Some(_)) => {
            let key = runtime()?.block_on(signing_key(config))?;
            line(format!("{}  {}", key.account(), key.place()))?;
        }
        (name, _) => {
            let name = name.or(config.signer.key.as_deref());
            line(store.find(name)?.account.to_string())?;
        }
    }
    Ok(())
}

/// The key that the configuration names, ready to sign: remote, or local and opened.
pub(super) async fn signing_key(config: &Config) -> Result<Key, Failure> {
    let signer = &config.signer;
    let flags = PassphraseFlags::default();
    let local = |wanted: Option<&str>| -> Result<SecretKey, Failure> {
        let store = KeyStore::open(&config.key_path())?;
        let entry = store.find(wanted)?;
        Ok(entry.unlock(&opening(config, &flags)?)?)
    };
    let Some(url) = &signer.remote else {
        return Ok(Key::local(local(signer.key.as_deref())?));
    };
    let account = signer.account.ok_or_else(|| {
        Failure::said(
            Exit::Configuration,
            "signer.account is not given: name the account whose key the remote signer holds",
        )
    })?;
    let wanted = signer.authentication.as_deref();
    let authentication = wanted.map(|name| local(Some(name))).transpose()?;
    let away = |error| Failure::new(Exit::Configuration, error);
    let remote = Remote::new(url, account, authentication).map_err(away)?;
    Key::remote(remote).await.map_err(away)
}
