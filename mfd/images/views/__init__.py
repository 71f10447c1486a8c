"""Views of an image, flipped, resized, cropped or padded, and the map back to the original."""
