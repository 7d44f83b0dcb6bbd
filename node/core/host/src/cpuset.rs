//! Lists of processors and memory nodes: `0-3,8`.

use std::collections::BTreeSet;

const NUMBER_MAX: u32 = 8192;

/// The numbers of a list, or Docker's words for what is wrong with it.
pub fn parse(text: &str) -> Result<BTreeSet<u32>, String> {
    let bad = || format!("invalid format: {text}");
    let mut out = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |word: &str| match word.bytes().all(|b| b.is_ascii_digit()) {
            true => word.parse::<u32>().map_err(|_| bad()),
            false => Err(bad()),
        };
        let (first, last) = (number(first)?, number(last)?);
        if last > NUMBER_MAX {
            return Err(format!("value of out range, maximum is {NUMBER_MAX}"));
        }
        if first > last {
            return Err(bad());
        }
        out.extend(first..=last);
    }
    Ok(out)
}

/// Refuses processors (`what` is `CPUs`, `field` `cpus`) or memory nodes that this host does not have.
pub fn check(asked: &str, available: &str, what: &str, field: &str) -> Result<(), String> {
    if asked.is_empty() {
        return Ok(());
    }
    let wanted = parse(asked).map_err(|e| format!("Invalid value {asked} for cpuset {field}: {e}"))?;
    // A kernel that says nothing refuses nothing.
    match parse(available) {
        Ok(there) if !wanted.is_subset(&there) => Err(format!(
            "Requested {what} are not available - requested {asked}, available: {available}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0-2,5").unwrap(), BTreeSet::from([0, 1, 2, 5]));
        for bad in ["", "x", "0-x", "2-1", "1,", "-1", "+1"] {
            assert_eq!(parse(bad).unwrap_err(), format!("invalid format: {bad}"));
        }
        assert!(parse("99999").unwrap_err().contains("maximum is 8192"));
    }

    #[test]
    fn what_the_host_lacks_is_refused() {
        assert_eq!(check("", "0-1", "CPUs", "cpus"), Ok(()));
        assert_eq!(check("1", "0-1", "CPUs", "cpus"), Ok(()));
        assert_eq!(
            check("9-12", "0-1", "CPUs", "cpus").unwrap_err(),
            "Requested CPUs are not available - requested 9-12, available: 0-1"
        );
    }
}
