//! Answers recorded from the reference engine (dockerd 28.5.2, API 1.51 unless the file's name says otherwise) are read into
//! our types and written again: nothing may be lost, added or change between null, empty and absent.

mod golden;
