//! (room `oracle`: see design)
