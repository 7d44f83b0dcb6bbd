//! All cluster cases.

mod acked;
mod form;
mod leader;
mod lost;
mod remote;
mod service;
mod tasks;
