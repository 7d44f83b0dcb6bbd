//! Taking interfaces away. The kernel unlists one at once, and then waits for some tens of milliseconds until no processor
//! can still see it; only the first is waited for where that matters.

use super::{Links, check_name, link, link_head};
use crate::error::{Error, Result};
use crate::netlink::{Family, Request, Socket};

const LOOKS: u32 = 200;
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_micros(250);

impl Links {
    /// Removes an interface and waits for all of it; one that is not there is no error. A cable goes with both ends.
    /// Nobody who plugs meanwhile waits.
    pub fn remove(&self, name: &str) -> Result<()> {
        delete(name)
    }

    /// As [`Links::remove`], but answers as soon as nobody can find the interface any more.
    pub fn remove_soon(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut socket = Socket::open(Family::Route)?;
        if link(&mut socket, name)?.is_none() {
            return Ok(());
        }
        let deleting = {
            let name = name.to_owned();
            std::thread::Builder::new()
                .name("gone".into())
                .stack_size(128 * 1024)
                .spawn(move || delete(&name))
                .map_err(|e| Error::io("start a thread", e))?
        };
        for _ in 0..LOOKS {
            if deleting.is_finished() {
                break;
            }
            if link(&mut socket, name)?.is_none() {
                return Ok(());
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        deleting.join().unwrap_or_else(|_| {
            Err(Error::Invalid(
                "a thread that removes an interface panicked".into(),
            ))
        })
    }
}

fn delete(name: &str) -> Result<()> {
    check_name(name)?;
    let mut request = Request::new();
    request.begin(libc::RTM_DELLINK, 0, &link_head(0, 0, 0));
    request.put_text(libc::IFLA_IFNAME, name);
    // A socket of its own: the one that all share would be taken for as long as the kernel waits.
    match Socket::open(Family::Route)?.exchange(&mut request, |_| format!("remove interface {name}")) {
        Err(e) if !e.is_not_found() => Err(e),
        _ => Ok(()),
    }
}
