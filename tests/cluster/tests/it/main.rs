//! All cluster cases.

mod acked;
mod form;
mod leader;
mod lost;
mod remote;
mod removed;
mod service;
mod tasks;
