"""Where images and their labels come from: one data set per file."""
