"""Results as people and other tools read them. Pure: values in, text out."""
