//! One query, decided.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Zone;
use super::message::{KIND_A, KIND_AAAA, KIND_ANY, KIND_PTR, Query, RCODE_SERVER_FAILURE, failure};

/// What one container can see.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Of its networks, in the order in which they are asked.
    pub zones: &'a [&'a Zone],
    /// Names that only this container knows (`--link`): alias and what it stands for.
    pub links: &'a [(String, String)],
    /// Whether it has a way to the outside at all.
    pub forwards: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(Vec<u8>),
    /// Somebody outside knows, or nobody.
    Forward,
    /// Not a question.
    Nothing,
}

/// `turn` is any number: of several addresses, which comes first.
pub fn answer(message: &[u8], view: &View<'_>, turn: usize, over_tcp: bool) -> Answer {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(bad) => {
            return match bad.id {
                Some(id) => Answer::Reply(failure(id, bad.rcode)),
                None => Answer::Nothing,
            };
        }
    };
    if query.class_in && !query.name.is_empty() {
        if query.kind == KIND_PTR
            && let Some(name) = reverse(&query.name)
                .and_then(|address| view.zones.iter().find_map(|zone| zone.find_name(address)))
        {
            return Answer::Reply(query.reply_name(name, over_tcp));
        }
        if let Some(mut found) = look_up(&query, view) {
            if !found.is_empty() {
                let first = turn % found.len();
                found.rotate_left(first);
            }
            return Answer::Reply(query.reply(0, &found, over_tcp));
        }
    }
    if view.forwards {
        Answer::Forward
    } else {
        Answer::Reply(query.reply(RCODE_SERVER_FAILURE, &[], over_tcp))
    }
}

/// `None` when nobody is called so. A name that has no address of the kind that was asked for has none: asking outside
/// would find another's.
fn look_up(query: &Query<'_>, view: &View<'_>) -> Option<Vec<IpAddr>> {
    let linked = view
        .links
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(&query.name))
        .map(|(_, name)| name.to_ascii_lowercase());
    let name = linked.as_deref().unwrap_or(&query.name);
    let mut known = false;
    for zone in view.zones {
        let Some(all) = zone.find(name) else { continue };
        known = true;
        let found: Vec<IpAddr> = all
            .into_iter()
            .filter(|address| match query.kind {
                KIND_A => address.is_ipv4(),
                KIND_AAAA => address.is_ipv6(),
                KIND_ANY => true,
                _ => false,
            })
            .collect();
        if !found.is_empty() {
            return Some(found);
        }
    }
    known.then(Vec::new)
}

/// The address in a name of `in-addr.arpa` or `ip6.arpa`.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(v4) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = v4.split('.').rev();
        for octet in &mut octets {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let v6 = name.strip_suffix(".ip6.arpa")?;
    let mut number = 0u128;
    let mut count = 0;
    for part in v6.split('.').rev() {
        let digit = u128::from_str_radix(part, 16).ok().filter(|_| part.len() == 1)?;
        number = number << 4 | digit;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(number).into())
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::query;
    use super::super::{Entry, Zone};
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn zone() -> Zone {
        let mut zone = Zone::new("Lan");
        let entry = |names: &[&str], addresses: &[&str], reverse: Option<&str>| Entry {
            names: names.iter().map(|n| n.to_string()).collect(),
            addresses: addresses.iter().map(|a| ip(a)).collect(),
            reverse: reverse.map(Into::into),
        };
        zone.put(
            "c1",
            vec![entry(&["Web", "c1"], &["10.0.0.2", "fd00::2"], Some("web"))],
        );
        zone.put("c2", vec![entry(&["web"], &["10.0.0.3"], Some("other"))]);
        zone.put("c3", vec![entry(&["my.app"], &["10.0.0.4"], None)]);
        zone
    }

    /// rcode and the last octets of the addresses.
    fn ask(zone: &Zone, name: &str, kind: u16, turn: usize) -> Option<(u8, Vec<u8>)> {
        let links = [("db".to_owned(), "C1".to_owned())];
        let view = View {
            zones: &[zone],
            links: &links,
            forwards: true,
        };
        let question = query(name, kind);
        match answer(&question, &view, turn, false) {
            Answer::Reply(reply) => {
                let size = if kind == KIND_AAAA { 28 } else { 16 };
                let records = reply[question.len()..]
                    .chunks(size)
                    .map(|r| r[r.len() - 1])
                    .collect();
                Some((reply[3] & 0xf, records))
            }
            _ => None,
        }
    }

    #[test]
    fn names_aliases_links_and_networks() {
        let zone = zone();
        assert_eq!(ask(&zone, "WEB", KIND_A, 0), Some((0, vec![2, 3])));
        assert_eq!(ask(&zone, "web.lan", KIND_A, 1), Some((0, vec![3, 2])));
        assert_eq!(ask(&zone, "c1", KIND_AAAA, 0), Some((0, vec![2])));
        assert_eq!(ask(&zone, "db", KIND_A, 5), Some((0, vec![2])));
        assert_eq!(ask(&zone, "my.app", KIND_A, 0), Some((0, vec![4])));
        // There is a name but no such address: that is an answer.
        assert_eq!(ask(&zone, "my.app", KIND_AAAA, 0), Some((0, vec![])));
        assert_eq!(ask(&zone, "web", 15, 0), Some((0, vec![])));
        assert_eq!(ask(&zone, "web.wan", KIND_A, 0), None);
        assert_eq!(ask(&zone, "example.com", KIND_A, 0), None);
    }

    #[test]
    fn the_clusters_names_stand_beside_containers_and_go_one_by_one() {
        let mut zone = zone();
        let given = [
            ("web", vec![ip("10.0.0.3"), ip("10.0.0.9")]),
            ("api", vec![ip("10.0.0.8")]),
        ];
        zone.give_all(given.map(|(name, all)| (name.to_owned(), all)).into());
        assert_eq!(ask(&zone, "web", KIND_A, 0), Some((0, vec![2, 3, 9])));
        assert_eq!(ask(&zone, "api.lan", KIND_A, 0), Some((0, vec![8])));
        zone.give("api", vec![ip("10.0.0.7")]);
        assert_eq!(ask(&zone, "api", KIND_A, 0), Some((0, vec![7])));
        zone.give("api", Vec::new());
        assert_eq!(ask(&zone, "api", KIND_A, 0), None);
        zone.give_all(Default::default());
        assert_eq!(ask(&zone, "web", KIND_A, 0), Some((0, vec![2, 3])));
    }

    #[test]
    fn addresses_have_names_with_their_network() {
        let zone = zone();
        let view = View {
            zones: &[&zone],
            links: &[],
            forwards: false,
        };
        for (name, label) in [
            ("2.0.0.10.in-addr.arpa", "web"),
            (
                "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
                "web",
            ),
            ("3.0.0.10.in-addr.arpa", "other"),
        ] {
            let Answer::Reply(reply) = answer(&query(name, KIND_PTR), &view, 0, false) else {
                panic!("{name}")
            };
            let text = format!("{}{label}\u{3}lan\0", label.len() as u8 as char);
            assert!(reply.ends_with(text.as_bytes()), "{name}: {reply:?}");
        }
        // Nobody may be asked outside.
        let Answer::Reply(reply) = answer(&query("4.0.0.10.in-addr.arpa", KIND_PTR), &view, 0, false) else {
            panic!("a reply")
        };
        assert_eq!(reply[3] & 0xf, RCODE_SERVER_FAILURE);
        for bad in [
            "1.2.3.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "x.0.0.10.in-addr.arpa",
            "1.ip6.arpa",
        ] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_owner_takes_only_its_own_names_away() {
        let mut zone = zone();
        zone.remove("c1");
        assert_eq!(ask(&zone, "web", KIND_A, 0), Some((0, vec![3])));
        assert_eq!(ask(&zone, "c1", KIND_A, 0), None);
        zone.remove("c2");
        zone.remove("c3");
        assert_eq!(ask(&zone, "web", KIND_A, 0), None);
        assert_eq!(zone.find_name(ip("10.0.0.3")), None);
    }
}
