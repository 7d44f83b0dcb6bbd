//! api/types
