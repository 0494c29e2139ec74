//! (room `http`: see design)
