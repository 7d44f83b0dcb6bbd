//! All cluster cases.

mod acked;
mod attached;
mod chaos;
mod faults;
mod form;
mod image_policy;
mod images;
mod jobs;
mod leader;
mod lost;
mod mesh;
mod networks;
mod remote;
mod removed;
mod seat;
mod service;
mod six;
mod tasks;
mod updates;
