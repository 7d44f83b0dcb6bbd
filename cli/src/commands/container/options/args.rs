//! Which options there are.

use crate::commands::parse::*;
use clap::{Arg, Command};

pub fn args(command: Command) -> Command {
    let command = command
        .arg(many("add-host", "Add a custom host-to-IP mapping (host:ip)"))
        .arg(many("attach", "Attach to STDIN, STDOUT or STDERR").short('a'))
        .arg(many("cap-add", "Add Linux capabilities"))
        .arg(many("cap-drop", "Drop Linux capabilities"))
        .arg(one(
            "cgroup-parent",
            "string",
            "Optional parent cgroup for the container",
        ))
        .arg(one(
            "cgroupns",
            "string",
            "Cgroup namespace to use (host|private)",
        ))
        .arg(one("cidfile", "string", "Write the container ID to the file"))
        .arg(one("cpu-period", "int", "Limit CPU CFS period"))
        .arg(one("cpu-quota", "int", "Limit CPU CFS quota"))
        .arg(one("cpu-shares", "int", "CPU shares (relative weight)").short('c'))
        .arg(one("cpus", "decimal", "Number of CPUs"))
        .arg(one(
            "cpuset-cpus",
            "string",
            "CPUs in which to allow execution (0-3, 0,1)",
        ))
        .arg(one(
            "cpuset-mems",
            "string",
            "MEMs in which to allow execution (0-3, 0,1)",
        ))
        .arg(many("device", "Add a host device to the container"))
        .arg(many("dns", "Set custom DNS servers"))
        .arg(many("dns-option", "Set DNS options"))
        .arg(many("dns-search", "Set custom DNS search domains"))
        .arg(one("domainname", "string", "Container NIS domain name"))
        .arg(one(
            "entrypoint",
            "string",
            "Overwrite the default ENTRYPOINT of the image",
        ))
        .arg(many("env", "Set environment variables").short('e'))
        .arg(many("env-file", "Read in a file of environment variables"))
        .arg(many("expose", "Expose a port or a range of ports"))
        .arg(many("group-add", "Add additional groups to join"))
        .arg(one("health-cmd", "string", "Command to run to check health"))
        .arg(one(
            "health-interval",
            "duration",
            "Time between running the check",
        ))
        .arg(one(
            "health-retries",
            "int",
            "Consecutive failures needed to report unhealthy",
        ))
        .arg(one(
            "health-start-period",
            "duration",
            "Start period before counting failures",
        ))
        .arg(one(
            "health-timeout",
            "duration",
            "Maximum time to allow one check to run",
        ))
        .arg(
            Arg::new("hostname")
                .short('h')
                .long("hostname")
                .value_name("string")
                .help("Container host name"),
        )
        .arg(switch(
            "init",
            "Run an init inside the container that forwards signals and reaps processes",
        ))
        .arg(switch("interactive", "Keep STDIN open even if not attached").short('i'))
        .arg(one("ip", "string", "IPv4 address"))
        .arg(one("ipc", "string", "IPC mode to use"))
        .arg(many("label", "Set meta data on a container").short('l'))
        .arg(one("log-driver", "string", "Logging driver for the container"))
        .arg(many("log-opt", "Log driver options"))
        .arg(one("mac-address", "string", "Container MAC address"))
        .arg(one("memory", "bytes", "Memory limit").short('m'))
        .arg(one("memory-reservation", "bytes", "Memory soft limit"))
        .arg(one(
            "memory-swap",
            "bytes",
            "Memory plus swap: -1 for unlimited swap",
        ))
        .arg(many("mount", "Attach a filesystem mount to the container"))
        .arg(one("name", "string", "Assign a name to the container"))
        .arg(many("network", "Connect a container to a network").visible_alias("net"))
        .arg(many(
            "network-alias",
            "Add network-scoped alias for the container",
        ))
        .arg(switch(
            "no-healthcheck",
            "Disable any container-specified HEALTHCHECK",
        ))
        .arg(switch("oom-kill-disable", "Disable OOM Killer"))
        .arg(one(
            "oom-score-adj",
            "int",
            "Tune host's OOM preferences (-1000 to 1000)",
        ))
        .arg(one("pid", "string", "PID namespace to use"))
        .arg(one(
            "pids-limit",
            "int",
            "Tune container pids limit (set -1 for unlimited)",
        ))
        .arg(one(
            "platform",
            "string",
            "Set platform if server is multi-platform capable",
        ))
        .arg(switch("privileged", "Give extended privileges to this container"));
    command
        .arg(many("publish", "Publish a container's port(s) to the host").short('p'))
        .arg(switch("publish-all", "Publish all exposed ports to random ports").short('P'))
        .arg(
            one(
                "pull",
                "string",
                "Pull image before running (\"always\", \"missing\", \"never\")",
            )
            .default_value("missing"),
        )
        .arg(switch("quiet", "Suppress the pull output").short('q'))
        .arg(switch(
            "read-only",
            "Mount the container's root filesystem as read only",
        ))
        .arg(
            one(
                "restart",
                "string",
                "Restart policy to apply when a container exits",
            )
            .default_value("no"),
        )
        .arg(switch("rm", "Automatically remove the container when it exits"))
        .arg(one("runtime", "string", "Runtime to use for this container"))
        .arg(many("security-opt", "Security Options"))
        .arg(one("shm-size", "bytes", "Size of /dev/shm"))
        .arg(one("stop-signal", "string", "Signal to stop the container"))
        .arg(one(
            "stop-timeout",
            "int",
            "Timeout (in seconds) to stop a container",
        ))
        .arg(many("sysctl", "Sysctl options"))
        .arg(many("tmpfs", "Mount a tmpfs directory"))
        .arg(switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(many("ulimit", "Ulimit options"))
        .arg(
            one(
                "user",
                "string",
                "Username or UID (format: <name|uid>[:<group|gid>])",
            )
            .short('u'),
        )
        .arg(one("userns", "string", "User namespace to use"))
        .arg(one("uts", "string", "UTS namespace to use"))
        .arg(many("volume", "Bind mount a volume").short('v'))
        .arg(many(
            "volumes-from",
            "Mount volumes from the specified container(s)",
        ))
        .arg(one("workdir", "string", "Working directory inside the container").short('w'))
}
