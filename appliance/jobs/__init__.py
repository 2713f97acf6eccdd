"""A folder of documents to rows."""
