"""JSON: one object, or an array of them. `fast` decodes what is well formed, `careful` judges the rest."""
