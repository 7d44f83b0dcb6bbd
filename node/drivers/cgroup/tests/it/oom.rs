use std::os::unix::process::ExitStatusExt;

use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Nest, go};

#[test]
fn running_out_of_memory_is_noticed_and_counted() {
    let mut nest = Nest::new();
    let memory = LinuxMemoryBuilder::default()
        .limit(16 << 20)
        .swap(16 << 20)
        .build()
        .unwrap();
    let cgroup = nest.create(LinuxResourcesBuilder::default().memory(memory).build().unwrap());
    let watch = cgroup.oom_watch().unwrap().expect("a memory controller");
    assert_eq!(cgroup.oom_kills().unwrap(), 0);
    let quiet = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&quiet)).unwrap(),
        0
    );

    let child = nest.shell(&cgroup, "exec tail /dev/zero");
    go(child);
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&limit)).unwrap(),
        1,
        "no notice within 20 s"
    );
    assert_eq!(nest.children[0].wait().unwrap().signal(), Some(9));
    assert_eq!(cgroup.oom_kills().unwrap(), 1);
    watch.drain();
    assert_eq!(
        poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&quiet)).unwrap(),
        0
    );
}
