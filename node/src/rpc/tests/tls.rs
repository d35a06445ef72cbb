//! The RPC over TLS, on an address of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rates::{BATCH, batch};
use super::websocket::open_over;
use super::{Node, node_with};
use crate::config::Config;
use crate::rpc::{Tls, TlsError};

/// Certificate and key in a folder.
struct Files {
    folder: tempfile::TempDir,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let files = Self { folder, cert, key };
        let [cert, key] = made();
        files.write(&cert, &key);
        files
    }

    fn write(&self, cert: &str, key: &str) {
        std::fs::write(&self.cert, cert).unwrap();
        std::fs::write(&self.key, key).unwrap();
        mode(&self.key, 0o600);
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.cert.clone(), self.key.clone())
    }

    /// What its certificate is now.
    fn connector(&self) -> TlsConnector {
        let cert = CertificateDer::from_pem_file(&self.cert).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Makes a node answer with them.
    fn configure(&self, config: &mut Config) {
        config.rpc.tls_listen = "127.0.0.1:0".to_owned();
        config.rpc.tls_cert_file = self.cert.clone();
        config.rpc.tls_key_file = self.key.clone();
    }

    async fn connect(&self, node: &Node) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(node.tls.unwrap()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        self.connector().connect(name, stream).await.unwrap()
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A certificate and its key.
fn made() -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    [made.cert.pem(), made.key_pair.serialize_pem()]
}

async fn node(files: &Files) -> Node {
    node_with(|config| files.configure(config)).await
}

const GET: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

async fn health(files: &Files, node: &Node) -> String {
    let mut stream = files.connect(node).await;
    stream.write_all(GET).await.unwrap();
    let mut answer = String::new();
    // That it is whole is said by the end of TLS.
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_and_websockets_are_answered_over_tls_as_without() {
    let files = Files::new();
    let node = node(&files).await;
    let answer = health(&files, &node).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"result\""), "{answer}");
    let mut ws = open_over(files.connect(&node).await, "localhost", &[]).await.unwrap();
    let answer = ws.call(1, "status", serde_json::Value::Null).await;
    let plain: serde_json::Value =
        node.client.call("status", serde_json::Value::Null).await.unwrap();
    assert_eq!(answer["result"]["node_info"], plain["node_info"]);
}

#[tokio::test]
async fn who_does_not_speak_tls_gets_nothing_and_holds_up_nobody() {
    let files = Files::new();
    let node = node(&files).await;
    let at = node.tls.unwrap();
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // Silent ones stay.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    assert!(health(&files, &node).await.starts_with("HTTP/1.1 200 OK\r\n"));
    // A client that does not know the certificate goes away.
    let stream = TcpStream::connect(at).await.unwrap();
    let connector = Files::new().connector();
    connector.connect("localhost".try_into().unwrap(), stream).await.unwrap_err();
    // With the node's end all of them end.
    drop(node.stop);
    for mut stream in silent {
        let _ = stream.read_to_end(&mut answer).await;
    }
}

#[tokio::test]
async fn who_has_asked_too_much_gets_no_handshake() {
    let files = Files::new();
    let node = node_with(|config| {
        files.configure(config);
        config.rpc.max_requests_per_s = 1;
        config.rpc.max_batch = BATCH;
    })
    .await;
    // All of them are answered, and owed for.
    let request = reqwest::Client::new().post(node.client.url()).body(batch().to_string());
    assert_eq!(request.send().await.unwrap().status(), reqwest::StatusCode::OK);
    let stream = TcpStream::connect(node.tls.unwrap()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    files.connector().connect(name, stream).await.unwrap_err();
}

/// The certificate that is shown to the next connection at this time.
async fn shown(tls: &Tls, now: Instant, files: &Files) -> CertificateDer<'static> {
    let acceptor = tls.acceptor(now);
    let (near, far) = duplex(16 * 1024);
    let connector = files.connector();
    let client = connector.connect("localhost".try_into().unwrap(), far);
    let (server, client) = tokio::join!(acceptor.accept(near), client);
    server.unwrap();
    let client = client.unwrap();
    client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Replaces a file, as programs that renew certificates do.
fn renew(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    mode(&new, 0o600);
    std::fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_when_it_is_whole() {
    let files = Files::new();
    let tls = files.load().unwrap();
    let start = Instant::now();
    let at = |s| start + Duration::from_secs(s);
    let first = shown(&tls, at(0), &files).await;
    let [cert, key] = made();
    // Half of it is there; then all, which is not looked at yet.
    let before = std::fs::read_to_string(&files.cert).unwrap();
    renew(&files.key, &key);
    assert_eq!(shown(&tls, at(70), &files).await, first);
    renew(&files.cert, &cert);
    assert_ne!(before, cert);
    drop(tls.acceptor(at(100)));
    let second = shown(&tls, at(140), &files).await;
    assert_ne!(first, second);
    // Files that are gone are none.
    std::fs::remove_file(&files.key).unwrap();
    assert_eq!(shown(&tls, at(300), &files).await, second);
}

#[test]
fn what_is_wrong_with_the_files_is_named() {
    let told = |files: &Files| files.load().err().expect("it is refused").to_string();
    let files = Files::new();
    let [cert, key] = made();
    files.write(&cert, &made()[1]);
    let text = told(&files);
    assert!(text.contains("cert.pem") && text.contains("does not go with"), "{text}");
    files.write("", &key);
    assert!(told(&files).contains("there is no certificate in it"));
    files.write(&key, &key);
    assert!(told(&files).contains("there is no certificate in it"));
    files.write("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &key);
    assert!(told(&files).contains("is not PEM"));
    // As if pasted into one line.
    files.write(&cert, &key.replace('\n', ""));
    let text = told(&files);
    let body = key.lines().nth(1).unwrap();
    assert!(text.contains("key.pem") && !text.contains(body), "{text}");
    files.write(&key.replace('\n', ""), &key);
    let text = told(&files);
    assert!(text.contains("cert.pem") && !text.contains(body), "{text}");
    files.write(&cert, &cert);
    let text = told(&files);
    assert!(text.contains("key.pem") && text.contains("no private key in PEM in it"), "{text}");
    assert!(!text.contains("BEGIN"), "{text}");
    files.write(&cert, &key);
    mode(&files.key, 0o640);
    assert!(told(&files).contains("chmod 600"));
    std::fs::remove_file(&files.key).unwrap();
    assert!(told(&files).contains("rpc.tls_key_file names it"));
    std::fs::remove_file(&files.cert).unwrap();
    assert!(told(&files).contains("rpc.tls_cert_file names it"));
    drop(files.folder);
}
