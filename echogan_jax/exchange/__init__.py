"""Networks that other tools read, and theirs read here."""
