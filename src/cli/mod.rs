//! (room `cli`: see design)
