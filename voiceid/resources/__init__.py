"""The collections of a gallery, one file each: what is stored, and what can be done with it."""
