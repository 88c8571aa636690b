"""The protocol and its people: seller, buyer, and what they exchange."""
