//! (room `plan`: see design)
