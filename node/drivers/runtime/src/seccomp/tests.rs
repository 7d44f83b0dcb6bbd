use oci_spec::runtime::LinuxSeccomp;

use super::bpf::run;
use super::{Program, cached, compile, table};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const fn errno(n: u32) -> u32 {
    0x0005_0000 | n
}

fn profile(syscalls: &str) -> LinuxSeccomp {
    serde_json::from_str(&format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
            "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":{syscalls}}}"#
    ))
    .unwrap()
}

fn decide(program: &Program, nr: u32, arg0: u64) -> u32 {
    run(&program.code, X86_64, nr, [arg0, 0, 0, 0, 0, 0])
}

#[test]
fn tables_are_sorted_and_whole() {
    for names in [table::X86_64, table::I386, table::X32] {
        assert!(names.is_sorted_by(|a, b| a.0 < b.0));
    }
    assert_eq!(table::number(table::X86_64, "clone3"), Some(435));
    assert_eq!(table::number(table::I386, "socketcall"), Some(102));
    assert_eq!(table::number(table::X32, "ioctl"), Some(514));
    assert_eq!(table::number(table::X86_64, "socketcall"), None);
}

#[test]
fn every_operator_at_its_borders() {
    let big = 0x1_0000_0005u64;
    for (op, holds) in [
        ("EQ", (|a, v| a == v) as fn(u64, u64) -> bool),
        ("NE", |a, v| a != v),
        ("LT", |a, v| a < v),
        ("LE", |a, v| a <= v),
        ("GT", |a, v| a > v),
        ("GE", |a, v| a >= v),
    ] {
        for value in [0, 5, 0xffff_ffff, big] {
            let text = format!(
                r#"[{{"names":["socket"],"action":"SCMP_ACT_ALLOW",
                    "args":[{{"index":0,"value":{value},"op":"SCMP_CMP_{op}"}}]}}]"#
            );
            let program = compile(&profile(&text)).unwrap();
            for arg in [
                0,
                1,
                4,
                5,
                6,
                0xffff_fffe,
                0xffff_ffff,
                0x1_0000_0000,
                big - 1,
                big,
                big + 1,
                u64::MAX,
            ] {
                let expected = if holds(arg, value) { ALLOW } else { errno(1) };
                assert_eq!(decide(&program, 41, arg), expected, "{arg:#x} {op} {value:#x}");
            }
        }
    }
}

#[test]
fn masks_alternatives_and_several_arguments() {
    let program = compile(&profile(
        r#"[{"names":["clone"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]},
            {"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
            {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":38,"op":"SCMP_CMP_LT"}]},
            {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":39,"op":"SCMP_CMP_EQ"}]},
            {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_GT"}]},
            {"names":["personality"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]},
            {"names":["ioctl"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":3,"op":"SCMP_CMP_EQ"},{"index":1,"value":0,"op":"SCMP_CMP_EQ"}]}]"#,
    ))
    .unwrap();
    assert_eq!(decide(&program, 56, 0x11), ALLOW);
    assert_eq!(decide(&program, 56, 0x1000_0000), errno(1), "CLONE_NEWUSER");
    assert_eq!(decide(&program, 435, 0), errno(38));
    for family in 0..=46 {
        let refused = family == 38 || family == 40;
        assert_eq!(
            decide(&program, 41, family),
            if refused { errno(1) } else { ALLOW },
            "family {family}"
        );
    }
    assert_eq!(decide(&program, 135, 8), ALLOW);
    assert_eq!(decide(&program, 135, 9), errno(1));
    assert_eq!(decide(&program, 16, 3), ALLOW);
    assert_eq!(run(&program.code, X86_64, 16, [3, 1, 0, 0, 0, 0]), errno(1));
}

#[test]
fn architectures_and_unknown_numbers() {
    let program = compile(&profile(
        r#"[{"names":["read","ioctl","openat2"],"action":"SCMP_ACT_ALLOW"}]"#,
    ))
    .unwrap();
    assert_eq!(decide(&program, 0, 0), ALLOW);
    assert_eq!(decide(&program, 1, 0), errno(1));
    assert_eq!(decide(&program, 437, 0), ALLOW, "openat2");
    assert_eq!(decide(&program, 438, 0), errno(38), "newer than the profile");
    assert_eq!(decide(&program, 0x4000_0000 + 514, 0), ALLOW, "ioctl by x32");
    assert_eq!(decide(&program, 0x4000_0000 + 16, 0), errno(1));
    assert_eq!(run(&program.code, I386, 3, [0; 6]), ALLOW);
    assert_eq!(run(&program.code, I386, 4, [0; 6]), errno(1));
    assert_eq!(
        run(&program.code, 0xc000_00b7, 0, [0; 6]),
        0x8000_0000,
        "aarch64 is killed"
    );
    let only: LinuxSeccomp =
        serde_json::from_str(r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"]}"#)
            .unwrap();
    let program = compile(&only).unwrap();
    assert_eq!(decide(&program, 9999, 0), ALLOW);
    assert_eq!(run(&program.code, I386, 3, [0; 6]), 0x8000_0000);
}

/// Every number of every entry gets exactly what reading the profile top to bottom would say.
#[test]
fn a_large_profile_number_by_number() {
    let names: Vec<_> = table::X86_64.iter().step_by(3).map(|e| e.0).collect();
    let text = format!(
        r#"[{{"names":{},"action":"SCMP_ACT_ALLOW"}}]"#,
        serde_json::to_string(&names).unwrap()
    );
    let program = compile(&profile(&text)).unwrap();
    for (arch, bit, numbers) in [
        (X86_64, 0, table::X86_64),
        (I386, 0, table::I386),
        (X86_64, 0x4000_0000, table::X32),
    ] {
        let allowed: Vec<_> = numbers
            .iter()
            .filter(|e| names.contains(&e.0))
            .map(|e| e.1)
            .collect();
        let newest = *allowed.iter().max().unwrap();
        for nr in 0..600 {
            let expected = match nr {
                nr if allowed.contains(&nr) => ALLOW,
                nr if nr > newest => errno(38),
                _ => errno(1),
            };
            assert_eq!(
                run(&program.code, arch, nr | bit, [0; 6]),
                expected,
                "{arch:#x} {nr}"
            );
        }
    }
}

#[test]
fn programs_are_cached_by_content_and_a_torn_file_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let one = profile(r#"[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]"#);
    let two = profile(r#"[{"names":["write"],"action":"SCMP_ACT_ALLOW"}]"#);
    let path = cached(dir.path(), &one).unwrap();
    assert_eq!(cached(dir.path(), &one).unwrap(), path);
    assert_ne!(cached(dir.path(), &two).unwrap(), path);
    assert_eq!(Program::load(&path).unwrap(), compile(&one).unwrap());
    std::fs::write(&path, b"shscmp01\0\0\0\0abc").unwrap();
    assert!(Program::load(&path).is_err());
    assert_eq!(cached(dir.path(), &one).unwrap(), path);
    assert_eq!(Program::load(&path).unwrap(), compile(&one).unwrap());
}

/// The default profile as the kernel would apply it: every number of the 6.1 header and every condition.
#[test]
fn docker_s_default_profile() {
    use shoal_node_core_host::{caps, seccomp};
    let caps = caps::resolve(&[], &[], false, 40).unwrap();
    let profile = seccomp::resolve(
        seccomp::DEFAULT,
        seccomp::Host {
            caps: &caps,
            kernel: (6, 1),
        },
    )
    .unwrap();
    let program = compile(&profile).unwrap();
    assert!(program.code.len() < 2000, "{} instructions", program.code.len());
    let rules: Vec<_> = profile.syscalls().iter().flatten().collect();
    let header = || {
        table::X86_64
            .iter()
            .filter(|e| e.1 <= 450 && e.0 != "uprobe" && e.0 != "uretprobe")
    };
    assert_eq!(header().count(), 362);
    let mut possible = 0;
    for &(name, nr) in header() {
        let mine: Vec<_> = rules
            .iter()
            .filter(|r| r.names().iter().any(|n| n == name))
            .collect();
        let allowed = mine
            .iter()
            .any(|r| r.action() == oci_spec::runtime::LinuxSeccompAction::ScmpActAllow);
        let unconditional = mine.iter().any(|r| r.args().is_none());
        possible += u32::from(allowed);
        if mine.is_empty() {
            assert_eq!(decide(&program, nr, 0), errno(1), "{name}");
        } else if unconditional && allowed {
            assert_eq!(decide(&program, nr, u64::MAX), ALLOW, "{name}");
        }
    }
    assert_eq!((possible, header().count() as u32 - possible), (295, 67));
    assert_eq!(decide(&program, 435, 0), errno(38), "clone3");
    for (arg, allowed) in [
        (0, true),
        (8, true),
        (0x20000, true),
        (0x20008, true),
        (0xffff_ffff, true),
        (9, false),
    ] {
        assert_eq!(
            decide(&program, 135, arg) == ALLOW,
            allowed,
            "personality {arg:#x}"
        );
    }
    for bit in 0..32 {
        let flag = 1u64 << bit;
        assert_eq!(
            decide(&program, 56, flag) == ALLOW,
            flag & 0x7e02_0000 == 0,
            "clone {flag:#x}"
        );
    }
    for family in 0..46 {
        assert_eq!(
            decide(&program, 41, family) == ALLOW,
            family != 38 && family != 40,
            "family {family}"
        );
    }
    for name in [
        "io_uring_setup",
        "userfaultfd",
        "keyctl",
        "add_key",
        "kexec_load",
        "move_pages",
        "mount",
        "bpf",
    ] {
        let nr = table::number(table::X86_64, name).unwrap();
        assert_eq!(decide(&program, nr, 0), errno(1), "{name}");
    }
    assert_eq!(
        run(&program.code, I386, 102, [0; 6]),
        ALLOW,
        "socketcall of 32-bit programs"
    );
}

/// The first containers of a host start side by side and all want the same program.
#[test]
fn many_may_ask_for_the_same_program_at_once() {
    let profile = profile(r#"[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]"#);
    let compiled = compile(&profile).unwrap();
    for _ in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let begin = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    begin.wait();
                    let path = cached(dir.path(), &profile).unwrap();
                    assert_eq!(Program::load(&path).unwrap(), compiled);
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
