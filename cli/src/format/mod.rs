//! How answers look: Go templates, docker's tables, its units and its "2 minutes ago".

mod list;
mod template;
mod units;

pub use list::{Column, Listing, align_to};
pub use template::render;
pub use units::{
    ago, binary_size, bytes_of, created_at, duration_of, human_size, human_size_short, lower_title,
    parse_time, short_id, since_now,
};
