//! Typed ids. Docker's cluster ids are 25 characters of base 36, made from 128 random bits.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where new ids come from. Production draws them from the kernel, a simulation from its seed, so a plan is
/// reproducible from one seed.
pub trait IdSource {
    /// 128 random bits.
    fn next_u128(&mut self) -> u128;

    /// A new cluster id: 25 characters of `0-9a-z`.
    fn next_id(&mut self) -> String {
        base36(self.next_u128(), 25)
    }
}

/// `value` in base 36, left-padded with zeros to `width` characters. 25 characters hold 128 bits.
pub fn base36(mut value: u128, width: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut out = vec![b'0'; width];
    for slot in out.iter_mut().rev() {
        *slot = DIGITS[(value % 36) as usize];
        value /= 36;
    }
    out.into_iter().map(char::from).collect()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id as it stands; ids from outside are only ever looked up, never trusted to exist.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }
            /// A new id drawn from `source`.
            pub fn draw(source: &mut dyn IdSource) -> Self {
                Self(source.next_id())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// The swarm itself.
    ClusterId,
    /// A host that runs a daemon; also the CN of its certificate.
    NodeId,
    ServiceId,
    TaskId,
    NetworkId,
    SecretId,
    ConfigId,
    VolumeId,
}

/// A manager's id inside Raft. Never reused: it is the log index of the write that admitted the manager, so a
/// wiped manager that returns cannot vote under a membership that remembers its predecessor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftId(pub u64);

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u128);
    impl IdSource for Fixed {
        fn next_u128(&mut self) -> u128 {
            self.0
        }
    }

    #[test]
    fn ids_are_25_characters_of_base_36() {
        for bits in [0, 1, u128::MAX] {
            let id = ServiceId::draw(&mut Fixed(bits));
            assert_eq!(id.as_str().len(), 25);
            assert!(
                id.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            );
        }
        assert_eq!(base36(35, 2), "0z");
        assert_eq!(base36(36, 2), "10");
    }
}
