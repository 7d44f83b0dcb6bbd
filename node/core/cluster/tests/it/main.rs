mod allocator;
mod assignments;
mod fixture;
mod liveness;
mod reports;
mod roles;
mod scheduler;
mod validate;
