//! The text of queries.

use tandem_chain::types::{Timestamp, escaped};

use super::{Condition, Date, MAX_BYTES, MAX_CONDITIONS, Number, Order, Query, QueryError, Test};

/// Words that are no tags.
const WORDS: [&str; 5] = ["AND", "CONTAINS", "EXISTS", "TIME", "DATE"];
/// Characters of what stands in a wrong place that an error shows.
const MAX_SHOWN: usize = 24;

const A_TAG: &str = "a tag such as tx.height";
const AN_OPERATOR: &str = "one of = < <= > >= CONTAINS EXISTS";
const A_TEXT: &str = "a text in single quotes";
const A_NUMBER: &str = "a number, TIME 2026-11-22T23:09:21Z or DATE 2026-11-22";
const ANYTHING: &str =
    "a text in single quotes, a number, TIME 2026-11-22T23:09:21Z or DATE 2026-11-22";
const A_TIME: &str = "a time such as 2026-11-22T23:09:21Z, of the years 1970 to 2554";
const A_DATE: &str = "a date such as 2026-11-22, of the years 1970 to 2554";
const AND: &str = "AND or the end";

pub fn query(text: &str) -> Result<Query, QueryError> {
    if text.len() > MAX_BYTES {
        return Err(QueryError::TooLong { got: text.len() });
    }
    let mut rest = Rest { text, at: 0 };
    let mut conditions = Vec::new();
    loop {
        rest.skip_space();
        if conditions.len() == MAX_CONDITIONS {
            return Err(QueryError::TooMany { at: rest.at });
        }
        conditions.push(condition(&mut rest)?);
        rest.skip_space();
        if rest.text().is_empty() {
            return Ok(Query { conditions });
        }
        if !rest.skip_word("AND") {
            return Err(rest.unexpected(AND));
        }
    }
}

fn condition(rest: &mut Rest) -> Result<Condition, QueryError> {
    let tag = rest.word();
    if WORDS.contains(&tag) || !tag.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
        return Err(rest.unexpected(A_TAG));
    }
    rest.at += tag.len();
    rest.skip_space();
    Ok(Condition { tag: tag.to_owned(), test: test(rest)? })
}

fn test(rest: &mut Rest) -> Result<Test, QueryError> {
    if rest.skip_word("EXISTS") {
        return Ok(Test::Exists);
    }
    if rest.skip_word("CONTAINS") {
        rest.skip_space();
        return rest.quoted()?.map(Test::Contains).ok_or_else(|| rest.unexpected(A_TEXT));
    }
    // The longer first.
    let orders = [
        ("<=", Order::LessOrEqual),
        (">=", Order::GreaterOrEqual),
        ("<", Order::Less),
        (">", Order::Greater),
        ("=", Order::Equal),
    ];
    let order = orders.into_iter().find_map(|(sign, order)| rest.skip(sign).then_some(order));
    let order = order.ok_or_else(|| rest.unexpected(AN_OPERATOR))?;
    rest.skip_space();
    if order == Order::Equal
        && let Some(text) = rest.quoted()?
    {
        return Ok(Test::Is(text));
    }
    if let Some(number) = rest.number() {
        return Ok(Test::Number(order, number));
    }
    if rest.skip_word("TIME") {
        let time = rest.label(|c| c.is_ascii_digit() || "-T:+Z.".contains(c));
        let parsed = Timestamp::from_rfc3339(time).map_err(|_| rest.unexpected(A_TIME))?;
        rest.at += time.len();
        return Ok(Test::Time(order, parsed));
    }
    if rest.skip_word("DATE") {
        let date = rest.label(|c| c.is_ascii_digit() || c == '-');
        let parsed = Date::parse(date).ok_or_else(|| rest.unexpected(A_DATE))?;
        rest.at += date.len();
        return Ok(Test::Date(order, parsed));
    }
    Err(rest.unexpected(if order == Order::Equal { ANYTHING } else { A_NUMBER }))
}

fn is_of_tag(c: char) -> bool {
    c == '.' || c == '_' || c == '-' || c.is_alphanumeric()
}

/// A query of which something was read.
struct Rest<'q> {
    text: &'q str,
    /// Bytes that were read.
    at: usize,
}

impl<'q> Rest<'q> {
    fn text(&self) -> &'q str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.text().trim_start().len();
    }

    /// The characters of a kind that come next. They are not read yet.
    fn next_of(&self, is_one: impl Fn(char) -> bool) -> &'q str {
        let text = self.text();
        &text[..text.find(|c: char| !is_one(c)).unwrap_or(text.len())]
    }

    /// The tag or word that comes next.
    fn word(&self) -> &'q str {
        self.next_of(is_of_tag)
    }

    /// What comes behind `TIME` or `DATE`. It is not read yet.
    fn label(&mut self, is_one: impl Fn(char) -> bool) -> &'q str {
        self.skip_space();
        self.next_of(is_one)
    }

    fn skip(&mut self, sign: &str) -> bool {
        let is_there = self.text().starts_with(sign);
        self.at += if is_there { sign.len() } else { 0 };
        is_there
    }

    fn skip_word(&mut self, word: &str) -> bool {
        self.word() == word && self.skip(word)
    }

    /// A text in quotes; none when something else comes next.
    fn quoted(&mut self) -> Result<Option<String>, QueryError> {
        let Some(inside) = self.text().strip_prefix('\'') else { return Ok(None) };
        let Some((text, _)) = inside.split_once('\'') else {
            return Err(QueryError::OpenText { at: self.at });
        };
        self.at += text.len() + "''".len();
        Ok(Some(text.to_owned()))
    }

    /// A number; none when something else comes next.
    fn number(&mut self) -> Option<Number> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let text = self.text();
        let mut len = digits(text);
        if text[len..].starts_with('.') {
            len += 1 + digits(&text[len + 1..]);
        }
        let number = Number::parse(&text[..len])?;
        self.at += len;
        Some(number)
    }

    fn unexpected(&self, expected: &'static str) -> QueryError {
        let text = self.text();
        let word = text.split_whitespace().next();
        let got = word.map_or("the end".to_owned(), |word| {
            escaped(&word.chars().take(MAX_SHOWN).collect::<String>())
        });
        QueryError::Unexpected { at: self.at, expected, got }
    }
}
