//! `default-address-pools`: objects in the file, `base=…,size=…` as a flag.

use ipnet::IpNet;
use serde_json::Value;

/// (base, length of each network's prefix).
pub fn pools(values: &[Value]) -> Result<Vec<(IpNet, u8)>, String> {
    let mut out = Vec::new();
    for value in values {
        let bad = || format!("invalid default address pool: {value}");
        let (base, size) = match value {
            Value::Object(map) => (
                map.get("base")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                map.get("size").and_then(Value::as_u64).ok_or_else(bad)?,
            ),
            Value::String(text) => {
                let part = |name: &str| {
                    text.split(',')
                        .find_map(|word| word.trim().strip_prefix(name)?.strip_prefix('='))
                };
                let size = part("size").and_then(|s| s.parse().ok()).ok_or_else(bad)?;
                (part("base").ok_or_else(bad)?.to_owned(), size)
            }
            _ => return Err(bad()),
        };
        let base: IpNet = base.parse().map_err(|_| bad())?;
        let size = u8::try_from(size).map_err(|_| bad())?;
        if !(base.prefix_len()..=base.max_prefix_len() - 2).contains(&size) {
            return Err(format!(
                "invalid default address pool: size {size} does not fit into {base}"
            ));
        }
        out.push((base.trunc(), size));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms() {
        let read = |v: Value| pools(&[v]).map(|p| format!("{}/{}", p[0].0, p[0].1));
        assert_eq!(
            read(json!({"base": "10.1.0.0/16", "size": 24})).unwrap(),
            "10.1.0.0/16/24"
        );
        assert_eq!(read(json!("base=10.1.2.0/16,size=20")).unwrap(), "10.1.0.0/16/20");
        for bad in [
            json!({"base": "10.1.0.0/16", "size": 8}),
            json!("base=10.1.0.0/16"),
            json!(1),
            json!({"base": "x", "size": 24}),
        ] {
            read(bad).unwrap_err();
        }
        assert_eq!(
            read(json!({"base": "fd00::/64", "size": 80})).unwrap(),
            "fd00::/64/80"
        );
    }
}
