"""What predictions of image files can be written as, one file for each format."""
