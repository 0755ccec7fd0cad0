"""Facts out of documents: schemas, asking the local model, proof in the source, confidence."""
