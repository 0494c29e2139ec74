//! (room `demo`: see design)
