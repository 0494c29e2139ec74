//! What the target promises.
