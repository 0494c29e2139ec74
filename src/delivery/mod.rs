//! (room `delivery`: see design)
