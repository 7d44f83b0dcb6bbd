//! All cluster cases.

mod acked;
mod attached;
mod chaos;
mod churn;
mod encrypted;
mod faults;
mod form;
mod image_policy;
mod images;
mod jobs;
mod leader;
mod lost;
mod mesh;
mod networks;
mod port_options;
mod remote;
mod removed;
mod same_port;
mod seat;
mod service;
mod six;
mod strangers;
mod tasks;
mod updates;
