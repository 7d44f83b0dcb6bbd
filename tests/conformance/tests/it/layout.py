"""An OCI layout with one image for two platforms and what is stated about the first: layout.py BUSYBOX_TAR NAME OUT."""

import hashlib, io, json, sys, tarfile

base, name, out = sys.argv[1:]
OCI = "application/vnd.oci.image."
blobs = {}


def put(data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return digest


def descriptor(kind, data, **more):
    return {"mediaType": kind, "digest": put(data), "size": len(data), **more}


def own(arch):
    text = arch.encode()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("arch")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return tar.getvalue()


busybox = open(base, "rb").read()
manifests = []
for arch in ["arm64", "amd64"]:
    layers = [busybox, own(arch)]
    config = json.dumps({
        "architecture": arch, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": {"Cmd": ["cat", "/arch"]},
        "rootfs": {"type": "layers", "diff_ids": [put(layer) for layer in layers]},
        "history": [{"created_by": "base"}, {"created_by": "own " + arch}],
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": descriptor(OCI + "config.v1+json", config),
        "layers": [descriptor(OCI + "layer.v1.tar", layer) for layer in layers],
    }).encode()
    platform = {"os": "linux", "architecture": arch}
    manifests.append(descriptor(OCI + "manifest.v1+json", manifest, platform=platform))
statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "predicate": {"by": "hand"}}).encode()
stated = json.dumps({
    "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
    "config": descriptor(OCI + "config.v1+json", b'{"architecture":"unknown","os":"unknown"}'),
    "layers": [descriptor("application/vnd.in-toto+json", statement,
        annotations={"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"})],
}).encode()
manifests.append(descriptor(OCI + "manifest.v1+json", stated,
    platform={"os": "unknown", "architecture": "unknown"},
    annotations={"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": manifests[1]["digest"]}))
index = json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}).encode()
top = descriptor(OCI + "index.v1+json", index, annotations={"io.containerd.image.name": name})
files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    "index.json": json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()}
files.update(("blobs/sha256/" + digest[7:], data) for digest, data in blobs.items())
with tarfile.open(out, "w") as archive:
    for path, data in files.items():
        entry = tarfile.TarInfo(path)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
print(top["digest"], manifests[0]["digest"], manifests[1]["digest"])
