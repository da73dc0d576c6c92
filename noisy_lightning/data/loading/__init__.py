"""What turns images and labels into batches."""
