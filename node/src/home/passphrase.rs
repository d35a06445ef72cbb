//! Passphrases of encrypted key files, and where they come from: a file, a text that the program was given,
//! or a person at a terminal.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{HomeError, files};

/// What a key file is encrypted with. Wiped from memory when it is dropped, and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Bytes that one may have.
    pub const MAX_BYTES: usize = 1024;
    /// Bytes of one that something is encrypted with anew, at least.
    pub const NEW_BYTES_MIN: usize = 8;

    /// From its bytes; a line feed at the end, as files and terminals have it, is no part of it.
    ///
    /// # Errors
    /// Says what is wrong with one that is empty or longer than [`Passphrase::MAX_BYTES`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, String> {
        let mut bytes = Zeroizing::new(bytes.into());
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        match bytes.len() {
            0 => Err("the passphrase is empty".to_owned()),
            1..=Self::MAX_BYTES => Ok(Self(bytes)),
            _ => Err(format!("the passphrase is longer than {} bytes", Self::MAX_BYTES)),
        }
    }

    /// Reads a file that holds one and nothing else.
    ///
    /// # Errors
    /// [`HomeError::Missing`]; [`HomeError::Permissions`] when others may read the file;
    /// [`HomeError::Content`] when it holds none.
    pub fn load(path: &Path) -> Result<Self, HomeError> {
        let hint = "the passphrase of an encrypted key file is to be read from there";
        let text = files::read_private(path, Self::MAX_BYTES as u64 + 2, hint)?;
        let passphrase = Self::new(text.as_bytes());
        passphrase.map_err(|reason| HomeError::Content { path: path.to_owned(), reason })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Refuses one that is too short for something new.
    fn long_enough(self) -> Result<Self, String> {
        if self.0.len() >= Self::NEW_BYTES_MIN {
            return Ok(self);
        }
        Err(format!("the passphrase has fewer than {} bytes", Self::NEW_BYTES_MIN))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Asks a person, by the given words, for a text that is not shown while it is typed.
pub type Prompt = fn(&str) -> io::Result<Zeroizing<String>>;

/// Where passphrases come from. One source serves all key files of a command.
#[derive(Clone, Debug, Default)]
pub struct Passphrases(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    None,
    File(PathBuf),
    Text(Passphrase),
    /// With the answers so far, so that nobody is asked twice about a file that is read twice.
    Prompt(Prompt, Arc<Mutex<BTreeMap<PathBuf, Passphrase>>>),
}

impl Passphrases {
    /// None: encrypted files cannot be read.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A file with the passphrase, which is read when it is first needed.
    #[must_use]
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// This one.
    #[must_use]
    pub fn given(passphrase: Passphrase) -> Self {
        Self(Source::Text(passphrase))
    }

    /// A person is asked.
    #[must_use]
    pub fn asked(prompt: Prompt) -> Self {
        Self(Source::Prompt(prompt, Arc::default()))
    }

    /// The passphrase of an encrypted file.
    ///
    /// # Errors
    /// [`HomeError::Locked`] when there is none to be had; those of [`Passphrase::load`].
    pub fn of(&self, path: &Path) -> Result<Passphrase, HomeError> {
        let prompt = format!("passphrase of {}: ", path.display());
        self.get(path, "is encrypted", &[prompt])
    }

    /// A passphrase to encrypt a file with, which a person gives twice.
    ///
    /// # Errors
    /// As [`Passphrases::of`]; [`HomeError::Locked`] also for one that is too short, or that was not the
    /// same twice.
    pub fn for_new(&self, path: &Path) -> Result<Passphrase, HomeError> {
        let first = format!("new passphrase for {}: ", path.display());
        let passphrase =
            self.get(path, "is to be encrypted", &[first, "the same again: ".to_owned()])?;
        passphrase.long_enough().map_err(|reason| HomeError::Locked {
            path: path.to_owned(),
            state: "is to be encrypted",
            reason,
        })
    }

    /// `state` says why one is needed; `prompts` are put one after another, and must get one answer.
    fn get(
        &self,
        path: &Path,
        state: &'static str,
        prompts: &[String],
    ) -> Result<Passphrase, HomeError> {
        let locked = |reason: String| HomeError::Locked { path: path.to_owned(), state, reason };
        match &self.0 {
            Source::None => Err(locked(
                "no passphrase is given: name a file that holds it with --passphrase-file \
                 (TANDEM_PASSPHRASE_FILE), set TANDEM_PASSPHRASE, or give the command at a terminal"
                    .to_owned(),
            )),
            Source::File(file) => Passphrase::load(file),
            Source::Text(passphrase) => Ok(passphrase.clone()),
            Source::Prompt(prompt, answers) => {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = answers.get(path) {
                    return Ok(known.clone());
                }
                let mut answer: Option<Passphrase> = None;
                for words in prompts {
                    let text = prompt(words)
                        .map_err(|error| locked(format!("nobody could be asked: {error}")))?;
                    let given = Passphrase::new(text.as_bytes()).map_err(locked)?;
                    if answer.as_ref().is_some_and(|first| *first != given) {
                        return Err(locked("the two passphrases are not the same".to_owned()));
                    }
                    answer = Some(given);
                }
                let answer = answer.expect("there is a prompt");
                answers.insert(path.to_owned(), answer.clone());
                Ok(answer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn bytes(text: &str) -> Result<Vec<u8>, String> {
        Passphrase::new(text).map(|passphrase| passphrase.bytes().to_vec())
    }

    #[test]
    fn one_line_feed_at_the_end_is_no_part_of_it() {
        for text in ["correct horse", "correct horse\n", "correct horse\r\n"] {
            assert_eq!(bytes(text).unwrap(), b"correct horse", "{text:?}");
        }
        assert_eq!(bytes(" a \n\n").unwrap(), b" a \n");
        for text in ["", "\n", "\r\n"] {
            assert!(bytes(text).unwrap_err().contains("is empty"), "{text:?}");
        }
        assert!(bytes(&"x".repeat(Passphrase::MAX_BYTES)).is_ok());
        assert!(bytes(&"x".repeat(Passphrase::MAX_BYTES + 1)).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_file_with_a_passphrase_is_private_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        let private = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(matches!(Passphrase::load(&path), Err(HomeError::Missing { .. })));
        std::fs::write(&path, "correct horse\n").unwrap();
        private(0o644);
        assert!(matches!(Passphrase::load(&path), Err(HomeError::Permissions { .. })));
        private(0o400);
        assert_eq!(Passphrase::load(&path).unwrap().bytes(), b"correct horse");
        private(0o600);
        for bad in [String::new(), "\n".to_owned(), "secret ".repeat(1_000)] {
            std::fs::write(&path, &bad).unwrap();
            let error = Passphrase::load(&path).unwrap_err();
            assert!(matches!(error, HomeError::Content { .. }), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn each_source_gives_its_own_and_none_is_an_error_that_says_what_to_do() {
        let path = Path::new("admin.json");
        let error = Passphrases::none().of(path).unwrap_err().to_string();
        for word in ["admin.json is encrypted", "--passphrase-file", "TANDEM_PASSPHRASE"] {
            assert!(error.contains(word), "{error}");
        }
        let given = Passphrases::given(Passphrase::new("short").unwrap());
        assert_eq!(given.of(path).unwrap().bytes(), b"short");
        let error = given.for_new(path).unwrap_err().to_string();
        assert!(error.contains("fewer than 8 bytes") && !error.contains("short"), "{error}");
        assert_eq!(format!("{given:?}"), "Passphrases(Text(Passphrase))");
        let missing = Passphrases::in_file("/no/such/file").of(path).unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"), "{missing}");
    }

    #[test]
    fn a_person_is_asked_once_for_an_old_one_and_twice_for_a_new_one() {
        let path = Path::new("admin.json");
        let same: Prompt = |_| Ok(Zeroizing::new("correct horse".to_owned()));
        let asked = Passphrases::asked(same);
        assert_eq!(asked.of(path).unwrap().bytes(), b"correct horse");
        assert_eq!(asked.for_new(path).unwrap().bytes(), b"correct horse");

        let once = Passphrases::asked(|words| {
            Ok(Zeroizing::new(format!("{words}{:?}", std::time::Instant::now())))
        });
        assert_eq!(once.of(path).unwrap(), once.of(path).unwrap());
        assert_ne!(once.of(path).unwrap(), once.of(Path::new("user.json")).unwrap());

        let other: Prompt = |words| Ok(Zeroizing::new(format!("correct {words}")));
        assert_eq!(
            Passphrases::asked(other).of(path).unwrap().bytes(),
            b"correct passphrase of admin.json: "
        );
        let error = Passphrases::asked(other).for_new(path).unwrap_err().to_string();
        assert!(error.contains("are not the same"), "{error}");

        let nobody: Prompt = |_| Err(io::Error::other("no terminal"));
        let error = Passphrases::asked(nobody).of(path).unwrap_err().to_string();
        assert!(error.contains("nobody could be asked: no terminal"), "{error}");
    }
}
