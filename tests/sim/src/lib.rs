//! The whole control plane from one seed.
//!
//! [`plane`] is the deciders alone, over one state and without Raft; [`cluster`] is the same with Raft, disks, a
//! network and all that can go wrong with them. All chance comes from a seed and all time from the simulation, so
//! every failure is a number that can be run again. Only tests call this.

pub mod cluster;
pub mod plane;
