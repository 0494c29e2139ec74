//! (room `engine`: see design)
