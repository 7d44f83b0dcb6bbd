//! docker-py's own examples (its README and its user guide), run as they stand but for the image.

use shoal_tests_conformance::Engine;

/// What every script starts with; `box` is a sleeping container that goes at the end.
const HEAD: &str = r#"
import docker, io, os, tarfile, threading
client = docker.from_env()
p = os.environ["P"]
IMAGE = "shoaltest:latest"
def box(what, **more):
    return client.containers.run(IMAGE, ["sleep", "1000"], detach=True, name=p + what, stop_signal="SIGKILL", **more)
"#;

fn python(e: &Engine, script: &str) -> String {
    e.python(&format!("{HEAD}{script}"))
}

#[test]
fn the_readme() {
    let e = Engine::start();
    let out = python(
        &e,
        r#"
print(client.containers.run(IMAGE, "echo hello world"))
container = client.containers.run(IMAGE, ["sh", "-c", "echo Reticulating spline 1...; echo err >&2; exec sleep 1000"], detach=True, name=p + "readme", stop_signal="SIGKILL")
try:
    print(container.id in [c.id for c in client.containers.list()])
    again = client.containers.get(container.id)
    print(again.attrs["Config"]["Image"], again.name == p + "readme", again.short_id == container.id[:12])
    while len(container.logs().splitlines()) < 2: pass
    print(sorted(container.logs().splitlines()))
    print(container.logs(stdout=False), container.logs(stderr=False, tail="all"))
    for line in container.logs(stream=True):
        print(line.strip() in (b"err", b"Reticulating spline 1...")); break
    container.stop()
    container.reload(); print(container.status, container.attrs["State"]["ExitCode"])
    container.start(); container.restart(timeout=0); container.pause(); container.reload(); print(container.status)
    container.unpause(); container.kill(); print(container.wait())
finally:
    container.remove(force=True)
print(IMAGE in [t for i in client.images.list() for t in i.tags])
try:
    client.containers.run(IMAGE, "false", remove=True)
except docker.errors.ContainerError as error:
    print("ContainerError", error.exit_status)
try:
    client.containers.run(IMAGE, "/nope", remove=True)
except docker.errors.APIError as error:
    print("APIError", error.status_code)
try:
    client.images.get("no-such-image-" + p)
except docker.errors.ImageNotFound:
    print("ImageNotFound")
"#,
    );
    assert_eq!(
        out,
        "b'hello world\\n'\nTrue\nshoaltest:latest True True\n[b'Reticulating spline 1...', b'err']\n\
         b'err\\n' b'Reticulating spline 1...\\n'\nTrue\nexited 137\npaused\n{'StatusCode': 137}\nTrue\n\
         ContainerError 1\nAPIError 400\nImageNotFound"
    );
}

#[test]
fn executing_in_every_way() {
    let e = Engine::start();
    let out = python(
        &e,
        r#"
c = box("exec")
try:
    print(c.exec_run("echo one"))
    print(c.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output)
    print(b"".join(c.exec_run(["sh", "-c", "echo a; sleep 0.2; echo b"], stream=True).output))
    print(c.exec_run("id -u", user="app", environment={"X": "1"}, workdir="/tmp").output)
    print(c.exec_run("pwd", workdir="/www").output, c.exec_run(["sh", "-c", "echo $X"], environment={"X": "y"}).output)
    print(c.exec_run("true", detach=True).output)
    made = client.api.exec_create(c.id, "cat", stdin=True)
    sock = client.api.exec_start(made["Id"], socket=True)
    raw = getattr(sock, "_sock", sock)
    raw.sendall(b"through\n"); raw.shutdown(1)
    got = b""
    while True:
        piece = raw.recv(4096)
        if not piece: break
        got += piece
    print(got[8:], client.api.exec_inspect(made["Id"])["ExitCode"])
    made = client.api.exec_create(c.id, ["sh", "-c", "stty size; sleep 0.1"], tty=True)
    print(client.api.exec_start(made["Id"], tty=True)[:2] != b"")
    print(c.top(ps_args="-o pid,comm")["Titles"], len(c.top()["Processes"]))
finally:
    c.remove(force=True)
"#,
    );
    assert_eq!(
        out,
        "ExecResult(exit_code=0, output=b'one\\n')\n(b'out\\n', b'err\\n')\nb'a\\nb\\n'\nb'1000\\n'\n\
         b'/www\\n' b'y\\n'\n\nb'through\\n' 0\nTrue\n['PID', 'COMMAND'] 1"
    );
}

#[test]
fn statistics_and_events() {
    let e = Engine::start();
    let out = python(
        &e,
        r#"
c = box("stats", mem_limit="64m")
try:
    one = c.stats(stream=False)
    print(one["memory_stats"]["limit"], one["precpu_stats"]["cpu_usage"]["total_usage"] > 0, one["pids_stats"]["current"])
    two = [s for s, _ in zip(c.stats(decode=True), range(2))]
    print(len(two), two[1]["preread"] == two[0]["read"], two[1]["name"] == "/" + p + "stats")
    seen = []
    events = client.events(decode=True, filters={"container": c.id, "type": "container"})
    def watch():
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "die": break
    t = threading.Thread(target=watch); t.start()
    import time; time.sleep(0.5)
    c.pause(); c.unpause(); c.rename(p + "renamed"); c.kill(); t.join(20)
    print(seen)
    c.update(mem_limit="96m", memswap_limit="96m"); c.reload(); print(c.attrs["HostConfig"]["Memory"] >> 20)
    past = [x["Action"] for x in client.events(decode=True, since=0, until=int(time.time()) + 1, filters={"container": c.id, "event": ["create", "start"]})]
    print(past)
finally:
    c.remove(force=True)
"#,
    );
    assert_eq!(
        out,
        "67108864 True 1\n2 True True\n['pause', 'unpause', 'rename', 'kill', 'die']\n96\n['create', 'start']"
    );
}

#[test]
fn archives_volumes_and_prunes() {
    let e = Engine::start();
    let out = python(
        &e,
        r#"
v = client.volumes.create(name=p + "vol", labels={"k": p})
print(v.name == p + "vol", v.attrs["Driver"], [x.name for x in client.volumes.list(filters={"label": "k=" + p})] == [v.name])
c = box("arch", volumes={v.name: {"bind": "/data", "mode": "rw"}}, labels={"k": p})
try:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        text = b"put in\n"; info = tarfile.TarInfo("note"); info.size = len(text); info.mode = 0o640
        tar.addfile(info, io.BytesIO(text))
    print(c.put_archive("/data", data.getvalue()), c.exec_run("cat /data/note").output)
    bits, stat = c.get_archive("/data/note")
    with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
        print(tar.getnames(), tar.extractfile("note").read(), stat["name"], stat["size"], oct(stat["mode"]))
    try:
        c.get_archive("/data/nope")
    except docker.errors.NotFound:
        print("no such path")
    try:
        v.remove()
    except docker.errors.APIError as error:
        print(error.status_code, "in use")
    print([(d["Path"], d["Kind"]) for d in c.diff() if d["Path"] != "/data"] if c.diff() else [])
    image = c.commit(repository=p + "img", tag="one", changes="LABEL made=yes")
    print(image.labels['made'], client.images.get(p + "img:one").id == image.id)
    client.images.remove(p + "img:one")
    print(len(b"".join(c.export())) > 100000)
    c.kill(); c.wait()
    print(client.containers.prune(filters={"label": "k=" + p})["ContainersDeleted"] == [c.id])
finally:
    try: c.remove(force=True)
    except docker.errors.NotFound: pass
print(client.volumes.prune(filters={"label": "k=" + p, "all": True})["VolumesDeleted"] == [v.name])
n = client.networks.create(p + "net", driver="bridge", labels={"k": p}, ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.211.7.0/24")]))
print(client.networks.prune(filters={"label": "k=" + p})["NetworksDeleted"] == [n.name])
df = client.df()
print("Volumes" in df or "VolumesUsage" in df or "VolumeUsage" in df, client.info()["OSType"], client.version()["Os"], client.ping())
"#,
    );
    assert_eq!(
        out,
        "True local True\nTrue b'put in\\n'\n['note'] b'put in\\n' note 7 0o640\nno such path\n409 in use\n[]\n\
         yes True\nTrue\nTrue\nTrue\nTrue\nTrue linux linux True"
    );
}

#[test]
fn a_line_of_a_log_is_an_item_of_its_stream() {
    let e = Engine::start();
    let out = python(
        &e,
        r#"
script = 'i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; head -c 40000 /dev/zero | tr "\\0" x; echo; printf last'
for driver in ("json-file", "local"):
    c = client.containers.run(IMAGE, ["sh", "-c", script], detach=True, name=p + driver, log_config={"Type": driver})
    try:
        c.wait()
        for more in ({}, {"follow": True}, {"tail": 100}, {"timestamps": True}):
            items = list(c.logs(stream=True, **more))
            skip = 31 if "timestamps" in more else 0
            lengths = [len(i) - skip for i in items[-4:]]
            whole = [i[skip:] for i in items[:-4]]
            first = 500 - len(whole)
            print(len(items), lengths, whole == [b"line %d\n" % i for i in range(first, 500)])
    finally:
        c.remove(force=True)
"#,
    );
    let each = "504 [16384, 16384, 7233, 4] True\n504 [16384, 16384, 7233, 4] True\n100 [16384, 16384, 7233, 4] True\n\
                504 [16384, 16384, 7233, 4] True";
    assert_eq!(out, format!("{each}\n{each}"));
}

/// What the frames of `docker logs` hold is what the command line prints, however they are cut.
#[test]
fn the_command_line_prints_the_same_log() {
    let e = Engine::start();
    let name = e.name("lines");
    let script = "i=0; while [ $i -lt 3000 ]; do echo out $i; i=$((i+1)); done; sleep 0.3; echo err >&2; sleep 0.3; echo last";
    e.ok(&["run", "--name", &name, "shoaltest:latest", "sh", "-c", script]);
    let (_, out, err) = e.code(&["logs", &name]);
    let want: Vec<String> = (0..3000)
        .map(|i| format!("out {i}"))
        .chain(["last".into()])
        .collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), want);
    assert_eq!(err, "err");
    let (_, out, _) = e.code(&["logs", "-t", "--tail", "5", &name]);
    let texts = out.lines().map(|l| l.split_once(' ').map(|(_, text)| text));
    assert_eq!(
        texts.flatten().collect::<Vec<_>>()[..3],
        ["out 2997", "out 2998", "out 2999"]
    );
    e.ok(&["rm", &name]);
}
