//! TLS of the RPC's second address: certificate and key, read again when they are renewed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::config::Rpc;
use crate::home::{Home, HomeError, files};

/// Bytes that each file may have.
const MAX_BYTES: u64 = 1024 * 1024;
/// What is said of a file in which there is no PEM.
const NOT_PEM: &str = "is not PEM with its lines as they were made";
/// How often it is looked whether the files are others.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or others may read the key.
    #[error(transparent)]
    File(#[from] HomeError),
    /// What is in them.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Certificate and key, as the files were when they were looked at last.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    /// Of both files, when they were read.
    stamps: [Stamp; 2],
    looked: Instant,
}

/// Which file it is, when it was written, and its size: another one after it was renewed.
type Stamp = Option<(u64, SystemTime, u64)>;

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsError`]: one of the files, or they do not belong together.
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        // Before they are read: what is written meanwhile is read with the next look.
        let stamps = [stamp(&cert), stamp(&key)];
        let state = State { acceptor: read(&cert, &key)?, stamps, looked: Instant::now() };
        Ok(Self { cert, key, state: Mutex::new(state) })
    }

    /// What the configuration of the node with this home names.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn of(home: &Home, rpc: &Rpc) -> Result<Self, TlsError> {
        let of_home = |file: &Path| home.root().join(file);
        Self::load(of_home(&rpc.tls_cert_file), of_home(&rpc.tls_key_file))
    }

    /// The file with the certificate.
    #[must_use]
    pub fn cert(&self) -> &Path {
        &self.cert
    }

    /// For the next connection.
    pub(super) fn acceptor(&self, now: Instant) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked) >= LOOK_EVERY {
            state.looked = now;
            self.look(&mut state);
        }
        state.acceptor.clone()
    }

    /// Takes files that are others than those that were read. Those of before stay while these are not whole.
    fn look(&self, state: &mut State) {
        let stamps = [stamp(&self.cert), stamp(&self.key)];
        if stamps == state.stamps {
            return;
        }
        match read(&self.cert, &self.key) {
            Ok(acceptor) => {
                info!(file = %self.cert.display(), "the certificate was renewed");
                (state.acceptor, state.stamps) = (acceptor, stamps);
            }
            Err(error) => {
                warn!(%error, "the new certificate is not taken; the one of before stays");
            }
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.modified().ok()?, metadata.len()))
}

fn read(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let wrong = |path: &Path, reason: &str| TlsError::Content {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let hint = "rpc.tls_cert_file names it: put the certificate there";
    let missing = || HomeError::Missing { path: cert.to_owned(), hint };
    let text = files::read(cert, MAX_BYTES)?.ok_or_else(missing)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    // The parser's errors show what it read, which may be a key.
    let chain = chain.map_err(|_| wrong(cert, NOT_PEM))?;
    if chain.is_empty() {
        return Err(wrong(cert, "there is no certificate in it"));
    }
    let hint = "rpc.tls_key_file names it: put the certificate's private key there";
    let text = files::read_private(key, MAX_BYTES, hint)?;
    let secret = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let secret = secret.map_err(|_| wrong(key, "there is no private key in PEM in it"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 ask for");
    let config = builder.with_no_client_auth().with_single_cert(chain, secret);
    let mut config = config
        .map_err(|error| wrong(cert, &format!("does not go with {}: {error}", key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
