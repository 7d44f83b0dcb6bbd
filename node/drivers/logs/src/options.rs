//! The driver's options as the API gives them: `max-size` and `max-file`.

use shoal_node_core_host::sizes;

/// How records lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Docker's json-file.
    Json,
    /// Our own, for the `local` driver.
    Local,
}

/// When the writer starts a new file and how many it keeps, the current one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes; `None` never rotates.
    pub max_size: Option<u64>,
    /// At least 1; 1 starts over instead of keeping an old file.
    pub max_file: u32,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation {
            max_size: None,
            max_file: 1,
        }
    }
}

/// A refused option, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("invalid size: '{0}'")]
    Size(String),
    #[error("max-size must be a positive number")]
    SizeNotPositive,
    #[error("invalid value for max-file: '{0}'")]
    Count(String),
    #[error("max-file cannot be less than 1")]
    CountTooSmall,
    #[error("max-file cannot be used without max-size")]
    CountWithoutSize,
    #[error("unknown log opt '{0}' for json-file log driver")]
    Unknown(String),
}

impl Rotation {
    /// Reads the options of the `json-file` driver. Options that only change what is shown
    /// (`labels`, `env`, `tag`, `mode` …) are accepted.
    pub fn from_options<'a>(
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Rotation, OptionError> {
        let (mut max_size, mut max_file) = (None, None);
        for (key, value) in options {
            match key {
                "max-size" => max_size = size(value)?,
                "max-file" => {
                    let count: i64 = value.parse().map_err(|_| OptionError::Count(value.to_owned()))?;
                    max_file = Some(
                        u32::try_from(count)
                            .ok()
                            .filter(|&n| n > 0)
                            .ok_or(OptionError::CountTooSmall)?,
                    );
                }
                "compress" | "labels" | "labels-regex" | "env" | "env-regex" | "tag" | "mode"
                | "max-buffer-size" => {}
                other => return Err(OptionError::Unknown(other.to_owned())),
            }
        }
        if max_size.is_none() && max_file.is_some_and(|count| count > 1) {
            return Err(OptionError::CountWithoutSize);
        }
        Ok(Rotation {
            max_size,
            max_file: max_file.unwrap_or(1),
        })
    }
}

/// `-1` is no limit.
fn size(text: &str) -> Result<Option<u64>, OptionError> {
    match sizes::bytes(text) {
        None => Err(OptionError::Size(text.to_owned())),
        Some(-1) => Ok(None),
        Some(bytes) => match u64::try_from(bytes) {
            Ok(bytes) if bytes > 0 => Ok(Some(bytes)),
            _ => Err(OptionError::SizeNotPositive),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_counts() {
        let read = |options: &[(&'static str, &'static str)]| Rotation::from_options(options.iter().copied());
        assert_eq!(
            read(&[]),
            Ok(Rotation {
                max_size: None,
                max_file: 1
            })
        );
        assert_eq!(
            read(&[("max-size", "10k"), ("max-file", "3")]),
            Ok(Rotation {
                max_size: Some(10_240),
                max_file: 3
            })
        );
        assert_eq!(
            read(&[("max-size", "1.5MB")]),
            Ok(Rotation {
                max_size: Some(1_572_864),
                max_file: 1
            })
        );
        assert_eq!(read(&[("max-size", "-1"), ("tag", "x")]), Ok(Rotation::default()));
        assert_eq!(
            read(&[("max-size", "zehn")]),
            Err(OptionError::Size("zehn".into()))
        );
        assert_eq!(read(&[("max-size", "0")]), Err(OptionError::SizeNotPositive));
        assert_eq!(
            read(&[("max-file", "0"), ("max-size", "1m")]),
            Err(OptionError::CountTooSmall)
        );
        assert_eq!(read(&[("max-file", "2")]), Err(OptionError::CountWithoutSize));
        assert_eq!(
            read(&[("colour", "red")]),
            Err(OptionError::Unknown("colour".into()))
        );
    }
}
