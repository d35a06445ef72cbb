//! One WebSocket: its requests, its subscriptions, and its end.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tracing::debug;

use super::events::BlockEvents;
use super::hub::{Behind, Follower};
use super::{METHODS, SUBSCRIBE, UNSUBSCRIBE};
use crate::query::{Query, QueryError};
use crate::rpc::answer::Answer;
use crate::rpc::calls::{Parsed, batch, deadline, one, within_time};
use crate::rpc::error::RpcError;
use crate::rpc::methods::Method;
use crate::rpc::params::{Params, missing};
use crate::rpc::reading::Asking;
use crate::rpc::request::{Body as RequestBody, Request};
use crate::rpc::state::RpcState;

/// Time between two pings. Who says nothing from one to the next is gone.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// Requests of one WebSocket that are worked on; more are read when one is answered.
const MAX_CALLS: usize = 8;
/// How long the other side has to take the reason of an end.
const GOODBYE: Duration = Duration::from_secs(1);
/// Characters of a reason: a frame that ends a WebSocket has room for 123 bytes, and reasons are ASCII.
const MAX_REASON: usize = 123;
/// Events that are looked at before others have their turn.
const EVENTS_AT_ONCE: usize = 64;

/// Serves a WebSocket until it ends, with pings at this interval.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: WebSocketStream<S>,
    state: Arc<RpcState>,
    asking: Asking,
    ping_every: Duration,
) {
    let asking = Arc::new(asking);
    let hub = state.hub.clone();
    let mut session = Session { stream, state, asking, subscriptions: Vec::new(), blocks: None };
    let served = async {
        let end = session.serve(ping_every).await;
        debug!(?end, "a websocket ended");
        if let End::Told { code, reason } = end {
            session.close(code, reason).await;
        }
    };
    let stopped = async {
        hub.closed().await;
        sleep(GOODBYE).await;
    };
    // A node that stops does not wait for who takes nothing.
    tokio::select! {
        () = served => {}
        () = stopped => {}
    }
}

/// Why a session ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The other side is gone, or takes nothing.
    Gone,
    /// It is told why.
    Told { code: CloseCode, reason: String },
}

impl End {
    fn told(code: CloseCode, reason: &str) -> Self {
        Self::Told { code, reason: reason.chars().take(MAX_REASON).collect() }
    }
}

struct Session<S> {
    stream: WebSocketStream<S>,
    state: Arc<RpcState>,
    asking: Arc<Asking>,
    subscriptions: Vec<Subscription>,
    /// While there are subscriptions.
    blocks: Option<Follower>,
}

struct Subscription {
    id: Value,
    query: Query,
    /// What a message about an event begins with.
    head: String,
}

impl Subscription {
    fn new(id: Value, query: Query, text: String) -> Self {
        // The query as it was asked: clients know their subscription by it.
        let head =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"query":{},"#, Value::from(text));
        Self { id, query, head }
    }
}

/// The next block; never when nothing is followed.
async fn next(blocks: &mut Option<Follower>) -> Result<Arc<BlockEvents>, Behind> {
    match blocks {
        Some(blocks) => blocks.next().await,
        None => std::future::pending().await,
    }
}

/// Makes a part of a block's events, which takes time for a large block, off the async loop.
async fn made(
    state: &Arc<RpcState>,
    block: &Arc<BlockEvents>,
    make: impl FnOnce(&BlockEvents) + Send + 'static,
) -> Result<(), End> {
    let block = block.clone();
    let made = state.read(move |_| {
        make(&block);
        Ok(())
    });
    made.await.map_err(|error| End::told(CloseCode::Error, &error.data))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn serve(&mut self, ping_every: Duration) -> End {
        let hub = self.state.hub.clone();
        // They are tasks, so that none waits with what it holds while a slow client is sent to.
        let mut calls = JoinSet::new();
        let mut ticks = interval_at(Instant::now() + ping_every, ping_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_silent = false;
        loop {
            // What was sent is read before the time is looked at.
            let done = tokio::select! {
                biased;
                () = hub.closed() => {
                    return End::told(CloseCode::Away, "the node is stopping");
                }
                message = self.stream.next(), if calls.len() < MAX_CALLS => {
                    is_silent = false;
                    self.message(message, &mut calls).await
                }
                Some(answer) = calls.join_next() => match answer {
                    Ok(Some(answer)) => self.answer(answer).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(End::told(CloseCode::Error, &error.to_string())),
                },
                block = next(&mut self.blocks) => match block {
                    Ok(block) => self.deliver(&block).await,
                    Err(Behind) => self.fall_behind().await,
                },
                _ = ticks.tick() => {
                    // While nothing is read, nothing can be heard either.
                    if is_silent && calls.len() < MAX_CALLS {
                        return End::Gone;
                    }
                    is_silent = true;
                    self.send(Message::Ping(Vec::new().into())).await
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn message(
        &mut self,
        message: Option<Result<Message, WsError>>,
        calls: &mut JoinSet<Option<Answer>>,
    ) -> Result<(), End> {
        let text = match message {
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(self.unreadable(&error)),
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                return Err(End::told(CloseCode::Unsupported, "a request is a text, not bytes"));
            }
            // Pings and a close are answered by the library when it reads on.
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
            )) => {
                return Ok(());
            }
        };
        match RequestBody::parse(text.as_bytes(), self.state.config.rpc.max_batch) {
            Err(error) => self.reply(Value::Null, Err(error)).await,
            Ok(RequestBody::Single(request)) => self.request(request, calls).await,
            Ok(RequestBody::Batch(requests)) => {
                let (state, asking) = (self.state.clone(), self.asking.clone());
                let deadline = deadline(&state);
                calls.spawn(async move { batch(&state, &asking, deadline, requests).await });
                Ok(())
            }
        }
    }

    /// Why a message cannot be read.
    fn unreadable(&self, error: &WsError) -> End {
        match error {
            WsError::Capacity(_) => {
                let max = self.state.config.rpc.max_body_bytes;
                let text = format!("a message is over rpc.max_body_bytes ({max} bytes)");
                End::told(CloseCode::Size, &text)
            }
            WsError::Utf8(_) => End::told(CloseCode::Invalid, "a text is not UTF-8"),
            WsError::Protocol(error) => End::told(CloseCode::Protocol, &error.to_string()),
            _ => End::Gone,
        }
    }

    async fn request(
        &mut self,
        request: Parsed,
        calls: &mut JoinSet<Option<Answer>>,
    ) -> Result<(), End> {
        let own = request
            .as_ref()
            .ok()
            .and_then(|request| METHODS.iter().find(|method| method.name == request.method));
        let (state, asking) = (self.state.clone(), self.asking.clone());
        let deadline = deadline(&state);
        if let (Some(method), Ok(Request { id, params, .. })) = (own, &request) {
            let Some(id) = id.clone() else { return Ok(()) };
            let change = self.change(method, &id, params.clone());
            let result = within_time(&state, deadline, change).await;
            return self.reply(id, result).await;
        }
        calls.spawn(async move {
            let (id, result) = one(&state, &asking, deadline, request).await?;
            Some(state.unsent.answer(id, result))
        });
        Ok(())
    }

    /// Changes the subscriptions.
    async fn change(
        &mut self,
        method: &Method,
        id: &Value,
        params: Value,
    ) -> Result<Value, RpcError> {
        let params = Params::from_json(method.params, params)?;
        let query = || -> Result<(String, Query), RpcError> {
            let text = params.text("query")?.ok_or_else(|| missing("query"))?;
            let query: Result<Query, QueryError> = text.parse();
            let query = query.map_err(|error| RpcError::params(error.to_string()))?;
            Ok((text, query))
        };
        if *method == SUBSCRIBE {
            let (text, query) = query()?;
            self.asking.reader(&self.state, &SUBSCRIBE).await?;
            self.subscribe(id.clone(), text, query)?;
        } else if *method == UNSUBSCRIBE {
            let (_, query) = query()?;
            let before = self.subscriptions.len();
            self.subscriptions.retain(|subscription| subscription.query != query);
            if self.subscriptions.len() == before {
                let text = format!("this WebSocket has no subscription to {query}");
                return Err(RpcError::internal(text));
            }
        } else {
            self.subscriptions.clear();
        }
        if self.subscriptions.is_empty() {
            self.blocks = None;
        }
        Ok(json!({}))
    }

    fn subscribe(&mut self, id: Value, text: String, query: Query) -> Result<(), RpcError> {
        if self.subscriptions.iter().any(|subscription| subscription.query == query) {
            let text = format!("this WebSocket is subscribed to {query} already");
            return Err(RpcError::internal(text));
        }
        let max = self.state.config.rpc.max_subscriptions;
        if self.subscriptions.len() >= max {
            return Err(RpcError::internal(format!(
                "this WebSocket has rpc.max_subscriptions ({max}) subscriptions: end one with \
                 unsubscribe"
            )));
        }
        self.subscriptions.push(Subscription::new(id, query, text));
        self.blocks.get_or_insert_with(|| self.state.hub.follow());
        Ok(())
    }

    /// Sends the events of a block that are asked for, where they may be read still.
    async fn deliver(&mut self, block: &Arc<BlockEvents>) -> Result<(), End> {
        if let Err(error) = self.asking.reader(&self.state, &SUBSCRIBE).await {
            return self.end_subscriptions(&error).await;
        }
        made(&self.state, block, |block| {
            block.all();
        })
        .await?;
        for (number, event) in block.all().iter().enumerate() {
            for subscription in 0..self.subscriptions.len() {
                let Subscription { query, .. } = &self.subscriptions[subscription];
                if !query.matches(&event.keys) {
                    continue;
                }
                if !block.has_members(number) {
                    made(&self.state, block, move |block| {
                        block.members(number);
                    })
                    .await?;
                }
                let head = &self.subscriptions[subscription].head;
                let members = block.members(number);
                let room = self.state.hub.room(head.len() + members.len()).await;
                let text = [head, members, "}}"].concat();
                self.send(Message::text(text)).await?;
                drop(room);
            }
            if number % EVENTS_AT_ONCE == EVENTS_AT_ONCE - 1 {
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Tells each subscription that blocks were missed, and ends.
    async fn fall_behind(&mut self) -> Result<(), End> {
        const REASON: &str = "events come faster than they are taken";
        let text = format!("{REASON}, and some were missed: connect again and look up the rest");
        self.end_subscriptions(&RpcError::busy(text)).await?;
        Err(End::told(CloseCode::Policy, REASON))
    }

    /// Ends all subscriptions, each with an error in the place of its next event.
    async fn end_subscriptions(&mut self, error: &RpcError) -> Result<(), End> {
        self.blocks = None;
        for Subscription { id, .. } in std::mem::take(&mut self.subscriptions) {
            self.reply(id, Err(error.clone())).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, id: Value, result: Result<Value, RpcError>) -> Result<(), End> {
        let answer = self.state.unsent.answer(id, result);
        self.answer(answer).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let (text, room) = answer.into_parts();
        self.send(Message::text(text)).await?;
        drop(room);
        Ok(())
    }

    /// Sends a message; the stream gives up on who takes nothing.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        self.stream.send(message).await.map_err(|_| End::Gone)
    }

    /// Tells the other side why it ends.
    async fn close(&mut self, code: CloseCode, reason: String) {
        let close = async {
            let frame = CloseFrame { code, reason: reason.into() };
            if self.stream.close(Some(frame)).await.is_err() {
                return;
            }
            // A connection that ends over bytes that nobody has read is reset, and the other side may not
            // get to read the reason: they are read, until it has closed its half, too.
            let stream = self.stream.get_mut();
            let mut buffer = [0; 4_096];
            let _ = stream.shutdown().await;
            while stream.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
        };
        let _ = timeout(GOODBYE, close).await;
    }
}
