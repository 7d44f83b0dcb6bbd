//! PAX headers and the numbers in them.

use std::io;

use super::damaged;

/// `length key=value\n`, where length counts the whole record.
pub(super) fn records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let invalid = || damaged("invalid PAX header");
    let mut records = Vec::new();
    while !bytes.is_empty() && bytes[0] != 0 {
        let space = bytes
            .iter()
            .take(20)
            .position(|&b| b == b' ')
            .ok_or_else(invalid)?;
        let length = usize::try_from(number(&bytes[..space])?).map_err(|_| invalid())?;
        let record = bytes.get(space + 1..length).ok_or_else(invalid)?;
        let record = record.strip_suffix(b"\n").ok_or_else(invalid)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or_else(invalid)?;
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(records)
}

pub(super) fn number(digits: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged("invalid number in tar header"))
}

pub(super) fn time(value: &[u8]) -> io::Result<(i64, u32)> {
    let text = std::str::from_utf8(value).map_err(|_| damaged("invalid time in tar header"))?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds
        .parse()
        .map_err(|_| damaged("invalid time in tar header"))?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(damaged("invalid time in tar header"));
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9]
        .parse()
        .map_err(|_| damaged("invalid time in tar header"))?;
    match (seconds.starts_with('-'), nanos) {
        (true, 1..) => Ok((whole.saturating_sub(1), 1_000_000_000 - nanos)),
        _ => Ok((whole, nanos)),
    }
}

/// Ids are 32 bits, and all ones means "leave it alone" to chown.
pub(super) fn narrow(id: u64) -> io::Result<u32> {
    u32::try_from(id)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| damaged(format!("invalid owner {id}")))
}
