//! All cluster cases.

mod form;
mod leader;
mod lost;
mod remote;
mod service;
mod tasks;
