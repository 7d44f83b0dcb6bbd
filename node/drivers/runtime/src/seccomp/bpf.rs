//! Classic BPF instructions as seccomp takes them, and the few shapes of code that the compiler puts together.
//!
//! All code here ends in a return on every path, so pieces can be laid out one after the other and every jump goes
//! forward.

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

const LD_W_ABS: u16 = 0x20;
const ALU_AND_K: u16 = 0x54;
const JA: u16 = 0x05;
pub const JEQ: u16 = 0x15;
pub const JGT: u16 = 0x25;
pub const JGE: u16 = 0x35;
const RET_K: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
pub const NR: u32 = 0;
pub const ARCH: u32 = 4;

/// The low and high word of argument `index` (little-endian).
pub fn argument(index: usize) -> (u32, u32) {
    let at = 16 + 8 * index as u32;
    (at, at + 4)
}

pub fn load(offset: u32) -> Instruction {
    Instruction {
        code: LD_W_ABS,
        jt: 0,
        jf: 0,
        k: offset,
    }
}

pub fn and(k: u32) -> Instruction {
    Instruction {
        code: ALU_AND_K,
        jt: 0,
        jf: 0,
        k,
    }
}

pub fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

pub fn ret(action: u32) -> Instruction {
    Instruction {
        code: RET_K,
        jt: 0,
        jf: 0,
        k: action,
    }
}

/// `if A <op> k then yes else no`, however long `no` is.
pub fn branch(code: u16, k: u32, no: Vec<Instruction>, yes: Vec<Instruction>) -> Vec<Instruction> {
    let mut out = Vec::with_capacity(no.len() + yes.len() + 2);
    match u8::try_from(no.len()) {
        Ok(near) => out.push(jump(code, k, near, 0)),
        Err(_) => {
            out.push(jump(code, k, 0, 1));
            out.push(Instruction {
                code: JA,
                jt: 0,
                jf: 0,
                k: no.len() as u32,
            });
        }
    }
    out.extend(no);
    out.extend(yes);
    out
}

/// What the kernel would answer for these system call data: tests check programs by it.
#[cfg(test)]
pub fn run(program: &[Instruction], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    let mut data = [0u8; 64];
    data[0..4].copy_from_slice(&nr.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (i, arg) in args.iter().enumerate() {
        data[16 + 8 * i..24 + 8 * i].copy_from_slice(&arg.to_le_bytes());
    }
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let i = program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
        match i.code {
            LD_W_ABS => a = u32::from_le_bytes(data[i.k as usize..i.k as usize + 4].try_into().unwrap()),
            ALU_AND_K => a &= i.k,
            JA => at += i.k as usize,
            JEQ => at += jump(a == i.k),
            JGT => at += jump(a > i.k),
            JGE => at += jump(a >= i.k),
            RET_K => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}
