//! Huge pages, one limit per page size.

use oci_spec::runtime::LinuxResources;

use crate::dir::Dir;
use crate::error::Result;

pub(crate) fn apply_v1(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    for limit in resources.hugepage_limits().iter().flatten() {
        let size = limit.page_size();
        dir.write(
            &format!("hugetlb.{size}.limit_in_bytes"),
            &limit.limit().to_string(),
        )?;
        dir.write_if_there(
            &format!("hugetlb.{size}.rsvd.limit_in_bytes"),
            &limit.limit().to_string(),
        )?;
    }
    Ok(())
}

pub(crate) fn apply_v2(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    for limit in resources.hugepage_limits().iter().flatten() {
        let size = limit.page_size();
        dir.write(&format!("hugetlb.{size}.max"), &limit.limit().to_string())?;
        dir.write_if_there(&format!("hugetlb.{size}.rsvd.max"), &limit.limit().to_string())?;
    }
    Ok(())
}
