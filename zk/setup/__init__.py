"""Structured reference strings: `srs` keeps and checks them, `ceremony` fetches a public ceremony's."""
