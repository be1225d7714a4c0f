"""The secure sum's arithmetic: fixed point, masks, backends."""
