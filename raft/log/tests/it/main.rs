//! The log on a real disk: what survives, what is refused, what leaks.

mod damage;
mod durable;
mod world;
