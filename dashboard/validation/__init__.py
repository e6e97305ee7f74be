"""Parts of the Validate page, a noun a file."""
