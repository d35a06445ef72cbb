//! An unchanged light client follows a running network by what its RPC gives, over an automatic and
//! a planned switch, and refuses what is forged.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{Height, OrgName, Term};
use tandem_testnet::layout::{Node, Spec};
use tandem_testnet::load::sign;
use tandem_testnet::network::Network;
use tandem_testnet::process::find_tandem;
use tandem_testnet::rpc::Rpc;
use tandem_testnet::until::until;
use tendermint::block::CommitSig;
use tendermint::{AppHash, Signature, Time};
use tendermint_light_client_verifier::errors::VerificationErrorDetail as Why;
use tendermint_light_client_verifier::options::Options;
use tendermint_light_client_verifier::types::{
    LightBlock, PeerId, SignedHeader, TrustThreshold, Validator, ValidatorSet,
};
use tendermint_light_client_verifier::{ProdVerifier, Verdict, Verifier as _};

/// Time for all of it.
const LIMIT: Duration = Duration::from_secs(240);
/// Time for a whole network's processes to answer.
const READY: Duration = Duration::from_secs(60);
/// Time for anything that should come within seconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);
/// Blocks that the chain makes before, between and after the switches.
const BLOCKS: u64 = 10;

/// A network of four organisations with pairs, all nodes running.
struct Running {
    network: Network,
    // Goes last, when nobody writes to it any more.
    _dir: tempfile::TempDir,
}

impl Running {
    async fn start() -> Result<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_tandem-testnet"));
        let tandem = find_tandem(Some(&program.with_file_name("tandem")))
            .context("this test runs real nodes; `make build` builds their program")?;
        let dir = tempfile::tempdir()?;
        let folder = dir.path().join("network");
        Network::create(&folder, Spec::default())?;
        let network = Network::launch_by(program, &folder, &tandem).await?;
        let running = Self { network, _dir: dir };
        let names = running.network.names();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        running.network.start(&all, READY).await?;
        Ok(running)
    }

    fn rpc(&self, node: &Node) -> &Rpc {
        self.network.rpc(&node.name)
    }

    /// Holder and partner of an organisation's seat at genesis.
    fn pair(&self, org: usize) -> (&Node, &Node) {
        let layout = self.network.layout();
        let mut pair = layout.pair(&layout.orgs[org]);
        let mut next = || pair.next().expect("each seat has a pair");
        (next(), next())
    }

    /// Waits for a block that is `BLOCKS` above the newest.
    async fn goes_on(&self, by: &Node) -> Result<Height> {
        let rpc = self.rpc(by);
        let wanted = rpc.height().await?.plus(BLOCKS);
        until(&format!("block {wanted}"), SOON, || async {
            let height = rpc.height().await?;
            ensure!(height >= wanted, "height {height}");
            Ok(height)
        })
        .await
    }

    /// Waits until `node` holds its organisation's seat.
    async fn holds_seat(&self, org: &OrgName, node: &Node) -> Result<()> {
        let rpc = self.rpc(node);
        until(&format!("{} holds seat {org}", node.name), SOON, || async {
            let table = rpc.role_table(rpc.height().await?).await?;
            let seat = table.seats().get(org).context("the seat is empty")?;
            ensure!(seat.holder == node.key, "{} does, in term {}", seat.holder, seat.term);
            Ok(())
        })
        .await
    }

    /// A planned switch of an organisation's seat to `target`, signed with its admin key.
    async fn switch(&self, org: &OrgName, target: &Node) -> Result<()> {
        let layout = self.network.layout();
        let rpc = self.rpc(target);
        let call = standby::Call::Switch { seat: org.clone(), target: target.key, term: Term(0) };
        let now = rpc.height().await?;
        let tx = sign(&layout.chain_id, &layout.admin(org), 1, now, Call::Standby(call));
        let receipt = rpc.execute(&tx, SOON).await?.receipt;
        ensure!(receipt.code == 0, "the switch failed: {}", receipt.log);
        self.holds_seat(org, target).await
    }

    /// Waits for a certificate in which all of `nodes` have signed, and returns its height.
    async fn signed_by(&self, nodes: &[&Node]) -> Result<Height> {
        let rpc = self.rpc(nodes[0]);
        until("a certificate with all signatures that are wanted", SOON, || async {
            let commit = rpc.block(rpc.height().await?).await?.last_commit;
            for node in nodes {
                let address = node.key.address();
                let signed = commit.signatures.iter().flatten().any(|sig| sig.address == address);
                ensure!(signed, "{} is not in that of height {}", node.name, commit.height);
            }
            Ok(commit.height)
        })
        .await
    }
}

/// What a client reads of heights 1 to `tip`, in the shapes of the unchanged crates.
async fn light_blocks(rpc: &Rpc, tip: Height) -> Result<Vec<LightBlock>> {
    let mut sets = Vec::new();
    for height in 1..=tip.next().0 {
        let params = json!({ "height": height.to_string(), "per_page": "100" });
        let mut answer: Value = rpc.call("validators", params).await?;
        let infos: Vec<Validator> = serde_json::from_value(answer["validators"].take())
            .with_context(|| format!("validators of height {height}"))?;
        ensure!(
            answer["total"].as_str() == Some(infos.len().to_string().as_str()),
            "a set of more than one page"
        );
        sets.push(ValidatorSet::without_proposer(infos));
    }
    let mut blocks = Vec::new();
    for (height, sets) in (1..=tip.0).zip(sets.windows(2)) {
        let params = json!({ "height": height.to_string() });
        let mut answer: Value = rpc.call("commit", params).await?;
        let signed: SignedHeader = serde_json::from_value(answer["signed_header"].take())
            .with_context(|| format!("signed header of height {height}"))?;
        ensure!(signed.header.height.value() == height, "another height than {height}");
        ensure!(
            signed.header.hash() == signed.commit.block_id.hash,
            "header {height} has another hash than its certificate names"
        );
        let provider = PeerId::new([0; 20]);
        blocks.push(LightBlock::new(signed, sets[0].clone(), sets[1].clone(), provider));
    }
    Ok(blocks)
}

/// What an unchanged light client that trusts `trusted` says about `untrusted`.
fn verdict(trusted: &LightBlock, untrusted: &LightBlock) -> Verdict {
    let options = Options {
        trust_threshold: TrustThreshold::ONE_THIRD,
        trusting_period: Duration::from_secs(86_400),
        clock_drift: Duration::from_secs(5),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let seconds = i64::try_from(now.as_secs()).expect("it is not that late");
    let now = Time::from_unix_timestamp(seconds, now.subsec_nanos()).expect("a time");
    ProdVerifier::default().verify_update_header(
        untrusted.as_untrusted_state(),
        trusted.as_trusted_state(),
        &options,
        now,
    )
}

/// Whether more than a third of the power that `trusted` announces signed `untrusted`.
fn is_known(trusted: &LightBlock, untrusted: &LightBlock) -> bool {
    let known = &trusted.next_validators;
    let signers = untrusted.signed_header.commit.signatures.iter();
    let signers = signers.filter(|sig| sig.is_commit()).filter_map(CommitSig::validator_address);
    let power: u64 = signers.filter_map(|id| known.validator(id)).map(|v| v.power()).sum();
    power * 3 > known.total_voting_power().value()
}

/// Goes from the first of `blocks` to the last as a light client does: as far as it can at once, and
/// by half the way when too few that it knows have signed. Returns how many headers it took.
fn skip(blocks: &[LightBlock]) -> Result<usize> {
    let (mut trusted, mut hops) = (0, 0);
    while trusted + 1 < blocks.len() {
        let mut next = blocks.len() - 1;
        loop {
            match verdict(&blocks[trusted], &blocks[next]) {
                Verdict::Success => break,
                Verdict::NotEnoughTrust(_) if next > trusted + 1 => next = trusted.midpoint(next),
                refused => bail!("{} -> {}: {refused:?}", trusted + 1, next + 1),
            }
        }
        (trusted, hops) = (next, hops + 1);
    }
    Ok(hops)
}

/// Indexes of the blocks whose validators are not those of the block before.
fn changes(blocks: &[LightBlock]) -> Vec<usize> {
    let hash = |i: usize| blocks[i].signed_header.header.validators_hash;
    (1..blocks.len()).filter(|i| hash(*i) != hash(i - 1)).collect()
}

fn has_seat(block: &LightBlock, node: &Node) -> bool {
    let id = tendermint::account::Id::new(node.key.address().0);
    block.validators.validator(id).is_some()
}

/// Each header from the one before, and skipping.
fn accepts(blocks: &[LightBlock], switches: [usize; 2]) -> Result<()> {
    for pair in blocks.windows(2) {
        let verdict = verdict(&pair[0], &pair[1]);
        ensure!(verdict == Verdict::Success, "{} -> next: {verdict:?}", pair[0].height());
    }
    let first = &blocks[0];
    for untrusted in &blocks[2..] {
        let (verdict, known) = (verdict(first, untrusted), is_known(first, untrusted));
        let expected = match verdict {
            Verdict::Success => known,
            Verdict::NotEnoughTrust(_) => !known,
            Verdict::Invalid(_) => false,
        };
        ensure!(expected, "1 -> {}, known: {known}: {verdict:?}", untrusted.height());
    }
    let last = blocks.last().context("there are blocks")?;
    for trusted in [first, &blocks[switches[0] - 1], &blocks[switches[1] - 1]] {
        let verdict = verdict(trusted, last);
        ensure!(
            verdict == Verdict::Success,
            "{} -> {}: {verdict:?}",
            trusted.height(),
            last.height()
        );
    }
    let hops = skip(blocks)?;
    ensure!(hops == 1, "the last header was reached by {hops} hops");
    for end in switches[1]..blocks.len() {
        skip(&blocks[..=end])?;
    }
    Ok(())
}

type Change = fn(&mut LightBlock, &LightBlock);
type Refusal = fn(&Verdict) -> bool;

/// Changes to a light block, given another whose validators differ, and how they are refused by who
/// trusts the block before.
fn forgeries() -> Vec<(&'static str, Change, Refusal)> {
    vec![
        (
            "a header that is not the signed one",
            |block, _| block.signed_header.header.app_hash = other_app_hash(),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidCommitValue(_))),
        ),
        (
            "a forged header under the signatures for the right one",
            |block, _| {
                let signed = &mut block.signed_header;
                signed.header.app_hash = other_app_hash();
                signed.commit.block_id.hash = signed.header.hash();
            },
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "a flipped signature",
            |block, _| flip(&mut block.signed_header.commit.signatures),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "signatures of half the power",
            |block, _| {
                block.signed_header.commit.signatures[2..].fill(CommitSig::BlockIdFlagAbsent);
            },
            |verdict| matches!(verdict, Verdict::Invalid(Why::InsufficientSignersOverlap(_))),
        ),
        (
            "signatures of another round",
            |block, _| block.signed_header.commit.round = 7_u16.into(),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "another set of validators",
            |block, other| block.validators = other.validators.clone(),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidValidatorSet(_))),
        ),
        (
            "another set of next validators",
            |block, other| block.next_validators = other.validators.clone(),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidNextValidatorSet(_))),
        ),
        (
            "another chain's name in the header",
            |block, _| block.signed_header.header.chain_id = other_chain(),
            |verdict| matches!(verdict, Verdict::Invalid(Why::InvalidCommitValue(_))),
        ),
        (
            "another chain's name in a forged header",
            |block, _| {
                let signed = &mut block.signed_header;
                signed.header.chain_id = other_chain();
                signed.commit.block_id.hash = signed.header.hash();
            },
            |verdict| matches!(verdict, Verdict::Invalid(Why::ChainIdMismatch(_))),
        ),
    ]
}

fn other_app_hash() -> AppHash {
    AppHash::try_from(vec![9; 32]).expect("an app hash")
}

fn other_chain() -> tendermint::chain::Id {
    "tandem-testnet-other".parse().expect("a chain id")
}

/// Flips a bit of the first signature.
fn flip(signatures: &mut [CommitSig]) {
    let signature = signatures.iter_mut().find_map(|sig| match sig {
        CommitSig::BlockIdFlagCommit { signature, .. } => signature.as_mut(),
        _ => None,
    });
    let signature = signature.expect("a certificate has signatures");
    let mut bytes = signature.clone().into_bytes();
    bytes[5] ^= 1;
    *signature = Signature::try_from(bytes).expect("64 bytes");
}

/// Forged headers are refused, by who trusts the one before and by who skips to them.
fn refuses(blocks: &[LightBlock], switches: [usize; 2]) -> Result<()> {
    let last = blocks.len() - 1;
    let [first, second] = switches;
    // A header between the switches, the first after each, and the newest; with each, one of
    // another set.
    for (index, other) in [(first + 1, 0), (first, 0), (second, first), (last, 0)] {
        let (good, other) = (&blocks[index], &blocks[other]);
        ensure!(good.validators.hash() != other.validators.hash(), "the sets should differ");
        for (what, change, refusal) in forgeries() {
            let mut forged = good.clone();
            change(&mut forged, other);
            let (next, skipping) =
                (verdict(&blocks[index - 1], &forged), verdict(&blocks[0], &forged));
            ensure!(refusal(&next), "{what} at height {}: {next:?}", good.height());
            ensure!(
                skipping != Verdict::Success,
                "{what} at height {}, skipping: accepted",
                good.height()
            );
        }
    }
    // The set before a switch is announced for no header after it: its own signatures do not help.
    let (before, mut stale) = (&blocks[first - 1], blocks[first].clone());
    let signed = &mut stale.signed_header;
    signed.header.validators_hash = before.validators.hash();
    signed.commit.signatures.clone_from(&before.signed_header.commit.signatures);
    signed.commit.block_id.hash = signed.header.hash();
    stale.validators = before.validators.clone();
    let refused = verdict(before, &stale);
    ensure!(
        matches!(refused, Verdict::Invalid(Why::InvalidNextValidatorSet(_))),
        "the old set after a switch: {refused:?}"
    );
    // A client of another chain.
    let mut elsewhere = before.clone();
    elsewhere.signed_header.header.chain_id = other_chain();
    let refused = verdict(&elsewhere, &blocks[first]);
    ensure!(
        matches!(refused, Verdict::Invalid(Why::ChainIdMismatch(_))),
        "a client of another chain: {refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_light_client_follows_a_running_network_over_switches_and_refuses_forgeries() -> Result<()>
{
    let test = async {
        let running = Running::start().await?;
        let orgs = running.network.orgs().to_vec();
        let (alpha, _) = running.pair(0);
        let (killed, heir) = running.pair(1);
        let (giver, taker) = running.pair(2);
        let (delta, _) = running.pair(3);
        running.goes_on(alpha).await?;
        running.network.kill(&[&killed.name]).await?;
        running.holds_seat(&orgs[1], heir).await?;
        running.goes_on(alpha).await?;
        running.switch(&orgs[2], taker).await?;
        running.goes_on(alpha).await?;
        // Those whose seats stay: with both, the newest header can be skipped to from the first.
        let tip = running.signed_by(&[alpha, delta]).await?;

        let blocks = light_blocks(running.rpc(heir), tip).await?;
        let switches: [usize; 2] = changes(&blocks)
            .try_into()
            .map_err(|changes| anyhow!("the validators changed at {changes:?}, not twice"))?;
        let [first, second] = switches.map(|index| &blocks[index]);
        ensure!(has_seat(first, heir) && !has_seat(first, killed), "the first is automatic");
        ensure!(has_seat(second, taker) && !has_seat(second, giver), "the second is planned");
        accepts(&blocks, switches)?;
        refuses(&blocks, switches)?;
        let Running { network, _dir } = running;
        network.end().await
    };
    tokio::time::timeout(LIMIT, test).await.context("it takes too long")?
}
