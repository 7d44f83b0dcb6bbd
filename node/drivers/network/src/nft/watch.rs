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
    own_port: u32,
}

impl Watch {
    pub(super) fn open(table: &str, own_port: u32) -> Result<Watch> {
        let socket = Socket::open(Family::Netfilter)?;
        socket.join_groups(&[GROUP])?;
        Ok(Watch {
            socket,
            table: table.to_owned(),
            own_port,
        })
    }

    /// Takes the notices that wait and answers whether one speaks of our table and is not our own doing, or whether
    /// some were lost. Then the table wants a `recheck`.
    pub fn touched(&mut self) -> Result<bool> {
        let Some(notices) = self.socket.notices()? else {
            return Ok(true);
        };
        Ok(notices.iter().any(|notice| {
            // The name of the table is the first attribute of all of these.
            notice.port != self.own_port
                && notice.attributes(HEAD_BYTES).text(TABLE_NAME) == Some(&self.table)
                && WATCHED.iter().any(|kind| kind.number() == notice.kind)
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
