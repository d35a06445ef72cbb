//! Parameters of a call, from JSON or from a query, with CometBFT's conventions for both.
//!
//! | type | in JSON | in a query |
//! |---|---|---|
//! | integer | `"5"` or `5` | `5` or `"5"` |
//! | text | `"text"` | `"text"` |
//! | bytes of a transaction or hash | base64 | `0x` and hex digits, or the text itself in quotes |
//! | data of `abci_query` | hex digits | the same |
//! | yes or no | `true` | `true` |
//! | a change | its JSON, or a text of it | its JSON, in quotes or not |

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_chain::types::{Hash, Height, escaped};

use super::error::RpcError;

/// A value as it came.
#[derive(Clone, Debug, PartialEq)]
enum Param {
    Json(Value),
    Query(String),
}

/// The parameters of one call by name; what was null, empty or left out is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(BTreeMap<&'static str, Param>);

impl Params {
    /// From the `params` of a body; an array gives them in the order of `names`.
    ///
    /// # Errors
    /// A name that is not in `names`, or more values than names.
    pub fn from_json(names: &[&'static str], params: Value) -> Result<Self, RpcError> {
        let mut found = BTreeMap::new();
        match params {
            Value::Array(values) => {
                if values.len() > names.len() {
                    let got = values.len();
                    return Err(RpcError::params(format!("{got} parameters, {}", known(names))));
                }
                for (name, value) in names.iter().zip(values) {
                    found.insert(*name, Param::Json(value));
                }
            }
            Value::Object(values) => {
                for (name, value) in values {
                    found.insert(find(names, &name)?, Param::Json(value));
                }
            }
            _ => {}
        }
        found.retain(|_, param| *param != Param::Json(Value::Null));
        Ok(Self(found))
    }

    /// From the pairs of a query.
    ///
    /// # Errors
    /// A name that is not in `names`, or is there twice.
    pub fn from_query(
        names: &[&'static str],
        pairs: Vec<(String, String)>,
    ) -> Result<Self, RpcError> {
        let mut found = BTreeMap::new();
        for (name, value) in pairs {
            let name = find(names, &name)?;
            if found.insert(name, Param::Query(value)).is_some() {
                return Err(RpcError::params(format!("parameter {name} is there twice")));
            }
        }
        found.retain(|_, param| *param != Param::Query(String::new()));
        Ok(Self(found))
    }

    /// A whole number of at least 0.
    ///
    /// # Errors
    /// Anything else.
    pub fn integer(&self, name: &'static str) -> Result<Option<u64>, RpcError> {
        let Some(text) = self.number(name) else { return Ok(None) };
        // Without a sign.
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_digits => Ok(Some(number)),
            _ => Err(wrong(name, "a whole number of at least 0", &text)),
        }
    }

    /// A height above 0.
    ///
    /// # Errors
    /// 0 and negative ones in CometBFT's words; anything else.
    pub fn height(&self, name: &'static str) -> Result<Option<Height>, RpcError> {
        match self.height_or_newest(name)? {
            Some(Height::ZERO) => Err(not_positive("0")),
            height => Ok(height),
        }
    }

    /// A height, or 0, which clients send where they mean the newest.
    ///
    /// # Errors
    /// Negative ones in CometBFT's words; anything else.
    pub fn height_or_newest(&self, name: &'static str) -> Result<Option<Height>, RpcError> {
        let text = self.number(name).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or_default();
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_positive(&text));
        }
        Ok(self.integer(name)?.map(Height))
    }

    /// What stands where a number belongs.
    fn number(&self, name: &'static str) -> Option<String> {
        Some(match self.0.get(name)? {
            Param::Json(Value::Number(number)) => number.to_string(),
            Param::Json(Value::String(text)) => text.clone(),
            Param::Json(other) => other.to_string(),
            Param::Query(text) => unquoted(text).unwrap_or(text).to_owned(),
        })
    }

    /// Text.
    ///
    /// # Errors
    /// Anything else.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, RpcError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Param::Json(Value::String(text))) => Ok(Some(text.clone())),
            Some(Param::Json(other)) => Err(wrong(name, "a text", &other.to_string())),
            Some(Param::Query(text)) => match unquoted(text) {
                Some(inner) => Ok(Some(inner.to_owned())),
                None => Err(wrong(name, "a text in quotes, as in path=\"/records\"", text)),
            },
        }
    }

    /// Yes or no; no when it is left out.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, name: &'static str) -> Result<bool, RpcError> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Param::Json(Value::Bool(flag))) => Ok(*flag),
            Some(Param::Query(text)) if text == "true" => Ok(true),
            Some(Param::Query(text)) if text == "false" => Ok(false),
            Some(Param::Json(other)) => Err(wrong(name, "true or false", &other.to_string())),
            Some(Param::Query(text)) => Err(wrong(name, "true or false", text)),
        }
    }

    /// A value of a type of its own: as JSON, or as a text that holds its JSON.
    ///
    /// # Errors
    /// Anything else, with the reason.
    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, RpcError> {
        let text = match self.0.get(name) {
            None => return Ok(None),
            Some(Param::Json(Value::String(text))) => text.clone(),
            Some(Param::Json(other)) => other.to_string(),
            Some(Param::Query(text)) => unquoted(text).unwrap_or(text).to_owned(),
        };
        let value = serde_json::from_str(&text);
        let wrong = |error| RpcError::params(format!("parameter {name}: {error}"));
        value.map(Some).map_err(|error: serde_json::Error| wrong(escaped(&error.to_string())))
    }

    /// Bytes, in base64 in JSON.
    ///
    /// # Errors
    /// Anything else.
    pub fn base64(&self, name: &'static str) -> Result<Option<Vec<u8>>, RpcError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Param::Json(Value::String(text))) => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => Err(wrong(name, "base64", text)),
            },
            Some(Param::Json(other)) => Err(wrong(name, "a text of base64", &other.to_string())),
            Some(Param::Query(text)) => query_bytes(name, text).map(Some),
        }
    }

    /// Bytes, in hex digits in JSON.
    ///
    /// # Errors
    /// Anything else.
    pub fn hex(&self, name: &'static str) -> Result<Option<Vec<u8>>, RpcError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Param::Json(Value::String(text))) => match hex::decode(text) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => Err(wrong(name, "hex digits", text)),
            },
            Some(Param::Json(other)) => {
                Err(wrong(name, "a text of hex digits", &other.to_string()))
            }
            Some(Param::Query(text)) => query_bytes(name, text).map(Some),
        }
    }

    /// A hash: in JSON base64, or 64 hex digits, since CometBFT's clients send a block's hash so where
    /// they ask for its header.
    ///
    /// # Errors
    /// When it is missing, or not of 32 bytes.
    pub fn hash(&self, name: &'static str) -> Result<Hash, RpcError> {
        let bytes = match self.0.get(name) {
            Some(Param::Json(Value::String(text))) if text.len() == 2 * Hash::LEN => self.hex(name),
            _ => self.base64(name),
        };
        let bytes = bytes?.ok_or_else(|| missing(name))?;
        Hash::from_slice(&bytes).map_err(|_| {
            let got = bytes.len();
            let rule =
                "32 bytes belong there: in JSON as base64 or hex, in a query as 0x and 64 hex digits";
            RpcError::params(format!("{name} has {got} bytes; {rule}"))
        })
    }
}

/// The error for a parameter that was left out.
#[must_use]
pub fn missing(name: &'static str) -> RpcError {
    RpcError::params(format!("parameter {name} is missing"))
}

fn not_positive(got: &str) -> RpcError {
    RpcError::internal(format!("height must be greater than 0, but got {}", escaped(got)))
}

fn wrong(name: &str, rule: &str, got: &str) -> RpcError {
    RpcError::params(format!("parameter {name} must be {rule}, got {}", escaped(got)))
}

fn known(names: &[&str]) -> String {
    match names {
        [] => "this method takes none".to_owned(),
        names => format!("this method takes {}", names.join(", ")),
    }
}

fn find(names: &[&'static str], name: &str) -> Result<&'static str, RpcError> {
    names.iter().copied().find(|n| *n == name).ok_or_else(|| {
        RpcError::params(format!("there is no parameter {}; {}", escaped(name), known(names)))
    })
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn query_bytes(name: &str, text: &str) -> Result<Vec<u8>, RpcError> {
    if let Some(inner) = unquoted(text) {
        return Ok(inner.as_bytes().to_vec());
    }
    let digits = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    digits.ok_or_else(|| wrong(name, "0x and hex digits, or a text in quotes", text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NAMES: &[&str] = &["height", "flag", "data", "path"];

    fn json(value: Value) -> Params {
        Params::from_json(NAMES, value).unwrap()
    }

    fn query(name: &str, value: &str) -> Params {
        Params::from_query(NAMES, vec![(name.to_owned(), value.to_owned())]).unwrap()
    }

    #[test]
    fn null_object_and_array() {
        assert_eq!(json(json!(null)), Params::default());
        assert_eq!(json(json!({})), Params::default());
        assert_eq!(json(json!([])), Params::default());
        assert_eq!(json(json!({"height": null})), Params::default());
        assert_eq!(json(json!(["5", null])), json(json!({"height": "5"})));
    }

    #[test]
    fn unknown_names_and_too_many_values_are_refused_with_the_known_ones() {
        for value in [json!({"hieght": 1}), json!([1, 2, 3, 4, 5])] {
            let error = Params::from_json(NAMES, value).unwrap_err();
            assert_eq!(error.code, -32602);
            assert!(error.data.contains("height, flag, data, path"), "{}", error.data);
        }
        let pairs = vec![("x".to_owned(), "1".to_owned())];
        assert_eq!(Params::from_query(NAMES, pairs).unwrap_err().code, -32602);
        for again in ["", "1", "2"] {
            let pairs = ["", again].map(|value| ("height".to_owned(), value.to_owned()));
            let error = Params::from_query(NAMES, pairs.into()).unwrap_err();
            assert_eq!(
                (error.code, error.data.as_str()),
                (-32602, "parameter height is there twice")
            );
        }
    }

    #[test]
    fn integers() {
        for params in
            [json(json!([5])), json(json!(["5"])), query("height", "5"), query("height", "\"5\"")]
        {
            assert_eq!(params.integer("height"), Ok(Some(5)));
        }
        assert_eq!(query("height", "").integer("height"), Ok(None));
        for bad in [
            json!(-1),
            json!(1.5),
            json!("x"),
            json!("+5"),
            json!([1]),
            json!(true),
            json!("18446744073709551616"),
            json!(1e300),
        ] {
            assert_eq!(json(json!({"height": bad})).integer("height").unwrap_err().code, -32602);
        }
        assert_eq!(query("height", "-1").integer("height").unwrap_err().code, -32602);
    }

    #[test]
    fn a_height_that_is_not_positive_is_refused_in_comets_words() {
        let long = format!("-{}", "9".repeat(79));
        for (params, got) in [
            (json(json!([0])), "0"),
            (json(json!(["0"])), "0"),
            (json(json!([-1])), "-1"),
            (json(json!([i64::MIN])), "-9223372036854775808"),
            (json(json!(["-5"])), "-5"),
            (query("height", "-5"), "-5"),
            (query("height", "\"-5\""), "-5"),
            (json(json!([long])), &long),
        ] {
            let error = params.height("height").unwrap_err();
            let text = format!("height must be greater than 0, but got {got}");
            assert_eq!((error.code, error.data), (-32603, text));
            let newest = params.height_or_newest("height");
            assert_eq!(
                newest.map_err(|error| error.code),
                if got == "0" { Ok(Some(Height::ZERO)) } else { Err(-32603) }
            );
        }
        for bad in [json!("-"), json!("-x"), json!("--5"), json!(-1.5), json!("x"), json!([-1])] {
            assert_eq!(json(json!([bad])).height("height").unwrap_err().code, -32602, "{bad}");
        }
    }

    #[test]
    fn values_of_types_of_their_own() {
        type Pair = (u64, Option<String>);
        let expected: Pair = (1, Some("x".to_owned()));
        let in_json = |value: Value| json(serde_json::json!({ "path": value }));
        for good in [
            in_json(serde_json::json!([1, "x"])),
            in_json(serde_json::json!("[1, \"x\"]")),
            query("path", "[1,\"x\"]"),
            query("path", "\"[1,\"x\"]\""),
        ] {
            assert_eq!(good.json::<Pair>("path").unwrap().as_ref(), Some(&expected), "{good:?}");
        }
        for bad in
            [in_json(serde_json::json!([1])), in_json(serde_json::json!("[1")), query("path", "x")]
        {
            let error = bad.json::<Pair>("path").unwrap_err();
            assert!(error.code == -32602, "{error:?}");
            assert!(error.data.starts_with("parameter path: "), "{error:?}");
        }
        assert_eq!(in_json(Value::Null).json::<Pair>("path").unwrap(), None);
    }

    #[test]
    fn bytes() {
        assert_eq!(json(json!({"data": "AQI="})).base64("data"), Ok(Some(vec![1, 2])));
        assert_eq!(json(json!({"data": "0102"})).hex("data"), Ok(Some(vec![1, 2])));
        assert_eq!(query("data", "0x0102").hex("data"), Ok(Some(vec![1, 2])));
        assert_eq!(query("data", "0x0102").base64("data"), Ok(Some(vec![1, 2])));
        assert_eq!(query("data", "\"ab\"").base64("data"), Ok(Some(b"ab".to_vec())));
        for bad in [json!("%"), json!(5), json!("AQI")] {
            assert_eq!(json(json!({"data": bad})).base64("data").unwrap_err().code, -32602);
        }
        for bad in [json!("0x01"), json!("012"), json!(5)] {
            assert_eq!(json(json!({"data": bad})).hex("data").unwrap_err().code, -32602);
        }
        for bad in ["0102", "0x012", "\"", "0x", "x"] {
            let got = query("data", bad).base64("data");
            assert!(got.is_err() || got == Ok(Some(vec![])), "{bad}");
        }
    }

    #[test]
    fn hashes_have_32_bytes() {
        let digits = "AB".repeat(32);
        assert_eq!(query("data", &format!("0x{digits}")).hash("data").unwrap().to_string(), digits);
        assert!(query("data", "0xABAB").hash("data").unwrap_err().data.contains("2 bytes"));
        assert!(Params::default().hash("data").unwrap_err().data.contains("missing"));
        let base64 = STANDARD.encode([0xab; 32]);
        for text in [digits.clone(), digits.to_lowercase(), base64] {
            let hash = json(serde_json::json!({ "data": text })).hash("data").unwrap();
            assert_eq!(hash.to_string(), digits);
        }
        let bad = json(serde_json::json!({ "data": "z".repeat(64) }));
        assert_eq!(bad.hash("data").unwrap_err().code, -32602);
    }

    #[test]
    fn texts_and_flags() {
        assert_eq!(query("path", "\"/records\"").text("path"), Ok(Some("/records".to_owned())));
        assert_eq!(query("path", "/records").text("path").unwrap_err().code, -32602);
        assert_eq!(json(json!({"path": 5})).text("path").unwrap_err().code, -32602);
        assert_eq!(json(json!({"flag": true})).flag("flag"), Ok(true));
        assert_eq!(query("flag", "true").flag("flag"), Ok(true));
        assert_eq!(Params::default().flag("flag"), Ok(false));
        assert_eq!(json(json!({"flag": "true"})).flag("flag").unwrap_err().code, -32602);
        assert_eq!(query("flag", "yes").flag("flag").unwrap_err().code, -32602);
    }

    /// Reads a parameter in every way: nothing panics, and what is refused is told in bounded words.
    fn read_all(params: &Params) {
        for name in NAMES {
            let errors = [
                params.integer(name).err(),
                params.height(name).err(),
                params.height_or_newest(name).err(),
                params.text(name).err(),
                params.flag(name).err(),
                params.base64(name).err(),
                params.hex(name).err(),
                params.hash(name).err(),
            ];
            for error in errors.into_iter().flatten() {
                assert!(matches!(error.code, -32602 | -32603));
                assert!(error.data.chars().all(|c| !c.is_control()), "{}", error.data);
                assert!(error.data.len() < 1_000, "{}", error.data);
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_and_bytes_come_back(number in any::<u64>(), bytes in any::<[u8; 32]>()) {
            let digits = hex::encode(bytes);
            for params in [
                json(json!({ "height": number, "data": digits })),
                json(json!({ "height": number.to_string(), "data": digits })),
            ] {
                prop_assert_eq!(params.integer("height"), Ok(Some(number)));
                prop_assert_eq!(params.hex("data"), Ok(Some(bytes.to_vec())));
            }
            prop_assert_eq!(query("height", &number.to_string()).integer("height"), Ok(Some(number)));
            let text = STANDARD.encode(bytes);
            prop_assert_eq!(json(json!({ "data": text })).hash("data"), Ok(Hash(bytes)));
            prop_assert_eq!(query("data", &format!("0x{digits}")).hash("data"), Ok(Hash(bytes)));
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(
            text in "\\PC{0,90}|-?[0-9]{1,25}|\"[^\"]{0,90}\"|0x[0-9a-fx]{0,90}",
            number in any::<f64>(),
            name in "height|flag|data|path",
        ) {
            read_all(&query(&name, &text));
            for value in [json!(text), json!(number), json!([text]), json!({ "x": text })] {
                read_all(&json(json!({ name.as_str(): value })));
            }
        }
    }
}
