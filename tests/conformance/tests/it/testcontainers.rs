//! Testcontainers for Python: throw-away containers that a test waits for. Its reaper is off: its image is not here.

use shoal_tests_conformance::Engine;

#[test]
fn a_container_is_waited_for_and_gone_after() {
    let e = Engine::start();
    let out = e.python(
        r#"
import os, sys
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
try:
    import testcontainers
except ImportError:
    print("LEFT OUT: no testcontainers in this Python (tests/tools installs it)"); sys.exit()
import docker
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy, HealthcheckWaitStrategy, ContainerStatusWaitStrategy
from testcontainers.core.waiting_utils import wait_for_logs

p = os.environ["P"]
script = "for i in 1 2 3; do echo step $i; sleep 0.2; done; echo \"ready with $COLOUR\"; exec sleep 1000"
with DockerContainer("shoaltest:latest", name=p + "-tc").with_env("COLOUR", "blue").with_command(["sh", "-c", script]).with_kwargs(stop_signal="SIGKILL") as box:
    wait_for_logs(box, r"ready with (\w+)", timeout=20)
    code, out = box.exec(["sh", "-c", "echo $COLOUR; exit 4"])
    print(code, out.decode().strip())
    stdout, stderr = box.get_logs()
    print(stdout.decode().split("\n")[:4], stderr)
    print(box.get_wrapped_container().name == p + "-tc")

# What it calls a wait strategy: by log, by health.
waiting = LogMessageWaitStrategy("up").with_startup_timeout(20)
with DockerContainer("shoaltest:latest").with_command(["sh", "-c", "sleep 0.3; echo up; exec sleep 1000"]).with_kwargs(stop_signal="SIGKILL").waiting_for(waiting) as box:
    print(b"up" in box.get_logs()[0])
healthy = {"test": ["CMD", "test", "-f", "/tmp/ok"], "interval": 200_000_000, "retries": 50}
with DockerContainer("shoaltest:latest").with_command(["sh", "-c", "sleep 0.3; touch /tmp/ok; exec sleep 1000"]).with_kwargs(stop_signal="SIGKILL", healthcheck=healthy).waiting_for(HealthcheckWaitStrategy().with_startup_timeout(20)) as box:
    box.get_wrapped_container().reload()
    print(box.get_wrapped_container().health)

# A network of its own, with a neighbour in it.
with Network() as net:
    with DockerContainer("shoaltest:latest").with_network(net).with_network_aliases("web").with_command(["httpd", "-f", "-p", "80", "-h", "/www"]).with_kwargs(stop_signal="SIGKILL").with_exposed_ports(80) as web:
        print(int(web.get_exposed_port(80)) > 0)
        with DockerContainer("shoaltest:latest").with_network(net).with_command(["sleep", "1000"]).with_kwargs(stop_signal="SIGKILL") as other:
            web.get_wrapped_container().reload()
            ip = next(iter(web.get_wrapped_container().attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
            print(other.exec(["wget", "-q", "-O-", "http://" + ip + "/"]).output.decode().strip())

left = docker.from_env().containers.list(all=True, filters={"name": p + "-tc"})
print([c.name for c in left])
"#,
    );
    if out.starts_with("LEFT OUT") {
        eprintln!("{out}");
        return;
    }
    assert_eq!(
        out,
        "4 blue\n['step 1', 'step 2', 'step 3', 'ready with blue'] b''\nTrue\nTrue\nhealthy\nTrue\nhello\n[]"
    );
}
