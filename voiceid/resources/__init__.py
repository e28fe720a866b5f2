"""The collections of a gallery, one file each: the stored objects and their operations."""
