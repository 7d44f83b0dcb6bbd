mod random;
mod restarts;
mod stories;
