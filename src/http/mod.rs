//! Messages of HTTP and the bytes they are on the wire.
//!
//! Sans-IO: this room turns values into bytes and bytes into values. It does not know sockets, plans or histories, and nothing in it waits. HTTP/1.1 is in [`h1`], HTTP/2 in [`h2`]; they share [`message`] and [`body`].

pub mod body;
pub mod h1;
pub mod h2;
pub mod message;

pub use body::Body;
pub use h1::{Broken, EncodeError, Encoded, HoldPoint, Limits, Progress, Reader, encode};
pub use message::{Head, Request, Response};
