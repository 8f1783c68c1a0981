"""The update methods, one file each."""
