//! api/backend
