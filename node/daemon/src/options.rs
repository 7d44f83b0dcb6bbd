//! Every option that dockerd knows, as one table: its flag, its key in `daemon.json`, its shape, and whether it means
//! anything here.
//!
//! Whatever starts dockerd can start shoald: an option without meaning here is accepted, and said to be so.

/// What values an option takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `--flag`, `--flag=true`, `--flag=false`; a JSON boolean.
    Bool,
    /// One value; given again, the later wins. A JSON string.
    Text,
    /// A whole number.
    Number,
    /// Bytes, or a number with a unit.
    Size,
    /// May be repeated; a JSON list of strings.
    List,
    /// `key=value`, may be repeated; a JSON object of strings.
    Map,
}

/// Whether the option changes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// It does what it does in dockerd.
    Works,
    /// Accepted so that existing command lines and files keep working; has no counterpart here.
    NoMeaning,
}

#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub flag: &'static str,
    pub short: Option<char>,
    /// Key in `daemon.json`; empty where only the flag exists.
    pub key: &'static str,
    pub shape: Shape,
    pub used: Use,
    pub help: &'static str,
    pub in_file_only: bool,
}

const fn works(flag: &'static str, key: &'static str, shape: Shape, help: &'static str) -> Known {
    Known {
        flag,
        short: None,
        key,
        shape,
        used: Use::Works,
        help,
        in_file_only: false,
    }
}

const fn letter(short: char, known: Known) -> Known {
    Known {
        short: Some(short),
        ..known
    }
}

const fn none(flag: &'static str, key: &'static str, shape: Shape) -> Known {
    Known {
        flag,
        short: None,
        key,
        shape,
        used: Use::NoMeaning,
        help: "Accepted for compatibility; no effect",
        in_file_only: false,
    }
}

/// A key that is no flag.
const fn file(key: &'static str, shape: Shape) -> Known {
    Known {
        in_file_only: true,
        ..none("", key, shape)
    }
}

use Shape::{Bool, List, Map, Number, Size, Text};

pub const KNOWN: &[Known] = &[
    letter(
        'H',
        works(
            "host",
            "hosts",
            List,
            "Daemon socket(s) to connect to (unix://, tcp://, fd://)",
        ),
    ),
    works(
        "data-root",
        "data-root",
        Text,
        "Root directory of persistent state (default /var/lib/shoal)",
    ),
    works(
        "exec-root",
        "exec-root",
        Text,
        "Root directory for execution state files (default /run/shoal)",
    ),
    letter(
        'p',
        works(
            "pidfile",
            "pidfile",
            Text,
            "Path to use for daemon PID file (default /run/shoald.pid)",
        ),
    ),
    works(
        "config-file",
        "",
        Text,
        "Daemon configuration file (default /etc/shoal/daemon.json)",
    ),
    works("validate", "", Bool, "Validate daemon configuration and exit"),
    letter(
        'G',
        works(
            "group",
            "group",
            Text,
            "Group for the unix socket (default docker)",
        ),
    ),
    letter('D', works("debug", "debug", Bool, "Enable debug mode")),
    letter(
        'l',
        works(
            "log-level",
            "log-level",
            Text,
            "Set the logging level (debug, info, warn, error, fatal)",
        ),
    ),
    works(
        "log-format",
        "log-format",
        Text,
        "Set the logging format (text, json)",
    ),
    works("tls", "tls", Bool, "Use TLS; implied by --tlsverify"),
    works("tlsverify", "tlsverify", Bool, "Use TLS and verify the remote"),
    works(
        "tlscacert",
        "tlscacert",
        Text,
        "Trust certs signed only by this CA (default ~/.docker/ca.pem)",
    ),
    works(
        "tlscert",
        "tlscert",
        Text,
        "Path to TLS certificate file (default ~/.docker/cert.pem)",
    ),
    works(
        "tlskey",
        "tlskey",
        Text,
        "Path to TLS key file (default ~/.docker/key.pem)",
    ),
    works(
        "live-restore",
        "live-restore",
        Bool,
        "Leave containers running when the daemon ends (default true)",
    ),
    works(
        "shutdown-timeout",
        "shutdown-timeout",
        Number,
        "Default shutdown timeout in seconds (default 15)",
    ),
    works("label", "labels", List, "Set key=value labels to the daemon"),
    works(
        "insecure-registry",
        "insecure-registries",
        List,
        "Registries to reach without verified TLS",
    ),
    works(
        "registry-mirror",
        "registry-mirrors",
        List,
        "Preferred registry mirror",
    ),
    works(
        "max-concurrent-downloads",
        "max-concurrent-downloads",
        Number,
        "Concurrent downloads for each pull (default 3)",
    ),
    works(
        "bip",
        "bip",
        Text,
        "IPv4 address and prefix of the default bridge",
    ),
    letter(
        'b',
        works(
            "bridge",
            "bridge",
            Text,
            "Name of the default bridge; \"none\" for none (default docker0)",
        ),
    ),
    works("mtu", "mtu", Number, "MTU of the default bridge (default 1500)"),
    works(
        "default-address-pool",
        "default-address-pools",
        List,
        "Default address pools for networks (base=…,size=…)",
    ),
    works(
        "ip-forward",
        "ip-forward",
        Bool,
        "Switch IP forwarding on (default true)",
    ),
    works(
        "log-driver",
        "log-driver",
        Text,
        "Default driver for container logs (default json-file)",
    ),
    works(
        "log-opt",
        "log-opts",
        Map,
        "Default log driver options for containers",
    ),
    works(
        "init",
        "init",
        Bool,
        "Run an init in the container to forward signals and reap processes",
    ),
    works(
        "default-shm-size",
        "default-shm-size",
        Size,
        "Default shm size for containers (default 64MiB)",
    ),
    works(
        "default-ulimit",
        "default-ulimits",
        List,
        "Default ulimits for containers",
    ),
    works(
        "no-new-privileges",
        "no-new-privileges",
        Bool,
        "Set no-new-privileges by default for new containers",
    ),
    works(
        "cgroup-parent",
        "cgroup-parent",
        Text,
        "Parent cgroup for all containers",
    ),
    works("dns", "dns", List, "DNS server to use"),
    works("dns-search", "dns-search", List, "DNS search domains to use"),
    works("dns-opt", "dns-opts", List, "DNS options to use"),
    works(
        "swarm-default-advertise-addr",
        "swarm-default-advertise-addr",
        Text,
        "Default address or interface for the swarm",
    ),
    works(
        "allow-plain-tcp",
        "allow-plain-tcp",
        Bool,
        "Serve the API without TLS on addresses other machines reach",
    ),
    works(
        "add-runtime",
        "runtimes",
        Map,
        "Register an additional OCI compatible runtime",
    ),
    works(
        "default-runtime",
        "default-runtime",
        Text,
        "Default OCI runtime for containers (default runc)",
    ),
    works(
        "authorization-plugin",
        "authorization-plugins",
        List,
        "Authorization plugins to load",
    ),
    works("exec-opt", "exec-opts", List, "Runtime execution options"),
    works(
        "image-gc-high",
        "image-gc-high",
        Number,
        "Per cent of the data root's disk above which unused images are removed (default 0: never)",
    ),
    works(
        "image-gc-low",
        "image-gc-low",
        Number,
        "Per cent down to which they are removed then (default 10 below)",
    ),
    works(
        "image-gc-keep-releases",
        "image-gc-keep-releases",
        Number,
        "Images of earlier tasks kept for each service (default 0: all)",
    ),
    works(
        "image-gc-spare",
        "image-gc-spare",
        Number,
        "Seconds that an image is left alone after it was last used (default 600)",
    ),
    works(
        "image-gc-every",
        "image-gc-every",
        Number,
        "Seconds between two looks at the disk (default 60)",
    ),
    works("feature", "features", Map, "Enable feature in the daemon"),
    works(
        "fixed-cidr",
        "fixed-cidr",
        Text,
        "IPv4 subnet for the default bridge network",
    ),
    works(
        "bip6",
        "bip6",
        Text,
        "IPv6 address and prefix of the default bridge",
    ),
    works(
        "fixed-cidr-v6",
        "fixed-cidr-v6",
        Text,
        "IPv6 subnet for the default bridge network",
    ),
    works(
        "ipv6",
        "ipv6",
        Bool,
        "Enable IPv6 networking for the default bridge network",
    ),
    works(
        "ip",
        "ip",
        Text,
        "Host IP for port publishing from the default bridge network",
    ),
    works(
        "icc",
        "icc",
        Bool,
        "Enable inter-container communication for the default bridge network (default true)",
    ),
    works(
        "ip-masq",
        "ip-masq",
        Bool,
        "Enable IP masquerading for the default bridge network (default true)",
    ),
    works(
        "http-proxy",
        "http-proxy",
        Text,
        "HTTP proxy URL to use for registries reached without TLS",
    ),
    works(
        "https-proxy",
        "https-proxy",
        Text,
        "HTTPS proxy URL to use for registries",
    ),
    works(
        "no-proxy",
        "no-proxy",
        Text,
        "Comma-separated list of hosts or IP addresses for which the proxy is skipped",
    ),
    works(
        "max-concurrent-uploads",
        "max-concurrent-uploads",
        Number,
        "Concurrent uploads for each push (default 5)",
    ),
    works(
        "max-download-attempts",
        "max-download-attempts",
        Number,
        "Tries for each layer of a pull (default 5)",
    ),
    works(
        "metrics-addr",
        "metrics-addr",
        Text,
        "Address and port to serve the metrics on",
    ),
    works(
        "min-api-version",
        "min-api-version",
        Text,
        "Oldest API version that is served (default 1.24)",
    ),
    works(
        "default-ipc-mode",
        "default-ipc-mode",
        Text,
        "Default mode for containers ipc (shareable, private) (default private)",
    ),
    works(
        "default-cgroupns-mode",
        "default-cgroupns-mode",
        Text,
        "Default mode for containers cgroup namespace (host, private)",
    ),
    works(
        "init-path",
        "init-path",
        Text,
        "Path to the init program of --init",
    ),
    none("allow-direct-routing", "allow-direct-routing", Bool),
    none("api-cors-header", "api-cors-header", Text),
    none("bridge-accept-fwmark", "bridge-accept-fwmark", Text),
    works(
        "cdi-spec-dir",
        "cdi-spec-dirs",
        List,
        "CDI specification directories to use (default /etc/cdi, /var/run/cdi)",
    ),
    none("containerd", "containerd", Text),
    none("containerd-namespace", "containerd-namespace", Text),
    none(
        "containerd-plugins-namespace",
        "containerd-plugins-namespace",
        Text,
    ),
    none("cpu-rt-period", "cpu-rt-period", Number),
    none("cpu-rt-runtime", "cpu-rt-runtime", Number),
    none("cri-containerd", "cri-containerd", Bool),
    none("default-gateway", "default-gateway", Text),
    none("default-gateway-v6", "default-gateway-v6", Text),
    none("default-network-opt", "default-network-opts", Map),
    none("experimental", "experimental", Bool),
    none("firewall-backend", "firewall-backend", Text),
    none("host-gateway-ip", "host-gateway-ips", List),
    none("ip6tables", "ip6tables", Bool),
    none("ip-forward-no-drop", "ip-forward-no-drop", Bool),
    none("iptables", "iptables", Bool),
    none("network-control-plane-mtu", "network-control-plane-mtu", Number),
    none("network-diagnostic-port", "network-diagnostic-port", Number),
    file("allow-nondistributable-artifacts", List),
    file("builder", Map),
    file("containerd-plugin-namespace", Text),
    file("nri-opts", Map),
    file("resolv-conf", Text),
    file("swarm-raft-election-tick", Number),
    file("swarm-raft-heartbeat-tick", Number),
    none("node-generic-resource", "node-generic-resources", List),
    works(
        "oom-score-adjust",
        "oom-score-adjust",
        Number,
        "Set the oom_score_adj for the daemon",
    ),
    works(
        "raw-logs",
        "raw-logs",
        Bool,
        "Log without colours, even on a terminal",
    ),
    none("rootless", "rootless", Bool),
    works(
        "seccomp-profile",
        "seccomp-profile",
        Text,
        "Path to seccomp profile; \"unconfined\" for none (default builtin)",
    ),
    none("selinux-enabled", "selinux-enabled", Bool),
    letter('s', none("storage-driver", "storage-driver", Text)),
    none("storage-opt", "storage-opts", List),
    works(
        "userland-proxy",
        "userland-proxy",
        Bool,
        "Pass on what comes to published ports by ways on which the kernel leads nothing on (default true)",
    ),
    none("userland-proxy-path", "userland-proxy-path", Text),
    works(
        "userns-remap",
        "userns-remap",
        Text,
        "User and group whose subordinate ids containers get (default, user, user:group)",
    ),
];

pub fn by_key(key: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| !k.key.is_empty() && k.key == key)
}
