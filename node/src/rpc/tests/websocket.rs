//! WebSockets over real sockets: subscriptions, limits, clients that are wrong, slow or gone.

mod bad;
mod events;
mod permits;
mod slow;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Node;

const NEW_BLOCK: &str = "tm.event='NewBlock'";

/// The client's side of a WebSocket.
pub(super) struct Ws<S>(WebSocketStream<S>);

fn address(node: &Node) -> &str {
    node.client.url().strip_prefix("http://").unwrap()
}

/// Opens a WebSocket, or gives the status of the refusal.
pub(super) async fn open_with(
    node: &Node,
    headers: &[(&'static str, &str)],
) -> Result<Ws<TcpStream>, u16> {
    let address = address(node);
    open_over(TcpStream::connect(address).await.unwrap(), address, headers).await
}

/// As [`open_with`], over a connection that is there.
pub(super) async fn open_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    headers: &[(&'static str, &str)],
) -> Result<Ws<S>, u16> {
    let mut request = format!("ws://{host}/websocket").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match client_async(request, stream).await {
        Ok((stream, _)) => Ok(Ws(stream)),
        Err(WsError::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn open(node: &Node) -> Ws<TcpStream> {
    open_with(node, &[]).await.unwrap()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    pub(super) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            match self.0.next().await.expect("the other side is there").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn call(
        &mut self,
        id: impl Into<Value>,
        method: &str,
        params: Value,
    ) -> Value {
        let id = id.into();
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request.to_string()).await;
        let answer = self.next().await;
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &id), "{answer}");
        answer
    }

    /// Code and detail of the error that a call gives.
    async fn error(&mut self, method: &str, params: Value) -> (i64, String) {
        let answer = self.call(1, method, params).await;
        let error = &answer["error"];
        (error["code"].as_i64().expect("an error"), error["data"].as_str().unwrap().to_owned())
    }

    async fn subscribe(&mut self, id: impl Into<Value>, query: &str) {
        let id = id.into();
        let answer = self.call(id.clone(), "subscribe", json!({ "query": query })).await;
        assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": id, "result": {} }));
    }

    /// The next event, which is of this subscription: data and events.
    async fn event(&mut self, id: impl Into<Value>, query: &str) -> (Value, Value) {
        let mut event = self.next().await;
        assert_eq!((&event["jsonrpc"], &event["id"]), (&json!("2.0"), &id.into()), "{event}");
        let result = &mut event["result"];
        assert_eq!(result["query"], query);
        (result["data"].take(), result["events"].take())
    }

    /// The height of the next event, which is of [`NEW_BLOCK`].
    async fn block(&mut self, id: impl Into<Value>) -> u64 {
        let (data, _) = self.event(id, NEW_BLOCK).await;
        let height = data["value"]["block"]["header"]["height"].as_str().expect("a height");
        height.parse().unwrap()
    }

    /// How the other side ends it.
    async fn end(mut self) -> (CloseCode, String) {
        let last = self.0.next().await.expect("a reason").unwrap();
        let Message::Close(Some(CloseFrame { code, reason })) = last else { panic!("{last:?}") };
        let after = self.0.next().await;
        assert!(!matches!(after, Some(Ok(_))), "{after:?}");
        (code, reason.to_string())
    }
}
