//! Members that lie, and homes in which a join goes on.

use super::*;

/// What a member answers, or never.
type Lie = fn(Question) -> BoxFuture<'static, Option<Answer>>;

/// A member that tells all guests what is not so.
#[derive(Clone)]
struct Liar {
    greeting: Greeting,
    answer: Lie,
}

impl Liar {
    /// Puts it in front of the members of a token.
    async fn first(self, token: &mut Token) -> (Network, Events) {
        let secret = testing::validator(1);
        let key = secret.public();
        let (network, events) = network(secret).await;
        network.receive_guests(Arc::new(self));
        network.set_caught_up(true);
        let addresses = vec![network.listening().to_string()];
        token.members.insert(0, TokenMember { key, addresses });
        (network, events)
    }
}

impl Host for Liar {
    fn welcome(&self, _: PublicKey, _: Vec<u8>) -> BoxFuture<'static, Welcome> {
        let welcome = Welcome::Guest(codec::encode(&self.greeting), Arc::new(self.clone()));
        ready(welcome).boxed()
    }
}

impl Guest for Liar {
    fn id(&self) -> GuestId {
        let [node, invitation] = [rand::random(), rand::random()].map(PublicKey);
        GuestId { node, invitation, org: "alpha".parse().unwrap() }
    }

    fn answer(&self, question: Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> {
        let question = codec::decode("question", &question, 1 << 20).unwrap();
        let answer = (self.answer)(question);
        async { answer.await.map(|answer| codec::encode(&answer)) }.boxed()
    }
}

/// The right genesis, and another answer to the rest.
fn but(question: &Question, answer: Answer) -> BoxFuture<'static, Option<Answer>> {
    let genesis = codec::encode(&testing::genesis());
    let answer = match question {
        Question::Genesis { .. } => Answer::Genesis { total: genesis.len() as u64, bytes: genesis },
        _ => answer,
    };
    ready(Some(answer)).boxed()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_that_lies_or_is_stuck_does_not_stop_a_join() {
    let received = |height| Greeting::Received { height: Height(height), registered: false };
    let lies: [(&str, Greeting, Lie); 7] =
        [
            ("refuses it", Greeting::Refused { code: 17, reason: "no".to_owned() }, |_| {
                ready(None).boxed()
            }),
            ("says nothing", received(0), |_| ready(None).boxed()),
            ("has its genesis in millions of parts", received(0), |question| match question {
                Question::Genesis { .. } => {
                    let (total, bytes) = (MAX_ENCODED_BYTES as u64, vec![0]);
                    ready(Some(Answer::Genesis { total, bytes })).boxed()
                }
                _ => ready(None).boxed(),
            }),
            ("refuses its registration", received(0), |question| {
                but(&question, Answer::Register { code: 17, reason: "no".to_owned() })
            }),
            ("is far ahead", received(1_000_000_000_000), |question| {
                but(&question, Answer::Register { code: 17, reason: "no".to_owned() })
            }),
            ("is at the last of heights, with a receipt", received(u64::MAX), |question| {
                match question {
                    Question::Standing { .. } => {
                        let log = "no".to_owned();
                        let receipt = Some(Executed { height: Height(1), code: 17, log });
                        let (height, registered) = (Height(u64::MAX), false);
                        but(&question, Answer::Standing { height, registered, receipt })
                    }
                    _ => but(&question, Answer::Register { code: 0, reason: String::new() }),
                }
            }),
            ("is stuck", received(0), |question| match question {
                Question::Register { .. } => pending().boxed(),
                _ => but(&question, Answer::Register { code: 0, reason: String::new() }),
            }),
        ];
    for (number, (what, greeting, answer)) in (1..).zip(lies) {
        let (member, machine) = (Member::start().await, Machine::new());
        let mut token = member.token(number, 100);
        let _liar = Liar { greeting, answer }.first(&mut token).await;
        let joining = machine.join_as(&token, config(), Duration::from_secs(4));
        let (joined, told) = member.committing(joining).await;
        assert!(joined.is_ok(), "{what}: {joined:?} {told:?}");
        assert!(member.is_registered(&machine.key()), "{what}");
        assert!(told.iter().any(|step| matches!(step, Progress::NotReached { .. })), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_when_more_than_half_of_the_members_say_so() {
    let member = Member::start().await;
    (0..5).for_each(|_| member.commit(Vec::new()));
    let refuses = || Liar {
        greeting: Greeting::Refused { code: 17, reason: "no".to_owned() },
        answer: |_| ready(None).boxed(),
    };
    let mut expired = member.token(1, 5);
    let _liar = refuses().first(&mut expired).await;
    let (refused, told) = Machine::new().join_as(&expired, config(), LIMIT).await;
    assert!(matches!(refused, Err(JoinError::Refused { code: 4, .. })), "{refused:?}");
    let calls = told.iter().filter(|step| matches!(step, Progress::NotReached { .. })).count();
    assert_eq!(calls, 2, "once each: {told:?}");
    // Of three, one that nobody reaches does not hold it up.
    let mut three = expired.clone();
    three.members.splice(..0, nowhere());
    let (refused, told) = Machine::new().join_as(&three, config(), LIMIT).await;
    assert!(matches!(refused, Err(JoinError::Refused { code: 4, .. })), "{refused:?}");
    let calls = told.iter().filter(|step| matches!(step, Progress::NotReached { .. })).count();
    assert_eq!(calls, 3, "once each: {told:?}");
    // Of two, the one that is not reached may say otherwise: it is waited for.
    let mut token = expired;
    token.members[1].addresses = vec!["/ip4/127.0.0.1/tcp/1".to_owned()];
    let (refused, told) = Machine::new().fail(&token).await;
    assert!(matches!(refused, Err(JoinError::Refused { code: 17, .. })), "{refused:?}");
    let calls = told.iter().filter(|step| matches!(step, Progress::NotReached { .. })).count();
    assert!(calls > 2, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_told_wrongly_that_it_is_registered_goes_on_with_the_same_command() {
    let (member, machine) = (Member::start().await, Machine::new());
    let mut token = member.token(1, 100);
    let honest = token.clone();
    assert!(machine.fail(&Token { members: nowhere(), ..honest.clone() }).await.0.is_err());
    // Its genesis is there.
    let genesis = testing::genesis().to_json();
    std::fs::write(machine.home().genesis_path(), genesis).unwrap();
    let liar = Liar {
        greeting: Greeting::Received { height: Height(9), registered: true },
        answer: |_| ready(None).boxed(),
    };
    let _liar = liar.first(&mut token).await;
    assert_eq!(machine.join(&token).await.0.unwrap().height, Height(9));
    assert!(!member.is_registered(&machine.key()));
    let joined = member.committing(machine.join(&honest)).await.0.unwrap();
    assert!(member.is_registered(&joined.node));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_found_itself_in_its_register_starts_with_the_same_command() {
    let member = Member::start().await;
    let token = Token { members: nowhere(), ..member.token(1, 100) };
    let (machine, secret, genesis) = (Machine::new(), testing::validator(0), testing::genesis());
    let home = machine.home();
    // Its database is encrypted.
    let mut config = config();
    config.storage.key_file = "storage.key".into();
    home.init(&config, &secret, None).unwrap();
    StorageKey::random().create(&home.root().join("storage.key")).unwrap();
    std::fs::write(home.genesis_path(), genesis.to_json()).unwrap();
    let started = |genesis: &Genesis| {
        let storage = home.storage(&config).unwrap();
        let db = Database::open(&home.data_path(), genesis.hash(), &storage).unwrap();
        db.initialise(&Ledger::<Database>::genesis(genesis)).unwrap();
    };
    assert!(text(machine.join(&token).await.0).contains("was not made by"));
    started(&genesis);
    // No member is asked.
    let joined = machine.join(&token).await.0.unwrap();
    assert_eq!((joined.node, joined.height), (secret.public(), Height(0)));
    let mut other = token.clone();
    other.invitation.body.org = "beta".parse().unwrap();
    let error = text(machine.join(&other).await.0);
    assert!(error.contains("is no node of beta") && error.contains("tandem start"), "{error}");
    std::fs::remove_file(home.genesis_path()).unwrap();
    assert!(text(machine.join(&token).await.0).contains("genesis file is gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_keep_the_node_from_its_start_is_found_first() {
    let (member, machine) = (Member::start().await, Machine::new());
    let token = member.token(1, 100);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let mut peers = config();
    peers.p2p.listen = format!("/ip4/127.0.0.1/tcp/{}", at.port());
    let mut rpc = config();
    rpc.rpc.listen = at;
    for config in [peers, rpc] {
        let error = text(machine.join_as(&token, config, LIMIT).await.0);
        assert!(error.contains("cannot listen on"), "{error}");
        assert!(!machine.home().root().exists(), "nothing is made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_there_is_kept() {
    let (member, machine) = (Member::start().await, Machine::new());
    (0..3).for_each(|_| member.commit(Vec::new()));
    assert!(machine.fail(&member.token(1, 2)).await.0.is_err());
    let path = machine.home().config_path();
    let mut edited = Config::load(&path).unwrap();
    edited.p2p.addresses = vec!["/ip4/192.0.2.10/tcp/1".to_owned()];
    std::fs::write(&path, edited.to_toml()).unwrap();
    let token = member.token(2, 100);
    let error = text(machine.fail(&token).await.0);
    for word in ["is kept", "/ip4/192.0.2.10/tcp/1", "/ip4/192.0.2.9/tcp/26656"] {
        assert!(error.contains(word), "{error}");
    }
    let mut bare = config();
    bare.p2p.addresses.clear();
    let joining = machine.join_as(&token, bare, LIMIT / 3);
    let joined = member.committing(joining).await.0.unwrap();
    assert_eq!(Config::load(&path).unwrap(), edited);
    let registered = member.tip.borrow().register.nodes[&joined.node].addresses.clone();
    assert_eq!(registered, edited.p2p.addresses);
}
