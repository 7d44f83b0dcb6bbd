//! tests/imports
