//! `retrial` puts an API's retries on trial.

pub mod cli;
pub mod codes;
pub mod contract;
pub mod delivery;
pub mod demo;
pub mod engine;
pub mod history;
pub mod http;
pub mod oracle;
pub mod plan;
pub mod probe;
pub mod record;
pub mod render;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod wire;
