use std::io::Read;

use crate::{Nest, go};

/// What a shell in the group can do with device nodes.
#[test]
fn only_listed_devices_open() {
    let mut nest = Nest::new();
    let mut cgroup = nest.create(crate::limits::usual());
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    // /dev/kmsg is 1:11 and /dev/zero 1:5; 10:229 is fuse. Making a node is allowed, using it is another matter.
    let script = format!(
        "head -c1 /dev/zero >/dev/null && echo zero; echo x >/dev/null && echo null; \
         mknod {at}/kmsg c 1 11 && echo made; (: <{at}/kmsg) 2>/dev/null || echo refused; \
         mknod {at}/fuse c 10 229; (: <{at}/fuse) 2>/dev/null || echo refused; \
         mknod {at}/disk b 254 0; (: <{at}/disk) 2>/dev/null || echo refused"
    );
    let run = |nest: &mut Nest, cgroup: &shoal_node_drivers_cgroup::Cgroup, script: &str| {
        let child = nest.shell(cgroup, script);
        let mut out = child.stdout.take().unwrap();
        go(child);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(
        run(&mut nest, &cgroup, &script),
        "zero\nnull\nmade\nrefused\nrefused\nrefused\n"
    );

    // Setting the same rules again changes nothing; adding one opens that device.
    let mut resources = crate::limits::usual();
    let hierarchy = nest.hierarchy.clone();
    cgroup.update(&hierarchy, &resources).unwrap();
    let script = format!(
        "head -c1 /dev/zero >/dev/null && echo zero; (: <{at}/kmsg) 2>/dev/null && echo opened || echo refused"
    );
    assert_eq!(run(&mut nest, &cgroup, &script), "zero\nrefused\n");
    let mut rules = resources.devices().clone().unwrap();
    let mut kmsg = rules[3].clone();
    kmsg.set_minor(Some(11));
    rules.push(kmsg);
    resources.set_devices(Some(rules));
    cgroup.update(&hierarchy, &resources).unwrap();
    assert_eq!(run(&mut nest, &cgroup, &script), "zero\nopened\n");
    // And taking it away closes it again.
    cgroup.update(&hierarchy, &crate::limits::usual()).unwrap();
    assert_eq!(run(&mut nest, &cgroup, &script), "zero\nrefused\n");
}
