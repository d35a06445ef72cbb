//! `tandem top` on a terminal.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::support::Desk;

const LIMIT: Duration = Duration::from_secs(60);
/// What has a terminal show another screen, and its own again.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// Reads on until all of these words were drawn.
async fn drawn(output: &mut ChildStdout, text: &mut String, words: &[&str]) {
    while !words.iter().all(|word| text.contains(word)) {
        let mut bytes = [0; 4096];
        let read = timeout(LIMIT, output.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("{words:?} are not drawn: {text:?}")).unwrap();
        assert!(read > 0, "it ended before it drew {words:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

#[tokio::test]
async fn it_draws_the_chain_and_gives_the_terminal_back() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    let nobody = "http://127.0.0.1:0";
    for end in ["q", "\u{3}", "SIGTERM"] {
        let line = format!("top --interval 200ms --node {nobody},{}", node.url());
        let mut child = desk.on_terminal(&line);
        let mut output = child.stdout.take().unwrap();
        let mut text = String::new();
        // A rate is there once it has asked twice.
        let words = [ENTER, "cli-1", "validator", "alpha", "reachable", "blocks/s", "█"];
        drawn(&mut output, &mut text, &words).await;
        assert!(!text.contains(LEAVE), "{text:?}");
        if end == "SIGTERM" {
            let id = text.split_whitespace().next().unwrap().parse().unwrap();
            kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        } else {
            child.stdin.as_mut().unwrap().write_all(end.as_bytes()).await.unwrap();
        }
        drawn(&mut output, &mut text, &[LEAVE]).await;
        let status = timeout(LIMIT, child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0), "{end:?}: {text:?}");
        let behind = text.rsplit(LEAVE).next().unwrap();
        assert!(!behind.contains("error"), "{behind:?}");
    }
}
