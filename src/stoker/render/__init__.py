"""Objects to files: plain folders, kustomize, Argo CD and Flux. Pure: a mapping from path to text comes out."""
