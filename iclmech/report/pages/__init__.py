"""How each kind of result is shown, one file each."""
