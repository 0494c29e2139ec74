//! (room `history`: see design)
