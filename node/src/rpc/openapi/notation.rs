//! The short way in which schemas are written down here.
//!
//! | notation | schema |
//! |---|---|
//! | `"Name what it is"` | that of the name, with a description; `integer`, `string`, `boolean` and `null` are JSON's |
//! | `"Name?"` | the same, or null |
//! | `"=one\|two"` | one of these texts |
//! | `["Name"]` | a list of them; `[]` an empty one |
//! | `{"a": "Name", "b?": "Name"}` | an object; `b` may be missing |
//! | `{"$": schema}` | a JSON Schema as it stands |

use serde_json::{Map, Value, json};

/// Where schemas with names are.
const SCHEMAS: &str = "#/components/schemas/";

/// The JSON Schema that a notation stands for.
pub(super) fn schema(notation: &Value) -> Value {
    match notation {
        Value::String(text) => of_text(text),
        Value::Array(items) => match items.first() {
            Some(item) => json!({ "type": "array", "items": schema(item) }),
            None => json!({ "type": "array", "maxItems": 0 }),
        },
        Value::Object(members) => match members.get("$") {
            Some(schema) => schema.clone(),
            None => object(members),
        },
        other => other.clone(),
    }
}

/// A reference to the schema of a name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{name}") })
}

/// That, or null.
pub(super) fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn of_text(text: &str) -> Value {
    let (name, about) = text.split_once(' ').unwrap_or((text, ""));
    let (name, is_nullable) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let mut schema = if let Some(texts) = name.strip_prefix('=') {
        json!({ "type": "string", "enum": texts.split('|').collect::<Vec<_>>() })
    } else if name.starts_with(char::is_lowercase) {
        json!({ "type": name })
    } else {
        reference(name)
    };
    if is_nullable {
        schema = or_null(schema);
    }
    if !about.is_empty() {
        schema["description"] = Value::from(about);
    }
    schema
}

fn object(members: &Map<String, Value>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, notation) in members {
        let plain = name.trim_end_matches('?');
        if plain == name {
            required.push(plain);
        }
        properties.insert(plain.to_owned(), schema(notation));
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_stand_for_schemas() {
        let hash = json!({ "$ref": "#/components/schemas/Hash" });
        for (notation, expected) in [
            (json!("Hash"), hash.clone()),
            (json!("integer"), json!({ "type": "integer" })),
            (
                json!("Hash? of it"),
                json!({ "anyOf": [hash, { "type": "null" }], "description": "of it" }),
            ),
            (json!("=|a b"), json!({ "type": "string", "enum": ["", "a"], "description": "b" })),
            (json!([]), json!({ "type": "array", "maxItems": 0 })),
            (json!({ "$": { "const": 1 } }), json!({ "const": 1 })),
            (
                json!({ "a": ["null"], "b?": "string" }),
                json!({
                    "type": "object",
                    "properties": {
                        "a": { "type": "array", "items": { "type": "null" } },
                        "b": { "type": "string" },
                    },
                    "required": ["a"],
                }),
            ),
        ] {
            assert_eq!(schema(&notation), expected, "{notation}");
        }
    }
}
