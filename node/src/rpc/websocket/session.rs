//! One WebSocket: its requests, its subscriptions, and its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::{SinkExt, Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tracing::debug;

use super::events::{BlockEvent, BlockEvents};
use super::hub::{Behind, Follower};
use super::{METHODS, SUBSCRIBE, UNSUBSCRIBE};
use crate::query::{Query, QueryError};
use crate::rpc::answer::Answer;
use crate::rpc::calls::{Parsed, batch, deadline, one, within_time};
use crate::rpc::error::RpcError;
use crate::rpc::methods::Method;
use crate::rpc::params::{Params, missing};
use crate::rpc::places::{Place, on_behalf};
use crate::rpc::reading::Asking;
use crate::rpc::request::{Body as RequestBody, Request};
use crate::rpc::state::RpcState;

/// Time between two pings. Who says nothing from one to the next is gone.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Requests of one WebSocket that are worked on, or fewer when they have `rpc.max_body_bytes` together;
/// more are read when one is answered.
const MAX_CALLS: usize = 8;
/// Bytes of a frame: a longer text goes out in several. So no more of it than this is copied for who
/// takes it slowly, and what such a copy is moved by is in no proportion to the text.
const FRAME_BYTES: usize = 64 * 1024;
/// How long the other side has to take the reason of an end.
const GOODBYE: Duration = Duration::from_secs(1);
/// Characters of a reason: a frame that ends a WebSocket has room for 123 bytes, and reasons are ASCII.
const MAX_REASON: usize = 123;
/// Events that are looked at before others have their turn.
const EVENTS_AT_ONCE: usize = 64;
/// Why who falls behind is dropped.
const TOO_FAST: &str = "events come faster than they are taken";

/// When there are pings.
pub fn ticks() -> impl Stream<Item = ()> + Unpin {
    let mut ticks = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |cx| ticks.poll_tick(cx).map(|_| Some(())))
}

/// Serves a WebSocket until it ends, with a ping at each tick.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: WebSocketStream<S>,
    state: Arc<RpcState>,
    asking: Asking,
    client: IpAddr,
    ticks: impl Stream<Item = ()> + Unpin,
) {
    let asking = Arc::new(asking);
    let hub = state.hub.clone();
    let mut session = Session {
        stream,
        state,
        asking,
        client,
        subscriptions: Vec::new(),
        blocks: None,
        is_in_text: false,
    };
    let served = async {
        let end = session.serve(ticks).await;
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
    /// Where it comes from.
    client: IpAddr,
    subscriptions: Vec<Subscription>,
    /// While there are subscriptions.
    blocks: Option<Follower>,
    /// Whether a text has begun to go out in several frames and has not ended.
    is_in_text: bool,
}

/// Requests that are worked on. They are tasks, so that none waits with what it holds while a slow client
/// is sent to.
#[derive(Default)]
struct Calls {
    /// With the bytes of the message that each came in.
    tasks: JoinSet<(usize, Option<Answer>)>,
    bytes: usize,
}

impl Calls {
    fn begin(
        &mut self,
        bytes: usize,
        answer: impl Future<Output = Option<Answer>> + Send + 'static,
    ) {
        self.bytes += bytes;
        self.tasks.spawn(async move { (bytes, answer.await) });
    }

    /// Whether no more is read until one has its answer.
    fn are_full(&self, max_bytes: usize) -> bool {
        self.tasks.len() >= MAX_CALLS || self.bytes >= max_bytes
    }

    /// The next answer; none when nothing is worked on.
    async fn next(&mut self) -> Option<Result<Option<Answer>, JoinError>> {
        let done = self.tasks.join_next().await?;
        Some(done.map(|(bytes, answer)| {
            self.bytes -= bytes;
            answer
        }))
    }
}

struct Subscription {
    id: Value,
    query: Query,
    /// The only kind of events that it can match, where the query names one.
    kind: Option<String>,
    /// What a message about an event begins with.
    head: Bytes,
}

impl Subscription {
    fn new(id: Value, query: Query, text: String) -> Self {
        // The query as it was asked: clients know their subscription by it.
        let head =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"query":{},"#, Value::from(text));
        let kind = query.text("tm.event").map(str::to_owned);
        Self { id, query, kind, head: head.into() }
    }
}

/// The next block; never when nothing is followed.
async fn next(blocks: &mut Option<Follower>) -> Result<Arc<BlockEvents>, Behind> {
    match blocks {
        Some(blocks) => blocks.next().await,
        None => std::future::pending().await,
    }
}

/// The end of a session whose events could not be made.
fn not_made(error: RpcError) -> End {
    End::told(CloseCode::Error, &error.data)
}

/// Parts of a text that fill a frame each. Nothing is copied.
fn pieces(text: &Bytes) -> impl Iterator<Item = Bytes> {
    let begins = (0..text.len()).step_by(FRAME_BYTES);
    begins.map(|begin| text.slice(begin..text.len().min(begin + FRAME_BYTES)))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn serve(&mut self, mut ticks: impl Stream<Item = ()> + Unpin) -> End {
        let hub = self.state.hub.clone();
        let max_bytes = self.state.config.rpc.max_body_bytes;
        let mut calls = Calls::default();
        let mut is_silent = false;
        loop {
            let reads = !calls.are_full(max_bytes);
            // What was sent is read before the time is looked at.
            let done = tokio::select! {
                biased;
                () = hub.closed() => {
                    return End::told(CloseCode::Away, "the node is stopping");
                }
                message = self.stream.next(), if reads => {
                    is_silent = false;
                    self.message(message, &mut calls).await
                }
                Some(answer) = calls.next() => match answer {
                    Ok(Some(answer)) => self.answer(answer).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(End::told(CloseCode::Error, &error.to_string())),
                },
                block = next(&mut self.blocks) => match block {
                    Ok(block) => self.deliver_in_time(&block).await,
                    Err(Behind) => self.fall_behind().await,
                },
                Some(()) = ticks.next() => {
                    // While nothing is read, nothing can be heard either.
                    if is_silent && reads {
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
        calls: &mut Calls,
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
        let room = self.state.body(text.len()).await;
        let body = RequestBody::parse(text.as_bytes(), self.state.config.rpc.max_batch);
        let requests = body.as_ref().map_or(1, RequestBody::requests);
        if let Err(refused) =
            self.state.rates.count(self.client, requests, std::time::Instant::now())
        {
            let id = body.ok().and_then(RequestBody::id).unwrap_or_default();
            return self.reply(id, Err(refused.into())).await;
        }
        match body {
            Err(error) => self.reply(Value::Null, Err(error)).await,
            Ok(RequestBody::Single(request)) => {
                self.request(request, (text.len(), room), calls).await
            }
            Ok(RequestBody::Batch(requests)) => {
                let (state, asking) = (self.state.clone(), self.asking.clone());
                let deadline = deadline(&state);
                let answers = async move {
                    let _room = room;
                    batch(&state, &asking, deadline, requests).await
                };
                calls.begin(text.len(), on_behalf(self.client, answers));
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
        (bytes, room): (usize, Option<Place>),
        calls: &mut Calls,
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
        let answer = async move {
            let _room = room;
            let (id, result) = one(&state, &asking, deadline, request).await?;
            Some(state.unsent.answer(id, result))
        };
        calls.begin(bytes, on_behalf(self.client, answer));
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

    /// Sends the events of a block while it is kept for all: who needs longer is behind, and holds no
    /// block for himself alone.
    async fn deliver_in_time(&mut self, block: &Arc<BlockEvents>) -> Result<(), End> {
        let Some(blocks) = &self.blocks else { return Ok(()) };
        let lost = blocks.lost();
        let delivered = tokio::select! {
            biased;
            delivered = self.deliver(block) => Some(delivered),
            () = lost => None,
        };
        match delivered {
            Some(delivered) => delivered,
            // Nothing but a close may stand in the middle of a text.
            None if self.is_in_text => Err(End::told(CloseCode::Policy, TOO_FAST)),
            None => self.fall_behind().await,
        }
    }

    /// Sends the events of a block that are asked for, where they may be read still.
    async fn deliver(&mut self, block: &Arc<BlockEvents>) -> Result<(), End> {
        if let Err(error) = self.asking.reader(&self.state, &SUBSCRIBE).await {
            return self.end_subscriptions(&error).await;
        }
        let hub = self.state.hub.clone();
        let events = block.all(&self.state).await.map_err(not_made)?;
        for (chunk, begin) in events.chunks(EVENTS_AT_ONCE).zip((0..).step_by(EVENTS_AT_ONCE)) {
            let asked_for = {
                let _turn = hub.turn().await;
                self.asked_for(chunk)
            };
            for (subscription, number) in asked_for {
                let members = block.members(&self.state, begin + number).await;
                let head = self.subscriptions[subscription].head.clone();
                let end = Bytes::from_static(b"}}");
                self.text(&[head, members.map_err(not_made)?, end]).await?;
            }
            yield_now().await;
        }
        Ok(())
    }

    /// The subscriptions whose queries match, with the number among these events, in their order.
    fn asked_for(&self, events: &[BlockEvent]) -> Vec<(usize, usize)> {
        let mut asked_for = Vec::new();
        for (number, event) in events.iter().enumerate() {
            for (index, subscription) in self.subscriptions.iter().enumerate() {
                let kind = subscription.kind.as_deref();
                if kind.is_none_or(|kind| kind == event.kind())
                    && subscription.query.matches(&event.keys)
                {
                    asked_for.push((index, number));
                }
            }
        }
        asked_for
    }

    /// Tells each subscription that blocks were missed, and ends.
    async fn fall_behind(&mut self) -> Result<(), End> {
        let text = format!("{TOO_FAST}, and some were missed: connect again and look up the rest");
        self.end_subscriptions(&RpcError::busy(text)).await?;
        Err(End::told(CloseCode::Policy, TOO_FAST))
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
        self.text(&[answer.into_bytes()]).await
    }

    /// Sends a text that is given in parts.
    async fn text(&mut self, parts: &[Bytes]) -> Result<(), End> {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if bytes <= FRAME_BYTES {
            let frame = Frame::message(parts.concat(), OpCode::Data(Data::Text), true);
            return self.send(Message::Frame(frame)).await;
        }
        let pieces: Vec<Bytes> = parts.iter().flat_map(pieces).collect();
        let last = pieces.len() - 1;
        for (number, piece) in pieces.into_iter().enumerate() {
            let kind = if number == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(piece, OpCode::Data(kind), number == last);
            self.is_in_text = true;
            self.send(Message::Frame(frame)).await?;
        }
        self.is_in_text = false;
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
