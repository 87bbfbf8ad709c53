//! What a rule matches a request by: path, method, header and host, one file each.
//!
//! Each matcher is parsed once, from what an operator wrote, and then only compares bytes. No regular expressions:
//! an unanchored one is the classic hole in a rule. In which order rules are tried, and what an ambiguous path may
//! match, is not decided here.

mod header;
mod host;
mod method;
mod path;
mod template;

pub use header::{HeaderMatch, HeaderMatchError, HeaderTest};
pub use host::{HostMatch, HostMatchError};
pub use method::{MethodMatch, MethodMatchError};
pub use path::{PathExact, PathPatternError, PathPrefix};
pub use template::{PathTemplate, PathTemplateError, TemplateSegment};
