"""The vendors, one folder each: what they say is turned into facts of the domain, and back."""
