//! Noticing that somebody else changed or deleted our table (`nft flush ruleset` is common).

use std::os::fd::{AsFd, BorrowedFd};

use super::message::{HEAD_BYTES, Kind, TABLE_NAME};
use crate::error::Result;
use crate::netlink::{Family, Socket};

/// `NFNLGRP_NFTABLES`
const GROUP: i32 = 7;

/// A descriptor that becomes readable when rules of the host change; then ask [`Watch::touched`].
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    table: String,
    /// Of the sockets that this daemon itself writes by.
    own_ports: Vec<u32>,
}

impl Watch {
    pub(super) fn open(table: &str, own_port: u32) -> Result<Watch> {
        let socket = Socket::open(Family::Netfilter)?;
        socket.join_groups(&[GROUP])?;
        Ok(Watch {
            socket,
            table: table.to_owned(),
            own_ports: vec![own_port],
        })
    }

    /// What is written by these sockets is this daemon's own doing as well.
    pub fn also_own(&mut self, ports: impl IntoIterator<Item = u32>) {
        self.own_ports.extend(ports);
    }

    /// Takes the notices that wait and answers whether one speaks of our table, or of the end of one that is named after it,
    /// and is not our own doing, or whether some were lost. Then the tables want a `recheck`.
    pub fn touched(&mut self) -> Result<bool> {
        let Some(notices) = self.socket.notices()? else {
            return Ok(true);
        };
        Ok(notices.iter().any(|notice| {
            // The name of the table is the first attribute of all of these.
            let name = notice.attributes(HEAD_BYTES).text(TABLE_NAME);
            let behind = name.and_then(|name| name.strip_prefix(self.table.as_str()));
            let concerns = match behind {
                Some("") => WATCHED.iter().any(|kind| kind.number() == notice.kind),
                Some(more) if more.starts_with('-') => notice.kind == Kind::DelTable.number(),
                _ => false,
            };
            concerns && !self.own_ports.contains(&notice.port)
        }))
    }
}

const WATCHED: [Kind; 10] = [
    Kind::NewTable,
    Kind::DelTable,
    Kind::NewChain,
    Kind::DelChain,
    Kind::NewRule,
    Kind::DelRule,
    Kind::NewSet,
    Kind::DelSet,
    Kind::NewElement,
    Kind::DelElement,
];

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
