//! What a registry or an archive says, made wrong: every parser answers, and never panics.

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::manifest::Document;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::unpack::Tar;
use shoal_tests_mutate::mutations;

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

const HEX: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[test]
fn references_come_back_as_they_were_written() {
    let digest = format!("a/b@sha256:{HEX}");
    let seeds = [
        "busybox",
        "busybox:1.36",
        "localhost:5000/a/b:c",
        "[::1]:5000/x",
        "docker.io/library/x",
        &digest,
        HEX,
    ];
    mutations(&seeds, 6000, |input| {
        let Ok(reference) = Reference::parse(&text(input)) else {
            return;
        };
        let familiar = reference.familiar();
        // As in Docker, a path on the hub that begins like a host is read as one when the hub is not named.
        let first = familiar.split('/').next().unwrap_or_default();
        if reference.domain() == "docker.io" && (first.contains(['.', ':']) || first == "localhost") {
            return;
        }
        let again = Reference::parse(&familiar).unwrap_or_else(|e| panic!("{familiar}: {e}"));
        assert_eq!(again, reference, "{familiar}");
    });
    mutations(&[format!("sha256:{HEX}")], 3000, |input| {
        if let Ok(digest) = Digest::parse(&text(input)) {
            assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()) && digest.short().len() == 12);
        }
    });
}

#[test]
fn documents() {
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{HEX}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:{HEX}","size":32,"annotations":{{"a":"b"}}}}]}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{HEX}","size":7,"platform":{{"architecture":"amd64","os":"linux","variant":"v1"}}}}]}}"#
    );
    mutations(&[manifest, index], 6000, |input| {
        for kind in ["", "application/vnd.oci.image.index.v1+json"] {
            if let Ok(Document::Index(index)) = Document::parse(input, kind) {
                index.select(&Platform::host());
            }
        }
    });
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2024-01-01T00:00:00Z","config":{{"Env":["A=b"],"Cmd":["sh"],"ExposedPorts":{{"80/tcp":{{}}}},"Healthcheck":{{"Test":["NONE"]}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}},"history":[{{"created_by":"x","empty_layer":true}}]}}"#
    );
    mutations(&[config], 4000, |input| {
        if let Ok(config) = ConfigFile::parse(input) {
            config.created_unix();
        }
    });
}

#[test]
fn challenges() {
    let seeds = [
        r#"Bearer realm="https://auth/token",service="reg,istry",scope="repository:a/b:pull,push""#,
        "Basic realm=x",
        "Negotiate",
    ];
    mutations(&seeds, 6000, |input| crate::registry::try_challenge(&text(input)));
}

#[test]
fn layers() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    let long = "deep/".repeat(40) + "f";
    for name in ["a", "dir/b", &long] {
        builder
            .append_data(&mut header, name, &b"hello"[..])
            .expect("an entry");
    }
    let pax = [("SCHILY.xattr.user.x", &b"y"[..]), ("mtime", b"1.5")];
    builder.append_pax_extensions(pax).expect("extensions");
    builder
        .append_data(&mut header, "c", &b"hello"[..])
        .expect("an entry");
    let seed = builder.into_inner().expect("an archive");
    mutations(&[seed], 4000, |input| {
        let mut bytes = input.to_vec();
        // Half of them with sums that fit: what is behind the sum is to be reached.
        if input.len().is_multiple_of(2) {
            for block in bytes.chunks_exact_mut(512).filter(|b| &b[257..262] == b"ustar") {
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let mut tar = Tar::new(&bytes[..]);
        let mut entries = 0;
        while let Ok(Some(_)) = tar.next_member() {
            while let Ok(count @ 1..) = tar.data().map(<[u8]>::len) {
                tar.consume(count);
            }
            entries += 1;
            assert!(entries <= bytes.len() / 512, "more entries than blocks");
        }
    });
}
