"""Files in, arrays out: clips, sectors, curated records, the phantom."""
