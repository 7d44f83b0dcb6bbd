//! api/http
