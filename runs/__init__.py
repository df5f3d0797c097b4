"""Runs as people look at them: how far one is, why a job failed, and what two versions of a study differ in."""
