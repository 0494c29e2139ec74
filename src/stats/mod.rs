//! (room `stats`: see design)
