"""The pages that people keep open: what is measured, whether it still comes, and what became of it."""
