//! A cluster network's spec.

use super::{Invalid, invalid, object_name};
use shoal_raft_objects::NetworkSpec;
use shoal_raft_objects::network::OVERLAY;

/// Everything that can be said of a spec alone.
pub fn network(spec: &NetworkSpec) -> Result<(), Invalid> {
    object_name(&spec.annotations.name)?;
    if spec.driver != OVERLAY {
        return invalid(format!(
            "driver {:?} does not make networks of a cluster",
            spec.driver
        ));
    }
    if spec.ingress && (spec.internal || spec.attachable) {
        return invalid("an ingress network can be neither internal nor attachable");
    }
    for (option, value) in &spec.driver_options {
        match option.as_str() {
            "encrypted" | "com.docker.network.driver.overlay.vxlanid_list" => {}
            "com.docker.network.driver.mtu" => match value.parse::<u32>() {
                Ok(576..=65_000) => {}
                _ => return invalid(format!("invalid MTU {value}: it should be 576 to 65000")),
            },
            // Docker's overlay driver ignores what it does not know, stacks carry such options.
            _ => {}
        }
    }
    Ok(())
}
