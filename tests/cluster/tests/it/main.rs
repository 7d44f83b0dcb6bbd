//! All cluster cases.

mod acked;
mod form;
mod leader;
mod lost;
mod remote;
mod removed;
mod seat;
mod service;
mod tasks;
