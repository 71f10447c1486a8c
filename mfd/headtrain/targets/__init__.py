"""What the head shall predict: queries matched to objects, whose masks are kept as a store."""
