"""`compare`: in-context learning beside what can stand in its place."""
