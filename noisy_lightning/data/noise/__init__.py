"""How true labels become given ones: one kind of label noise per file."""
