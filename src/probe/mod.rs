//! (room `probe`: see design)
