//! The file that a key moves in.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{Domain, PublicKey, SecretKey, Signature};
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::{ChainId, Hash, Timestamp};
use tandem_consensus::journal::Durable;
use zeroize::Zeroizing;

use crate::genesis_files;
use crate::home::{HomeError, KeyFile, MoveId, files};

/// Format of the file. A later one is refused.
pub const FORMAT: u32 = 1;
/// Bytes that it may have: a genesis, and three values with their digits.
const MAX_BYTES: u64 = genesis_files::MAX_BYTES + 3 * (MAX_ENCODED_BYTES as u64 * 4 / 3) + 65_536;

/// What is in the file.
pub(super) enum Content {
    /// A key that nobody has taken.
    Key(Box<ExportFile>),
    /// What an import leaves.
    Taken(TakenFile),
}

/// A key on its way.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportFile {
    tandem_key_export: u32,
    pub id: MoveId,
    pub chain_id: ChainId,
    pub genesis_hash: Hash,
    /// When it was exported, RFC 3339.
    pub time: String,
    /// As in the home it is from, or encrypted for the way.
    pub key: KeyFile,
    record: Record,
    /// The chain's genesis, so that the new home has it.
    genesis: serde_json::Value,
    /// By the key, over all but itself and the genesis, which its hash stands for.
    signature: Signature,
}

/// What consensus has made durable, each value as in the database, in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    journal: String,
    valid: Option<String>,
    proposal: Option<String>,
}

/// What is left of the file when the key has been imported.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TakenFile {
    pub tandem_key_export: u32,
    pub id: MoveId,
    pub public_key: PublicKey,
    pub taken: Taken,
}

/// Who has imported it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    /// The import, as the home's guard file names it.
    pub claim: MoveId,
    /// The home's folder.
    pub home: String,
    /// When, RFC 3339.
    pub time: String,
}

/// What is signed.
type Signed<'a> = ([u8; 16], Hash, Timestamp, &'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);

/// The parts of a record, encoded.
struct Parts {
    journal: Vec<u8>,
    valid: Option<Vec<u8>>,
    proposal: Option<Vec<u8>>,
}

impl Parts {
    fn of(durable: &Durable) -> Self {
        Self {
            journal: codec::encode(&durable.journal),
            valid: durable.valid.as_ref().map(codec::encode),
            proposal: durable.proposal.as_ref().map(codec::encode),
        }
    }

    fn sign_bytes(
        &self,
        id: MoveId,
        chain_id: &ChainId,
        genesis: Hash,
        time: Timestamp,
    ) -> Vec<u8> {
        let Self { journal, valid, proposal } = self;
        let signed: Signed =
            (id.bytes(), genesis, time, journal, valid.as_deref(), proposal.as_deref());
        Domain::KeyMove.sign_bytes(chain_id, &signed)
    }
}

impl ExportFile {
    /// That of a move; `file` holds `key`, which may be encrypted there.
    pub fn new(
        id: MoveId,
        time: Timestamp,
        (key, file): (&SecretKey, KeyFile),
        genesis: &Genesis,
        durable: &Durable,
    ) -> Self {
        let parts = Parts::of(durable);
        let hash = genesis.hash();
        // As it comes back from the file.
        let time = Timestamp::from_rfc3339(&time.to_rfc3339()).expect("a time that was written so");
        let signature = key.sign(&parts.sign_bytes(id, &genesis.chain_id, hash, time));
        let digits = |bytes: &Vec<u8>| STANDARD.encode(bytes);
        let record = Record {
            journal: digits(&parts.journal),
            valid: parts.valid.as_ref().map(digits),
            proposal: parts.proposal.as_ref().map(digits),
        };
        Self {
            tandem_key_export: FORMAT,
            id,
            chain_id: genesis.chain_id.clone(),
            genesis_hash: hash,
            time: time.to_rfc3339(),
            key: file,
            record,
            genesis: serde_json::from_str(&genesis.to_json()).expect("a genesis is JSON"),
            signature,
        }
    }

    pub fn to_json(&self) -> Zeroizing<String> {
        to_json(self)
    }

    /// The genesis and the record, when all of it is what was exported with this key.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(Genesis, Durable), String> {
        let text = self.genesis.to_string();
        let genesis = Genesis::from_json(&text).map_err(|error| format!("its genesis: {error}"))?;
        genesis.validate().map_err(|error| format!("its genesis: {error}"))?;
        if (genesis.hash(), &genesis.chain_id) != (self.genesis_hash, &self.chain_id) {
            return Err("its genesis is not that of its genesis_hash and chain_id".to_owned());
        }
        let time = Timestamp::from_rfc3339(&self.time).map_err(|error| error.to_string())?;
        let Record { journal, valid, proposal } = &self.record;
        let optional = |name, digits: &Option<String>| {
            digits.as_deref().map(|digits| bytes(name, digits)).transpose()
        };
        let parts = Parts {
            journal: bytes("journal", journal)?,
            valid: optional("valid", valid)?,
            proposal: optional("proposal", proposal)?,
        };
        let signed = parts.sign_bytes(self.id, &self.chain_id, self.genesis_hash, time);
        if !self.key.public_key().verifies(&signed, &self.signature) {
            return Err(
                "its signature is not the key's over what it says: it was changed".to_owned()
            );
        }
        let durable = Durable {
            journal: decode("journal", &parts.journal)?,
            valid: parts.valid.as_deref().map(|bytes| decode("valid", bytes)).transpose()?,
            proposal: parts
                .proposal
                .as_deref()
                .map(|bytes| decode("proposal", bytes))
                .transpose()?,
        };
        Ok((genesis, durable))
    }

    /// What an import leaves in the place of the file.
    pub fn taken(&self, taken: Taken) -> TakenFile {
        let public_key = self.key.public_key();
        TakenFile { tandem_key_export: FORMAT, id: self.id, public_key, taken }
    }
}

impl TakenFile {
    pub fn to_json(&self) -> Zeroizing<String> {
        to_json(self)
    }
}

fn to_json<T: Serialize>(file: &T) -> Zeroizing<String> {
    let mut text = Zeroizing::new(serde_json::to_string_pretty(file).expect("a plain struct"));
    text.push('\n');
    text
}

fn bytes(name: &str, digits: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(digits).map_err(|_| format!("its {name} is no base64"))
}

fn decode<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, String> {
    codec::decode(name, bytes, MAX_ENCODED_BYTES).map_err(|error| format!("its {name}: {error}"))
}

/// Reads the file.
///
/// # Errors
/// [`HomeError::Missing`], [`HomeError::Permissions`], [`HomeError::Content`].
pub(super) fn load(path: &Path) -> Result<Content, HomeError> {
    let hint = "it is the file that `tandem keys export` wrote";
    let text = files::read_private(path, MAX_BYTES, hint)?;
    let content = |reason: String| HomeError::Content { path: path.to_owned(), reason };
    if let Ok(taken) = serde_json::from_str::<TakenFile>(&text) {
        return Ok(Content::Taken(taken));
    }
    // The parser's message is left out: it may quote the secret.
    let file: ExportFile = serde_json::from_str(&text)
        .map_err(|_| content("no export of a key, or of a later program".to_owned()))?;
    if file.tandem_key_export != FORMAT {
        let got = file.tandem_key_export;
        return Err(content(format!("it is of format {got}, this program knows {FORMAT}")));
    }
    file.key.check(path)?;
    Ok(Content::Key(Box::new(file)))
}
