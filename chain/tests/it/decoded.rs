//! What holds of every decoder. The tests of `tandem-consensus` and the fuzzer use it too.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_chain::codec;
use tandem_chain::limits::MAX_ENCODED_BYTES;

/// Decodes; what comes out comes back from its encoding, and `decode_canonical` takes the bytes if and
/// only if they are that encoding.
pub fn decoded<T>(bytes: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let decoded = codec::decode::<T>("value", bytes, MAX_ENCODED_BYTES);
    let canonical = codec::decode_canonical::<T>("value", bytes, MAX_ENCODED_BYTES);
    let Ok(value) = decoded else {
        assert!(canonical.is_err());
        return None;
    };
    let again = codec::encode(&value);
    assert_eq!(canonical.is_ok(), again == bytes);
    assert_eq!(codec::decode::<T>("value", &again, MAX_ENCODED_BYTES).as_ref(), Ok(&value));
    Some(value)
}
