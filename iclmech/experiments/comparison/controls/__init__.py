"""The controls of `compare`, one file each. Adding one is a file like these and its name in a registry."""
