//! (room `wire`: see design)
