"""Where entries are kept: `sqlite` appends, reads and finds; `schema` is its tables, which are verified as well."""
