//! The new machine's side: from a token to a home folder whose node is registered and can start.
//!
//! Each step leaves behind what the next one needs, and is not done again when it is there: a join
//! that was interrupted at any moment goes on with the same command. Until the end the token stands
//! in a file of the home folder, which tells a join that is under way from a home of another node.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::limits::{MAX_ENCODED_BYTES, MAX_TX_VALIDITY};
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Hash, Height, OrgName};

use super::token::{MAX_TOKEN_LEN, Token, TokenMember};
use super::wire::{Answer, Greeting, GuestHello, MAX_CHUNK_BYTES, Question, reason};
use crate::config::Config;
use crate::genesis_files;
use crate::home::{Home, HomeError, files};
use crate::network::limits::MAX_GUEST_ANSWER_BYTES;
use crate::network::{Error as NetworkError, Visit};

/// Heights for which a registration is valid, by the member's height.
const VALID_FOR: u64 = 1_000;
/// Time between two looks at the receipt.
const LOOK: Duration = Duration::from_millis(200);
/// Time after which a registration is sent again: sending is harmless.
const SEND_AGAIN: Duration = Duration::from_secs(3);
/// Time before the members are called on again.
const CALL_AGAIN: Duration = Duration::from_millis(500);
/// Codes of an admission that does not decide: full, in the chain already, stopping.
const UNDECIDED: [u32; 3] = [8, 6, 99];
/// Code of a receipt by which the seat has changed in the same block: a later one may carry it.
const NO_SWITCH: u32 = 15;

const _: () = assert!(VALID_FOR <= MAX_TX_VALIDITY);

/// What is to be joined, and as what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The token.
    pub token: Token,
    /// The home folder, which is made.
    pub home: Home,
    /// The node's configuration; the members to begin with are added. Its `p2p.addresses` are
    /// registered.
    pub config: Config,
    /// Time for the registration to come into a block.
    pub patience: Duration,
}

/// A step that is done, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the text of each says what it is")]
pub enum Progress {
    Key { node: PublicKey, new: bool },
    NotReached { reason: String },
    Received { member: PublicKey, height: Height },
    Genesis { hash: Hash, new: bool },
    Sent { tx: Hash },
    Registered { height: Height },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { node, new: true } => write!(f, "node key made: {node}"),
            Self::Key { node, new: false } => write!(f, "going on with node key {node}"),
            Self::NotReached { reason } => f.write_str(reason),
            Self::Received { member, height } => {
                write!(f, "received by member {member}, at height {height}")
            }
            Self::Genesis { hash, new: true } => write!(f, "genesis fetched, its hash is {hash}"),
            Self::Genesis { hash, new: false } => write!(f, "genesis is there, its hash is {hash}"),
            Self::Sent { tx } => write!(f, "registration sent: transaction {tx}"),
            Self::Registered { height } => write!(f, "in the register, by height {height}"),
        }
    }
}

/// A node that has joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Its key.
    pub node: PublicKey,
    /// Its organisation.
    pub org: OrgName,
    /// Hash of the chain's genesis.
    pub genesis: Hash,
    /// A height at which it was registered.
    pub height: Height,
}

/// Why a node has not joined. What was done so far stays.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A file of the home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The home is another's.
    #[error("{0}")]
    OtherHome(String),
    /// No member receives this node.
    #[error("no member of the token receives this node:\n  - {}", reasons.join("\n  - "))]
    Unreachable {
        /// What each said, or did not.
        reasons: Vec<String>,
    },
    /// A member, or the ledger, refuses the registration.
    #[error("refused: {reason} (code {code})")]
    Refused {
        /// As in receipts.
        code: u32,
        /// Why.
        reason: String,
    },
    /// What the members hand out is not the genesis that the token names.
    #[error("no member hands out the genesis of the token:\n  - {}", reasons.join("\n  - "))]
    Genesis {
        /// What is wrong with each.
        reasons: Vec<String>,
    },
    /// The registration is in no block yet.
    #[error(
        "the registration is in no block after {} s: it may still come; give the same command again",
        waited.as_secs()
    )]
    Timeout {
        /// Time waited.
        waited: Duration,
    },
}

/// Joins, or goes on with a join that was interrupted. At the end the node is in the register as its
/// token says, and its home is complete: it can start.
///
/// # Errors
/// [`JoinError`].
pub async fn join(plan: Plan, mut progress: impl FnMut(&Progress)) -> Result<Joined, JoinError> {
    let Plan { token, home, mut config, patience } = plan;
    for TokenMember { key, addresses } in &token.members {
        config.p2p.bootstrap.insert(*key, addresses.clone());
    }
    let (secret, new) = prepare(&home, &token, &config)?;
    let node = secret.public();
    progress(&Progress::Key { node, new });

    let mut newcomer =
        Newcomer { token: &token, secret: &secret, progress: &mut progress, turn: 0 };
    let had_genesis = has_genesis(&home, token.genesis)?;
    if !had_genesis {
        let genesis = newcomer.fetch_genesis().await?;
        files::write_atomic(&home.genesis_path(), genesis.to_json().as_bytes(), 0o644)?;
    }
    newcomer.tell(Progress::Genesis { hash: token.genesis, new: !had_genesis });

    let height = newcomer.register(&config.p2p.addresses, patience).await?;
    newcomer.tell(Progress::Registered { height });
    files::remove(&home.join_path())?;
    let org = token.invitation.body.org.clone();
    Ok(Joined { node, org, genesis: token.genesis, height })
}

/// Content of `config/join.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinFile {
    token: String,
}

/// Makes the home, or finds what an earlier attempt has made of it; the node's key, and whether it is
/// new. The token's file is written before the key, so that a key without it is another node's.
fn prepare(home: &Home, token: &Token, config: &Config) -> Result<(SecretKey, bool), JoinError> {
    let path = home.join_path();
    let has_key = home.node_key_path().exists();
    match files::read(&path, 2 * MAX_TOKEN_LEN as u64)? {
        Some(text) => {
            let wrong =
                |reason: String| JoinError::Home(HomeError::Content { path: path.clone(), reason });
            let file: JoinFile = serde_json::from_str(&text)
                .map_err(|error| wrong(format!("no file of a join: {error}")))?;
            let before = Token::parse(&file.token).map_err(|error| wrong(error.to_string()))?;
            let (old, new) = (&before.invitation.body, &token.invitation.body);
            if (&old.chain_id, &old.org, before.genesis) != (&new.chain_id, &new.org, token.genesis)
            {
                return Err(JoinError::OtherHome(format!(
                    "{} holds a join of {} to {} that is under way, the token is of {} to {}: \
                     choose another --home",
                    home.root().display(),
                    old.org,
                    old.chain_id,
                    new.org,
                    new.chain_id,
                )));
            }
        }
        None if has_key => {
            return Err(JoinError::OtherHome(format!(
                "{} holds a node that has joined already: start it with `tandem start`, or choose \
                 another --home",
                home.root().display(),
            )));
        }
        None => files::create_dir(&home.root().join("config"))?,
    }
    let file = JoinFile { token: token.to_text() };
    let text = serde_json::to_string_pretty(&file).expect("a plain struct");
    files::write_atomic(&path, format!("{text}\n").as_bytes(), 0o600)?;
    files::write_atomic(&home.config_path(), config.to_toml().as_bytes(), 0o644)?;
    if has_key {
        return Ok((home.node_key()?, false));
    }
    let secret = SecretKey::from_seed(&rand::random());
    home.init(config, &secret)?;
    Ok((secret, true))
}

/// Whether the genesis is there already.
fn has_genesis(home: &Home, expected: Hash) -> Result<bool, JoinError> {
    let path = home.genesis_path();
    if !path.exists() {
        return Ok(false);
    }
    let got = genesis_files::load(&path)?.0.hash();
    if got == expected {
        return Ok(true);
    }
    let reason = format!("its hash is {got}, the token's is {expected}: choose another --home");
    Err(HomeError::Content { path, reason }.into())
}

/// The new node among the members.
struct Newcomer<'a> {
    token: &'a Token,
    secret: &'a SecretKey,
    progress: &'a mut dyn FnMut(&Progress),
    /// The member that is called on next.
    turn: usize,
}

/// A visit, and what it began with.
struct Received {
    visit: Visit,
    height: Height,
    registered: bool,
}

impl Newcomer<'_> {
    fn tell(&mut self, progress: Progress) {
        (self.progress)(&progress);
    }

    /// Calls on the members, one after another, until one receives this node.
    async fn call(&mut self) -> Result<Received, JoinError> {
        let mut reasons = Vec::new();
        let mut refused = None;
        for _ in 0..self.token.members.len() {
            let member = &self.token.members[self.turn % self.token.members.len()];
            match self.call_on(member).await {
                Ok((visit, Greeting::Received { height, registered })) => {
                    let member = visit.member();
                    self.tell(Progress::Received { member, height });
                    return Ok(Received { visit, height, registered });
                }
                Ok((_, Greeting::Refused { code, reason: why })) => {
                    // Another may be further, and know that this node is registered.
                    let why = reason(&why);
                    reasons.push(format!("member {} refuses: {why}", member.key));
                    refused = Some(JoinError::Refused { code, reason: why });
                }
                Err(error) => reasons.push(error),
            }
            self.turn += 1;
            let reason = reasons.last().cloned().unwrap_or_default();
            self.tell(Progress::NotReached { reason });
        }
        Err(refused.unwrap_or(JoinError::Unreachable { reasons }))
    }

    async fn call_on(&self, member: &TokenMember) -> Result<(Visit, Greeting), String> {
        // A key for this visit alone: its own may be registered already, and then is a member's.
        let guest = SecretKey::from_seed(&rand::random());
        let hello = GuestHello::new(
            self.token.genesis,
            &self.token.invitation,
            self.secret,
            &guest.public(),
            &member.key,
        );
        let hello = codec::encode(&hello);
        let opened = Visit::open(&guest, member.key, &member.addresses, &hello).await;
        let (visit, word) = opened.map_err(|error| error.to_string())?;
        let greeting = codec::decode_canonical("greeting", &word, MAX_GUEST_ANSWER_BYTES)
            .map_err(|error| format!("member {}: {error}", member.key))?;
        Ok((visit, greeting))
    }

    /// Fetches the genesis from the first member that hands out the right one.
    async fn fetch_genesis(&mut self) -> Result<Genesis, JoinError> {
        let mut reasons = Vec::new();
        for _ in 0..self.token.members.len() {
            let mut call = self.call().await?;
            let member = call.visit.member();
            match fetch(&mut call.visit, self.token.genesis).await {
                Ok(genesis) => return Ok(genesis),
                Err(fault) => {
                    let reason = format!("member {member}: {fault}");
                    self.tell(Progress::NotReached { reason: reason.clone() });
                    reasons.push(reason);
                }
            }
            self.turn += 1;
        }
        Err(JoinError::Genesis { reasons })
    }

    /// Has the node registered; a height at which it is.
    async fn register(
        &mut self,
        addresses: &[String],
        patience: Duration,
    ) -> Result<Height, JoinError> {
        let start = Instant::now();
        let mut tx = None;
        let mut first = true;
        loop {
            let call = match self.call().await {
                Ok(call) => call,
                // What was taken in once may be in a block by now; nothing was, at first.
                Err(error @ JoinError::Unreachable { .. }) if first => return Err(error),
                Err(JoinError::Unreachable { .. }) if start.elapsed() < patience => {
                    tokio::time::sleep(CALL_AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            first = false;
            if call.registered {
                return Ok(call.height);
            }
            let left = patience.saturating_sub(start.elapsed());
            let visited = self.register_at(call, &mut tx, addresses, left).await;
            match visited {
                Ok(Some(height)) => return Ok(height),
                // The visit has ended before its time: on to the next member.
                Ok(None) if start.elapsed() < patience => self.turn += 1,
                Ok(None) => return Err(JoinError::Timeout { waited: start.elapsed() }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the registration to one member and waits for its receipt; none when the visit ends, or
    /// the time is over.
    async fn register_at(
        &mut self,
        mut call: Received,
        tx: &mut Option<Tx>,
        addresses: &[String],
        patience: Duration,
    ) -> Result<Option<Height>, JoinError> {
        let start = Instant::now();
        let mut due = start;
        let mut height = call.height;
        while start.elapsed() < patience {
            // One that no block may carry any more is made anew.
            let is_old = |tx: &mut Tx| tx.body().valid_until <= height;
            if tx.as_mut().is_none_or(is_old) {
                *tx = Some(self.registration(height, addresses));
                due = Instant::now();
            }
            let sent = tx.as_ref().expect("it was made just now");
            if Instant::now() >= due {
                due = Instant::now() + SEND_AGAIN;
                let question = Question::Register { tx: sent.bytes().to_vec() };
                match ask(&mut call.visit, &question).await {
                    Ok(Answer::Register { code: 0, .. }) => {
                        self.tell(Progress::Sent { tx: sent.hash() });
                    }
                    Ok(Answer::Register { code, .. }) if UNDECIDED.contains(&code) => {}
                    Ok(Answer::Register { code, reason: why }) => {
                        // It may be since it was executed meanwhile.
                        let standing = standing(&mut call.visit, sent).await;
                        if let Ok((height, true, _)) = standing {
                            return Ok(Some(height));
                        }
                        return Err(JoinError::Refused { code, reason: reason(&why) });
                    }
                    Ok(_) | Err(_) => return Ok(None),
                }
            }
            let Ok((now, registered, receipt)) = standing(&mut call.visit, sent).await else {
                return Ok(None);
            };
            height = now;
            match receipt {
                _ if registered => return Ok(Some(height)),
                Some((NO_SWITCH, _)) => *tx = None,
                Some((code, log)) if code != 0 => {
                    return Err(JoinError::Refused { code, reason: reason(&log) });
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        Ok(None)
    }

    fn registration(&self, height: Height, addresses: &[String]) -> Tx {
        let invitation = self.token.invitation.clone();
        let body = TxBody {
            chain_id: invitation.body.chain_id.clone(),
            sender: self.secret.public(),
            nonce: rand::random(),
            valid_until: height.plus(VALID_FOR),
            call: Call::Consortium(consortium::Call::RegisterInvited {
                invitation,
                addresses: addresses.to_vec(),
            }),
        };
        Tx::sign(body, self.secret)
    }
}

async fn ask(visit: &mut Visit, question: &Question) -> Result<Answer, String> {
    let member = visit.member();
    let answer = visit.ask(&codec::encode(question)).await;
    let answer = answer.map_err(|error: NetworkError| error.to_string())?;
    codec::decode_canonical("answer", &answer, MAX_GUEST_ANSWER_BYTES)
        .map_err(|error| format!("member {member}: {error}"))
}

/// The member's height, whether the node is registered, and code and log of the receipt.
type Stands = (Height, bool, Option<(u32, String)>);

async fn standing(visit: &mut Visit, tx: &Tx) -> Result<Stands, String> {
    match ask(visit, &Question::Standing { tx: tx.hash() }).await? {
        Answer::Standing { height, registered, receipt } => {
            Ok((height, registered, receipt.map(|receipt| (receipt.code, receipt.log))))
        }
        _ => Err("an answer to another question".to_owned()),
    }
}

/// Fetches the encoding of the genesis, which is read only when its hash is the right one.
async fn fetch(visit: &mut Visit, expected: Hash) -> Result<Genesis, String> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let question = Question::Genesis { offset: bytes.len() as u64 };
        let Answer::Genesis { total, bytes: part } = ask(visit, &question).await? else {
            return Err("an answer to another question".to_owned());
        };
        if total > MAX_ENCODED_BYTES as u64 {
            return Err(format!(
                "its genesis has {total} bytes, at most {MAX_ENCODED_BYTES} may be"
            ));
        }
        let length = bytes.len() + part.len();
        if part.is_empty() || part.len() > MAX_CHUNK_BYTES || length as u64 > total {
            return Err("the parts of its genesis do not fit together".to_owned());
        }
        bytes.extend_from_slice(&part);
        if length as u64 == total {
            break;
        }
    }
    let got = Hash::of(&bytes);
    if got != expected {
        return Err(format!("its genesis has hash {got}, the token's is {expected}"));
    }
    let genesis: Genesis = codec::decode_canonical("genesis", &bytes, MAX_ENCODED_BYTES)
        .map_err(|error| error.to_string())?;
    genesis.validate().map_err(|error| error.to_string())?;
    Ok(genesis)
}
