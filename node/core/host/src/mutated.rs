//! Every parser of this crate against words made wrong: they answer, and never panic.

use crate::*;
use shoal_tests_mutate::mutations;

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

#[test]
fn ports_binds_and_names() {
    let ports = ["80", "80/tcp", "8000-8010", "65535/udp", "0-65535/sctp"];
    mutations(&ports, 4000, |input| {
        let text = text(input);
        let _ = ports::parse(&text);
        if let Ok((first, last)) = ports::parse_host(&text) {
            assert!(first <= last);
        }
    });
    let binds = [
        "/a:/b",
        "/a:/b:ro,z,rshared",
        "vol:/data:nocopy",
        "/only",
        "C:\\x:/y",
        "/a:/b:ro:rw",
    ];
    mutations(&binds, 4000, |input| {
        let text = text(input);
        if let Ok(bind) = binds::parse(&text) {
            let _ = bind.is_volume();
        }
        let clean = binds::clean(&text);
        assert_eq!(binds::clean(&clean), clean);
        let _ = (
            binds::volume_name(&text),
            names::check(&text),
            binds::propagation_is_valid(&text),
        );
        names::is_id_prefix(&text);
    });
    mutations(
        &["size=64m,mode=1777,noexec", "nr_inodes=1k,uid=5", "rw,exec"],
        2000,
        |input| {
            let _ = binds::tmpfs_options(&text(input));
        },
    );
    let mountinfo = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                     37 36 0:5 / /a\\040b rw shared:2 - tmpfs t rw\n";
    mutations(&[mountinfo], 2000, |input| {
        let _ = binds::mounted_at(&text(input), "/mnt2/x");
        let _ = binds::check_propagation(&text(input), "/mnt2/x", "rshared");
    });
}

#[test]
fn users_devices_and_processors() {
    mutations(
        &["app", "0:0", "app:extra", "1000:users", ":5", "4294967295:1"],
        2000,
        |input| {
            let groups = ["extra".to_owned(), text(input)];
            let _ = users::resolve(
                &text(input),
                &groups,
                "app:x:1000:1000::/home:/bin/sh\n",
                "extra:x:2000:app\n",
            );
        },
    );
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n";
    mutations(&[passwd, "extra:x:2000:app,root\n"], 2000, |input| {
        let _ = users::resolve("app:extra", &[], &text(input), &text(input));
    });
    mutations(&["c 1:3 rwm", "b *:* m", "a 7:* rw"], 2000, |input| {
        let _ = devices::parse_rule(&text(input));
        devices::access_is_valid(&text(input));
    });
    mutations(&["0-3,5", "0", "1-4294967295", "7,7,7"], 2000, |input| {
        let _ = cpuset::parse(&text(input));
        let _ = cpuset::check(&text(input), "0-7", "CPUs", "--cpuset-cpus");
    });
    mutations(
        &[
            "-ef",
            "aux",
            "-o pid,args",
            "-eo user,pid,%cpu --sort=-pid",
            "-o pid=PID,comm=C",
        ],
        3000,
        |input| {
            let _ = ps::columns(&text(input));
        },
    );
}

#[test]
fn files_of_others() {
    let cdi = r#"{"cdiVersion":"0.6.0","kind":"v.com/c","devices":[{"name":"0","containerEdits":{"env":["A=b"],"deviceNodes":[{"path":"/dev/null","type":"c","major":1,"minor":3}],"mounts":[{"hostPath":"/a","containerPath":"/b","options":["ro"]}]}}]}"#;
    mutations(&[cdi], 3000, |input| {
        let mut devices = cdi::Devices::default();
        if devices.add(&text(input)).is_ok() {
            let _ = devices.edits(&["v.com/c=0".to_owned(), text(input)]);
        }
    });
    let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"valueTwo":0,"op":"SCMP_CMP_EQ"}],"includes":{"caps":["CAP_SYS_ADMIN"],"minKernel":"4.8"}}]}"#;
    mutations(&[profile], 3000, |input| {
        let host = seccomp::Host {
            caps: &[],
            kernel: (6, 1),
        };
        let _ = seccomp::resolve(&text(input), host);
    });
    mutations(
        &["nameserver 1.1.1.1\nsearch a.b c\noptions ndots:5 rotate\n# x\n"],
        1000,
        |input| {
            let wishes = Default::default();
            resolvconf::content(
                resolvconf::Source {
                    path: "/etc/resolv.conf",
                    text: &text(input),
                },
                &wishes,
                resolvconf::Place::Resolver,
            );
            resolvconf::servers(&text(input), &wishes);
        },
    );
    mutations(&["A=b", "PATH=/bin", "=x", "A", "LONG=ä"], 1000, |input| {
        let list = [text(input), "A=c".to_owned()];
        env::merge(&list, &list);
        env::with_image(&list, &list);
        env::process(&list, Vec::new(), "h", true, "/");
    });
}
