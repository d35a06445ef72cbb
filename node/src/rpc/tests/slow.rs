//! Clients that are slow, or gone: what they may hold, and for how long.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, WriteHalf, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;

use super::{Node, Senders, node_with, setup, tx_param};
use crate::config::Config;
use crate::rpc::answer::Unsent;
use crate::rpc::places::on_behalf;
use crate::rpc::server::{connection, router};
use crate::rpc::socket::Socket;
use crate::rpc::state::{MAX_READS, RpcState};
use crate::testing::Chain;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Long enough for any machine.
pub(super) const FOR_EVER: Duration = Duration::from_secs(3_600);
/// Where connections come from that are none of TCP.
pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_read_keeps_its_place_when_the_asker_has_gone() {
    let chain = Chain::new();
    let (setup, _senders) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let (started, mut starts) = mpsc::unbounded_channel();
    let mut gates = Vec::new();
    let mut asks = Vec::new();
    for i in 0..MAX_READS {
        let (gate, closed) = std::sync::mpsc::channel::<()>();
        gates.push(gate);
        let (state, started) = (state.clone(), started.clone());
        // One client has not all of the places.
        let client = [10, 0, 0, u8::from(i < MAX_READS / 2)].into();
        asks.push(tokio::spawn(on_behalf(client, async move {
            let read = state.read(move |_| {
                started.send(()).unwrap();
                // Until the gate is dropped.
                let _ = closed.recv();
                Ok(())
            });
            read.await
        })));
    }
    for _ in 0..MAX_READS {
        starts.recv().await.unwrap();
    }
    for ask in asks {
        ask.abort();
        assert!(ask.await.unwrap_err().is_cancelled());
    }
    assert_eq!(state.reads.taken(), MAX_READS, "they still run");
    drop(gates);
    state.read(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let node = node_with(|config| config.rpc.request_timeout = Duration::from_millis(20)).await;
    let address = node.client.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("-32000") && answer.contains("rpc.request_timeout"), "{answer}");
}

/// Where a client sends.
type ClientEnd = WriteHalf<DuplexStream>;

/// All that a node answers to a client before it ends the connection.
async fn answer(
    change: impl FnOnce(&mut Config),
    send: impl AsyncFnOnce(&mut ClientEnd) -> io::Result<()>,
) -> String {
    let chain = Chain::new();
    let (setup, _senders) = setup(&chain, change);
    let routes = router(RpcState::start(setup));
    let (near, far) = duplex(1_024);
    let (mut reader, mut writer) = split(far);
    let (_stopping, stopped) = watch::channel(false);
    let served = connection(Socket::new(near, FOR_EVER), CLIENT, routes, stopped);
    let mut answer = String::new();
    // An error of the sender is that the node takes no more.
    let (_, read, ()) = tokio::join!(send(&mut writer), reader.read_to_string(&mut answer), served);
    read.unwrap();
    answer
}

#[tokio::test]
async fn a_body_that_trickles_has_one_deadline() {
    const BYTES: usize = 1_000_000;
    let change = |config: &mut Config| config.rpc.request_timeout = Duration::from_millis(20);
    // Each byte comes soon after the one before, and all of them would be a body, which is no JSON.
    let send = async |client: &mut ClientEnd| {
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BYTES}\r\n\r\n");
        client.write_all(head.as_bytes()).await?;
        for _ in 0..BYTES {
            client.write_all(b" ").await?;
            yield_now().await;
        }
        Ok::<_, io::Error>(())
    };
    let answer = answer(change, send).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("-32000") && answer.contains("rpc.request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_body_in_chunks_over_the_limit_is_refused_before_its_end() {
    let change = |config: &mut Config| config.rpc.max_body_bytes = 2_000;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    for (chunks, end, status, words) in [
        (2_000, "0\r\n\r\n", "HTTP/1.1 200", "-32700"),
        (2_001, "", "HTTP/1.1 413", "rpc.max_body_bytes (2000 bytes)"),
    ] {
        let request = format!("{head}{}{end}", "1\r\n \r\n".repeat(chunks));
        let send = async |client: &mut ClientEnd| client.write_all(request.as_bytes()).await;
        let answer = answer(change, send).await;
        assert!(answer.starts_with(status) && answer.contains(words), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_is_cut_short_gives_its_place_back() {
    let node = node_with(|config| config.rpc.max_connections = 1).await;
    let address = node.client.url().strip_prefix("http://").unwrap().to_owned();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\n";
    let mut ended = Vec::new();
    for (rest, status) in [
        ("", ""),
        ("Content-Le", ""),
        ("Content-Length: 99\r\n\r\n", "HTTP/1.1 400"),
        ("Content-Length: 99\r\n\r\n{\"jsonrpc\":\"2.0\",", "HTTP/1.1 400"),
        ("Transfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400"),
        ("Transfer-Encoding: chunked\r\n\r\n9", "HTTP/1.1 400"),
        ("Transfer-Encoding: chunked\r\n\r\n9\r\n{\"", "HTTP/1.1 400"),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "HTTP/1.1 400"),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
        // What it sends ends here; it still reads.
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        // Of a head that is not whole nothing is said.
        let is_told = if status.is_empty() { answer.is_empty() } else { answer.contains("-32700") };
        assert!(is_told && answer.starts_with(status), "{rest:?}: {answer}");
        // The client does not close it: the only place is free for the next since the node has.
        ended.push(stream);
    }
    node.call("status", json!({})).await;
}

#[tokio::test]
async fn a_batch_has_one_deadline() {
    let node = node_with(|config| {
        config.rpc.request_timeout = Duration::from_millis(20);
        config.rpc.broadcast_commit_timeout = FOR_EVER;
    })
    .await;
    let [first, second] = [1, 2].map(|nonce| node.chain().create(nonce));
    // The first waits for a block that does not come.
    let calls = vec![
        ("broadcast_tx_commit", tx_param(&first)),
        ("broadcast_tx_sync", tx_param(&second)),
        ("genesis", Value::Null),
    ];
    for answer in node.client.batch(calls).await.unwrap() {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("no answer within rpc.request_timeout (20ms)"), "{error}");
    }
    assert!(!node.admission.is_waiting(&second.hash()), "after the deadline nothing is begun");
}

#[tokio::test]
async fn who_does_not_read_an_answer_loses_the_connection() {
    let long = "x".repeat(100_000);
    let router = Router::new().route("/", get(move || async move { long }));
    let (near, mut far) = duplex(1_024);
    let (_stopping, stopped) = watch::channel(false);
    far.write_all(REQUEST).await.unwrap();
    connection(Socket::new(near, Duration::from_millis(5)), CLIENT, router, stopped).await;
    // The beginning came, and then the end.
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert!(got.starts_with(b"HTTP/1.1 200") && got.len() <= 1_024);
}

#[tokio::test]
async fn answers_count_until_they_are_sent_and_one_is_made_after_the_other() {
    let unsent = Unsent::new(1_000_000);
    let router = Router::new().route("/", {
        let unsent = unsent.clone();
        get(move || async move {
            let answer = unsent.answer(json!(1), Ok(Value::from("x".repeat(100_000))));
            answer.into_response(StatusCode::OK)
        })
    });
    let (near, mut far) = duplex(1_024);
    let (_stopping, stopped) = watch::channel(false);
    let served = tokio::spawn(connection(Socket::new(near, FOR_EVER), CLIENT, router, stopped));
    // Three requests at once, the last with the end of the connection.
    let last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    far.write_all(&[REQUEST, REQUEST, last].concat()).await.unwrap();
    far.read_exact(&mut [0; 12]).await.unwrap();
    // One alone is there, and has not gone out.
    let one = unsent.bytes();
    assert!((100_000..101_000).contains(&one), "{one}");
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > 3 * one);
    served.await.unwrap();
    unsent.all_sent().await;
}

#[tokio::test]
async fn who_waits_for_a_block_is_told_when_no_more_come() {
    /// Ends what gives the node its blocks, or the RPC.
    type End = fn(Node) -> Box<dyn std::any::Any>;
    let ends: [End; 2] = [
        |Node { commits, stop, .. }| {
            drop(commits);
            Box::new(stop)
        },
        |Node { commits, stop, .. }| {
            stop.send(()).unwrap();
            Box::new(commits)
        },
    ];
    for end in ends {
        let node = node_with(|config| {
            config.rpc.request_timeout = FOR_EVER;
            config.rpc.broadcast_commit_timeout = FOR_EVER;
        })
        .await;
        let tx = node.chain().create(1);
        let (client, admission) = (node.client.clone(), node.admission.clone());
        let params = tx_param(&tx);
        let ask = tokio::spawn(async move {
            client.call::<Value>("broadcast_tx_commit", params).await.unwrap_err().to_string()
        });
        admission.arrived().await;
        let _rest = end(node);
        let error = ask.await.unwrap();
        assert!(error.contains("the node is stopping") && error.contains("-32000"), "{error}");
    }
}

#[tokio::test]
async fn the_end_of_the_commits_ends_all_waiting() {
    let chain = Chain::new();
    let (setup, Senders { commits, .. }) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let mut waiter = state.waiters.add(chain.create(1).hash()).unwrap();
    drop(commits);
    assert_eq!(waiter.found().await, None);
    assert!(state.waiters.add(chain.create(2).hash()).is_err());
}
