//! A registry of a few lines that can be told to misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use shoal_node_drivers_images::Digest;

#[derive(Default)]
pub struct Registry {
    /// By path: content type and content.
    pub content: HashMap<String, (String, Vec<u8>)>,
    /// A token is needed, given for these credentials (`user:password`; empty for anybody).
    pub token_for: Option<String>,
    /// A lasting token that is exchanged for one.
    pub identity: Option<String>,
    /// Plain credentials are needed.
    pub basic_for: Option<String>,
    /// By path: after how many bytes the next answers break off.
    pub cuts: HashMap<String, Vec<usize>>,
    pub ignores_ranges: bool,
    /// By path: where to go instead.
    pub redirects: HashMap<String, String>,
    /// By path: status lines and headers (each with its line end) that come first, one for each request.
    pub refusals: HashMap<String, Vec<(&'static str, String)>>,
    /// Paths whose answer has no end, and paths where it stops half way without one.
    pub endless: Vec<String>,
    pub stalled: Vec<String>,
    /// By path: after how many bytes answers wait until they may go on.
    pub gates: HashMap<String, (usize, Arc<AtomicBool>)>,
    /// By path: of how many more answers every byte is another one.
    pub wrong: HashMap<String, usize>,
    /// Where the token is to be had, if not here.
    pub realm: Option<String>,
    /// Request lines with their authorization and range.
    pub log: Vec<String>,
}

/// A layer, packed in some way.
pub struct Layer {
    pub plain: Vec<u8>,
    pub packed: Vec<u8>,
    pub kind: &'static str,
}

impl Layer {
    pub fn gzip(plain: Vec<u8>) -> Layer {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&plain).expect("gzip");
        Layer {
            plain,
            packed: zip.finish().expect("gzip"),
            kind: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }

    pub fn zstd(plain: Vec<u8>) -> Layer {
        let packed = zstd::encode_all(&plain[..], 1).expect("zstd");
        Layer {
            plain,
            packed,
            kind: "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn plain(plain: Vec<u8>) -> Layer {
        Layer {
            packed: plain.clone(),
            plain,
            kind: "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Registry {
    pub fn blob(&mut self, repository: &str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        let path = format!("/v2/{repository}/blobs/{digest}");
        self.content
            .insert(path, ("application/octet-stream".into(), bytes));
        digest
    }

    /// Adds an image; returns its id and its manifest's descriptor.
    pub fn image(
        &mut self,
        repository: &str,
        tag: &str,
        kind: &str,
        arch: &str,
        layers: &[Layer],
    ) -> (Digest, Value) {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(&layer.plain)).collect();
        let config = json!({
            "architecture": arch, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string()
        .into_bytes();
        let described: Vec<_> = layers
            .iter()
            .map(|layer| {
                let digest = self.blob(repository, layer.packed.clone());
                json!({"mediaType": layer.kind, "digest": digest, "size": layer.packed.len()})
            })
            .collect();
        let config_kind = match kind {
            DOCKER => "application/vnd.docker.container.image.v1+json",
            _ => "application/vnd.oci.image.config.v1+json",
        };
        let size = config.len();
        let id = self.blob(repository, config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": described,
            "config": {"mediaType": config_kind, "digest": id, "size": size},
        });
        (id, self.document(repository, tag, kind, &manifest))
    }

    /// Adds a manifest or index under a tag and its digest; returns its descriptor.
    pub fn document(&mut self, repository: &str, tag: &str, kind: &str, document: &Value) -> Value {
        let text = document.to_string().into_bytes();
        let (digest, size) = (Digest::of(&text), text.len());
        for which in [tag, digest.as_str()] {
            let path = format!("/v2/{repository}/manifests/{which}");
            self.content.insert(path, (kind.into(), text.clone()));
        }
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    /// Serves on a free port until the test ends; returns `127.0.0.1:port` and a handle to change its mind.
    pub fn serve(self) -> (String, Arc<Mutex<Registry>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let shared = Arc::new(Mutex::new(self));
        let (registry, own) = (shared.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (registry, own) = (registry.clone(), own.clone());
                // Answers end with the connection; clients that talk TLS or hang up are no concern of ours.
                std::thread::spawn(move || drop(answer(&registry, &own, stream)));
            }
        });
        (address, shared)
    }
}

fn answer(registry: &Mutex<Registry>, own: &str, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = reader.by_ref().lines();
    let Some(Ok(first)) = lines.next() else {
        return Ok(());
    };
    let mut headers = HashMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((key, value)) = line.split_once(": ") {
            headers.insert(key.to_ascii_lowercase(), value.to_owned());
        }
    }
    let mut sent = Vec::new();
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    reader.take(length).read_to_end(&mut sent)?;
    let sent = String::from_utf8_lossy(&sent).into_owned();
    let asks_only = first.starts_with("HEAD ");
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let authorization = headers.get("authorization").cloned().unwrap_or_default();
    let range = headers.get("range").cloned().unwrap_or_default();
    let mut registry = registry.lock().expect("lock");
    let head = if asks_only { "HEAD " } else { "" };
    registry
        .log
        .push(format!("{head}{target} [{authorization}] {range}"));
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));

    let mut send = |status: &str, extra: String, body: &[u8], cut: usize| {
        let length = match extra.contains("chunked") {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n{extra}\r\n");
        stream.write_all(head.as_bytes())?;
        if asks_only {
            return Ok(());
        }
        stream.write_all(&body[..cut.min(body.len())])
    };
    let refusals = registry.refusals.get_mut(&path).filter(|list| !list.is_empty());
    if let Some((status, extra)) = refusals.map(|list| list.remove(0)) {
        return send(status, extra, b"", usize::MAX);
    }
    if registry.endless.contains(&path) {
        drop(registry);
        send("200 OK", "Transfer-Encoding: chunked\r\n".into(), b"", usize::MAX)?;
        loop {
            stream.write_all(b"10000\r\n")?;
            stream.write_all(&[b' '; 0x10000])?;
            stream.write_all(b"\r\n")?;
        }
    }
    if registry.stalled.contains(&path) {
        drop(registry);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        std::thread::sleep(Duration::from_secs(30));
        return Ok(());
    }
    if path == "/token" {
        if let Some(identity) = &registry.identity {
            let asked = sent.contains("grant_type=refresh_token")
                && sent.contains(&format!("refresh_token={identity}"));
            return match asked {
                true => send(
                    "200 OK",
                    String::new(),
                    br#"{"access_token":"secret"}"#,
                    usize::MAX,
                ),
                false => send("401 Unauthorized", String::new(), b"{}", usize::MAX),
            };
        }
        let wanted = registry.token_for.clone().unwrap_or_default();
        return match wanted.is_empty() || authorization == basic(&wanted) {
            true => send("200 OK", String::new(), br#"{"token":"secret"}"#, usize::MAX),
            false => send("401 Unauthorized", String::new(), b"{}", usize::MAX),
        };
    }
    if registry.token_for.is_some() && authorization != "Bearer secret" {
        let realm = registry
            .realm
            .clone()
            .unwrap_or_else(|| format!("http://{own}/token"));
        let realm = format!("Www-Authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
        return send("401 Unauthorized", realm, b"{}", usize::MAX);
    }
    if let Some(pair) = registry.basic_for.clone()
        && authorization != basic(&pair)
    {
        return send(
            "401 Unauthorized",
            "Www-Authenticate: Basic realm=\"test\"\r\n".into(),
            b"{}",
            usize::MAX,
        );
    }
    if path == "/v2/" {
        return send("200 OK", String::new(), b"{}", usize::MAX);
    }
    if let Some(target) = registry.redirects.get(&path) {
        return send(
            "307 Temporary Redirect",
            format!("Location: {target}\r\n"),
            b"",
            usize::MAX,
        );
    }
    let Some((kind, mut body)) = registry.content.get(&path).cloned() else {
        let error = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        return send("404 Not Found", String::new(), error, usize::MAX);
    };
    let cut = registry
        .cuts
        .get_mut(&path)
        .filter(|cuts| !cuts.is_empty())
        .map(|cuts| cuts.remove(0));
    let from: usize = match registry.ignores_ranges {
        true => 0,
        false => range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse()
            .unwrap_or(0),
    };
    let gate = registry.gates.get(&path).cloned();
    if let Some(left) = registry.wrong.get_mut(&path).filter(|left| **left > 0) {
        *left -= 1;
        body.iter_mut().for_each(|byte| *byte = !*byte);
    }
    drop(registry);
    let kind = match path.contains("/manifests/") {
        true => format!(
            "Content-Type: {kind}\r\nDocker-Content-Digest: {}\r\n",
            Digest::of(&body)
        ),
        false => format!("Content-Type: {kind}\r\n"),
    };
    let (held, open) = match gate.filter(|(first, _)| from < *first) {
        Some((first, open)) => (first, Some(open)),
        None => (cut.unwrap_or(usize::MAX), None),
    };
    match from {
        0 => send("200 OK", kind, &body, held)?,
        from => {
            let range = format!(
                "{kind}Content-Range: bytes {from}-{}/{}\r\n",
                body.len() - 1,
                body.len()
            );
            let held = if open.is_some() { held - from } else { held };
            send("206 Partial Content", range, &body[from..], held)?;
        }
    }
    let Some(open) = open else {
        return Ok(());
    };
    while !open.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(&body[held..])
}
