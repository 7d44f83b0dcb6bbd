//! Netlink: messages as bytes (`encode`, `decode`) and the socket that carries them.

mod decode;
mod encode;
mod socket;

pub(crate) use decode::{Attributes, Message};
pub(crate) use encode::Request;
pub(crate) use socket::{Family, Socket};
