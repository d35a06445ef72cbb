//! The module's calls.

use crate::codec;
use crate::error::Error;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::limits::{MAX_DATA_SETS_PER_ORG, MAX_RECORD_KEY_BYTES, MAX_RECORD_VALUE_BYTES};
use crate::modules::records::state::{
    count, must_be_owned, owner, put_count, put_owner, record, state_key,
};
use crate::modules::records::{Call, Stored};
use crate::modules::{Sender, rights};
use crate::stored::Plain;
use crate::types::{ContentType, DataSetName};

/// Executes a call. Data of a put and a delete is the record's version; that of the rest is empty.
pub(crate) fn execute(ctx: &mut Context, sender: &Sender, call: &Call) -> Result<Vec<u8>, Error> {
    match call {
        Call::Create { data_set } => create(ctx, sender, data_set),
        Call::Put { data_set, key, content_type, value, expected } => {
            put(ctx, sender, data_set, key, content_type.as_ref(), value, *expected)
        }
        Call::Delete { data_set, key, expected } => delete(ctx, sender, data_set, key, *expected),
    }
}

fn create(ctx: &mut Context, sender: &Sender, name: &DataSetName) -> Result<Vec<u8>, Error> {
    rights::must_create(sender)?;
    if owner(&mut ctx.state, name)?.is_some() {
        return Err(Error::Exists { what: "data set", name: name.to_string() });
    }
    let count = count(&mut ctx.state, &sender.org)?;
    if count >= MAX_DATA_SETS_PER_ORG as u64 {
        let max = MAX_DATA_SETS_PER_ORG;
        return Err(Error::TooMany { what: "data sets of the organisation", max, got: max + 1 });
    }
    put_count(&mut ctx.state, &sender.org, count + 1);
    put_owner(&mut ctx.state, name, &sender.org);
    rights::open(ctx, name, &sender.org)?;
    let attributes = [("data_set", name.to_string()), ("org", sender.org.to_string())];
    ctx.events.push(Event::new("data_set_created", attributes));
    Ok(Vec::new())
}

fn put(
    ctx: &mut Context,
    sender: &Sender,
    data_set: &DataSetName,
    key: &[u8],
    content_type: Option<&ContentType>,
    value: &[u8],
    expected: Option<u64>,
) -> Result<Vec<u8>, Error> {
    check_access(ctx, sender, data_set, key)?;
    if value.len() > MAX_RECORD_VALUE_BYTES {
        let max = MAX_RECORD_VALUE_BYTES;
        return Err(Error::TooLong { what: "record's value", max, got: value.len() });
    }
    let state_key = state_key(data_set, key);
    let before = record(&mut ctx.state, &state_key)?;
    check_version(before.as_ref(), expected)?;
    let version = before.map_or(0, |record| record.version) + 1;
    let (content_type, value) = (content_type.cloned(), value.to_vec());
    ctx.state.write(state_key, &Stored { version, is_deleted: false, content_type, value });
    ctx.events.push(event("record_put", data_set, key, version));
    Ok(codec::encode(&version))
}

fn delete(
    ctx: &mut Context,
    sender: &Sender,
    data_set: &DataSetName,
    key: &[u8],
    expected: Option<u64>,
) -> Result<Vec<u8>, Error> {
    check_access(ctx, sender, data_set, key)?;
    let state_key = state_key(data_set, key);
    let before = record(&mut ctx.state, &state_key)?;
    let Some(Stored { version, is_deleted: false, .. }) = before else {
        return Err(Error::NotFound { what: "record", name: Plain(key).to_string() });
    };
    check_version(before.as_ref(), expected)?;
    let (content_type, value) = (None, Vec::new());
    ctx.state.write(state_key, &Stored { version, is_deleted: true, content_type, value });
    ctx.events.push(event("record_deleted", data_set, key, version));
    Ok(codec::encode(&version))
}

/// The data set must exist, the key be of a good length and one that the sender may write.
fn check_access(
    ctx: &mut Context,
    sender: &Sender,
    data_set: &DataSetName,
    key: &[u8],
) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::Refused { reason: "a record's key has at least one byte".to_owned() });
    }
    if key.len() > MAX_RECORD_KEY_BYTES {
        let max = MAX_RECORD_KEY_BYTES;
        return Err(Error::TooLong { what: "record's key", max, got: key.len() });
    }
    let owner = must_be_owned(&mut ctx.state, data_set)?;
    rights::must_write(ctx, sender, data_set, &owner, key)
}

fn check_version(before: Option<&Stored>, expected: Option<u64>) -> Result<(), Error> {
    let got = before.map_or(0, |record| if record.is_deleted { 0 } else { record.version });
    match expected {
        Some(expected) if expected != got => Err(Error::Version { expected, got }),
        _ => Ok(()),
    }
}

fn event(kind: &str, data_set: &DataSetName, key: &[u8], version: u64) -> Event {
    let attributes = [
        ("data_set", data_set.to_string()),
        ("key", Plain(key).to_string()),
        ("version", version.to_string()),
    ];
    Event::new(kind, attributes)
}
