//! Newcomers at a member with a real chain, over real sockets.

mod guests;
mod trouble;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, pending, ready};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change, Invitation, InvitationBody, InvitedAs};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, Height, Power, Timestamp};
use tokio::sync::watch;

use super::newcomer::join_from;
use super::wire::{Answer, Executed, Greeting, GuestHello, Question};
use super::{JoinError, Joined, Plan, Progress, Reception, Token, TokenMember};
use crate::admission::{Admission, Forward, Setup};
use crate::config::Config;
use crate::home::{Home, Passphrases, StorageKey};
use crate::network::{
    Error as NetworkError, Events, Guest, GuestId, Host, Network, Visit, Welcome,
};
use crate::storage::Database;
use crate::testing::{self, Chain};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

struct Nobody;

impl Forward for Nobody {
    fn forward(&self, _: &[PublicKey], _: Arc<[u8]>) {}
}

async fn network(secret: SecretKey) -> (Network, Events) {
    let config = testing::network_config(secret, &testing::genesis());
    Network::start(config).await.unwrap()
}

/// The first organisation's validator, which commits what it takes in.
struct Member {
    key: PublicKey,
    chain: Mutex<Chain>,
    tip: watch::Sender<Arc<Tip>>,
    admission: Admission,
    network: Network,
    _events: Events,
}

impl Member {
    async fn start() -> Self {
        let (secret, chain) = (testing::validator(0), Chain::new());
        let (tip, tip_receiver) = watch::channel(chain.tip());
        let admission = Admission::start(Setup {
            me: secret.public(),
            store: Arc::new(chain.db.clone()),
            tip: tip_receiver.clone(),
            threads: 1,
            network: Arc::new(Nobody),
        });
        let key = secret.public();
        let (network, events) = network(secret).await;
        let reception =
            Reception::new(&chain.genesis, key, chain.db.clone(), tip_receiver, admission.clone());
        network.receive_guests(Arc::new(reception));
        network.set_caught_up(true);
        Self { key, chain: Mutex::new(chain), tip, admission, network, _events: events }
    }

    fn commit(&self, txs: Vec<Tx>) {
        let committed = self.chain.lock().unwrap().commit(txs);
        self.admission.committed(&committed.block.block);
        self.tip.send_replace(committed.tip);
    }

    /// Commits what waits, until `done` has come.
    async fn committing<T>(&self, done: impl Future<Output = T>) -> T {
        let commit = async {
            loop {
                self.admission.arrived().await;
                self.commit(self.admission.take(usize::MAX, usize::MAX));
            }
        };
        tokio::select! {
            done = tokio::time::timeout(LIMIT, done) => done.expect("in time"),
            () = commit => unreachable!("it goes on for ever"),
        }
    }

    fn sign(&self, org: u8, call: consortium::Call) -> Tx {
        let admin = testing::admin(org);
        self.chain.lock().unwrap().sign(&admin, rand::random(), Call::Consortium(call))
    }

    /// A change by the votes of all organisations but the first; how many motions there were before.
    fn carried(&self, change: Change, before: u64) -> Vec<Tx> {
        let expires = testing::genesis().genesis_time.plus(Duration::from_secs(86_400));
        let (force, motion) = (false, before + 1);
        vec![
            self.sign(1, consortium::Call::Propose { change, force, expires }),
            self.sign(2, consortium::Call::Vote { motion }),
            self.sign(3, consortium::Call::Vote { motion }),
        ]
    }

    fn is_registered(&self, node: &PublicKey) -> bool {
        self.tip.borrow().register.nodes.contains_key(node)
    }

    /// A token that is good for so many blocks of an idle chain from genesis on.
    fn token(&self, number: u8, valid_until: u64) -> Token {
        self.token_of(InvitedAs::Observer, number, valid_until)
    }

    fn token_of(&self, part: InvitedAs, number: u8, valid_until: u64) -> Token {
        let body = InvitationBody {
            chain_id: testing::genesis().chain_id,
            org: "alpha".parse().unwrap(),
            claim: SecretKey::from_seed(&[number; 32]).public(),
            part,
            valid_until: time_of(valid_until),
        };
        let addresses = vec![self.network.listening().to_string()];
        Token {
            invitation: Invitation::sign(body, &testing::admin(0)),
            seed: [number; 32],
            genesis: testing::genesis().hash(),
            trust: None,
            members: vec![TokenMember { key: self.key, addresses }],
        }
    }
}

/// A machine that is to join.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn home(&self) -> Home {
        Home::new(self.dir.path().join("node"))
    }

    async fn join(&self, token: &Token) -> (Result<Joined, JoinError>, Vec<Progress>) {
        self.join_as(token, config(), LIMIT / 3).await
    }

    /// For a join that comes to nothing, which is known at once.
    async fn fail(&self, token: &Token) -> (Result<Joined, JoinError>, Vec<Progress>) {
        self.join_as(token, config(), Duration::from_millis(300)).await
    }

    /// The members are called on in their order.
    async fn join_as(
        &self,
        token: &Token,
        config: Config,
        patience: Duration,
    ) -> (Result<Joined, JoinError>, Vec<Progress>) {
        let plan = Plan {
            token: token.clone(),
            home: self.home(),
            config,
            passphrases: Passphrases::none(),
            encrypt: false,
            patience,
        };
        let mut told = Vec::new();
        let joined = join_from(plan, 0, |progress| told.push(progress.clone())).await;
        (joined, told)
    }

    fn key(&self) -> PublicKey {
        self.home().node_public_key().unwrap()
    }
}

/// One that listens on whatever port is free.
fn config() -> Config {
    let mut config = Config::default();
    config.p2p.listen = "/ip4/127.0.0.1/tcp/0".to_owned();
    config.p2p.addresses = vec!["/ip4/192.0.2.9/tcp/26656".to_owned()];
    config.rpc.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// Time of a block of this height of an idle chain.
fn time_of(height: u64) -> Timestamp {
    let Genesis { genesis_time, parameters, .. } = testing::genesis();
    genesis_time.plus(parameters.idle_block_interval() * u32::try_from(height).unwrap())
}

fn text(result: Result<Joined, JoinError>) -> String {
    result.unwrap_err().to_string()
}

/// A visit of `node` with an invitation, and the greeting. The member may need a moment to notice that
/// visits which have ended here have left their places.
async fn call(member: &Member, token: &Token, node: &SecretKey) -> (Visit, Greeting) {
    loop {
        let guest = SecretKey::from_seed(&rand::random());
        let hello = GuestHello::new(token, node, &guest.public(), &member.key);
        let addresses = &token.members[0].addresses;
        match Visit::open(&guest, member.key, addresses, &codec::encode(&hello)).await {
            Err(NetworkError::NotReceived { .. }) => tokio::task::yield_now().await,
            opened => {
                let (visit, word) = opened.unwrap();
                return (visit, codec::decode("greeting", &word, 1_000).unwrap());
            }
        }
    }
}

async fn ask(visit: &mut Visit, question: &Question) -> Result<Answer, NetworkError> {
    let answer = visit.ask(&codec::encode(question)).await?;
    Ok(codec::decode("answer", &answer, 1 << 20).unwrap())
}

/// A member that nobody reaches.
fn nowhere() -> Vec<TokenMember> {
    let key = testing::validator(2).public();
    vec![TokenMember { key, addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()] }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_by_its_token_alone() {
    let (member, machine) = (Member::start().await, Machine::new());
    let token = member.token(1, 100);
    let (joined, told) = member.committing(machine.join(&token)).await;
    let joined = joined.unwrap();
    assert_eq!(joined.node, machine.key());
    assert_eq!((joined.org.as_str(), joined.genesis), ("alpha", token.genesis));
    let kinds: Vec<String> = told.iter().map(ToString::to_string).collect();
    for (kind, start) in kinds.iter().zip([
        "node key made",
        "received by member",
        "genesis fetched",
        "registration sent",
        "in the register",
    ]) {
        assert!(kind.starts_with(start), "{kinds:?}");
    }
    let entry = member.tip.borrow().register.nodes[&joined.node].clone();
    assert_eq!((entry.org.as_str(), entry.pair), ("alpha", false));
    assert_eq!(entry.addresses, ["/ip4/192.0.2.9/tcp/26656"]);
    // The home is that of a node that can start. The token stays until the node itself has found that
    // it is registered.
    let home = machine.home();
    let (genesis, _) = crate::genesis_files::load(&home.genesis_path()).unwrap();
    assert_eq!(genesis, testing::genesis());
    let config = Config::load(&home.config_path()).unwrap();
    assert_eq!(config.p2p.bootstrap[&member.key], token.members[0].addresses);
    assert!(home.guard().unwrap().is_some() && home.join_path().exists());
    assert_eq!(machine.join(&token).await.0.unwrap(), joined);

    // The token is good for one.
    let other = Machine::new();
    let refused = member.committing(other.join(&token)).await.0;
    assert!(matches!(refused, Err(JoinError::Refused { code: 17, .. })), "{refused:?}");
    assert!(text(refused).contains(&format!("was used by node {}", joined.node)));
    assert!(!member.is_registered(&other.key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_was_interrupted_goes_on_with_the_same_command() {
    let member = Member::start().await;
    let token = member.token(1, 100);
    let machine = Machine::new();
    let home = machine.home();
    // Killed when nothing but the token's file was there: there is no key, so one is made.
    let file = serde_json::json!({ "token": token.to_text() }).to_string();
    std::fs::create_dir_all(home.root().join("config")).unwrap();
    std::fs::write(home.join_path(), &file).unwrap();
    let (joined, told) = member.committing(machine.join(&token)).await;
    let joined = joined.unwrap();
    assert!(matches!(told[0], Progress::Key { new: true, .. }));

    // Killed when it was registered, before that was noted. Also when the invitation has expired since.
    for blocks in [0, 101] {
        (0..blocks).for_each(|_| member.commit(Vec::new()));
        let (again, told) = member.committing(machine.join(&token)).await;
        assert_eq!(again.unwrap().node, joined.node);
        assert!(matches!(told[0], Progress::Key { new: false, .. }));
        assert!(!told.iter().any(|step| matches!(step, Progress::Sent { .. })), "{told:?}");
    }
    // Who is registered is told so, and nothing else.
    let secret = home.node_key(&Passphrases::none()).unwrap();
    let (mut visit, greeting) = call(&member, &token, &secret).await;
    assert!(matches!(greeting, Greeting::Received { registered: true, .. }), "{greeting:?}");
    let gone = Err(NetworkError::NotConnected { peer: member.key });
    assert_eq!(ask(&mut visit, &Question::Genesis { offset: 0 }).await, gone);
    std::fs::remove_file(home.genesis_path()).unwrap();
    let error = text(machine.fail(&token).await.0);
    assert!(error.contains("genesis.json is gone: copy it from another node"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_receipt_was_not_seen_is_not_made_twice() {
    let member = Member::start().await;
    let token = member.token(1, 100);
    let machine = Machine::new();
    let first = machine.fail(&token).await.0;
    assert!(matches!(first, Err(JoinError::Timeout { .. })), "{first:?}");
    // Now it comes into a block.
    member.commit(member.admission.take(usize::MAX, usize::MAX));
    assert!(member.is_registered(&machine.key()));
    let (joined, told) = member.committing(machine.join(&token)).await;
    assert_eq!(joined.unwrap().node, machine.key());
    assert!(!told.iter().any(|step| matches!(step, Progress::Sent { .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_joined_is_named() {
    let member = Member::start().await;
    (0..5).for_each(|_| member.commit(Vec::new()));
    let refused = |token: Token| async move { Machine::new().fail(&token).await };

    let expired = refused(member.token(1, 5)).await.0;
    assert!(matches!(expired, Err(JoinError::Refused { code: 4, .. })), "{expired:?}");
    assert!(text(expired).contains(&format!("expired at {}", time_of(5).to_rfc3339())));

    // Who does not know of an invitation, or of another chain, gets no word.
    let forged = {
        let body = member.token(1, 100).invitation.body;
        Token { invitation: Invitation::sign(body, &testing::admin(1)), ..member.token(1, 100) }
    };
    let other_genesis = Token { genesis: Hash([1; 32]), ..member.token(1, 100) };
    let mut other_chain = member.token(1, 100);
    other_chain.invitation.body.chain_id = "another".parse().unwrap();
    let other_chain = Token {
        invitation: Invitation::sign(other_chain.invitation.body, &testing::admin(0)),
        ..other_chain
    };
    for token in [forged, other_genesis, other_chain] {
        let (error, told) = refused(token).await;
        assert!(matches!(error, Err(JoinError::Unreachable { .. })), "{error:?}");
        let error = text(error);
        assert!(error.contains("without a word: it does not know the invitation"), "{told:?}");
        assert!(error.contains("ask for a new one"), "{error}");
    }
    assert_eq!(member.network.counters().guests_received.get(), 0);

    // Nobody is there; the next member of the token is called on.
    let mut token = member.token(2, 100);
    let only = Token { members: nowhere(), ..token.clone() };
    let error = refused(only).await.0;
    assert!(text(error).contains("is not reachable"));
    // Another node is at the address.
    let mut other = token.clone();
    other.members[0].key = testing::validator(1).public();
    assert!(matches!(refused(other).await.0, Err(JoinError::Unreachable { .. })));
    token.members.splice(..0, nowhere());
    let machine = Machine::new();
    let (joined, told) = member.committing(machine.join(&token)).await;
    assert_eq!(joined.unwrap().node, machine.key());
    assert!(told.iter().any(|step| matches!(step, Progress::NotReached { .. })), "{told:?}");

    // A home of another node, or of another join.
    let home = Machine::new();
    home.home().init(&config(), &testing::key(50), None).unwrap();
    let before = std::fs::read(home.home().config_path()).unwrap();
    let error = home.join(&member.token(3, 100)).await.0;
    assert!(text(error).contains("was not made by `tandem join`"));
    assert_eq!(std::fs::read(home.home().config_path()).unwrap(), before);
    let home = Machine::new();
    assert!(home.join(&member.token(4, 2)).await.0.is_err());
    let key = home.key();
    let elsewhere = Token { genesis: Hash([1; 32]), ..member.token(5, 100) };
    let error = home.join(&elsewhere).await.0;
    assert!(text(error).contains("under way"));
    // A new token in the place of one that has expired; at the address that it was to have, another node
    // is by now, which it is told before anything is registered.
    let token = member.token(6, 100);
    let (refused, told) = member.committing(home.join(&token)).await;
    assert!(matches!(refused, Err(JoinError::Refused { code: 11, .. })), "{refused:?}");
    let words = format!("address /ip4/192.0.2.9/tcp/26656 is that of node {}", machine.key());
    assert!(text(refused).contains(&words), "{told:?}");
    assert!(!member.is_registered(&key));
    let mut moved = config();
    moved.p2p.addresses = vec!["/ip4/192.0.2.10/tcp/26656".to_owned()];
    std::fs::write(home.home().config_path(), moved.to_toml()).unwrap();
    let joining = home.join_as(&token, moved, LIMIT / 3);
    let joined = member.committing(joining).await.0.unwrap();
    assert_eq!((joined.node, member.is_registered(&key)), (key, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_by_an_organisation_that_is_suspended_is_told_and_joins_when_it_is_restored()
{
    let member = Member::start().await;
    (0..2).for_each(|_| member.commit(Vec::new()));
    let (token, machine) = (member.token(1, 100), Machine::new());
    let name = || "alpha".parse().unwrap();
    member.commit(member.carried(Change::SuspendOrg { name: name() }, 0));
    let refused = machine.join(&token).await.0;
    assert!(matches!(refused, Err(JoinError::Refused { code: 9, .. })), "{refused:?}");
    assert!(text(refused).contains("alpha is suspended"));
    member.commit(member.carried(Change::RestoreOrg { name: name() }, 1));
    let joined = member.committing(machine.join(&token)).await.0.unwrap();
    assert_eq!(joined.node, machine.key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_meets_another_change_of_its_seat_is_made_anew() {
    let member = Member::start().await;
    (0..2).for_each(|_| member.commit(Vec::new()));
    let lost = testing::standby(0).public();
    let token = member.token_of(InvitedAs::Replacement { lost }, 1, 100);
    let machine = Machine::new();
    let committing = async {
        member.admission.arrived().await;
        let change = Change::SetPower { name: "alpha".parse().unwrap(), power: Power(2) };
        let waiting = member.admission.take(usize::MAX, usize::MAX);
        member.commit([member.carried(change, 0), waiting].concat());
        assert!(!member.is_registered(&machine.key()));
        member.committing(std::future::pending::<()>()).await;
    };
    let (joined, told) = tokio::select! {
        joined = machine.join(&token) => joined,
        () = committing => unreachable!("it goes on for ever"),
    };
    assert_eq!(joined.unwrap().node, machine.key());
    let sent = told.iter().filter(|step| matches!(step, Progress::Sent { .. })).count();
    assert_eq!(sent, 2, "{told:?}");
    assert!(member.is_registered(&machine.key()) && !member.is_registered(&lost));
}
