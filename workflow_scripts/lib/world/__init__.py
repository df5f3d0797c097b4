"""The embedded text world: tasks to study, documents to train on (docs/pocket.md)."""
