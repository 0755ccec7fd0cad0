"""The Documents page: batches and their files, a page with its evidence, values to decide about, tables, schemas."""
