//! JSON lines with a first that says what they are, and a last by which a part is told from the whole.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tandem_chain::types::{ChainId, Hash, Height, escaped};

use crate::decode::terminal::harmless;
use crate::rpc::shapes::text;

/// Version of the lines. Another one is refused.
pub const VERSION: u32 = 1;
/// Bytes of the longest line: a block of the greatest length in base64 and for people. What is for
/// people is left out of a line that would be longer.
pub const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;
/// What the last line, and no other, begins with.
const END: &[u8] = b"{\"end\":";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Blocks with their certificates.
    Blocks,
    /// Records of one height.
    Records,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What the lines are.
    pub tandem_export: Kind,
    /// [`VERSION`] of who wrote it.
    pub version: u32,
    /// The chain.
    pub chain_id: ChainId,
    /// Hash of its genesis.
    pub genesis: Hash,
    /// Height of the first block, or of the state.
    #[serde(with = "text")]
    pub from: Height,
    /// Height of the last block, or of the state.
    #[serde(with = "text")]
    pub to: Height,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    end: End,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// Lines between the first and this.
    #[serde(with = "text")]
    lines: u64,
    /// Of every byte before this line.
    sha256: Hash,
}

/// Writes a file.
pub struct LineWriter<W> {
    out: W,
    digest: Sha256,
    lines: u64,
}

impl<W: Write> LineWriter<W> {
    /// Writes the first line.
    ///
    /// # Errors
    /// Those of the file.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), lines: 0 };
        writer.put(&encoded(header))?;
        Ok(writer)
    }

    /// Writes a line. `with` is for people, and left out where the line would be too long; the other
    /// is the same without that.
    ///
    /// # Errors
    /// Those of the file.
    pub fn line<T: Serialize>(&mut self, with: &T, without: impl FnOnce() -> T) -> io::Result<()> {
        let mut line = encoded(with);
        if line.len() > MAX_LINE_BYTES {
            line = encoded(&without());
        }
        self.lines += 1;
        self.put(&line)
    }

    /// Writes the last line; the number of those between it and the first.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self) -> io::Result<u64> {
        let sha256 = Hash(self.digest.clone().finalize().into());
        self.put(&encoded(&Last { end: End { lines: self.lines, sha256 } }))?;
        self.out.flush()?;
        Ok(self.lines)
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.digest.update(line);
        self.out.write_all(line)
    }
}

/// A value's line, with its line feed. It may be looked at on a terminal.
fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let line = serde_json::to_string(value).expect("texts, numbers and lists");
    let mut line = harmless(line).into_bytes();
    line.push(b'\n');
    line
}

/// What is wrong with a file, and at which line, from 1.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct LineError {
    /// The line.
    pub line: u64,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has no end within the limit.
    #[error("it is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The file ends within it, or before the last line.
    #[error("the file is cut off here: get the whole file")]
    CutOff,
    /// It is not the JSON that belongs there.
    #[error("it is not the JSON that belongs here: {0}")]
    Json(String),
    /// The file's first line is one of another program.
    #[error("the file is of version {got}, this program knows {VERSION}")]
    Version {
        /// The file's.
        got: u32,
    },
    /// The last line says another number of lines.
    #[error("the file says that it has {said} lines between its first and last, it has {got}")]
    Count {
        /// What it says.
        said: u64,
        /// What it has.
        got: u64,
    },
    /// The last line has another digest.
    #[error("the SHA-256 of the lines before is {got}, the file says {said}: it was changed")]
    Digest {
        /// What it says.
        said: Hash,
        /// What it has.
        got: Hash,
    },
    /// Something stands behind the last line.
    #[error("there is more behind the last line")]
    Behind,
    /// It does not agree with itself, with the chain or with the lines before.
    #[error("{0}")]
    Content(String),
}

/// Reads a file line by line; one line is in memory.
pub struct LineReader<R> {
    input: R,
    digest: Sha256,
    number: u64,
    line: Vec<u8>,
    header: Header,
    max: usize,
}

impl<R: BufRead> LineReader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn begin(input: R) -> Result<Self, LineError> {
        Self::within(input, MAX_LINE_BYTES)
    }

    fn within(mut input: R, max: usize) -> Result<Self, LineError> {
        /// The version is looked at before anything that may have changed with it.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let mut line = Vec::new();
        let first = |fault| LineError { line: 1, fault };
        read_line(&mut input, &mut line, max).map_err(first)?;
        let Version { version } = parsed(&line).map_err(first)?;
        if version != VERSION {
            return Err(first(LineFault::Version { got: version }));
        }
        let header = parsed(&line).map_err(first)?;
        let digest = Sha256::new_with_prefix(&line);
        Ok(Self { input, digest, number: 1, line, header, max })
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the line that was read last.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A fault of the line that was read last.
    #[must_use]
    pub fn fault(&self, fault: LineFault) -> LineError {
        LineError { line: self.number, fault }
    }

    /// The next line; none at the end, when count and digest are right.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        self.number += 1;
        let read = read_line(&mut self.input, &mut self.line, self.max);
        read.map_err(|fault| self.fault(fault))?;
        if !self.line.starts_with(END) {
            self.digest.update(&self.line);
            return parsed(&self.line).map(Some).map_err(|fault| self.fault(fault));
        }
        self.check_end().map_err(|fault| self.fault(fault))?;
        Ok(None)
    }

    fn check_end(&mut self) -> Result<(), LineFault> {
        let Last { end: End { lines: said, sha256 } } = parsed(&self.line)?;
        let (got, digest) = (self.number - 2, Hash(self.digest.clone().finalize().into()));
        if said != got {
            return Err(LineFault::Count { said, got });
        }
        if sha256 != digest {
            return Err(LineFault::Digest { said: sha256, got: digest });
        }
        if self.input.fill_buf()?.is_empty() { Ok(()) } else { Err(LineFault::Behind) }
    }
}

/// Reads up to and with the next line feed.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, max: usize) -> Result<(), LineFault> {
    line.clear();
    Read::take(input, max as u64 + 1).read_until(b'\n', line)?;
    match line.last() {
        Some(b'\n') => Ok(()),
        _ if line.len() > max => Err(LineFault::TooLong),
        _ => Err(LineFault::CutOff),
    }
}

fn parsed<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineFault> {
    serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        // Each value is a line: what the parser says of lines is always 1.
        LineFault::Json(escaped(&error.to_string().replace("at line 1 column", "at column")))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            tandem_export: Kind::Records,
            version: VERSION,
            chain_id: "a-1".parse().unwrap(),
            genesis: Hash([7; 32]),
            from: Height(3),
            to: Height(3),
        }
    }

    fn file(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = LineWriter::begin(&mut out, &header()).unwrap();
        for line in lines {
            writer.line(line, || unreachable!("it is short")).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), lines.len() as u64);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, LineError> {
        let mut reader = LineReader::within(bytes, 1_000)?;
        assert_eq!(*reader.header(), header());
        std::iter::from_fn(|| reader.take().transpose()).collect()
    }

    /// The bytes of a file with one line; the digest by `sha256sum`.
    #[test]
    fn golden_bytes() {
        let expected = concat!(
            "{\"tandem_export\":\"records\",\"version\":1,\"chain_id\":\"a-1\",\"genesis\":\"",
            "0707070707070707070707070707070707070707070707070707070707070707",
            "\",\"from\":\"3\",\"to\":\"3\"}\n\"x\"\n",
        );
        let digest = Hash::of(expected.as_bytes());
        let last = format!("{{\"end\":{{\"lines\":\"1\",\"sha256\":\"{digest}\"}}}}\n");
        assert_eq!(String::from_utf8(file(&["x"])).unwrap(), format!("{expected}{last}"));
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_every_part_of_one_is_refused() {
        let bytes = file(&["one", "two"]);
        assert_eq!(read(&bytes).unwrap(), ["one", "two"]);
        for len in 0..bytes.len() {
            let error = read(&bytes[..len]).unwrap_err();
            assert!(matches!(error.fault, LineFault::CutOff), "{len}: {error}");
            let line = 1 + String::from_utf8_lossy(&bytes[..len]).matches('\n').count();
            assert_eq!(error.line, line as u64);
        }
    }

    #[test]
    fn what_was_changed_is_told_with_its_line() {
        let text = String::from_utf8(file(&["one", "two"])).unwrap();
        let cases = [
            (text.replace("one", "ONE"), 4, "it was changed"),
            (text.replace("\"one\"\n", ""), 3, "it has 1"),
            (text.replace("\"lines\":\"2\"", "\"lines\":\"3\""), 4, "says that it has 3 lines"),
            (text.replace("\"one\"", "\"one"), 2, "here: EOF while parsing a string at column 4"),
            (text.replace("\"one\"", "\u{1b}"), 2, "at column"),
            (text.replace("one", &"1".repeat(1_000)), 2, "longer than"),
            (text.replace("\"version\":1", "\"version\":2"), 1, "version 2, this program knows 1"),
            (text.replace("\"from\"", "\"form\""), 1, "form"),
            (format!("{text}\n"), 4, "more behind"),
            (format!("\n{text}"), 1, "is not the JSON"),
        ];
        for (text, line, words) in cases {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(
                error.to_string().contains(words) && !error.to_string().contains('\u{1b}'),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_for_people_is_left_out_of_a_line_that_would_be_too_long() {
        let mut out = Vec::new();
        let mut writer = LineWriter::begin(&mut out, &header()).unwrap();
        writer.line(&"x".repeat(MAX_LINE_BYTES), || "short".to_owned()).unwrap();
        writer.finish().unwrap();
        assert_eq!(read(&out).unwrap(), ["short"]);
    }

    #[test]
    fn a_terminal_acts_on_nothing_in_a_line() {
        let text = "Zürich \u{1b}[2J\u{9b}31m\u{7f}\u{202e}txt";
        let bytes = file(&[text]);
        assert_eq!(read(&bytes).unwrap(), [text]);
        let shown = String::from_utf8(bytes).unwrap();
        assert!(
            shown.contains("Zürich") && !shown.contains(['\u{1b}', '\u{9b}', '\u{7f}', '\u{202e}'])
        );
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_never_taken_for_the_same_file(at: prop::sample::Index, byte: u8) {
            let bytes = file(&["one", "two"]);
            let mut changed = bytes.clone();
            changed[at.index(bytes.len())] = byte;
            let read = LineReader::within(changed.as_slice(), 1_000).and_then(|mut reader| {
                let lines: Result<Vec<String>, _> =
                    std::iter::from_fn(|| reader.take().transpose()).collect();
                lines.map(|lines| (reader.header().clone(), lines))
            });
            prop_assert!(read.is_err() || changed == bytes || is_digest_in_other_case(&bytes, &changed));
        }
    }

    /// Hex digits of either case are read: the one change that is none.
    fn is_digest_in_other_case(bytes: &[u8], changed: &[u8]) -> bool {
        bytes.eq_ignore_ascii_case(changed)
    }
}
