//! Join tokens: `SWMTKN-1-<digest of the root>-<secret>`.
//!
//! The digest lets a joiner know the cluster that it is told to join; the secret lets the cluster know the joiner,
//! and says in which role it comes.

use shoal_raft_objects::id::base36;
use std::fmt;

const PREFIX: &str = "SWMTKN-1-";
const DIGEST_CHARS: usize = 50;
const SECRET_CHARS: usize = 25;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invalid join token")]
pub struct TokenError;

/// A token in its parts. Its text is secret, so it is not in `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    digest: String,
    secret: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// A new token for the root with `digest`.
    pub fn generate(digest: &[u8; 32]) -> Self {
        Self {
            digest: base36_wide(digest),
            secret: base36(rand::random(), SECRET_CHARS),
        }
    }

    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let (digest, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .ok_or(TokenError)?;
        let fits = |part: &str, chars: usize| {
            part.len() == chars && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        };
        if !fits(digest, DIGEST_CHARS) || !fits(secret, SECRET_CHARS) {
            return Err(TokenError);
        }
        Ok(Self {
            digest: digest.to_owned(),
            secret: secret.to_owned(),
        })
    }

    pub fn text(&self) -> String {
        format!("{PREFIX}{}-{}", self.digest, self.secret)
    }

    /// The token was made for the root with `digest`.
    pub fn is_for(&self, digest: &[u8; 32]) -> bool {
        self.digest == base36_wide(digest)
    }
}

/// 256 bits in base 36, most significant digit first, padded to 50 characters.
fn base36_wide(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut number = *bytes;
    let mut out = vec![b'0'; DIGEST_CHARS];
    for slot in out.iter_mut().rev() {
        let mut rest: u32 = 0;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            *byte = (value / 36) as u8;
            rest = value % 36;
        }
        *slot = DIGITS[rest as usize];
    }
    out.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_the_digest_and_survives_its_text() {
        let token = Token::generate(&[0xff; 32]);
        let text = token.text();
        assert_eq!(text.len(), 9 + 50 + 1 + 25);
        let back = Token::parse(&text).unwrap();
        assert_eq!(back, token);
        assert!(back.is_for(&[0xff; 32]));
        assert!(!back.is_for(&[0xfe; 32]));
        assert_ne!(Token::generate(&[0xff; 32]), token);
    }

    #[test]
    fn base_36_of_256_bits() {
        let mut one = [0; 32];
        one[31] = 37;
        assert_eq!(base36_wide(&one), format!("{}11", "0".repeat(48)));
        // 2^256 - 1 needs 50 digits.
        assert!(!base36_wide(&[0xff; 32]).starts_with('0'));
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        for text in [
            "",
            "SWMTKN-1-",
            "SWMTKN-1-abc-def",
            "SWMTKN-2-0-0",
            &format!("SWMTKN-1-{}-{}", "A".repeat(50), "0".repeat(25)),
            &format!("SWMTKN-1-{}-{}-x", "0".repeat(50), "0".repeat(25)),
        ] {
            assert_eq!(Token::parse(text), Err(TokenError), "{text}");
        }
    }
}
