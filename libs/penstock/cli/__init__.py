"""The command line `penstock`: one small module per group of commands."""
