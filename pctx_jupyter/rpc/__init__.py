"""One conversation over any pipe: messages, the two ends, and the types of the wire."""
