//! (room `record`: see design)
