use shoal_node_core_host::netplan::{Bridge, mac_of};

use super::{Links, Shown, UP, check_name, link, link_head, parse, used};
use crate::error::{Error, Result};
use crate::netlink::{Request, Socket};

const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;

impl Links {
    /// Makes the bridge as the plan wants it: there, up, with its addresses. Other addresses that it has are left alone.
    pub fn ensure_bridge(&self, bridge: &Bridge) -> Result<Shown> {
        check_name(&bridge.name)?;
        let mut socket = self.socket.lock();
        let name = &bridge.name;
        let shown = match link(&mut socket, name)? {
            Some(message) => parse(&message),
            None => {
                match create(&mut socket, bridge) {
                    // Somebody made it between our question and our request.
                    Err(e) if e.is_exists() => {}
                    other => other?,
                }
                link(&mut socket, name)?.as_ref().and_then(parse)
            }
        };
        let mut shown = shown.ok_or_else(|| Error::Malformed {
            what: format!("look up bridge {name}"),
        })?;
        if shown.kind != "bridge" {
            return Err(Error::Invalid(format!(
                "interface {name} exists and is no bridge"
            )));
        }
        shown.addresses = used::addresses(&mut socket)?
            .into_iter()
            .filter(|(index, _)| *index == shown.index)
            .map(|(_, address)| address)
            .collect();
        let mut request = Request::new();
        if !shown.up || shown.mtu != bridge.mtu {
            request.begin(libc::RTM_NEWLINK, 0, &link_head(shown.index, UP, UP));
            request.put_u32(libc::IFLA_MTU, bridge.mtu);
        }
        let v6 = bridge.addresses.iter().any(|a| a.addr().is_ipv6());
        if v6 {
            switch(name, "ipv6", "disable_ipv6", "0")?;
        }
        for address in &bridge.addresses {
            if !shown.addresses.contains(address) {
                used::add_address(&mut request, shown.index, *address, true);
                shown.addresses.push(*address);
            }
        }
        if request.len() > 0 {
            socket.exchange(&mut request, |_| {
                format!("set up bridge {name} with {:?}", bridge.addresses)
            })?;
        }
        drop(socket);
        // Lets a connection to a published port on 127.0.0.1 leave over the bridge. The table's first chain drops what
        // would misuse it from outside.
        switch(name, "ipv4", "route_localnet", "1")?;
        Ok(Shown {
            up: true,
            mtu: bridge.mtu,
            ..shown
        })
    }
}

fn create(socket: &mut Socket, bridge: &Bridge) -> Result<()> {
    // Of the first address or subnet: the same one when it is made anew.
    let mac = match bridge
        .addresses
        .first()
        .or(bridge.rules.subnets.first().map(|s| &s.net))
    {
        Some(net) => mac_of(net.addr()),
        None => mac_of(std::net::Ipv4Addr::LOCALHOST.into()),
    };
    let mut request = Request::new();
    request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, UP, UP));
    // Without a hardware address of its own a bridge takes over one of its ports', and changes it as containers
    // come and go: their neighbours would send to an address that nobody has any more.
    request
        .put_text(libc::IFLA_IFNAME, &bridge.name)
        .put_u32(libc::IFLA_MTU, bridge.mtu)
        .put(libc::IFLA_ADDRESS, &mac)
        .nest(libc::IFLA_LINKINFO, |info| {
            info.put_text(libc::IFLA_INFO_KIND, "bridge");
        });
    socket
        .exchange(&mut request, |_| format!("create bridge {}", bridge.name))
        .map(drop)
}

/// Sets a switch of an interface of the host where it is not set yet.
fn switch(link: &str, family: &str, key: &str, value: &str) -> Result<()> {
    let file = format!("/proc/sys/net/{family}/conf/{link}/{key}");
    if std::fs::read_to_string(&file).is_ok_and(|now| now.trim() != value) {
        std::fs::write(&file, value).map_err(|e| Error::io(format!("write {file}"), e))?;
    }
    Ok(())
}
