//! Parameters of methods, in a query and in JSON.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::file;
use super::notation::{or_null, reference};
use crate::rpc::methods::Method;

/// The kinds by name.
static KINDS: LazyLock<Value> = LazyLock::new(|| file(include_str!("kinds.json")));

/// A parameter of a method.
pub(super) struct Parameter {
    name: &'static str,
    is_required: bool,
    about: String,
    kind: &'static Value,
    /// The least and the greatest of a number that has limits of its own.
    limits: Option<(u64, u64)>,
}

impl Parameter {
    /// A method's, in their order. `written` has what stands of each in the file: `kind`, or `kind(1..9)`
    /// of a number with limits, `!` where it must not be left out, and what it is.
    pub(super) fn all(method: &Method, written: &Value) -> Vec<Self> {
        method.params.iter().map(|name| Self::new(name, &written[name])).collect()
    }

    fn new(name: &'static str, written: &Value) -> Self {
        let text = written.as_str().unwrap_or_default();
        let (kind, about) = text.split_once(' ').unwrap_or((text, ""));
        let (kind, is_required) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
        let (kind, limits) = kind.split_once('(').unwrap_or((kind, ""));
        let limits = limits.trim_end_matches(')').split_once("..");
        let limits = limits.and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let kind = &KINDS[kind];
        let about =
            if about.is_empty() { kind["about"].as_str().unwrap_or_default() } else { about };
        Self { name, is_required, about: about.to_owned(), kind, limits }
    }

    /// As a parameter of OpenAPI.
    pub(super) fn in_query(&self) -> Value {
        let mut parameter = json!({
            "name": self.name,
            "in": "query",
            "required": self.is_required,
            // As if it were left out.
            "allowEmptyValue": !self.is_required,
        });
        if !self.about.is_empty() {
            parameter["description"] = Value::from(self.about.as_str());
        }
        if let Some(schema) = self.kind.get("query") {
            let mut schema = schema.clone();
            if let Some((low, high)) = self.limits {
                schema["minimum"] = Value::from(low);
                schema["maximum"] = Value::from(high);
            }
            parameter["schema"] = schema;
            let example = self.kind.get("query_example").or_else(|| self.kind.get("example"));
            if let Some(example) = example {
                parameter["example"] = example.clone();
            }
        } else {
            // Its JSON, as it is.
            let content = json!({ "schema": self.kind["json"] });
            parameter["content"] = json!({ "application/json": content });
        }
        parameter
    }

    /// Its schema in JSON. What may be left out may be null.
    fn in_json(&self) -> Value {
        let schema = match self.limits {
            Some((low, high)) => json!({ "anyOf": [
                { "type": "integer", "minimum": low, "maximum": high },
                reference("UInt64"),
            ] }),
            None => self.kind["json"].clone(),
        };
        if self.is_required { schema } else { or_null(schema) }
    }
}

/// The schema of a request by POST: parameters by name, or in their order.
pub(super) fn request(method: &Method, parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> =
        parameters.iter().map(|p| (p.name.to_owned(), p.in_json())).collect();
    let required: Vec<&str> = parameters.iter().filter(|p| p.is_required).map(|p| p.name).collect();
    let by_name = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let least = parameters.iter().rposition(|p| p.is_required).map_or(0, |place| place + 1);
    let mut in_order = json!({ "type": "array", "minItems": least, "maxItems": parameters.len() });
    if !parameters.is_empty() {
        let items: Vec<Value> = parameters.iter().map(Parameter::in_json).collect();
        in_order["prefixItems"] = Value::from(items);
    }
    let mut ways = vec![by_name, in_order];
    let mut members = vec!["jsonrpc", "method"];
    if required.is_empty() {
        ways.push(json!({ "type": "null" }));
    } else {
        members.push("params");
    }
    json!({
        "type": "object",
        "description": method.about,
        "required": members,
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": reference("Id"),
            "method": { "const": method.name },
            "params": { "oneOf": ways },
        },
    })
}
