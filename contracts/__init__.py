"""What the chain enforces, and how Python finds it."""
