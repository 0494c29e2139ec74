//! Reads effects. A reading is a fact; this room must not decide what it means:
//! it is told which numbers would end the wait, and says how the wait ended.

mod client;
mod http_json;
mod settle;

pub use client::{Client, ClientError, ClientOptions, HostPolicy, Refusal};
pub use http_json::{Answer, ProbeRequest, extract, read};
pub use settle::{Judge, Patience, Progress, Stretch, Watch, settle};
