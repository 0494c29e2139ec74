//! (room `scenario`: see design)
