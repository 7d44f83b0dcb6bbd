//! The plan and the names, brought along piece by piece: what changes with a piece costs as much as the service that it is
//! about, however many others there are.

use super::balance::{Leads, Target, Vip};
use super::entries::{Entries, Mac};
use super::ingress::Ingress;
use super::known::{Known, Tracks};
use super::names::Names;
use super::plan::{Plan, Segment, frame};
use shoal_raft_objects::track::EndpointTrack;
use shoal_raft_objects::{NodeId, ServiceId, TaskId, Track};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What a node hears of the cluster's networks.
#[derive(Clone, Debug)]
pub enum News {
    /// All of it, and which node this is; one without a name has left the cluster.
    Whole(NodeId, Tracks),
    /// What changed since: by key, each piece as it is now, or nothing where it is gone. Of no piece: all that this host has
    /// is compared with what it should have.
    Changed(BTreeMap<String, Option<Arc<Track>>>),
}

/// Places of the plan, and names, whose values changed. Networks stand in keys by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub forwarding: BTreeSet<(String, Mac)>,
    pub neighbours: BTreeSet<(String, IpAddr)>,
    /// Of the ingress network.
    pub routes: BTreeSet<IpAddr>,
    pub near: BTreeSet<IpAddr>,
    pub ports: BTreeSet<Vip>,
    /// Some of the ports that this node itself accepts connections by, or where ports of SCTP lead.
    pub special: bool,
    pub addresses: BTreeMap<String, BTreeSet<Vip>>,
    pub names: BTreeMap<String, BTreeSet<String>>,
}

/// What belongs together: the tasks of a service with it, or one plain container.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Service(ServiceId),
    Alone(TaskId),
}

#[derive(Debug)]
pub struct Layout {
    sid: String,
    me: NodeId,
    tracks: Tracks,
    /// Tasks by service; those of none are plain containers.
    tasks: BTreeMap<ServiceId, BTreeSet<TaskId>>,
    plan: Plan,
    names: Names,
    /// Two groups want the same at the moment. Whose it is once one of them goes is found by making all anew.
    crowded: bool,
}

impl Layout {
    /// What node `me` should have; `sid` is the daemon's short id.
    pub fn of(sid: &str, me: &NodeId, tracks: Tracks) -> Self {
        let mut layout = Layout {
            sid: sid.to_owned(),
            me: me.clone(),
            tracks,
            tasks: BTreeMap::new(),
            plan: Plan::default(),
            names: Names::new(),
            crowded: false,
        };
        layout.remake();
        layout
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Plain containers of this node.
    pub fn own_containers(&self) -> impl Iterator<Item = &EndpointTrack> {
        let alone = self.tasks.get(&ServiceId::default()).into_iter().flatten();
        let tracks = alone.filter_map(|task| Known(&self.tracks).endpoint(task));
        tracks.filter(|track| track.node == self.me)
    }

    /// Takes pieces in, each as it is now or nothing where it is gone. Answers where plan and names differ from before;
    /// nothing when they may differ anywhere.
    pub fn change(&mut self, pieces: BTreeMap<String, Option<Arc<Track>>>) -> Option<Changes> {
        let mut pieces = pieces;
        pieces.retain(|key, piece| self.tracks.get(key) != piece.as_ref());
        let of_frame = |key: &String| key.starts_with("n/") || key.starts_with("p/");
        let whole = self.crowded || pieces.keys().any(of_frame);
        let mut groups = BTreeSet::new();
        for (key, piece) in &pieces {
            for track in [self.tracks.get(key), piece.as_ref()].into_iter().flatten() {
                groups.extend(group(track));
            }
        }
        let before = self.entries(&groups);
        for (key, piece) in pieces {
            let old = match &piece {
                Some(track) => self.tracks.insert(key, track.clone()),
                None => self.tracks.remove(&key),
            };
            self.regroup(old.as_deref(), piece.as_deref());
        }
        if whole {
            self.remake();
            return None;
        }
        let after = self.entries(&groups);
        let (Some(before), Some(after)) = (before, after) else {
            self.remake();
            return None;
        };
        let mut changes = Changes::default();
        if !self.settle(before, after, &mut changes) {
            self.remake();
            return None;
        }
        Some(changes)
    }

    fn remake(&mut self) {
        self.tasks.clear();
        let known = Known(&self.tracks);
        for endpoint in known.endpoints() {
            let tasks = self.tasks.entry(endpoint.service.clone()).or_default();
            tasks.insert(endpoint.task.clone());
        }
        self.plan = frame(&self.sid, &self.me, known);
        self.names.clear();
        let services = known.services().map(|s| Group::Service(s.service.clone()));
        let of_tasks = known.endpoints().map(of_endpoint);
        let groups: BTreeSet<Group> = services.chain(of_tasks).collect();
        self.crowded = false;
        for group in &groups {
            let entries = self.entries_of(group);
            let alone = self.settle(Entries::default(), entries, &mut Changes::default());
            self.crowded |= !alone;
        }
    }

    /// `tasks` follows a piece.
    fn regroup(&mut self, old: Option<&Track>, new: Option<&Track>) {
        if let Some(Track::Endpoint(endpoint)) = old
            && let Some(tasks) = self.tasks.get_mut(&endpoint.service)
        {
            tasks.remove(&endpoint.task);
            if tasks.is_empty() {
                self.tasks.remove(&endpoint.service);
            }
        }
        if let Some(Track::Endpoint(endpoint)) = new {
            let tasks = self.tasks.entry(endpoint.service.clone()).or_default();
            tasks.insert(endpoint.task.clone());
        }
    }

    /// Of all of them; nothing when two want the same.
    fn entries(&self, groups: &BTreeSet<Group>) -> Option<Entries> {
        let mut all = Entries::default();
        let alone = groups.iter().all(|group| all.take(self.entries_of(group)));
        alone.then_some(all)
    }

    fn entries_of(&self, group: &Group) -> Entries {
        let known = Known(&self.tracks);
        let (service, tasks): (_, Vec<&EndpointTrack>) = match group {
            Group::Alone(task) => (None, known.endpoint(task).into_iter().collect()),
            Group::Service(id) => {
                let tasks = self.tasks.get(id).into_iter().flatten();
                let tracks = tasks.filter_map(|task| known.endpoint(task));
                (known.service(id), tracks.collect())
            }
        };
        Entries::of(&self.me, &self.plan, known, service, &tasks)
    }

    /// Brings plan and names from what groups added before to what they add now. False when two want the same.
    fn settle(&mut self, before: Entries, after: Entries, changes: &mut Changes) -> bool {
        let plan = &mut self.plan;
        let mut alone = settle_map(plan, before.forwarding, after.forwarding, forwarding, |key| {
            changes.forwarding.insert(key);
        });
        alone &= settle_map(plan, before.neighbours, after.neighbours, neighbours, |key| {
            changes.neighbours.insert(key);
        });
        alone &= settle_map(plan, before.routes, after.routes, routes, |key| {
            changes.routes.insert(key);
        });
        alone &= settle_map(plan, before.near, after.near, near, |key| {
            changes.near.insert(key);
        });
        alone &= settle_map(
            plan,
            before.addresses,
            after.addresses,
            addresses,
            |(network, vip)| {
                changes.addresses.entry(network).or_default().insert(vip);
            },
        );
        alone &= settle_map(plan, before.relayed, after.relayed, relayed, |_| {
            changes.special = true
        });
        let differs = |target: &Target| {
            before.associations.contains_key(target) != after.associations.contains_key(target)
        };
        let mut targets = before.associations.keys().chain(after.associations.keys());
        if targets.any(differs)
            && let Some(ingress) = ingress(plan)
        {
            changes.special = true;
            let of = &mut ingress.associations;
            of.retain(|target| !before.associations.contains_key(target));
            of.extend(after.associations.keys());
        }
        alone &= settle_map(plan, before.ports, after.ports, ports, |key| {
            changes.ports.insert(key);
        });
        for (network, name, address) in before.names.keys().filter(|key| !after.names.contains_key(key)) {
            if let Some(names) = self.names.get_mut(network) {
                if let Some(found) = names.get_mut(name) {
                    found.addresses.remove(address);
                    if found.addresses.is_empty() {
                        names.remove(name);
                    }
                }
                if names.is_empty() {
                    self.names.remove(network);
                }
            }
            let changed = changes.names.entry(network.clone()).or_default();
            changed.insert(name.clone());
        }
        for (network, name, address) in after.names.into_keys() {
            let key = (network, name, address);
            if before.names.contains_key(&key) {
                continue;
            }
            let (network, name, address) = key;
            let names = self.names.entry(network.clone()).or_default();
            alone &= names.entry(name.clone()).or_default().addresses.insert(address);
            changes.names.entry(network).or_default().insert(name);
        }
        alone
    }
}

fn group(track: &Track) -> Option<Group> {
    match track {
        Track::Service(service) => Some(Group::Service(service.service.clone())),
        Track::Endpoint(endpoint) => Some(of_endpoint(endpoint)),
        _ => None,
    }
}

fn of_endpoint(endpoint: &EndpointTrack) -> Group {
    match endpoint.service.is_empty() {
        true => Group::Alone(endpoint.task.clone()),
        false => Group::Service(endpoint.service.clone()),
    }
}

/// Where in the plan something with this key stands.
type Place<K, I, V> = for<'p> fn(&'p mut Plan, &K) -> Option<(&'p mut BTreeMap<I, V>, I)>;

fn settle_map<K: Ord, I: Ord, V: PartialEq>(
    plan: &mut Plan,
    before: BTreeMap<K, V>,
    after: BTreeMap<K, V>,
    place: Place<K, I, V>,
    mut changed: impl FnMut(K),
) -> bool {
    let mut alone = true;
    let mut same = BTreeSet::new();
    for (key, value) in before {
        match after.get(&key) {
            Some(now) if *now == value => drop(same.insert(key)),
            // Its value is replaced below.
            Some(_) => {
                if let Some((map, at)) = place(plan, &key) {
                    map.remove(&at);
                }
            }
            None => {
                if let Some((map, at)) = place(plan, &key) {
                    map.remove(&at);
                }
                changed(key);
            }
        }
    }
    for (key, value) in after {
        if same.contains(&key) {
            continue;
        }
        if let Some((map, at)) = place(plan, &key) {
            alone &= map.insert(at, value).is_none();
        }
        changed(key);
    }
    alone
}

fn segment<'p>(plan: &'p mut Plan, id: &str) -> Option<&'p mut Segment> {
    plan.segments.get_mut(id).map(Arc::make_mut)
}

fn forwarding<'p>(
    plan: &'p mut Plan,
    (id, mac): &(String, Mac),
) -> Option<(&'p mut BTreeMap<Mac, Ipv4Addr>, Mac)> {
    Some((&mut segment(plan, id)?.forwarding, *mac))
}

fn neighbours<'p>(
    plan: &'p mut Plan,
    (id, address): &(String, IpAddr),
) -> Option<(&'p mut BTreeMap<IpAddr, Mac>, IpAddr)> {
    Some((&mut segment(plan, id)?.neighbours, *address))
}

fn addresses<'p>(plan: &'p mut Plan, (id, vip): &(String, Vip)) -> Option<(&'p mut Leads, Vip)> {
    Some((segment(plan, id)?.balance.leads(), *vip))
}

fn routes<'p>(plan: &'p mut Plan, task: &IpAddr) -> Option<(&'p mut BTreeMap<IpAddr, IpAddr>, IpAddr)> {
    Some((&mut ingress(plan)?.routes, *task))
}

fn near<'p>(plan: &'p mut Plan, address: &IpAddr) -> Option<(&'p mut BTreeMap<IpAddr, Mac>, IpAddr)> {
    Some((&mut ingress(plan)?.neighbours, *address))
}

fn ports<'p>(plan: &'p mut Plan, vip: &Vip) -> Option<(&'p mut Leads, Vip)> {
    Some((ingress(plan)?.balance.leads(), *vip))
}

fn relayed<'p>(plan: &'p mut Plan, vip: &Vip) -> Option<(&'p mut Leads, Vip)> {
    Some((&mut ingress(plan)?.relayed, *vip))
}

fn ingress(plan: &mut Plan) -> Option<&mut Ingress> {
    plan.ingress.as_mut().map(Arc::make_mut)
}
