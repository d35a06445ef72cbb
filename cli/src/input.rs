//! Arguments that name keys and values, wherever they lie.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Context;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::limits::MAX_TX_BYTES;
use tandem_chain::permit::Permit;
use tandem_node::client::{As, Client};
use tandem_node::config::Config;
use tandem_node::home::{Home, KeyFile, Passphrase, Passphrases};
use tandem_node::run::load_genesis;
use tandem_node::storage::Reader;
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::Usage;

/// A public key: 64 hex digits, or a key file.
pub fn public_key(text: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    if Path::new(text).exists() {
        return public_key_in(Path::new(text));
    }
    Err(Usage(format!("\"{text}\" is neither a key of 64 hex digits nor a key file")).into())
}

/// The public key in a key file, for which no passphrase is needed.
pub fn public_key_in(path: &Path) -> anyhow::Result<PublicKey> {
    Ok(KeyFile::load_public(path)?)
}

/// The key in a key file, by its passphrase where it is encrypted.
pub fn secret_key(global: &Global, path: &Path) -> anyhow::Result<SecretKey> {
    Ok(KeyFile::load(path, &passphrases(global)?)?)
}

/// Where passphrases come from: a file, the environment, or a person.
pub fn passphrases(global: &Global) -> anyhow::Result<Passphrases> {
    passphrases_of(global.passphrase_file.as_deref(), "TANDEM_PASSPHRASE", &PROMPTS)
}

/// As [`passphrases`], of those that take the place of others.
pub fn new_passphrases(file: Option<&Path>) -> anyhow::Result<Passphrases> {
    passphrases_of(file, "TANDEM_NEW_PASSPHRASE", &NEW_PROMPTS)
}

fn passphrases_of(
    file: Option<&Path>,
    name: &str,
    prompts: &Passphrases,
) -> anyhow::Result<Passphrases> {
    let text = std::env::var_os(name).filter(|text| !text.is_empty());
    match (file, text) {
        (Some(file), Some(_)) => {
            let file = file.display();
            Err(Usage(format!("{name} is set, and so is the file {file}: take one of both")).into())
        }
        (Some(file), None) => Ok(Passphrases::in_file(file)),
        (None, Some(text)) => {
            let passphrase = Passphrase::new(text.into_encoded_bytes());
            let passphrase = passphrase.map_err(|reason| Usage(format!("{name}: {reason}")))?;
            Ok(Passphrases::given(passphrase))
        }
        // Whoever sees the question can answer it.
        (None, None) if std::io::stderr().is_terminal() => Ok(prompts.clone()),
        (None, None) => Ok(Passphrases::none()),
    }
}

/// One for the whole command, so that a file which is read twice is asked about once.
static PROMPTS: LazyLock<Passphrases> = LazyLock::new(|| Passphrases::asked(prompt));
static NEW_PROMPTS: LazyLock<Passphrases> = LazyLock::new(|| Passphrases::asked(prompt));

fn prompt(words: &str) -> std::io::Result<Zeroizing<String>> {
    rpassword::prompt_password(words).map(Zeroizing::new)
}

/// The passphrase for a key file that is made, where it is to be encrypted.
pub fn new_passphrase(
    global: &Global,
    encrypt: bool,
    path: &Path,
) -> anyhow::Result<Option<Passphrase>> {
    if !encrypt {
        return Ok(None);
    }
    Ok(Some(passphrases(global)?.for_new(path)?))
}

/// A new random key.
pub fn new_key() -> SecretKey {
    SecretKey::from_seed(&rand::random())
}

/// Bytes of a record's key: text, or hex digits after `0x`.
pub fn record_key(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits)
            .map_err(|_| Usage(format!("\"{text}\" has other than pairs of hex digits")).into()),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// A value: the text itself, `@FILE`, or `-` for standard input.
pub fn value(text: &str) -> anyhow::Result<Vec<u8>> {
    value_within(text, 2 * MAX_TX_BYTES + 1)
}

/// As [`value`], of which `max` bytes and one more are read: what is too long is refused with its
/// reason.
pub fn value_within(text: &str, max: usize) -> anyhow::Result<Vec<u8>> {
    let limit = max as u64 + 1;
    let mut bytes = Vec::new();
    if text == "-" {
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
    } else if let Some(path) = text.strip_prefix('@') {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
        file.take(limit).read_to_end(&mut bytes).with_context(|| format!("cannot read {path}"))?;
    } else {
        bytes = text.as_bytes().to_vec();
    }
    Ok(bytes)
}

/// Text given as it is, as `@FILE`, or as `-` for standard input.
pub fn text(text: &str) -> anyhow::Result<String> {
    if text != "-" && !text.starts_with('@') {
        return Ok(text.to_owned());
    }
    String::from_utf8(value(text)?).map_err(|_| Usage(format!("{text} holds no text")).into())
}

/// The database of the home, which a running node may own.
pub fn reader(global: &Global) -> anyhow::Result<Reader> {
    let home = Home::new(&global.home);
    let config = Config::load(&home.config_path())?;
    let (genesis, _) = load_genesis(&home, None)?;
    Ok(Reader::open(&home.data_path(), genesis.hash(), &home.storage(&config)?)?)
}

/// A permit to read.
pub fn permit(text: &str) -> anyhow::Result<Permit> {
    let text = self::text(text)?;
    let permit = text.trim().parse();
    Ok(permit.map_err(|error| Usage(format!("this is no permit to read: {error}")))?)
}

/// Takes the permit of the command line from standard input, where it says so: that can be read once,
/// and several clients ask by it.
pub fn take_permit(global: &mut Global) -> anyhow::Result<()> {
    if global.permit.as_deref() == Some("-") {
        global.permit = Some(permit("-")?.to_string());
    }
    Ok(())
}

/// As whom nodes are read: as the command line says, else by `key`.
fn reads_as(global: &Global, key: Option<&Path>) -> anyhow::Result<Option<As>> {
    if let Some(text) = &global.permit {
        return Ok(Some(As::Permit(permit(text)?)));
    }
    let key = global.read_key.as_deref().or(key);
    Ok(key.map(|path| secret_key(global, path)).transpose()?.map(As::Key))
}

/// Clients of all nodes on the command line, which read by `key` where nothing else is said and nodes
/// ask for a permit.
pub fn clients(global: &Global, key: Option<&Path>) -> anyhow::Result<Vec<Client>> {
    let reads_as = reads_as(global, key)?;
    let client = |url: &String| {
        let client = Client::new(url)?;
        Ok(match reads_as.clone() {
            Some(reads_as) => client.reading(reads_as),
            None => client,
        })
    };
    global.nodes.iter().map(client).collect()
}

/// The first node on the command line that answers; when none does, the last. About those that do
/// not there is a word on standard error, which with `--json` is kept for the command's own error.
/// It reads as [`clients`] do.
pub async fn client(global: &Global, key: Option<&Path>) -> anyhow::Result<Client> {
    let mut clients = clients(global, key)?;
    let Some(last) = clients.pop() else {
        return Err(Usage("--node names no node".to_owned()).into());
    };
    for client in clients {
        match client.call::<serde_json::Value>("abci_info", serde_json::Value::Null).await {
            Ok(_) => return Ok(client),
            Err(_) if global.json => {}
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        let dir = tempfile::tempdir().unwrap();
        let key = new_key();
        let path = dir.path().join("key.json");
        KeyFile::new(&key).create(&path).unwrap();
        assert_eq!(public_key(path.to_str().unwrap()).unwrap(), key.public());
        assert_eq!(public_key(&key.public().to_string()).unwrap(), key.public());
        assert!(public_key("zz").unwrap_err().is::<Usage>());

        assert_eq!(record_key("oil").unwrap(), b"oil");
        assert_eq!(record_key("0x00fF").unwrap(), [0, 255]);
        assert!(record_key("0x0").unwrap_err().is::<Usage>());

        assert_eq!(value("text").unwrap(), b"text");
        let file = dir.path().join("value");
        std::fs::write(&file, [1, 2]).unwrap();
        assert_eq!(value(&format!("@{}", file.display())).unwrap(), [1, 2]);
        assert_eq!(super::text("plain").unwrap(), "plain");
        assert_eq!(super::text(&format!("@{}", file.display())).unwrap(), "\u{1}\u{2}");
        assert!(value("@/no/such/file").unwrap_err().to_string().contains("/no/such/file"));
    }
}
