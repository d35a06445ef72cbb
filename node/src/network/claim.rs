//! A peer that claims a frame of any length, which [`super::Network::send`] never does: by this a
//! test of running nodes shows one a frame over the limit.

use std::time::Duration;

use futures::io::{AsyncWriteExt as _, copy, sink};
use libp2p::Stream;
use tandem_chain::codec;
use tandem_chain::keys::PublicKey;
use tokio::time::timeout;

use super::frames::{FrameWriter, read_frame};
use super::limits::{MAX_HELLO_BYTES, SET_UP_TIMEOUT};
use super::streams::{Purpose, Streams};
use super::visit::{connect, drive};
use super::{Channel, Error, Hello, NetworkConfig, PROTOCOL_VERSION};

/// Links with node `to`, which `config.dial` names, and writes the head of a frame of `length`
/// bytes into a channel. Returns when the other side has ended the stream.
///
/// # Errors
/// [`Error::Key`]; [`Error::Unreachable`]; [`Error::NotConnected`] when there is no link;
/// [`Error::TimedOut`] when it has not ended within `limit`.
pub async fn claim_frame(
    config: &NetworkConfig,
    to: &PublicKey,
    channel: Channel,
    length: u32,
    limit: Duration,
) -> Result<(), Error> {
    let claimed = timeout(limit, claim(config, to, channel, length)).await;
    claimed.unwrap_or(Err(Error::TimedOut { peer: *to }))
}

async fn claim(
    config: &NetworkConfig,
    to: &PublicKey,
    channel: Channel,
    length: u32,
) -> Result<(), Error> {
    let lost = || Error::NotConnected { peer: *to };
    let texts = config.dial.get(to).into_iter().flatten();
    let addresses = texts.filter_map(|text| text.parse().ok()).collect();
    let (swarm, mut streams) = connect(&config.secret, to, addresses).await?;
    let chain_id = config.chain_id.clone();
    let hello = Hello { protocol: PROTOCOL_VERSION, chain_id, genesis: config.genesis };
    let opens = config.secret.public() < *to;
    let write = async {
        let linked = link(&mut streams, &codec::encode(&hello), opens).await;
        let (consensus, transactions) = linked.ok_or_else(lost)?;
        let (mut stream, _other) = match channel {
            Channel::Consensus => (consensus, transactions),
            Channel::Transactions => (transactions, consensus),
        };
        stream.write_all(&length.to_be_bytes()).await.map_err(|_| lost())?;
        stream.flush().await.map_err(|_| lost())?;
        // However it ends: that it does is what counts.
        let _ = copy(stream, &mut sink()).await;
        Ok(())
    };
    tokio::select! {
        written = write => written,
        () = drive(swarm) => Err(lost()),
    }
}

/// Makes the link, from whichever side it is to be made: both streams, or none.
async fn link(streams: &mut Streams, hello: &[u8], opens: bool) -> Option<(Stream, Stream)> {
    if opens {
        let mut consensus = streams.opener.open(Purpose::Consensus).await.ok()?;
        write(&mut consensus, hello).await?;
        read_frame(&mut consensus, MAX_HELLO_BYTES, SET_UP_TIMEOUT).await.ok()?;
        let transactions = streams.opener.open(Purpose::Transactions).await.ok()?;
        return Some((consensus, transactions));
    }
    let (Purpose::Consensus, mut consensus) = streams.opened.recv().await? else { return None };
    read_frame(&mut consensus, MAX_HELLO_BYTES, SET_UP_TIMEOUT).await.ok()?;
    write(&mut consensus, hello).await?;
    loop {
        match streams.opened.recv().await? {
            (Purpose::Transactions, transactions) => return Some((consensus, transactions)),
            (Purpose::Echo, _) => {}
            _ => return None,
        }
    }
}

async fn write(stream: &mut Stream, frame: &[u8]) -> Option<()> {
    let mut writer = FrameWriter::new(stream, SET_UP_TIMEOUT);
    writer.write(frame).await.ok()?;
    writer.flush().await.ok()
}
