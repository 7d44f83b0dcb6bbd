//! Which options `run` and `create` have, and where in the request they go.

use crate::commands::options::{self, Opt, Takes::*, opt};
use crate::commands::parse::{one, switch};
use clap::Command;

pub fn args(command: Command) -> Command {
    options::args(command, OPTIONS)
        .mut_arg("network", |arg| arg.visible_alias("net"))
        .arg(
            one(
                "pull",
                "string",
                "Pull image before running (\"always\", \"missing\", \"never\")",
            )
            .default_value("missing"),
        )
        .arg(
            one(
                "restart",
                "string",
                "Restart policy to apply when a container exits",
            )
            .default_value("no"),
        )
        .arg(
            switch("disable-content-trust", "Skip image verification")
                .default_value("true")
                .hide(true),
        )
}

/// Rows without a place are read by `request` and `host`, since their text means more than one value.
#[rustfmt::skip]
pub const OPTIONS: &[Opt] = &[
    opt("add-host", List, "HostConfig/ExtraHosts", "Add a custom host-to-IP mapping (host:ip)"),
    opt("annotation", List, "", "Add an annotation to the container (passed through to the OCI runtime)"),
    opt("attach a", List, "", "Attach to STDIN, STDOUT or STDERR"),
    opt("blkio-weight", Int, "HostConfig/BlkioWeight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"),
    opt("blkio-weight-device", List, "", "Block IO weight (relative device weight)"),
    opt("cap-add", List, "HostConfig/CapAdd", "Add Linux capabilities"),
    opt("cap-drop", List, "HostConfig/CapDrop", "Drop Linux capabilities"),
    opt("cgroup-parent", Text, "HostConfig/CgroupParent", "Optional parent cgroup for the container"),
    opt("cgroupns", Text, "HostConfig/CgroupnsMode", "Cgroup namespace to use (host|private); empty for the daemon's default"),
    opt("cidfile", Text, "HostConfig/ContainerIDFile", "Write the container ID to the file"),
    opt("cpu-count", Int, "HostConfig/CpuCount", "CPU count (Windows only)"),
    opt("cpu-percent", Int, "HostConfig/CpuPercent", "CPU percent (Windows only)"),
    opt("cpu-period", Int, "HostConfig/CpuPeriod", "Limit CPU CFS (Completely Fair Scheduler) period"),
    opt("cpu-quota", Int, "HostConfig/CpuQuota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    opt("cpu-rt-period", Int, "HostConfig/CpuRealtimePeriod", "Limit CPU real-time period in microseconds"),
    opt("cpu-rt-runtime", Int, "HostConfig/CpuRealtimeRuntime", "Limit CPU real-time runtime in microseconds"),
    opt("cpu-shares c", Int, "HostConfig/CpuShares", "CPU shares (relative weight)"),
    opt("cpus", Cpus, "HostConfig/NanoCpus", "Number of CPUs"),
    opt("cpuset-cpus", Text, "HostConfig/CpusetCpus", "CPUs in which to allow execution (0-3, 0,1)"),
    opt("cpuset-mems", Text, "HostConfig/CpusetMems", "MEMs in which to allow execution (0-3, 0,1)"),
    opt("device", List, "", "Add a host device to the container"),
    opt("device-cgroup-rule", List, "HostConfig/DeviceCgroupRules", "Add a rule to the cgroup allowed devices list"),
    opt("device-read-bps", List, "", "Limit read rate (bytes per second) from a device"),
    opt("device-read-iops", List, "", "Limit read rate (IO per second) from a device"),
    opt("device-write-bps", List, "", "Limit write rate (bytes per second) to a device"),
    opt("device-write-iops", List, "", "Limit write rate (IO per second) to a device"),
    opt("dns", List, "HostConfig/Dns", "Set custom DNS servers"),
    opt("dns-option", List, "HostConfig/DnsOptions", "Set DNS options"),
    opt("dns-search", List, "HostConfig/DnsSearch", "Set custom DNS search domains"),
    opt("domainname", Text, "Domainname", "Container NIS domain name"),
    opt("entrypoint", Text, "", "Overwrite the default ENTRYPOINT of the image"),
    opt("env e", List, "", "Set environment variables"),
    opt("env-file", List, "", "Read in a file of environment variables"),
    opt("expose", List, "", "Expose a port or a range of ports"),
    opt("gpus", Text, "", "GPU devices to add to the container ('all' to pass all GPUs)"),
    opt("group-add", List, "HostConfig/GroupAdd", "Add additional groups to join"),
    opt("health-cmd", Text, "", "Command to run to check health"),
    opt("health-interval", Duration, "Healthcheck/Interval", "Time between running the check (ms|s|m|h)"),
    opt("health-retries", Int, "Healthcheck/Retries", "Consecutive failures needed to report unhealthy"),
    opt("health-start-interval", Duration, "Healthcheck/StartInterval", "Time between running the check during the start period (ms|s|m|h)"),
    opt("health-start-period", Duration, "Healthcheck/StartPeriod", "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)"),
    opt("health-timeout", Duration, "Healthcheck/Timeout", "Maximum time to allow one check to run (ms|s|m|h)"),
    opt("hostname h", Text, "Hostname", "Container host name"),
    opt("init", Switch, "HostConfig/Init", "Run an init inside the container that forwards signals and reaps processes"),
    opt("interactive i", Switch, "OpenStdin", "Keep STDIN open even if not attached"),
    opt("io-maxbandwidth", Bytes, "HostConfig/IOMaximumBandwidth", "Maximum IO bandwidth limit for the system drive (Windows only)"),
    opt("io-maxiops", Int, "HostConfig/IOMaximumIOps", "Maximum IOps limit for the system drive (Windows only)"),
    opt("ip", Text, "", "IPv4 address (e.g., 172.30.100.104)"),
    opt("ip6", Text, "", "IPv6 address (e.g., 2001:db8::33)"),
    opt("ipc", Text, "HostConfig/IpcMode", "IPC mode to use"),
    opt("isolation", Text, "HostConfig/Isolation", "Container isolation technology"),
    opt("kernel-memory", Bytes, "HostConfig/KernelMemory", "Kernel memory limit"),
    opt("label l", List, "", "Set meta data on a container"),
    opt("label-file", List, "", "Read in a line delimited file of labels"),
    opt("link", List, "HostConfig/Links", "Add link to another container"),
    opt("link-local-ip", List, "", "Container IPv4/IPv6 link-local addresses"),
    opt("log-driver", Text, "", "Logging driver for the container"),
    opt("log-opt", List, "", "Log driver options"),
    opt("mac-address", Text, "MacAddress", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    opt("memory m", Bytes, "HostConfig/Memory", "Memory limit"),
    opt("memory-reservation", Bytes, "HostConfig/MemoryReservation", "Memory soft limit"),
    opt("memory-swap", Bytes, "HostConfig/MemorySwap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    opt("memory-swappiness", Int, "HostConfig/MemorySwappiness", "Tune container memory swappiness (0 to 100) (default -1)"),
    opt("mount", List, "", "Attach a filesystem mount to the container"),
    opt("name", Text, "", "Assign a name to the container"),
    opt("network", List, "", "Connect a container to a network"),
    opt("network-alias", List, "", "Add network-scoped alias for the container"),
    opt("no-healthcheck", Switch, "", "Disable any container-specified HEALTHCHECK"),
    opt("oom-kill-disable", Switch, "HostConfig/OomKillDisable", "Disable OOM Killer"),
    opt("oom-score-adj", Int, "HostConfig/OomScoreAdj", "Tune host's OOM preferences (-1000 to 1000)"),
    opt("pid", Text, "HostConfig/PidMode", "PID namespace to use"),
    opt("pids-limit", Int, "HostConfig/PidsLimit", "Tune container pids limit (set -1 for unlimited)"),
    opt("platform", Text, "", "Set platform if server is multi-platform capable"),
    opt("privileged", Switch, "HostConfig/Privileged", "Give extended privileges to this container"),
    opt("publish p", List, "", "Publish a container's port(s) to the host"),
    opt("publish-all P", Switch, "HostConfig/PublishAllPorts", "Publish all exposed ports to random ports"),
    opt("quiet q", Switch, "", "Suppress the pull output"),
    opt("read-only", Switch, "HostConfig/ReadonlyRootfs", "Mount the container's root filesystem as read only"),
    opt("rm", Switch, "HostConfig/AutoRemove", "Automatically remove the container and its associated anonymous volumes when it exits"),
    opt("runtime", Text, "HostConfig/Runtime", "Runtime to use for this container"),
    opt("security-opt", List, "", "Security Options"),
    opt("shm-size", Bytes, "HostConfig/ShmSize", "Size of /dev/shm"),
    opt("stop-signal", Text, "StopSignal", "Signal to stop the container"),
    opt("stop-timeout", Int, "StopTimeout", "Timeout (in seconds) to stop a container"),
    opt("storage-opt", List, "", "Storage driver options for the container"),
    opt("sysctl", List, "", "Sysctl options"),
    opt("tmpfs", List, "", "Mount a tmpfs directory"),
    opt("tty t", Switch, "Tty", "Allocate a pseudo-TTY"),
    opt("ulimit", List, "", "Ulimit options"),
    opt("user u", Text, "User", "Username or UID (format: <name|uid>[:<group|gid>])"),
    opt("userns", Text, "HostConfig/UsernsMode", "User namespace to use"),
    opt("uts", Text, "HostConfig/UTSMode", "UTS namespace to use"),
    opt("volume v", List, "", "Bind mount a volume"),
    opt("volume-driver", Text, "HostConfig/VolumeDriver", "Optional volume driver for the container"),
    opt("volumes-from", List, "HostConfig/VolumesFrom", "Mount volumes from the specified container(s)"),
    opt("workdir w", Text, "WorkingDir", "Working directory inside the container"),
];
