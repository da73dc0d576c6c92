"""What an audit of images finds beside wrong labels: duplicates, outliers, odd pictures."""
