//! Durations as people write them: `"500ms"`, `"3s"`, `"2m"`.

use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;

const RULE: &str = "a whole number with its unit, such as \"500ms\", \"3s\" or \"2m\"";

/// Parses one; none when it is no such text.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// In the largest unit that gives a whole number; what is below a millisecond is dropped.
#[must_use]
pub fn text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        .iter()
        .find(|(_, unit)| ms.is_multiple_of(*unit))
    {
        Some((unit, size)) if ms > 0 => format!("{}{unit}", ms / size),
        _ => format!("{ms}ms"),
    }
}

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

/// For `#[serde(with)]`.
///
/// # Errors
/// When the value is not such a text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Duration;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(RULE)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_back() {
        for (written, ms) in [("0ms", 0), ("500ms", 500), ("3s", 3_000), ("2m", 120_000)] {
            assert_eq!(parse(written), Some(Duration::from_millis(ms)));
            assert_eq!(text(Duration::from_millis(ms)), written);
        }
        assert_eq!(text(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(text(Duration::from_secs(3_600)), "1h");
        assert_eq!(parse("7d").map(text).as_deref(), Some("7d"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s", "5", "5 s", "-1s", "1.5s", "1w", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}h", u64::MAX)), None);
    }
}
