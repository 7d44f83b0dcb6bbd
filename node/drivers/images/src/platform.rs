//! Which operating system and processor an image is for: `linux/arm64/v8`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A platform in Go's words, as OCI descriptors carry it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// This machine.
    pub fn host() -> Platform {
        let (architecture, variant) = normal(std::env::consts::ARCH, "");
        Platform {
            os: "linux".into(),
            architecture,
            variant,
        }
    }

    /// Reads `os/arch[/variant]`, or an architecture alone.
    pub fn parse(text: &str) -> Result<Platform> {
        let parts: Vec<_> = text.split('/').collect();
        let valid = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, ""),
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] if valid(variant) => (os, architecture, variant),
            _ => ("", "", ""),
        };
        if !valid(os) || !valid(architecture) {
            return Err(Error::InvalidParameter(format!(
                "{text:?} is an invalid platform specifier"
            )));
        }
        let (architecture, variant) =
            normal(&architecture.to_ascii_lowercase(), &variant.to_ascii_lowercase());
        Ok(Platform {
            os: os.to_ascii_lowercase(),
            architecture,
            variant,
        })
    }

    /// In Go's names.
    pub fn normalized(&self) -> Platform {
        let (architecture, variant) = normal(&self.architecture, &self.variant);
        Platform {
            os: self.os.clone(),
            architecture,
            variant,
        }
    }

    /// Whether an image for `other` is what was asked for: variants count only if both name one.
    pub fn accepts(&self, other: &Platform) -> bool {
        self.rank(other).is_some()
    }

    /// How well an image for `other` is what was asked for, 0 best; `None` if it is not.
    pub fn rank(&self, other: &Platform) -> Option<u32> {
        let (own, other) = (self.normalized(), other.normalized());
        if (&own.os, &own.architecture) != (&other.os, &other.architecture) {
            return None;
        }
        if own.architecture == "arm" {
            // An older one runs on a newer one.
            return arm(&own.variant)?.checked_sub(arm(&other.variant)?);
        }
        match (own.variant.as_str(), other.variant.as_str()) {
            (own, other) if own == other => Some(0),
            (_, "") => Some(1),
            ("", _) => Some(2),
            _ => None,
        }
    }
}

/// 5 to 8; who does not say means 7.
fn arm(variant: &str) -> Option<u32> {
    match variant {
        "" => Some(7),
        variant => variant.strip_prefix('v')?.parse().ok(),
    }
}

/// The names that Go uses, and the variants that mean the same as none.
fn normal(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("x86" | "i386" | "i686", _) => ("386", ""),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_compares() {
        let arm = Platform::parse("linux/arm64/v8").expect("platform");
        assert_eq!(arm.to_string(), "linux/arm64");
        assert!(arm.accepts(&Platform::parse("linux/aarch64").expect("platform")));
        assert!(!arm.accepts(&Platform::host()) || cfg!(target_arch = "aarch64"));
        assert_eq!(Platform::parse("arm/v7").map(|p| p.os).ok(), Some("arm".into()));
        let of = |text: &str| Platform::parse(text).expect("platform");
        assert_eq!(of("linux/arm/v7").rank(&of("linux/arm")), Some(0));
        assert_eq!(of("linux/arm/v7").rank(&of("linux/arm/v5")), Some(2));
        assert_eq!(of("linux/arm/v6").rank(&of("linux/arm/v7")), None);
        assert_eq!(of("linux/amd64/v2").rank(&of("linux/amd64")), Some(1));
        assert_eq!(of("linux/amd64/v2").rank(&of("linux/amd64/v3")), None);
        assert!(Platform::parse("linux/").is_err() && Platform::parse("a/b/c/d").is_err());
    }
}
