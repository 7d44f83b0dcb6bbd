//! The one function that changes a state. See [`Write`] for what each write means.

mod merge;
mod network;
mod service;
mod task;

use crate::state::{Holds, State};
use crate::table::Row;
use shoal_raft_objects::{
    Cluster, Config, Event, Kind, Meta, Network, Node, Object, Proposal, RaftId, Refusal, Secret, Service,
    Task, Time, Write,
};
use std::sync::Arc;

/// What became of a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All its writes took effect; the events are in their order. Writes that changed nothing have none.
    Applied(Vec<Event>),
    /// None of its writes took effect.
    Refused(Refusal),
}

/// Where in the log, and when by the proposer's clock.
#[derive(Clone, Copy)]
struct At {
    index: u64,
    time: Time,
}

impl State {
    /// Performs the proposal committed at log index `index`: all of it or nothing. Later writes of a proposal see
    /// the earlier ones. The index is remembered either way.
    pub fn apply(&mut self, index: u64, proposal: &Proposal) -> Outcome {
        let at = At {
            index,
            time: proposal.at,
        };
        let mut next = self.clone();
        let mut events = Vec::with_capacity(proposal.writes.len());
        for write in &proposal.writes {
            match next.write(at, write) {
                Ok(event) => events.extend(event),
                Err(refusal) => {
                    self.applied = index;
                    return Outcome::Refused(refusal);
                }
            }
        }
        next.applied = index;
        *self = next;
        Outcome::Applied(events)
    }

    /// Notes a log entry that carries no proposal (an election, a change of membership).
    pub fn skip(&mut self, index: u64) {
        self.applied = index;
    }

    fn write(&mut self, at: At, write: &Write) -> Result<Option<Event>, Refusal> {
        match write {
            Write::Create(object) => match object {
                Object::Cluster(o) => create::<Cluster>(self, at, o).map(Some),
                Object::Node(o) => self.create_node(at, o).map(Some),
                Object::Service(o) => create(self, at, &service::created(o, at)).map(Some),
                Object::Task(o) => create::<Task>(self, at, o).map(Some),
                Object::Network(o) => {
                    network::check(self, o)?;
                    create::<Network>(self, at, o).map(Some)
                }
                Object::Secret(o) => create::<Secret>(self, at, o).map(Some),
                Object::Config(o) => create::<Config>(self, at, o).map(Some),
            },
            Write::Update { object, touched } => match object {
                Object::Cluster(o) => update::<Cluster>(self, at, o, *touched, |_, _| Ok(())),
                Object::Node(o) => self.update_node(at, o, *touched),
                Object::Service(o) => update::<Service>(self, at, o, *touched, |old, new| {
                    service::updated(old, new, at);
                    Ok(())
                }),
                Object::Task(o) => update::<Task>(self, at, o, *touched, task::check),
                Object::Network(o) => {
                    network::check(self, o)?;
                    update::<Network>(self, at, o, *touched, |_, _| Ok(()))
                }
                Object::Secret(o) => update::<Secret>(self, at, o, *touched, |_, _| Ok(())),
                Object::Config(o) => update::<Config>(self, at, o, *touched, |_, _| Ok(())),
            },
            Write::Spec { object, version } => match object {
                Object::Cluster(o) => {
                    respec::<Cluster>(self, at, o, *version, |row, o| row.spec = o.spec.clone())
                }
                Object::Node(o) => respec::<Node>(self, at, o, *version, |row, o| row.spec = o.spec.clone()),
                Object::Service(o) => respec::<Service>(self, at, o, *version, |row, o| {
                    service::respecified(row, o, at);
                }),
                Object::Task(o) => Err(Refusal::Invalid(format!(
                    "task {} cannot be changed by a user: tasks are one-shot",
                    o.id
                ))),
                Object::Network(o) => {
                    respec::<Network>(self, at, o, *version, |row, o| row.spec = o.spec.clone())
                }
                Object::Secret(o) => {
                    respec::<Secret>(self, at, o, *version, |row, o| row.spec = o.spec.clone())
                }
                Object::Config(o) => {
                    respec::<Config>(self, at, o, *version, |row, o| row.spec = o.spec.clone())
                }
            },
            Write::Status { task, status } => Ok(self.merge_status(at, task, status)),
            Write::Desired { task, desired } => Ok(self.merge_desired(at, task, *desired)),
            Write::Drained { task, unheard } => Ok(self.merge_drained(at, task, unheard)),
            Write::Delete { kind, id, touched } => match kind {
                Kind::Cluster => delete::<Cluster>(self, id, *touched),
                Kind::Node => delete::<Node>(self, id, *touched),
                Kind::Service => delete::<Service>(self, id, *touched),
                Kind::Task => delete::<Task>(self, id, *touched),
                Kind::Network => delete::<Network>(self, id, *touched),
                Kind::Secret => delete::<Secret>(self, id, *touched),
                Kind::Config => delete::<Config>(self, id, *touched),
            },
        }
    }

    /// A manager that is admitted with raft id 0 gets the index of this very write: unique for ever.
    fn create_node(&mut self, at: At, node: &Node) -> Result<Event, Refusal> {
        let mut node = node.clone();
        self.admit(at, &mut node)?;
        create(self, at, &node)
    }

    fn update_node(&mut self, at: At, node: &Node, touched: u64) -> Result<Option<Event>, Refusal> {
        let mut node = node.clone();
        self.admit(at, &mut node)?;
        update(self, at, &node, touched, |_, _| Ok(()))
    }

    fn admit(&self, at: At, node: &mut Node) -> Result<(), Refusal> {
        let Some(manager) = &mut node.manager else {
            return Ok(());
        };
        if manager.raft_id == RaftId(0) {
            manager.raft_id = RaftId(at.index);
        }
        match self.raft_ids.get(&manager.raft_id) {
            Some(holder) if *holder != node.id => Err(Refusal::Invalid(format!(
                "raft id {} of node {} already belongs to node {holder}",
                manager.raft_id, node.id
            ))),
            _ => Ok(()),
        }
    }
}

fn create<T: Row>(state: &mut State, at: At, object: &T) -> Result<Event, Refusal>
where
    State: Holds<T>,
{
    let id = T::id_str(object.id());
    if id.is_empty() {
        return Err(Refusal::Invalid(format!("a new {:?} needs an id", T::KIND)));
    }
    if Holds::<T>::table(state).get(object.id()).is_some() {
        return Err(Refusal::Exists {
            kind: T::KIND,
            id: id.to_owned(),
        });
    }
    check_name(state, object)?;
    let mut row = object.clone();
    *row.meta_mut() = Meta {
        version: at.index,
        touched: at.index,
        created_at: at.time,
        updated_at: at.time,
    };
    state.put(Arc::new(row.clone()));
    Ok(Event::Created(row.into_object()))
}

fn update<T: Row>(
    state: &mut State,
    at: At,
    object: &T,
    touched: u64,
    check: impl FnOnce(&T, &mut T) -> Result<(), Refusal>,
) -> Result<Option<Event>, Refusal>
where
    State: Holds<T>,
{
    let old = stored(state, object)?;
    if old.meta().touched != touched {
        return Err(Refusal::Stale {
            kind: T::KIND,
            id: T::id_str(old.id()).to_owned(),
        });
    }
    let mut new = object.clone();
    *new.meta_mut() = *old.meta();
    check(&old, &mut new)?;
    replace(state, at, &old, new, false)
}

fn respec<T: Row>(
    state: &mut State,
    at: At,
    object: &T,
    version: u64,
    change: impl FnOnce(&mut T, &T),
) -> Result<Option<Event>, Refusal>
where
    State: Holds<T>,
{
    let old = stored(state, object)?;
    if old.meta().version != version {
        return Err(Refusal::OutOfSequence {
            kind: T::KIND,
            id: T::id_str(old.id()).to_owned(),
        });
    }
    let mut new = T::clone(&old);
    change(&mut new, object);
    // An accepted update moves the version even if it says what was there: the version that the user gave is used up.
    replace(state, at, &old, new, true)
}

/// Puts `new` (which carries the old meta) in place of `old`, unless they are equal and nothing forces it.
fn replace<T: Row>(
    state: &mut State,
    at: At,
    old: &Arc<T>,
    mut new: T,
    new_version: bool,
) -> Result<Option<Event>, Refusal>
where
    State: Holds<T>,
{
    if !new_version && **old == new {
        return Ok(None);
    }
    if !new.name().eq_ignore_ascii_case(old.name()) {
        check_name(state, &new)?;
    }
    let respecified = new_version || !new.same_spec(old);
    let meta = new.meta_mut();
    meta.touched = at.index;
    meta.updated_at = at.time;
    if respecified {
        meta.version = at.index;
    }
    state.put(Arc::new(new.clone()));
    Ok(Some(Event::Updated {
        old: T::clone(old).into_object(),
        new: new.into_object(),
    }))
}

fn delete<T: Row>(state: &mut State, id: &str, touched: Option<u64>) -> Result<Option<Event>, Refusal>
where
    State: Holds<T>,
{
    let id = T::id_from(id);
    let Some(old) = Holds::<T>::table(state).get(&id).cloned() else {
        return Ok(None);
    };
    if touched.is_some_and(|touched| touched != old.meta().touched) {
        return Err(Refusal::Stale {
            kind: T::KIND,
            id: T::id_str(&id).to_owned(),
        });
    }
    Holds::<T>::take(state, &id);
    Ok(Some(Event::Deleted(T::clone(&old).into_object())))
}

fn stored<T: Row>(state: &State, object: &T) -> Result<Arc<T>, Refusal>
where
    State: Holds<T>,
{
    Holds::<T>::table(state)
        .get(object.id())
        .cloned()
        .ok_or_else(|| Refusal::NotFound {
            kind: T::KIND,
            id: T::id_str(object.id()).to_owned(),
        })
}

fn check_name<T: Row>(state: &State, object: &T) -> Result<(), Refusal>
where
    State: Holds<T>,
{
    let name = object.name();
    if !T::NAMES_ARE_UNIQUE || name.is_empty() {
        return Ok(());
    }
    match Holds::<T>::table(state)
        .named(name)
        .find(|other| other.id() != object.id())
    {
        Some(_) => Err(Refusal::NameConflict {
            kind: T::KIND,
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
