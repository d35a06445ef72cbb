//! The new machine's side: from a token to a home folder whose node is registered and can start.
//!
//! Each step leaves behind what the next one needs, and is not done again when it is there: a join
//! that was interrupted at any moment goes on with the same command. The token stands in a file of the
//! home folder until the started node finds itself in its own register ([`crate::run`]): what members
//! say before is no more than that. From then on the same command starts the node.
//!
//! Of the members in a token one may be stuck, or lie. So each is visited for a short time, one after
//! another, and what one of them says ends the join only when it is good: a refusal does when more than
//! half of them say so, and none of the others has taken the registration.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::limits::{MAX_ENCODED_BYTES, MAX_TX_VALIDITY};
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Hash, Height, OrgName};
use tokio::time::timeout;

use super::home::{configured, has_genesis, has_joined, prepare};
use super::token::{Token, TokenMember};
use super::wire::{Answer, Greeting, GuestHello, MAX_CHUNK_BYTES, Question, reason};
use crate::config::{Config, ConfigError};
use crate::home::{Home, HomeError, Passphrases, files};
use crate::network::limits::{MAX_GUEST_ANSWER_BYTES, VISIT_TIME};
use crate::network::{Error as NetworkError, Visit, try_listen};
use crate::rpc;
use crate::storage;

/// Heights for which a registration is valid, by the member's height.
const VALID_FOR: u64 = 1_000;
/// Time between two looks at the receipt.
const LOOK: Duration = Duration::from_millis(200);
/// Time after which a registration is sent again: sending is harmless.
const SEND_AGAIN: Duration = Duration::from_secs(3);
/// Time that one member has to bring the registration into a block, before another is asked to: at
/// most, and at least.
const ONE_MEMBER: Duration = Duration::from_secs(10);
/// See [`ONE_MEMBER`].
const ONE_MEMBER_MIN: Duration = Duration::from_secs(1);
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
    /// The node's configuration, for a home that has none; the members to begin with are added. Its
    /// `p2p.addresses` are registered.
    pub config: Config,
    /// Where the passphrase of an encrypted node key comes from.
    pub passphrases: Passphrases,
    /// Whether a node key that is made is encrypted.
    pub encrypt: bool,
    /// Time for all of it. Each member is called on once at least.
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
    /// The home is another's, or says otherwise.
    #[error("{0}")]
    OtherHome(String),
    /// The configuration in the home.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address that the node could not listen on for peers.
    #[error(transparent)]
    Listen(#[from] NetworkError),
    /// An address that it could not answer RPC on.
    #[error("{0}")]
    Rpc(std::io::Error),
    /// The database in the home.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// What stands in it.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// No member receives this node.
    #[error("no member of the token receives this node:\n  - {}", reasons.join("\n  - "))]
    Unreachable {
        /// What each said, or did not.
        reasons: Vec<String>,
    },
    /// Members refuse the registration: more than half of them, or one that is the only one reached in
    /// the time that there was.
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

/// Joins, or goes on with a join that was interrupted; or finds that the node has joined. At the end it
/// is in the register as its token says, by what members say, and its home is complete: it can start.
///
/// # Errors
/// [`JoinError`].
pub async fn join(plan: Plan, progress: impl FnMut(&Progress)) -> Result<Joined, JoinError> {
    // Not all newcomers call on one member first, nor does one that was let down by it.
    join_from(plan, rand::random_range(0..super::token::MAX_MEMBERS), progress).await
}

/// As [`join`]; the member at `first` in the token, counted around, is the first that is called on.
pub(super) async fn join_from(
    plan: Plan,
    first: usize,
    mut progress: impl FnMut(&Progress),
) -> Result<Joined, JoinError> {
    let Plan { token, home, config, passphrases, encrypt, patience } = plan;
    let org = token.invitation.body.org.clone();
    if let Some((node, height)) = has_joined(&home, &token)? {
        progress(&Progress::Registered { height });
        return Ok(Joined { node, org, genesis: token.genesis, height });
    }
    let config = configured(&home, &token, config)?;
    // What would keep the node from its start is found before it is registered.
    try_listen(&config.p2p.listen)?;
    drop(rpc::Listeners::open(&home, &config.rpc).map_err(JoinError::Rpc)?);
    let (secret, new) = prepare(&home, &token, &config, (&passphrases, encrypt))?;
    let node = secret.public();
    progress(&Progress::Key { node, new });
    let has_genesis = has_genesis(&home, token.genesis)?;
    if has_genesis {
        progress(&Progress::Genesis { hash: token.genesis, new: false });
    }
    let height = Newcomer {
        token: &token,
        home: &home,
        secret: &secret,
        addresses: &config.p2p.addresses,
        progress: &mut progress,
        turn: first,
        has_genesis,
        tx: None,
    }
    .register(patience)
    .await?;
    progress(&Progress::Registered { height });
    Ok(Joined { node, org, genesis: token.genesis, height })
}

/// The new node among the members.
struct Newcomer<'a> {
    token: &'a Token,
    home: &'a Home,
    secret: &'a SecretKey,
    /// Where the node is reached.
    addresses: &'a [String],
    progress: &'a mut dyn FnMut(&Progress),
    /// The member that is called on next.
    turn: usize,
    has_genesis: bool,
    /// The registration that was made last.
    tx: Option<Tx>,
}

/// Why a member was of no help.
enum Fault {
    /// Something of this machine: the join is over.
    Own(JoinError),
    /// It was not reached, or not understood.
    Away(String),
    /// It hands out another genesis.
    Genesis(String),
    /// It refuses this node or its registration.
    Refused { code: u32, reason: String },
    /// It was brought the registration, which is in no block yet.
    Waiting,
}

impl Newcomer<'_> {
    fn tell(&mut self, progress: Progress) {
        (self.progress)(&progress);
    }

    /// Visits one member after another, until one says that this node is registered: a height at which
    /// it is.
    async fn register(mut self, patience: Duration) -> Result<Height, JoinError> {
        let start = Instant::now();
        let members = self.token.members.len();
        let share = patience / u32::try_from(members).expect("they are few");
        let share = share.clamp(ONE_MEMBER_MIN, ONE_MEMBER);
        // What each member said last.
        let mut faults: Vec<Option<(String, Fault)>> = (0..members).map(|_| None).collect();
        loop {
            let at = self.turn % members;
            let member = &self.token.members[at];
            self.turn = at + 1;
            let fault = match self.visit(member, share).await {
                Ok(height) => return Ok(height),
                Err(Fault::Own(error)) => return Err(error),
                Err(fault) => fault,
            };
            let reason = text(&member.key, &fault);
            self.tell(Progress::NotReached { reason: reason.clone() });
            faults[at] = Some((reason, fault));
            let said = || faults.iter().flatten().map(|(_, fault)| fault);
            let refusals = said().filter(|fault| matches!(fault, Fault::Refused { .. })).count();
            let is_waiting = said().any(|fault| matches!(fault, Fault::Waiting));
            let is_refused = refusals > members / 2 && !is_waiting;
            let all_called = said().count() == members;
            if all_called && (is_refused || start.elapsed() >= patience) {
                return Err(verdict(faults.into_iter().flatten(), start.elapsed()));
            }
            if all_called {
                let left = patience.saturating_sub(start.elapsed());
                tokio::time::sleep(CALL_AGAIN.min(left)).await;
            }
        }
    }

    /// Has one member do what is still to be done, the registration in this time; a height at which this
    /// node is registered.
    async fn visit(&mut self, member: &TokenMember, time: Duration) -> Result<Height, Fault> {
        let called = timeout(ONE_MEMBER, self.call_on(member)).await;
        let (mut visit, greeting) =
            called.unwrap_or_else(|_| Err(SILENT.to_owned())).map_err(Fault::Away)?;
        let (height, registered) = match greeting {
            Greeting::Received { height, registered } => (height, registered),
            Greeting::Refused { code, reason: why } => {
                return Err(Fault::Refused { code, reason: reason(&why) });
            }
        };
        self.tell(Progress::Received { member: member.key, height });
        if registered && self.has_genesis {
            return Ok(height);
        }
        if registered {
            // A registered node is handed out nothing more.
            return Err(Fault::Genesis(format!(
                "says that the node is registered; its {} is gone: copy it from another node",
                self.home.genesis_path().display()
            )));
        }
        if !self.has_genesis {
            let fetched = timeout(VISIT_TIME, fetch(&mut visit, self.token.genesis)).await;
            let late = || Err("does not hand out its genesis in time".to_owned());
            let genesis = fetched.unwrap_or_else(|_| late()).map_err(Fault::Genesis)?;
            let path = self.home.genesis_path();
            files::write_atomic(&path, genesis.to_json().as_bytes(), 0o644)
                .map_err(|error| Fault::Own(error.into()))?;
            self.has_genesis = true;
            self.tell(Progress::Genesis { hash: self.token.genesis, new: true });
        }
        let mut is_heard = false;
        let registering = self.register_at(&mut visit, height, &mut is_heard);
        let registered = timeout(time, registering).await;
        registered.unwrap_or_else(|_| {
            Err(if is_heard { Fault::Waiting } else { Fault::Away(SILENT.to_owned()) })
        })
    }

    async fn call_on(&self, member: &TokenMember) -> Result<(Visit, Greeting), String> {
        // A key for this visit alone: its own may be registered already, and then is a member's.
        let guest = SecretKey::from_seed(&rand::random());
        let hello = GuestHello::new(self.token, self.secret, &guest.public(), &member.key);
        let hello = codec::encode(&hello);
        let opened = Visit::open(&guest, member.key, &member.addresses, &hello).await;
        let (visit, word) = opened.map_err(|error| error.to_string())?;
        let greeting = codec::decode_canonical("greeting", &word, MAX_GUEST_ANSWER_BYTES)
            .map_err(|error| error.to_string())?;
        Ok((visit, greeting))
    }

    /// Sends the registration to a member and waits for its receipt, with no end of its own. Notes
    /// whether the member has heard of it.
    async fn register_at(
        &mut self,
        visit: &mut Visit,
        mut height: Height,
        is_heard: &mut bool,
    ) -> Result<Height, Fault> {
        let mut due = Instant::now();
        loop {
            // One that no block may carry at this member, any more or yet, is made anew.
            let fits = |tx: &Tx| {
                let until = tx.body().valid_until.0;
                until > height.0 && until - height.0 <= MAX_TX_VALIDITY
            };
            if !self.tx.as_ref().is_some_and(fits) {
                self.tx = Some(self.registration(height));
                due = Instant::now();
            }
            let tx = self.tx.clone().expect("it was made just now");
            if Instant::now() >= due {
                due = Instant::now() + SEND_AGAIN;
                let question = Question::Register { tx: tx.bytes().to_vec() };
                match ask(visit, &question).await.map_err(Fault::Away)? {
                    Answer::Register { code: 0, .. } => {
                        *is_heard = true;
                        self.tell(Progress::Sent { tx: tx.hash() });
                    }
                    Answer::Register { code, .. } if UNDECIDED.contains(&code) => *is_heard = true,
                    Answer::Register { code, reason: why } => {
                        // It may be since it was executed meanwhile.
                        return match standing(visit, &tx).await {
                            Ok((height, true, _)) => Ok(height),
                            _ => Err(Fault::Refused { code, reason: reason(&why) }),
                        };
                    }
                    _ => return Err(Fault::Away(OTHER_ANSWER.to_owned())),
                }
            }
            let (now, registered, receipt) = standing(visit, &tx).await.map_err(Fault::Away)?;
            height = now;
            match receipt {
                _ if registered => return Ok(height),
                Some((NO_SWITCH, _)) => self.tx = None,
                Some((code, log)) if code != 0 => {
                    return Err(Fault::Refused { code, reason: reason(&log) });
                }
                _ => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn registration(&self, height: Height) -> Tx {
        let invitation = self.token.invitation.clone();
        let body = TxBody {
            chain_id: invitation.body.chain_id.clone(),
            sender: self.secret.public(),
            nonce: rand::random(),
            valid_until: Height(height.0.saturating_add(VALID_FOR)),
            call: Call::Consortium(consortium::Call::RegisterInvited {
                claim: invitation.claim(&self.token.one_time(), &self.secret.public()),
                invitation,
                addresses: self.addresses.to_vec(),
            }),
        };
        Tx::sign(body, self.secret)
    }
}

/// What a member said or did, for people.
fn text(member: &PublicKey, fault: &Fault) -> String {
    match fault {
        Fault::Own(error) => error.to_string(),
        Fault::Away(reason) | Fault::Genesis(reason) => format!("member {member}: {reason}"),
        Fault::Refused { reason, .. } => format!("member {member} refuses: {reason}"),
        Fault::Waiting => format!("member {member}: the registration is in no block yet"),
    }
}

/// Why nothing has come of it, by what each member said last.
fn verdict(said: impl Iterator<Item = (String, Fault)>, waited: Duration) -> JoinError {
    let (mut reasons, mut refused, mut genesis, mut is_waiting) = (Vec::new(), None, false, false);
    for (reason, fault) in said {
        reasons.push(reason);
        match fault {
            Fault::Refused { code, reason } => refused = Some(JoinError::Refused { code, reason }),
            Fault::Genesis(_) => genesis = true,
            Fault::Waiting => is_waiting = true,
            Fault::Own(_) | Fault::Away(_) => {}
        }
    }
    match refused {
        _ if is_waiting => JoinError::Timeout { waited },
        Some(refused) => refused,
        None if genesis => JoinError::Genesis { reasons },
        None => JoinError::Unreachable { reasons },
    }
}

/// What a member does that says nothing.
const SILENT: &str = "does not answer";
/// What a member says that answers otherwise than it was asked.
const OTHER_ANSWER: &str = "gives an answer to another question";

async fn ask(visit: &mut Visit, question: &Question) -> Result<Answer, String> {
    let answer = visit.ask(&codec::encode(question)).await;
    let answer = answer.map_err(|error: NetworkError| error.to_string())?;
    codec::decode_canonical("answer", &answer, MAX_GUEST_ANSWER_BYTES)
        .map_err(|error| error.to_string())
}

/// The member's height, whether the node is registered, and code and log of the receipt.
type Stands = (Height, bool, Option<(u32, String)>);

async fn standing(visit: &mut Visit, tx: &Tx) -> Result<Stands, String> {
    match ask(visit, &Question::Standing { tx: tx.hash() }).await? {
        Answer::Standing { height, registered, receipt } => {
            Ok((height, registered, receipt.map(|receipt| (receipt.code, receipt.log))))
        }
        _ => Err(OTHER_ANSWER.to_owned()),
    }
}

/// Fetches the encoding of the genesis, which is read only when its hash is the right one.
async fn fetch(visit: &mut Visit, expected: Hash) -> Result<Genesis, String> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let question = Question::Genesis { offset: bytes.len() as u64 };
        let Answer::Genesis { total, bytes: part } = ask(visit, &question).await? else {
            return Err(OTHER_ANSWER.to_owned());
        };
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        if total > MAX_ENCODED_BYTES {
            return Err(format!(
                "its genesis has {total} bytes, at most {MAX_ENCODED_BYTES} may be"
            ));
        }
        // Each part is as long as it can be, so that they are few.
        let rest = total.saturating_sub(bytes.len());
        if rest == 0 || part.len() != rest.min(MAX_CHUNK_BYTES) {
            return Err("the parts of its genesis do not fit together".to_owned());
        }
        bytes.extend_from_slice(&part);
        if bytes.len() == total {
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
