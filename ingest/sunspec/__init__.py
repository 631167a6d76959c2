"""SunSpec: where a device of a standard layout keeps what, and what it means."""
