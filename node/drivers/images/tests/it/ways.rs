//! Ways to a registry: through proxies, with certificates of the operator's own authorities, and showing ours.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use shoal_node_drivers_images::{Error, Images, Proxies, RegistryConfig, Result, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::registry::{Layer, OCI, Registry};
use crate::{archive, file, reference};

/// An authority and what it signs.
struct Authority {
    text: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().expect("key");
        let mut own = CertificateParams::new(Vec::new()).expect("parameters");
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let text = own.self_signed(&key).expect("certificate").pem();
        Authority {
            text,
            issuer: Issuer::new(own, key),
        }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("key");
        let mut own = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        own.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        (own.signed_by(&key, &self.issuer).expect("certificate"), key)
    }
}

/// What is on a connection goes on to another address.
async fn pass(mut from: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, to: &str, first: &[u8]) {
    let Ok(mut onward) = TcpStream::connect(to).await else {
        return;
    };
    if onward.write_all(first).await.is_ok() {
        let _ = copy_bidirectional(&mut from, &mut onward).await;
    }
}

/// TLS for `registry.test` in front of `backend`; with `clients` only for those whom that authority knows.
async fn tls(backend: String, authority: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = authority.sign("registry.test");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let own = rustls::pki_types::CertificateDer::from_pem(&clients.text);
            roots.add(own).expect("root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = builder.with_single_cert(vec![certificate.der().clone()], key.into());
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("certificate")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, backend) = (acceptor.clone(), backend.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    pass(stream, &backend, b"").await;
                }
            });
        }
    });
    address
}

trait FromPem {
    fn from_pem(text: &str) -> Self;
}

impl FromPem for rustls::pki_types::CertificateDer<'static> {
    fn from_pem(text: &str) -> Self {
        use rustls::pki_types::pem::PemObject;
        Self::from_pem_slice(text.as_bytes()).expect("certificate")
    }
}

type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that knows the way to these `host:port`; with what it was asked.
async fn proxy(ways: HashMap<String, String>) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    let heads = Heads::default();
    let told = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (ways, told) = (ways.clone(), told.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                told.lock().expect("lock").push(head.clone());
                let mut words = head.split(' ');
                let (verb, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let rest = target.trim_start_matches("http://");
                let host = rest.split('/').next().unwrap_or_default();
                let Some(way) = ways.get(host) else {
                    let _ = stream
                        .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                        .await;
                    return;
                };
                if verb == "CONNECT" {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        .await;
                    pass(stream, way, b"").await;
                } else {
                    let own = head.replacen(target, &rest[host.len()..], 1);
                    pass(stream, way, own.as_bytes()).await;
                }
            });
        }
    });
    (address, heads)
}

fn registry() -> String {
    let mut registry = Registry::default();
    registry.image(
        "a",
        "latest",
        OCI,
        "amd64",
        &[Layer::gzip(archive(&[file("x", b"y")]))],
    );
    registry.serve().0
}

async fn pull(root: &Path, config: RegistryConfig, name: &str) -> Result<()> {
    let images = Images::open(root, config)?;
    images.pull(&reference(name), None, None, &Sink::none()).await
}

fn ways(of: &[(&str, &str)]) -> HashMap<String, String> {
    of.iter()
        .map(|(from, to)| (from.to_string(), to.to_string()))
        .collect()
}

#[tokio::test]
async fn plain_registries_are_asked_through_the_proxy() {
    let root = tempfile::tempdir().expect("dir");
    let backend = registry();
    let (address, heads) = proxy(ways(&[("registry.test:5000", &backend)])).await;
    let config = |except: &str| RegistryConfig {
        insecure: vec!["registry.test:5000".into()],
        proxies: Proxies::new(&format!("http://me:pw@{address}"), "", except).expect("proxies"),
        ..RegistryConfig::default()
    };
    pull(root.path(), config(""), "registry.test:5000/a")
        .await
        .expect("pull");
    let heads = heads.lock().expect("lock").clone();
    assert!(
        heads
            .iter()
            .all(|head| head.contains("http://registry.test:5000/v2/")),
        "{heads:?}"
    );
    let authorized = |head: &String| {
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic bwu6chc=")
    };
    assert!(heads.iter().all(authorized), "{heads:?}");
    // Where it does not count, nobody knows the name.
    let error = pull(root.path(), config("registry.test"), "registry.test:5000/a")
        .await
        .expect_err("direct");
    assert!(error.to_string().contains("no such host"), "{error}");
    // What is on this machine never goes through it.
    pull(root.path(), config(""), &format!("{backend}/a"))
        .await
        .expect("direct");
}

#[tokio::test]
async fn the_operators_authorities_count_for_their_registry_alone() {
    let (root, folder) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let authority = Authority::new();
    let safe = tls(registry(), &authority, None).await;
    let (address, heads) = proxy(ways(&[
        ("registry.test:443", &safe),
        ("registry.test:444", &safe),
    ]))
    .await;
    let config = || RegistryConfig {
        certificates: vec![folder.path().to_owned()],
        proxies: Proxies::new("", &address, "").expect("proxies"),
        ..RegistryConfig::default()
    };
    let error = pull(root.path(), config(), "registry.test/a")
        .await
        .expect_err("unknown authority");
    assert!(
        error.to_string().contains("tls: failed to verify certificate"),
        "{error}"
    );
    let own = folder.path().join("registry.test");
    fs::create_dir(&own).expect("dir");
    fs::write(own.join("ca.crt"), &authority.text).expect("file");
    pull(root.path(), config(), "registry.test/a")
        .await
        .expect("known authority");
    // A change counts from the next question on.
    let images = Images::open(root.path(), config()).expect("open");
    let again = || async {
        let name = reference("registry.test/a");
        images.pull(&name, None, None, &Sink::none()).await
    };
    for _ in 0..2 {
        again().await.expect("known authority");
    }
    fs::write(own.join("ca.crt"), &Authority::new().text).expect("file");
    again().await.expect_err("another authority");
    fs::write(own.join("ca.crt"), &authority.text).expect("file");
    again().await.expect("the same as before");
    let error = pull(root.path(), config(), "registry.test:444/a")
        .await
        .expect_err("another registry");
    assert!(
        error.to_string().contains("tls: failed to verify certificate"),
        "{error}"
    );
    let heads = heads.lock().expect("lock").clone();
    assert!(
        heads
            .iter()
            .all(|head| head.starts_with("CONNECT registry.test:44")),
        "{heads:?}"
    );
    // A proxy that does not know the way is named.
    let error = pull(root.path(), config(), "elsewhere.test/a")
        .await
        .expect_err("no way");
    let text = error.to_string();
    assert!(
        text.contains("proxyconnect") && text.contains("502 Bad Gateway"),
        "{text}"
    );
}

#[tokio::test]
async fn a_registry_is_shown_who_we_are() {
    let (root, folder) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let (authority, clients) = (Authority::new(), Authority::new());
    let safe = tls(registry(), &authority, Some(&clients)).await;
    let (address, _) = proxy(ways(&[("registry.test:443", &safe)])).await;
    let config = || RegistryConfig {
        certificates: vec![folder.path().to_owned()],
        proxies: Proxies::new("", &address, "").expect("proxies"),
        ..RegistryConfig::default()
    };
    let own = folder.path().join("registry.test");
    fs::create_dir(&own).expect("dir");
    fs::write(own.join("ca.crt"), &authority.text).expect("file");
    let error = pull(root.path(), config(), "registry.test/a")
        .await
        .expect_err("nobody");
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    let (certificate, key) = clients.sign("me");
    fs::write(own.join("client.cert"), certificate.pem()).expect("file");
    let error = pull(root.path(), config(), "registry.test/a")
        .await
        .expect_err("half");
    assert!(
        error
            .to_string()
            .starts_with("missing key client.key for client certificate client.cert"),
        "{error}"
    );
    fs::write(own.join("client.key"), key.serialize_pem()).expect("file");
    pull(root.path(), config(), "registry.test/a")
        .await
        .expect("known");
}

#[tokio::test]
async fn nothing_leads_from_tls_to_plain() {
    let (root, folder) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let authority = Authority::new();
    let layer = || Layer::gzip(archive(&[file("x", b"y")]));
    let mut plain = Registry::default();
    let digest = plain.blob("store", layer().packed);
    let (other, log) = plain.serve();
    let mut redirecting = Registry::default();
    redirecting.image("a", "latest", OCI, "amd64", &[layer()]);
    let blob = format!("/v2/a/blobs/{digest}");
    redirecting
        .redirects
        .insert(blob, format!("http://{other}/v2/store/blobs/{digest}"));
    let mut asking = Registry {
        token_for: Some("me:pw".into()),
        realm: Some(format!("http://{other}/token")),
        ..Registry::default()
    };
    asking.image("a", "latest", OCI, "amd64", &[layer()]);
    for (registry, want) in [
        (redirecting, "redirected to"),
        (asking, "names a token server without TLS"),
    ] {
        let safe = tls(registry.serve().0, &authority, None).await;
        let (address, _) = proxy(ways(&[("registry.test:443", &safe)])).await;
        let config = RegistryConfig {
            certificates: vec![folder.path().to_owned()],
            proxies: Proxies::new("", &address, "").expect("proxies"),
            attempts_max: 1,
            ..RegistryConfig::default()
        };
        let own = folder.path().join("registry.test");
        fs::create_dir_all(&own).expect("dir");
        fs::write(own.join("ca.crt"), &authority.text).expect("file");
        let error = pull(root.path(), config, "registry.test/a")
            .await
            .expect_err(want)
            .to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(
        log.lock().expect("lock").log.is_empty(),
        "the plain server was asked"
    );
}
