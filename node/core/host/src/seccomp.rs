//! Seccomp profiles in Docker's format, and the filter that a container with certain capabilities gets from one.
//!
//! The default profile is data: moby's `profiles/seccomp/default.json` (Apache-2.0, The Moby Authors), unchanged.

use crate::caps;
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use oci_spec::runtime::{LinuxSeccompAction, LinuxSeccompBuilder, LinuxSyscallBuilder};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// moby's default profile, as text.
pub const DEFAULT: &str = include_str!("seccomp_default.json");

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("decoding seccomp profile failed: {0}")]
    Decode(#[from] serde_json::Error),
    #[error("decoding seccomp profile failed: {0}")]
    Invalid(&'static str),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Rule>>,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            default_action: LinuxSeccompAction::ScmpActErrno,
            default_errno_ret: None,
            architectures: None,
            arch_map: None,
            flags: None,
            listener_path: None,
            syscalls: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    name: String,
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    args: Option<Vec<Option<LinuxSeccompArg>>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What a profile's conditions are asked against.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    pub caps: &'a [Capability],
    /// Major and minor number of the running kernel.
    pub kernel: (u32, u32),
}

/// Names the filter that `resolve` would give: same key, same filter. Hex SHA-256.
pub fn key(profile: &str, host: Host<'_>) -> String {
    let mut names: Vec<String> = host.caps.iter().map(|c| caps::name(*c)).collect();
    names.sort();
    let mut hash = Sha256::new();
    hash.update(b"1\n");
    hash.update(profile.as_bytes());
    hash.update(format!("\n{:?}\n{}", host.kernel, names.join(",")).as_bytes());
    hex::encode(hash.finalize())
}

/// The filter for this host: conditions decided, architectures filled in.
pub fn resolve(profile: &str, host: Host<'_>) -> Result<LinuxSeccomp, Error> {
    let profile: Profile = serde_json::from_str(profile)?;
    let both = profile.architectures.as_ref().is_some_and(|a| !a.is_empty())
        && profile.arch_map.as_ref().is_some_and(|a| !a.is_empty());
    if both {
        return Err(Error::Invalid(
            "both 'architectures' and 'archMap' are specified in the seccomp profile",
        ));
    }
    if profile.listener_path.is_some_and(|p| !p.is_empty()) {
        return Err(Error::Invalid("'listenerPath' is not supported"));
    }
    let architectures = match (profile.architectures, profile.arch_map) {
        (Some(list), _) if !list.is_empty() => list,
        (_, Some(map)) => map
            .into_iter()
            .find(|m| m.architecture == Arch::ScmpArchX86_64)
            .map(|m| {
                let mut list = vec![m.architecture];
                list.extend(m.sub_architectures.unwrap_or_default());
                list
            })
            .unwrap_or_default(),
        _ => vec![Arch::ScmpArchX86_64],
    };
    let mut syscalls = Vec::new();
    for rule in profile.syscalls.unwrap_or_default() {
        if !rule.applies(host)? {
            continue;
        }
        syscalls.push(rule.into_syscall()?);
    }
    let mut builder = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .architectures(architectures)
        .syscalls(syscalls);
    if let Some(errno) = profile.default_errno_ret {
        builder = builder.default_errno_ret(errno);
    }
    if let Some(flags) = profile.flags {
        builder = builder.flags(flags);
    }
    builder.build().map_err(|_| Error::Invalid("incomplete profile"))
}

impl Rule {
    fn applies(&self, host: Host<'_>) -> Result<bool, Error> {
        let has = |name: &String| host.caps.iter().any(|c| caps::name(*c) == *name);
        let here = |arch: &String| arch == "amd64";
        if let Some(ex) = &self.excludes {
            let arch = ex.arches.as_ref().is_some_and(|a| a.iter().any(here));
            let cap = ex.caps.as_ref().is_some_and(|c| c.iter().any(has));
            let kernel = match &ex.min_kernel {
                Some(text) => at_least(host.kernel, text)?,
                None => false,
            };
            if arch || cap || kernel {
                return Ok(false);
            }
        }
        let Some(inc) = &self.includes else {
            return Ok(true);
        };
        let arch = inc
            .arches
            .as_ref()
            .is_none_or(|a| a.is_empty() || a.iter().any(here));
        let cap = inc.caps.as_ref().is_none_or(|c| c.iter().all(has));
        let kernel = match &inc.min_kernel {
            Some(text) => at_least(host.kernel, text)?,
            None => true,
        };
        Ok(arch && cap && kernel)
    }

    fn into_syscall(self) -> Result<LinuxSyscall, Error> {
        let mut names = self.names.unwrap_or_default();
        match (self.name.is_empty(), names.is_empty()) {
            (false, false) => {
                return Err(Error::Invalid(
                    "both 'name' and 'names' are specified in the seccomp profile",
                ));
            }
            (false, true) => names.push(self.name),
            _ => {}
        }
        let mut builder = LinuxSyscallBuilder::default().names(names).action(self.action);
        if let Some(errno) = self.errno_ret {
            builder = builder.errno_ret(errno);
        }
        let args: Vec<LinuxSeccompArg> = self.args.unwrap_or_default().into_iter().flatten().collect();
        if !args.is_empty() {
            builder = builder.args(args);
        }
        builder.build().map_err(|_| Error::Invalid("incomplete rule"))
    }
}

fn at_least(kernel: (u32, u32), text: &str) -> Result<bool, Error> {
    let bad = Error::Invalid("minKernel is not of the form MAJOR.MINOR");
    let Some((major, minor)) = text.split_once('.') else {
        return Err(bad);
    };
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major), Ok(minor)) => Ok(kernel >= (major, minor)),
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(caps: &[Capability]) -> LinuxSeccomp {
        resolve(DEFAULT, Host { caps, kernel: (6, 1) }).expect("the default profile is valid")
    }

    fn rules<'a>(f: &'a LinuxSeccomp, name: &str) -> Vec<&'a LinuxSyscall> {
        f.syscalls()
            .iter()
            .flatten()
            .filter(|s| s.names().iter().any(|n| n == name))
            .collect()
    }

    #[test]
    fn the_default_filter_is_dockers() {
        let f = filter(&[]);
        assert_eq!(f.default_action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(f.default_errno_ret(), Some(1));
        assert_eq!(
            f.architectures().as_deref(),
            Some(&[Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32][..])
        );
        assert!(rules(&f, "mount").is_empty(), "needs CAP_SYS_ADMIN");
        assert_eq!(rules(&f, "clone3")[0].errno_ret(), Some(38));
        let clone = rules(&f, "clone");
        assert_eq!(clone.len(), 1);
        assert_eq!(clone[0].args().as_ref().unwrap()[0].value(), 0x7E02_0000);
        assert_eq!(rules(&f, "ptrace").len(), 1, "kernels since 4.8");
        assert!(rules(&f, "io_uring_setup").is_empty());
    }

    #[test]
    fn capabilities_open_their_calls() {
        let f = filter(&[Capability::SysAdmin]);
        assert_eq!(rules(&f, "mount").len(), 1);
        assert!(rules(&f, "clone3").iter().all(|r| r.errno_ret().is_none()));
        assert_ne!(
            key(
                DEFAULT,
                Host {
                    caps: &[],
                    kernel: (6, 1)
                }
            ),
            key(
                DEFAULT,
                Host {
                    caps: &[Capability::SysAdmin],
                    kernel: (6, 1)
                }
            )
        );
    }

    #[test]
    fn a_custom_profile_is_read_and_nonsense_refused() {
        let host = Host {
            caps: &[],
            kernel: (6, 1),
        };
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"chmod","action":"SCMP_ACT_ERRNO","args":null}]}"#;
        let f = resolve(text, host).unwrap();
        assert_eq!(f.default_action(), LinuxSeccompAction::ScmpActAllow);
        assert_eq!(rules(&f, "chmod").len(), 1);
        assert!(resolve("{", host).is_err());
    }
}
