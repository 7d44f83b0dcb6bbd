//! Putting cables back onto a bridge that somebody deleted and that was made anew.

use super::cable::set_port;
use super::{FILTER_SKIP_STATS, LINK_HEAD_BYTES, Links, UP, link_head, parse};
use crate::error::Result;
use crate::netlink::Request;

/// Where a cable that is in use belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub host_link: String,
    pub bridge: String,
    pub isolated: bool,
}

impl Links {
    /// Attaches every cable that is there but on no bridge, or another one than it should be. Answers their names.
    pub fn attach(&self, places: &[Place]) -> Result<Vec<String>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut socket = self.socket.lock();
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETLINK, 0, &[0; LINK_HEAD_BYTES]);
            request.put_u32(libc::IFLA_EXT_MASK, FILTER_SKIP_STATS);
        };
        let messages = socket.dump(build, "list interfaces")?;
        let shown: Vec<(String, u32, Option<u32>)> = messages
            .iter()
            .filter_map(|message| {
                let shown = parse(message)?;
                Some((
                    shown.name,
                    shown.index,
                    message.attributes(LINK_HEAD_BYTES).u32(libc::IFLA_MASTER),
                ))
            })
            .collect();
        let find = |name: &str| shown.iter().find(|(shown, _, _)| shown == name);
        let mut attached = Vec::new();
        for place in places {
            let (Some((_, index, master)), Some((_, bridge, _))) =
                (find(&place.host_link), find(&place.bridge))
            else {
                continue;
            };
            if *master == Some(*bridge) {
                continue;
            }
            let mut request = Request::new();
            request.begin(libc::RTM_NEWLINK, 0, &link_head(*index, UP, UP));
            request.put_u32(libc::IFLA_MASTER, *bridge);
            set_port(&mut request, &place.host_link, place.isolated);
            match socket.exchange(&mut request, |_| {
                format!("attach {} to {}", place.host_link, place.bridge)
            }) {
                Ok(_) => attached.push(place.host_link.clone()),
                // Its container ended meanwhile.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(attached)
    }
}
