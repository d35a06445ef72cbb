//! The key of a registered node whose process is stopped, in other hands: linked with running
//! nodes, it sends them whatever it likes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::Height;
use tandem_node::home::{Home, Passphrases};
use tandem_node::network::{
    Channel, Error, Events, Network, NetworkConfig, NetworkEvent, Rates, claim_frame,
};
use tokio::sync::{mpsc, oneshot};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::super::Stage;
use super::super::scene::SOON;
use crate::homes;
use crate::layout::Node;
use crate::until::until;

/// Questions that wait for an answer.
const MAX_QUESTIONS: usize = 16;

/// A running node's question for blocks.
pub struct Question {
    /// The node.
    pub from: PublicKey,
    /// The first height that it wants.
    pub first: Height,
    /// Takes the answer.
    pub reply: oneshot::Sender<Vec<u8>>,
}

/// A registered node's key in other hands.
pub struct Rogue {
    key: PublicKey,
    network: Network,
    questions: mpsc::Receiver<Question>,
}

/// What the network needs to stand in for the node called `name` before `targets`.
pub fn config(
    stage: &Stage,
    genesis: &Genesis,
    name: &str,
    targets: &[Node],
) -> Result<NetworkConfig> {
    let layout = stage.net().layout();
    let address = |node: &Node| (node.key, vec![homes::address(node.p2p_port)]);
    Ok(NetworkConfig {
        secret: Home::new(layout.home(layout.node(name)?)).node_key(&Passphrases::none())?,
        listen: homes::address(0),
        chain_id: layout.chain_id.clone(),
        genesis: genesis.hash(),
        dial: targets.iter().map(address).collect::<BTreeMap<_, _>>(),
        bootstrap: BTreeMap::new(),
        rates: Rates::default(),
    })
}

/// Begins a frame that is one byte over the limit, and waits until the target has closed the link.
pub async fn overlong(config: &NetworkConfig, target: &Node, channel: Channel) -> Result<()> {
    let length = u32::try_from(channel.max_frame() + 1)?;
    let claim = claim_frame(config, &target.key, channel, length, SOON);
    let claimed = claim.with_subscriber(NoSubscriber::default()).await;
    claimed.with_context(|| format!("a frame of {length} bytes in the channel of {channel}"))
}

impl Rogue {
    /// Links with all of `targets`.
    pub async fn connect(config: NetworkConfig, targets: &[Node]) -> Result<(Self, SecretKey)> {
        let secret = config.secret.clone();
        let (questions_sender, questions) = mpsc::channel(MAX_QUESTIONS);
        let registered = config.dial.clone();
        let network = start(config, questions_sender).await?;
        // Only they are answered.
        network.set_peers(registered);
        let rogue = Self { key: secret.public(), network, questions };
        until("the links with running nodes", SOON, || async {
            let connected = rogue.network.connected();
            for target in targets {
                ensure!(connected.contains(&target.key), "{} is not linked", target.name);
            }
            Ok(())
        })
        .await?;
        Ok((rogue, secret))
    }

    /// The key that it has.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Sends one frame.
    pub fn send(&self, to: &PublicKey, channel: Channel, bytes: Vec<u8>) {
        self.network.send(to, channel, bytes.into());
    }

    /// Asks for blocks, as every node may.
    pub async fn ask(&self, node: &PublicKey, question: &[u8]) -> Result<Vec<u8>, Error> {
        self.network.request(node, question, SOON).await
    }

    /// A question by `node`, if one comes within `patience`; those of others are refused.
    pub async fn question(&mut self, node: &PublicKey, patience: Duration) -> Option<Question> {
        let wait = async {
            loop {
                let question = self.questions.recv().await?;
                if question.from == *node {
                    return Some(question);
                }
            }
        };
        tokio::time::timeout(patience, wait).await.ok().flatten()
    }

    /// Ends all links.
    pub async fn leave(self) {
        self.network.shutdown().await;
    }
}

/// Starts the network in a thread of its own, which ends with it: what it logs is not told among the
/// steps of the story.
async fn start(config: NetworkConfig, questions: mpsc::Sender<Question>) -> Result<Network> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, started) = oneshot::channel();
    std::thread::Builder::new().name("rogue".into()).spawn(move || {
        let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
        runtime.block_on(async {
            match Network::start(config).await {
                Ok((network, events)) => {
                    // Whoever waits for it may have gone; then it ends at once.
                    drop(sender.send(Ok(network)));
                    listen(events, questions).await;
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
    })?;
    Ok(started.await??)
}

/// Takes what comes, so that nobody has to hold anything back, and keeps the questions.
async fn listen(mut events: Events, questions: mpsc::Sender<Question>) {
    while let Some(event) = events.recv().await {
        let NetworkEvent::Request { from, bytes, reply } = event else { continue };
        let asked = codec::decode::<(Height, u64)>("fetch", &bytes, bytes.len());
        if let Ok((first, _count)) = asked {
            // One too many is refused by being dropped.
            let _ = questions.try_send(Question { from, first, reply });
        }
    }
}
