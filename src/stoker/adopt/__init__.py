"""What exists, as a platform file: manifests, dumps and clusters read into the document that Stoker compiles from. Pure."""
