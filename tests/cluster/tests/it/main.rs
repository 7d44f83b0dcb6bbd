//! All cluster cases.

mod acked;
mod chaos;
mod form;
mod jobs;
mod leader;
mod lost;
mod networks;
mod remote;
mod removed;
mod seat;
mod service;
mod tasks;
