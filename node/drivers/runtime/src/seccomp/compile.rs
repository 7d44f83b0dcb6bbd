//! From an OCI seccomp profile to a BPF program.
//!
//! ```text
//! architecture? ─ x86-64 ─ bit 30 of the number? ─ no ──▶ tree of x86-64 numbers
//!               │                                └ yes ─▶ tree of x32 numbers
//!               ├ i386 ──────────────────────────────────▶ tree of i386 numbers
//!               └ else ── kill the process
//! ```
//! A tree is a binary search over ranges of numbers that share a decision, so a decision costs about seven
//! comparisons. Numbers newer than every number that the profile names get ENOSYS instead of the profile's default
//! error, so that programs fall back to older calls (as runc does).

use std::collections::BTreeMap;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};

use super::bpf::{ARCH, Instruction, JEQ, JGE, JGT, NR, and, argument, branch, jump, load, ret};
use super::{Error, Program, table};

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;
/// The kernel's limit for one program.
const LENGTH_MAX: usize = 4096;

/// One way to be decided: every condition holds → the action.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    conditions: Vec<Condition>,
    action: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    index: usize,
    operator: LinuxSeccompOperator,
    value: u64,
    value_two: u64,
}

/// Compile `profile`, whose capability and architecture conditions are already resolved.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Error> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let has = |arch: Arch| {
        profile
            .architectures()
            .as_ref()
            .is_none_or(|all| all.contains(&arch))
    };
    let kill = vec![ret(libc::SECCOMP_RET_KILL_PROCESS)];
    let section = |wanted: bool, names: &[(&str, u32)]| -> Result<Vec<Instruction>, Error> {
        if wanted {
            tree_of(profile, default, names)
        } else {
            Ok(kill.clone())
        }
    };
    let x86_64 = section(true, table::X86_64)?;
    let x32 = section(has(Arch::ScmpArchX32), table::X32)?;
    let i386 = section(has(Arch::ScmpArchX86), table::I386)?;

    // The x32 section looks at the number without its bit.
    let x32 = [vec![and(!X32_BIT)], x32].concat();
    let native = [vec![load(NR)], branch(JGE, X32_BIT, x86_64, x32)].concat();
    let i386 = [vec![load(NR)], i386].concat();
    let other = branch(JEQ, AUDIT_ARCH_I386, kill, i386);
    let code = [vec![load(ARCH)], branch(JEQ, AUDIT_ARCH_X86_64, other, native)].concat();
    if code.len() > LENGTH_MAX {
        return Err(Error::TooLong(code.len()));
    }
    Ok(Program {
        flags: flags(profile)?,
        code,
    })
}

fn tree_of(profile: &LinuxSeccomp, default: u32, names: &[(&str, u32)]) -> Result<Vec<Instruction>, Error> {
    let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    for call in profile.syscalls().iter().flatten() {
        let action = action(call.action(), call.errno_ret())?;
        let alternatives = conditions(call.args().as_deref().unwrap_or_default())?;
        for name in call.names() {
            // A name that this architecture does not have decides nothing here.
            let Some(number) = table::number(names, name) else {
                continue;
            };
            let rules = rules.entry(number).or_default();
            rules.extend(alternatives.iter().map(|conditions| Rule {
                conditions: conditions.clone(),
                action,
            }));
        }
    }
    let beyond = unknown_action(profile, default);
    let newest = rules.keys().next_back().copied();
    // Ranges of numbers with the same decision: (first number, decision).
    let mut ranges: Vec<(u32, Vec<Rule>)> = Vec::new();
    let otherwise = |action| {
        vec![Rule {
            conditions: Vec::new(),
            action,
        }]
    };
    let mut push = |from: u32, decision: Vec<Rule>| {
        if ranges.last().is_none_or(|(_, last)| *last != decision) {
            ranges.push((from, decision));
        }
    };
    let mut next = 0;
    for (number, mut decision) in rules {
        if number > next {
            push(next, otherwise(default));
        }
        // Nothing after an unconditional rule can be reached; without one the default closes the list.
        match decision.iter().position(|rule| rule.conditions.is_empty()) {
            Some(at) => decision.truncate(at + 1),
            None => decision.extend(otherwise(default)),
        }
        push(number, decision);
        next = number + 1;
    }
    push(next, otherwise(if newest.is_some() { beyond } else { default }));
    Ok(tree(&ranges))
}

fn tree(ranges: &[(u32, Vec<Rule>)]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [(_, rules)] => rules.iter().flat_map(rule).collect(),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            branch(JGE, high[0].0, tree(low), tree(high))
        }
    }
}

/// The code of one rule; if a condition fails, control goes to what follows.
fn rule(rule: &Rule) -> Vec<Instruction> {
    let mut code = vec![ret(rule.action)];
    for condition in rule.conditions.iter().rev() {
        code = [condition_code(condition, code.len()), code].concat();
    }
    code
}

/// Code that goes on if the condition holds and jumps over `skip` more instructions if it does not. A rule has at
/// most six conditions of at most six instructions, so these jumps are always near.
fn condition_code(c: &Condition, skip: usize) -> Vec<Instruction> {
    use LinuxSeccompOperator as Op;
    let (low, high) = argument(c.index);
    let (value_low, value_high) = (c.value as u32, (c.value >> 32) as u32);
    let no = skip as u8;
    match c.operator {
        Op::ScmpCmpEq => vec![
            load(high),
            jump(JEQ, value_high, 0, no + 2),
            load(low),
            jump(JEQ, value_low, 0, no),
        ],
        Op::ScmpCmpNe => vec![
            load(high),
            jump(JEQ, value_high, 0, 2),
            load(low),
            jump(JEQ, value_low, no, 0),
        ],
        Op::ScmpCmpMaskedEq => {
            let (two_low, two_high) = (c.value_two as u32, (c.value_two >> 32) as u32);
            vec![
                load(high),
                and(value_high),
                jump(JEQ, two_high, 0, no + 3),
                load(low),
                and(value_low),
                jump(JEQ, two_low, 0, no),
            ]
        }
        // A greater high word decides at once; an equal one leaves it to the low word.
        Op::ScmpCmpGt | Op::ScmpCmpGe => vec![
            load(high),
            jump(JGT, value_high, 3, 0),
            jump(JEQ, value_high, 0, no + 2),
            load(low),
            jump(
                if c.operator == Op::ScmpCmpGt { JGT } else { JGE },
                value_low,
                0,
                no,
            ),
        ],
        Op::ScmpCmpLt | Op::ScmpCmpLe => vec![
            load(high),
            jump(JGT, value_high, no + 3, 0),
            jump(JEQ, value_high, 0, 2),
            load(low),
            jump(
                if c.operator == Op::ScmpCmpLt { JGE } else { JGT },
                value_low,
                no,
                0,
            ),
        ],
    }
}

/// The alternatives of one rule. Several conditions on one argument are alternatives, as in runc.
fn conditions(args: &[LinuxSeccompArg]) -> Result<Vec<Vec<Condition>>, Error> {
    let all = args
        .iter()
        .map(|arg| {
            if arg.index() > 5 {
                return Err(Error::Argument(arg.index()));
            }
            Ok(Condition {
                index: arg.index(),
                operator: arg.op(),
                value: arg.value(),
                value_two: arg.value_two().unwrap_or(0),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = [false; 6];
    let twice = all.iter().any(|c| std::mem::replace(&mut seen[c.index], true));
    Ok(if twice {
        all.into_iter().map(|c| vec![c]).collect()
    } else {
        vec![all]
    })
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, Error> {
    use LinuxSeccompAction as A;
    let data = errno.unwrap_or(libc::EPERM as u32) & libc::SECCOMP_RET_DATA;
    Ok(match action {
        A::ScmpActAllow => libc::SECCOMP_RET_ALLOW,
        A::ScmpActLog => libc::SECCOMP_RET_LOG,
        A::ScmpActErrno => libc::SECCOMP_RET_ERRNO | data,
        A::ScmpActTrace => libc::SECCOMP_RET_TRACE | data,
        A::ScmpActTrap => libc::SECCOMP_RET_TRAP,
        A::ScmpActKill | A::ScmpActKillThread => libc::SECCOMP_RET_KILL_THREAD,
        A::ScmpActKillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        A::ScmpActNotify => return Err(Error::Notify),
    })
}

/// What a number gets that is newer than the profile: ENOSYS where the default is to refuse.
fn unknown_action(profile: &LinuxSeccomp, default: u32) -> u32 {
    use LinuxSeccompAction as A;
    match profile.default_action() {
        A::ScmpActAllow | A::ScmpActLog | A::ScmpActTrace => default,
        _ => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
    }
}

fn flags(profile: &LinuxSeccomp) -> Result<u32, Error> {
    use LinuxSeccompFilterFlag as F;
    let flag = |flag: &F| match flag {
        F::SeccompFilterFlagLog => Ok(libc::SECCOMP_FILTER_FLAG_LOG as u32),
        F::SeccompFilterFlagSpecAllow => Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32),
        // One thread loads it before the exec: there is nobody to synchronise with.
        F::SeccompFilterFlagTsync => Ok(0),
        #[allow(unreachable_patterns)]
        _ => Err(Error::Notify),
    };
    match profile.flags() {
        // Without SPEC_ALLOW every filtered process pays for a speculation barrier; runc's default too.
        None => Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32),
        Some(all) => all.iter().try_fold(0, |sum, f| Ok(sum | flag(f)?)),
    }
}
