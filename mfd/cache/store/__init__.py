"""One store: identity, journal, writer, reader."""
