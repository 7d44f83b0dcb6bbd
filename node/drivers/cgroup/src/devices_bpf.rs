//! Version 2's device rules: a small BPF program per group (`BPF_PROG_TYPE_CGROUP_DEVICE`), emitted here.
//!
//! The kernel runs it on every mknod and open of a device with `{ access << 16 | type, major, minor }` and allows what
//! it answers 1 to. Rules are emitted last first, so that the last one that matches decides.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::devices::{Kind, Rule};
use crate::dir::Dir;
use crate::error::{Error, Result};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Every program on the way from the root must allow: a program of systemd's above ours keeps its say.
const F_ALLOW_MULTI: u32 = 2;
const F_REPLACE: u32 = 4;

const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;

/// One instruction: code, destination and source register, jump offset, constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    constant: i32,
}

const fn op(code: u8, dst: u8, src: u8, offset: i16, constant: i32) -> Instruction {
    Instruction {
        code,
        registers: dst | src << 4,
        offset,
        constant,
    }
}

const LOAD_U32: u8 = 0x61;
const MOVE_REG: u8 = 0xbf;
const MOVE: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NE: u8 = 0x55;
const JUMP_EQ: u8 = 0x15;
const JUMP_NE_REG: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// The program for these rules, or `None` when they allow everything.
pub(crate) fn compile(rules: &[Rule]) -> Option<Vec<Instruction>> {
    let begin = rules.iter().rposition(Rule::is_total).unwrap_or(0);
    let rules = &rules[begin..];
    if let [only] = rules
        && only.is_total()
        && only.allow
    {
        return None;
    }
    // r2 = type, r3 = access, r4 = major, r5 = minor; r1 is free after that.
    let mut program = vec![
        op(LOAD_U32, 2, 1, 0, 0),
        op(AND, 2, 0, 0, 0xffff),
        op(LOAD_U32, 3, 1, 0, 0),
        op(SHIFT_RIGHT, 3, 0, 0, 16),
        op(LOAD_U32, 4, 1, 4, 0),
        op(LOAD_U32, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut tests = Vec::new();
        match rule.kind {
            Kind::Any => {}
            Kind::Block => tests.push(op(JUMP_NE, 2, 0, 0, 1)),
            Kind::Char => tests.push(op(JUMP_NE, 2, 0, 0, 2)),
        }
        let access = [
            (rule.mknod, ACCESS_MKNOD),
            (rule.read, ACCESS_READ),
            (rule.write, ACCESS_WRITE),
        ]
        .iter()
        .filter(|(on, _)| *on)
        .fold(0, |sum, (_, bit)| sum | bit);
        if access != ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE {
            tests.push(op(MOVE_REG, 1, 3, 0, 0));
            tests.push(op(AND, 1, 0, 0, access));
            // An allowance must cover all that is asked; a denial of one part denies the whole.
            tests.push(if rule.allow {
                op(JUMP_NE_REG, 1, 3, 0, 0)
            } else {
                op(JUMP_EQ, 1, 0, 0, 0)
            });
        }
        // The comparison is with a sign-extended constant, but device numbers have 12 and 20 bits.
        if let Some(major) = rule.major {
            tests.push(op(JUMP_NE, 4, 0, 0, major as i32));
        }
        if let Some(minor) = rule.minor {
            tests.push(op(JUMP_NE, 5, 0, 0, minor as i32));
        }
        // Every jump goes past this rule's answer, two instructions after its last test.
        let count = tests.len();
        for (at, test) in tests.iter_mut().enumerate() {
            if matches!(test.code, JUMP_NE | JUMP_EQ | JUMP_NE_REG) {
                test.offset = (count - at - 1 + 2) as i16;
            }
        }
        let unconditional = tests.is_empty();
        program.extend(tests);
        program.push(op(MOVE, 0, 0, 0, i32::from(rule.allow)));
        program.push(op(EXIT, 0, 0, 0, 0));
        if unconditional {
            // The verifier refuses code that nothing reaches.
            return Some(program);
        }
    }
    program.push(op(MOVE, 0, 0, 0, 0));
    program.push(op(EXIT, 0, 0, 0, 0));
    Some(program)
}

/// Makes `program` the only device program attached to this very group; `None` leaves it without one.
pub(crate) fn attach(dir: &Dir, program: Option<&[Instruction]>) -> Result<()> {
    let fail = |what: &'static str| move |e: io::Error| Error::io(what, dir.path(), e);
    let group = dir.fd().as_raw_fd() as u32;
    let before = attached(group).map_err(fail("query device programs of"))?;
    let old: Vec<OwnedFd> = before
        .into_iter()
        .map(|id| open_id(id).map_err(fail("open device program of")))
        .collect::<Result<_>>()?;
    if let Some(program) = program {
        let new = load(program).map_err(fail("load device program for"))?;
        // Swapping one for one leaves no moment with neither.
        let replace = if old.len() == 1 {
            (F_REPLACE, old[0].as_raw_fd() as u32)
        } else {
            (0, 0)
        };
        let mut attr = Attr::default();
        attr.u32s(&[
            group,
            new.as_raw_fd() as u32,
            ATTACH_CGROUP_DEVICE,
            F_ALLOW_MULTI | replace.0,
            replace.1,
        ]);
        attr.call(PROG_ATTACH).map_err(fail("attach device program to"))?;
        if old.len() == 1 {
            return Ok(());
        }
    }
    for fd in &old {
        let mut attr = Attr::default();
        attr.u32s(&[group, fd.as_raw_fd() as u32, ATTACH_CGROUP_DEVICE]);
        attr.call(PROG_DETACH)
            .map_err(fail("detach device program from"))?;
    }
    Ok(())
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache";
    let mut attr = Attr::default();
    attr.u32s(&[PROG_TYPE_CGROUP_DEVICE, program.len() as u32]);
    attr.u64(8, program.as_ptr() as u64);
    attr.u64(16, license.as_ptr() as u64);
    let fd = attr.call(PROG_LOAD)?;
    // SAFETY: a successful BPF_PROG_LOAD answers a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn open_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = Attr::default();
    attr.u32s(&[id]);
    let fd = attr.call(PROG_GET_FD_BY_ID)?;
    // SAFETY: a successful BPF_PROG_GET_FD_BY_ID answers a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ids of the device programs attached to this very group.
fn attached(group: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; 64];
    let mut attr = Attr::default();
    attr.u32s(&[group, ATTACH_CGROUP_DEVICE]);
    attr.u64(16, ids.as_mut_ptr() as u64);
    attr.u32_at(24, ids.len() as u32);
    attr.call(PROG_QUERY)?;
    let count = u32::from_ne_bytes([attr.bytes[24], attr.bytes[25], attr.bytes[26], attr.bytes[27]]) as usize;
    Ok(ids[..count.min(ids.len())].to_vec())
}

/// The kernel's `union bpf_attr`: fields by offset, everything else zero.
#[repr(C, align(8))]
struct Attr {
    bytes: [u8; 128],
}

impl Default for Attr {
    fn default() -> Attr {
        Attr { bytes: [0; 128] }
    }
}

impl Attr {
    fn u32s(&mut self, values: &[u32]) {
        for (at, value) in values.iter().enumerate() {
            self.u32_at(at * 4, *value);
        }
    }

    fn u32_at(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    fn call(&mut self, command: libc::c_int) -> io::Result<i32> {
        // SAFETY: `bytes` is as long as we say and outlives the call; the pointers that our callers put into it (program,
        // licence, id array) point to memory that they hold until it returns.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, self.bytes.as_mut_ptr(), self.bytes.len()) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result as i32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, for one access.
    fn run(program: &[Instruction], kind: u64, access: u64, major: u64, minor: u64) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut r = [0u64; 11];
        let mut at = 0usize;
        loop {
            let i = program[at];
            let (dst, src) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            let jump = match i.code {
                LOAD_U32 => {
                    r[dst] = context[i.offset as usize / 4];
                    false
                }
                MOVE_REG => {
                    r[dst] = r[src];
                    false
                }
                MOVE => {
                    r[dst] = i.constant as u64;
                    false
                }
                AND => {
                    r[dst] &= i.constant as u64;
                    false
                }
                SHIFT_RIGHT => {
                    r[dst] >>= i.constant;
                    false
                }
                JUMP_NE => r[dst] != i.constant as u64,
                JUMP_EQ => r[dst] == i.constant as u64,
                JUMP_NE_REG => r[dst] != r[src],
                EXIT => return r[0] == 1,
                code => panic!("unknown instruction {code:#x}"),
            };
            if jump {
                at += i.offset as usize;
            }
        }
    }

    fn rule(allow: bool, kind: Kind, major: Option<u32>, minor: Option<u32>, access: &str) -> Rule {
        let has = |c| access.contains(c);
        Rule {
            allow,
            kind,
            major,
            minor,
            read: has('r'),
            write: has('w'),
            mknod: has('m'),
        }
    }

    #[test]
    fn last_matching_rule_decides() {
        let rules = [
            rule(false, Kind::Any, None, None, "rwm"),
            rule(true, Kind::Char, None, None, "m"),
            rule(true, Kind::Char, Some(1), Some(3), "rwm"),
            rule(true, Kind::Char, Some(136), None, "rwm"),
            rule(false, Kind::Char, Some(136), Some(9), "w"),
        ];
        let program = compile(&rules).unwrap();
        let char_ = |access, major, minor| run(&program, 2, access, major, minor);
        assert!(char_(6, 1, 3), "null can be read and written");
        assert!(!char_(2, 1, 1), "mem cannot be read");
        assert!(char_(1, 1, 1), "but its node can be made");
        assert!(!char_(3, 1, 1), "not made and read");
        assert!(char_(6, 136, 5) && char_(2, 136, 9) && !char_(6, 136, 9));
        assert!(!run(&program, 1, 1, 8, 0), "no block device at all");
    }

    #[test]
    fn allow_all_needs_no_program() {
        let all = rule(true, Kind::Any, None, None, "rwm");
        assert_eq!(
            compile(&[rule(false, Kind::Any, None, None, "rwm"), all.clone()]),
            None
        );
        assert!(compile(&[all, rule(false, Kind::Block, None, None, "w")]).is_some());
    }
}
