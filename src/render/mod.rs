//! (room `render`: see design)
