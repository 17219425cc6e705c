"""The command line: one verb a file; a verb imports what it needs when it runs."""
