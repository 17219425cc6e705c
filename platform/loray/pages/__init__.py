"""HTML pages of ours: one file that holds everything it shows and runs nothing."""
