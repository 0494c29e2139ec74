//! (room `report`: see design)
