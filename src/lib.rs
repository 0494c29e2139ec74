//! `retrial` puts an API's retries on trial.
//!
//! A run is a straight line of values: **text → `Scenario` → `Plan` → `History`
//! → `Judgement` → `Report` → bytes**. Everything left of the history is decided
//! before the first packet, everything right of it happens after the last; only
//! `engine` stands between.
//!
//! # Rooms
//! | Floor | Room | Its job |
//! | --- | --- | --- |
//! | 0 | [`codes`] | every code that can be printed, with its page |
//! | 0 | [`contract`] | what a target promises; what an answer then claims, and how many effects that allows |
//! | 0 | [`stats`] | exact bounds, quantiles, histograms |
//! | 1 | [`scenario`] | text → scenario, with every mistake found at once |
//! | 2 | [`plan`] | (scenario, seed) → plan |
//! | 3 | [`history`] | what happened, as data |
//! | 4 | [`oracle`] | (plan, history) → judgement |
//! | 5 | [`report`] | what is said of a run, versioned |
//! | 6 | [`render`] | report → bytes |
//! | 0' | [`wire`] | bytes on one connection, held, released, ended on time |
//! | 1' | [`http`] | messages ↔ bytes |
//! | 2' | [`delivery`] | one attempt over one medium |
//! | 2' | [`probe`] | reads effects until they have settled |
//! | 2' | [`record`] | a run on disk |
//! | 3' | [`engine`] | executes a plan |
//! | 1' | [`demo`] | the demo shop; shares no code with the tool, so they cannot share a bug |
//! | 4' | [`cli`] | argv, terminal, exit code |
//!
//! Imports point downstairs; `tests/layers.rs` holds the rules and enforces them.
//! The room that judges never acts, the room that acts never judges: what an
//! answer claims follows from the contract alone, and stands there.

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
