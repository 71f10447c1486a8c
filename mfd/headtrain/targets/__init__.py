"""Training targets: queries matched to objects, whose masks are kept as a store."""
