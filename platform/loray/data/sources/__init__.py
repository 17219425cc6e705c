"""Where rows come from: files are found, cut into blocks and read; a bad line is a row, too."""
