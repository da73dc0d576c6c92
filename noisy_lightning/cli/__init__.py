"""The command line: one parser, a file per command."""
