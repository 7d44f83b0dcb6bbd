//! docker-py and what it leans on.

use shoal_tests_conformance::Engine;

#[test]
fn docker_py_runs_lists_executes_and_follows() {
    let e = Engine::start();
    let out = e.python(
        r#"
import docker, os
p = os.environ["P"]
c = docker.from_env()
assert c.ping()
print(c.containers.run("shoaltest:latest", ["echo", "from python"], remove=True).decode().strip())
x = c.containers.run("shoaltest:latest", ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.05; done; sleep 100"], detach=True, name=p + "-py", labels={"k": p})
try:
    code, got = x.exec_run(["sh", "-c", "echo exec; exit 3"])
    print(code, got.decode().strip())
    lines = []
    for chunk in x.logs(stream=True, follow=True):
        lines += chunk.decode().split("\n")
        if "line 3" in lines: break
    print([l for l in lines if l])
    print([y.name for y in c.containers.list(filters={"label": "k=" + p})] == [p + "-py"])
    x.reload(); print(x.status)
    x.stop(timeout=0); print(x.wait()["StatusCode"])
finally:
    x.remove(force=True)
try:
    c.containers.get(p + "-py")
except docker.errors.NotFound as err:
    print("gone")
"#,
    );
    let expected = "from python\n3 exec\n['line 1', 'line 2', 'line 3']\nTrue\nrunning\n137\ngone";
    assert_eq!(out, expected);
}

#[test]
fn each_of_many_execs_has_its_output_and_its_code() {
    let e = Engine::start();
    let out = e.python(
        r#"
import docker, os
c = docker.from_env()
x = c.containers.run("shoaltest:latest", ["sleep", "1000"], detach=True, name=os.environ["P"] + "-execs")
try:
    print({tuple(x.exec_run(["sh", "-c", "echo hi; exit 3"], tty=i % 4 == 0)) for i in range(60)})
finally:
    x.remove(force=True)
"#,
    );
    assert!(
        out == r"{(3, b'hi\r\n'), (3, b'hi\n')}" || out == r"{(3, b'hi\n'), (3, b'hi\r\n')}",
        "{out}"
    );
}
