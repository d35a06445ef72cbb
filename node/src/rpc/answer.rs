//! Texts of answers, and how much of them may wait for slow readers.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error::RpcError;
use super::places::{Place, Places};
use super::request::{MAX_ID_BYTES, response};

/// Bytes of all answers together that are made and not sent yet, of which a client has half at most; short
/// ones are not counted.
pub const MAX_UNSENT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a short answer: health, status and errors are given whatever else waits.
const SHORT_BYTES: usize = 8 * 1024;
/// Bytes of the answers to one batch; requests behind are answered with an error.
pub const MAX_BATCH_ANSWER_BYTES: usize = 16 * 1024 * 1024;

// Several batches are answered at once, also to one client.
const _: () = assert!(4 * MAX_BATCH_ANSWER_BYTES <= MAX_UNSENT_BYTES);
const _: () = assert!(8 * MAX_ID_BYTES <= SHORT_BYTES);

/// Room for answers that are not sent yet. Shared.
#[derive(Clone, Debug)]
pub struct Unsent {
    room: Places,
    max: usize,
}

/// A JSON-RPC answer, or a list of them, with its room: that is free again when the text is dropped.
#[derive(Debug)]
pub struct Answer {
    text: String,
    room: Vec<Place>,
}

impl Unsent {
    /// Room for so many bytes, for half of them of one client.
    pub fn new(max: usize) -> Self {
        Self { room: Places::new(max, max.div_ceil(2)), max }
    }

    /// The answer to a request; an error where there is no room for it.
    pub fn answer(&self, id: Value, result: Result<Value, RpcError>) -> Answer {
        let again = id.clone();
        let text = response(id, result).to_string();
        if let Some(answer) = self.text(text) {
            return answer;
        }
        let max = self.max;
        let error = RpcError::busy(format!(
            "answers of {max} bytes together, or of half of that to you, wait for clients that take them \
             slowly: ask again later"
        ));
        Answer { text: response(again, Err(error)).to_string(), room: Vec::new() }
    }

    /// A text of any kind, such as a page; none where there is no room for it.
    pub fn text(&self, text: String) -> Option<Answer> {
        if text.len() <= SHORT_BYTES {
            return Some(Answer { text, room: Vec::new() });
        }
        // A text over a client's share is given when no other waits for it.
        let room = self.room.take(text.len()).ok()?;
        Some(Answer { text, room: vec![room] })
    }

    /// Waits until nothing is unsent.
    #[cfg(test)]
    pub async fn all_sent(&self) {
        self.room.all_gone().await;
    }

    /// Bytes that are counted now.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.room.taken()
    }
}

impl Answer {
    /// The beginning of a list.
    pub fn list() -> Self {
        Self { text: "[".to_owned(), room: Vec::new() }
    }

    /// Adds an answer to a list.
    pub fn push(&mut self, answer: Self) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&answer.text);
        self.room.extend(answer.room);
    }

    /// Ends a list; none when nothing is in it.
    pub fn end(mut self) -> Option<Self> {
        self.text.push(']');
        (self.text != "[]").then_some(self)
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The text, which keeps its room until no part of it is held any more.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// As HTTP.
    pub fn into_response(self, status: StatusCode) -> Response {
        let content_type = HeaderValue::from_static("application/json");
        let body = Body::from(self.into_bytes());
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(bytes: usize) -> Result<Value, RpcError> {
        Ok(Value::from("x".repeat(bytes)))
    }

    fn code(answer: &Answer) -> Option<i64> {
        serde_json::from_str::<Value>(&answer.text).unwrap()["error"]["code"].as_i64()
    }

    #[test]
    fn long_answers_have_room_or_are_refused_and_short_ones_are_given() {
        let unsent = Unsent::new(200_000);
        let first = unsent.answer(json!(1), result(60_000));
        assert_eq!((code(&first), unsent.bytes()), (None, first.len()));
        let refused = unsent.answer(json!("two"), result(60_000));
        assert_eq!((code(&refused), unsent.bytes()), (Some(-32000), first.len()));
        assert!(refused.text.contains("\"id\":\"two\""), "{}", refused.text);
        assert_eq!(code(&unsent.answer(json!(3), result(8_000))), None);

        // What HTTP holds of it keeps its room.
        let bytes = first.into_bytes();
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(code(&unsent.answer(json!(4), result(60_000))), Some(-32000));
        drop(part);
        assert_eq!(unsent.bytes(), 0);
        let whole = unsent.answer(json!(5), result(200_000));
        assert_eq!((code(&whole), unsent.bytes()), (None, 100_000));
    }

    #[test]
    fn a_list_holds_the_room_of_all_its_answers() {
        let unsent = Unsent::new(200_000);
        assert!(Answer::list().end().is_none());
        let mut list = Answer::list();
        for (id, bytes) in [(1, 30_000), (2, 10), (3, 30_000), (4, 60_000)] {
            list.push(unsent.answer(json!(id), result(bytes)));
        }
        let list = list.end().unwrap();
        assert!((60_000..61_000).contains(&unsent.bytes()));
        let answers: Vec<Value> = serde_json::from_str(&list.text).unwrap();
        let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(answers[3]["error"]["code"], -32000);
        drop(list);
        assert_eq!(unsent.bytes(), 0);
    }
}
