"""The `syncytium` command."""
