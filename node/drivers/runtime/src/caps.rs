//! Capabilities as bit sets.

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use crate::error::{Result, doing};
use crate::sys;
use rustix::io::Errno;

/// The five sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// In the kernel's order: the position is the number.
const ORDER: [Capability; 41] = {
    use Capability::*;
    [
        Chown,
        DacOverride,
        DacReadSearch,
        Fowner,
        Fsetid,
        Kill,
        Setgid,
        Setuid,
        Setpcap,
        LinuxImmutable,
        NetBindService,
        NetBroadcast,
        NetAdmin,
        NetRaw,
        IpcLock,
        IpcOwner,
        SysModule,
        SysRawio,
        SysChroot,
        SysPtrace,
        SysPacct,
        SysAdmin,
        SysBoot,
        SysNice,
        SysResource,
        SysTime,
        SysTtyConfig,
        Mknod,
        Lease,
        AuditWrite,
        AuditControl,
        Setfcap,
        MacOverride,
        MacAdmin,
        Syslog,
        WakeAlarm,
        BlockSuspend,
        AuditRead,
        Perfmon,
        Bpf,
        CheckpointRestore,
    ]
};

fn bits(set: &Option<Capabilities>) -> u64 {
    let set = set.as_ref();
    ORDER
        .iter()
        .enumerate()
        .filter(|(_, c)| set.is_some_and(|s| s.contains(c)))
        .fold(0, |sum, (n, _)| sum | 1 << n)
}

impl Sets {
    /// Absent capabilities are empty sets: nothing is allowed.
    pub fn of(capabilities: Option<&LinuxCapabilities>) -> Self {
        let Some(c) = capabilities else {
            return Self::default();
        };
        Self {
            bounding: bits(c.bounding()),
            effective: bits(c.effective()),
            permitted: bits(c.permitted()),
            inheritable: bits(c.inheritable()),
            ambient: bits(c.ambient()),
        }
    }

    /// Without what this process could not hand on: capabilities that the kernel does not know or that are not in its
    /// own bounding set.
    pub fn available(self) -> Self {
        let asked = self.bounding | self.effective | self.permitted | self.inheritable | self.ambient;
        let have = (0..64)
            .filter(|c| asked & (1 << c) != 0 && sys::prctl(libc::PR_CAPBSET_READ, *c, 0) == Ok(1))
            .fold(0u64, |sum, c| sum | 1 << c);
        Self {
            bounding: self.bounding & have,
            effective: self.effective & have,
            permitted: self.permitted & have,
            inheritable: self.inheritable & have,
            ambient: self.ambient & have,
        }
    }

    /// Drop what is not in the bounding set, for this process and all that it will ever exec.
    pub fn bound(&self) -> Result<()> {
        for capability in 0..64 {
            if self.bounding & (1 << capability) != 0 {
                continue;
            }
            match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
                Ok(_) => {}
                // The first number that this kernel does not know.
                Err(Errno::INVAL) => break,
                Err(e) => return Err(doing("drop a capability from the bounding set")(e)),
            }
        }
        Ok(())
    }

    /// Take exactly these sets.
    pub fn take(&self) -> Result<()> {
        sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)
            .map_err(doing("clear the ambient capabilities"))?;
        sys::capset(self.effective, self.permitted, self.inheritable).map_err(doing("set capabilities"))?;
        for capability in (0..64).filter(|c| self.ambient & (1 << c) != 0) {
            sys::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE as u64,
                capability,
            )
            .map_err(doing("raise an ambient capability"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_default_set_has_its_known_bits() {
        let names = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE \
                     SYS_CHROOT KILL AUDIT_WRITE";
        let list: Vec<String> = names.split_whitespace().map(|n| format!("\"CAP_{n}\"")).collect();
        let text = format!(
            r#"{{"bounding":[{0}],"effective":[{0}],"inheritable":[]}}"#,
            list.join(",")
        );
        let capabilities: LinuxCapabilities = serde_json::from_str(&text).unwrap();
        let sets = Sets::of(Some(&capabilities));
        assert_eq!(sets.bounding, 0xa804_25fb, "CapBnd of a container under Docker");
        assert_eq!((sets.effective, sets.permitted), (0xa804_25fb, 0));
        assert_eq!((sets.inheritable, sets.ambient), (0, 0));
        assert_eq!(Sets::of(None), Sets::default());
    }
}
