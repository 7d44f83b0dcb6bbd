//! The rules of the old `iptables` interface, which nftables does not show: only the policy of `filter FORWARD` is read.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Loaded tables of this network namespace. Asking for a table that is not loaded would load it.
const TABLES_FILE: &str = "/proc/thread-self/net/ip_tables_names";
const SOL_IP: i32 = 0;
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
const NAME_BYTES: usize = 32;
/// `struct ipt_getinfo`: name, valid hooks, five entry offsets, five policy offsets, number of entries, their size.
const INFO_BYTES: usize = 84;
const INFO_POLICY_FORWARD: usize = NAME_BYTES + 4 + 20 + 2 * 4;
const INFO_SIZE: usize = 80;
/// `struct ipt_get_entries`: name, size, padding, then the entries.
const ENTRIES_HEAD_BYTES: usize = 40;
/// In `struct ipt_entry`: where its target begins. In the target: where the verdict stands.
const ENTRY_TARGET_OFFSET: usize = 88;
const TARGET_VERDICT: usize = 32;
/// Verdicts are stored as minus the number, minus one; drop is 0.
const VERDICT_DROP: i32 = -1;
const TABLE_BYTES_MAX: usize = 64 << 20;

/// Whether the old `filter` table exists and drops what it forwards by policy. Every failure counts as no.
pub(super) fn drops_forwarded() -> bool {
    let tables = std::fs::read_to_string(TABLES_FILE).unwrap_or_default();
    tables.lines().any(|table| table == "filter") && policy_verdict() == Some(VERDICT_DROP)
}

fn policy_verdict() -> Option<i32> {
    let raw = rustix::net::Protocol::from_raw(std::num::NonZeroU32::new(libc::IPPROTO_RAW as u32)?);
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(raw),
    )
    .ok()?;
    let mut info = vec![0; INFO_BYTES];
    info[..6].copy_from_slice(b"filter");
    get(&socket, GET_INFO, &mut info)?;
    let (policy, size) = (
        u32_at(&info, INFO_POLICY_FORWARD)? as usize,
        u32_at(&info, INFO_SIZE)? as usize,
    );
    if size > TABLE_BYTES_MAX {
        return None;
    }
    let mut entries = vec![0; ENTRIES_HEAD_BYTES + size];
    entries[..6].copy_from_slice(b"filter");
    entries[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    get(&socket, GET_ENTRIES, &mut entries)?;
    let entry = ENTRIES_HEAD_BYTES.checked_add(policy)?;
    let offset = entries.get(entry + ENTRY_TARGET_OFFSET..entry + ENTRY_TARGET_OFFSET + 2)?;
    let target = entry + usize::from(u16::from_ne_bytes([offset[0], offset[1]]));
    u32_at(&entries, target + TARGET_VERDICT).map(|verdict| verdict as i32)
}

fn get(socket: &OwnedFd, option: i32, buffer: &mut [u8]) -> Option<()> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the buffer is ours, as long as `length` says, and outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            SOL_IP,
            option,
            buffer.as_mut_ptr().cast(),
            &mut length,
        )
    };
    (result == 0).then_some(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets the policy of an otherwise empty table, as `iptables-legacy -P FORWARD DROP` does. `None` where the kernel
    /// has no such interface.
    fn set_policy(verdict: i32) -> Option<()> {
        let raw = rustix::net::Protocol::from_raw(std::num::NonZeroU32::new(libc::IPPROTO_RAW as u32)?);
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(raw),
        );
        let socket = socket.expect("a raw socket (as root)");
        let mut info = vec![0; INFO_BYTES];
        info[..6].copy_from_slice(b"filter");
        get(&socket, GET_INFO, &mut info)?;
        let size = u32_at(&info, INFO_SIZE)? as usize;
        let mut entries = vec![0; ENTRIES_HEAD_BYTES + size];
        entries[..6].copy_from_slice(b"filter");
        entries[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&(size as u32).to_ne_bytes());
        get(&socket, GET_ENTRIES, &mut entries)?;
        let mut entries = entries.split_off(ENTRIES_HEAD_BYTES);
        let entry = u32_at(&info, INFO_POLICY_FORWARD)? as usize;
        let target = entry + usize::from(u16::from_ne_bytes([entries[entry + 88], entries[entry + 89]]));
        entries[target + TARGET_VERDICT..target + TARGET_VERDICT + 4].copy_from_slice(&verdict.to_ne_bytes());

        let count = u32_at(&info, 76)?;
        let mut counters = vec![0u8; 16 * count as usize];
        // struct ipt_replace
        let mut replace = info[..NAME_BYTES + 4].to_vec();
        replace.extend_from_slice(&info[76..84]);
        replace.extend_from_slice(&info[36..76]);
        replace.extend_from_slice(&count.to_ne_bytes());
        replace.extend_from_slice(&(counters.as_mut_ptr() as u64).to_ne_bytes());
        replace.extend_from_slice(&entries);
        // SAFETY: both buffers are ours and outlive the call; the kernel writes `count` counters of 16 bytes.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                SOL_IP,
                64,
                replace.as_ptr().cast(),
                replace.len() as libc::socklen_t,
            )
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Some(())
    }

    #[test]
    fn old_policy_is_read() {
        let test = || {
            // SAFETY: only the network namespace of this thread changes, and it ends with the test.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            assert!(!drops_forwarded());
            assert_eq!(
                std::fs::read_to_string(TABLES_FILE).unwrap_or_default(),
                "",
                "looking must not load a table"
            );
            if set_policy(VERDICT_DROP).is_none() {
                return;
            }
            assert!(drops_forwarded());
            set_policy(-2).unwrap();
            assert!(!drops_forwarded());
        };
        std::thread::spawn(test).join().unwrap();
    }
}
